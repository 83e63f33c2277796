// Package apidocs holds the page that shows the description of the API, with Swagger UI
// beside it: static/LICENSE.txt says under which licence. The page loads nothing from
// elsewhere, and runs under a policy that allows no inline script.
package apidocs

import (
	"bytes"
	"compress/gzip"
	"embed"
	"io/fs"
	"mime"
	"path"
	"sync"
)

//go:embed static
var files embed.FS

// File is one file of the page.
type File struct {
	Type    string // the media type
	Content []byte
	// Compressed returns the content by gzip.
	Compressed func() []byte
}

var all = sync.OnceValue(func() map[string]File {
	out := map[string]File{}
	entries, err := files.ReadDir("static")
	if err != nil {
		panic(err) // the folder is a part of the program
	}
	for _, e := range entries {
		content, err := fs.ReadFile(files, path.Join("static", e.Name()))
		if err != nil {
			panic(err) // as above
		}
		out[e.Name()] = File{Type: mime.TypeByExtension(path.Ext(e.Name())), Content: content,
			Compressed: sync.OnceValue(func() []byte { return compress(content) })}
	}
	return out
})

// Find returns a file by its name.
func Find(name string) (File, bool) {
	f, ok := all()[name]
	return f, ok
}

func compress(content []byte) []byte {
	var out bytes.Buffer
	w := gzip.NewWriter(&out)
	_, _ = w.Write(content) // a buffer takes everything
	_ = w.Close()
	return out.Bytes()
}
