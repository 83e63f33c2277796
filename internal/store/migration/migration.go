// Package migration holds the numbered, forward-only, additive changes of the
// database, one text for both engines.
package migration

import (
	"bytes"
	"embed"
	"fmt"
	"io/fs"
	"strings"
	"testing/fstest"
)

//go:embed *.sql
var files embed.FS

// Engine is a database the migrations can be read for.
type Engine string

// The engines.
const (
	Postgres Engine = "postgres"
	SQLite   Engine = "sqlite"
)

// FS returns the migrations as engine reads them: lines between "-- only: X"
// and the next "-- only:" are kept for X alone, and collations, which SQLite
// does not know, are left out for it.
func FS(engine Engine) (fs.FS, error) {
	names, err := fs.Glob(files, "*.sql")
	if err != nil {
		return nil, err
	}
	out := fstest.MapFS{}
	for _, name := range names {
		text, err := files.ReadFile(name)
		if err != nil {
			return nil, fmt.Errorf("read migration %s: %w", name, err)
		}
		out[name] = &fstest.MapFile{Data: forEngine(text, engine), Mode: 0o444}
	}
	return out, nil
}

func forEngine(text []byte, engine Engine) []byte {
	var out bytes.Buffer
	only := ""
	for line := range strings.Lines(string(text)) {
		if mark, ok := strings.CutPrefix(line, "-- only: "); ok {
			only = strings.TrimSpace(mark)
			if only == "end" {
				only = ""
			}
			continue
		}
		if only != "" && only != string(engine) {
			continue
		}
		if engine == SQLite {
			line = strings.ReplaceAll(line, ` COLLATE "C"`, "")
		}
		out.WriteString(line)
	}
	return out.Bytes()
}
