// Package static holds what the pages of the console load: the style, our script, and the
// libraries of others with their licences.
package static

import (
	"crypto/sha256"
	"embed"
	"encoding/hex"
	"io/fs"
	"mime"
	"path"
	"strings"
)

//go:embed *.css *.js *.svg lib
var files embed.FS

// File is one file as it is served.
type File struct {
	// MediaType is the value of Content-Type.
	MediaType string
	// Tag is the value of ETag: it changes with the content.
	Tag  string
	Body []byte
}

// all are the files by name, read once: they are part of the program.
var all = load()

func load() map[string]File {
	out := map[string]File{}
	_ = fs.WalkDir(files, ".", func(name string, d fs.DirEntry, err error) error {
		if err != nil || d.IsDir() {
			return err
		}
		body, err := files.ReadFile(name)
		if err != nil {
			return err
		}
		sum := sha256.Sum256(body)
		out[name] = File{MediaType: mediaType(name), Tag: `"` + hex.EncodeToString(sum[:8]) + `"`, Body: body}
		return nil
	})
	return out
}

func mediaType(name string) string {
	if strings.Contains(path.Base(name), "LICENSE") {
		return "text/plain; charset=utf-8"
	}
	return mime.TypeByExtension(path.Ext(name))
}

// Find returns the file with a name such as "console.css"; ok is false where there is none.
func Find(name string) (f File, ok bool) {
	f, ok = all[name]
	return f, ok
}
