// Package migration holds the schema, and the numbered, forward-only, additive
// changes of it from the first release on: one text for both engines.
package migration

import (
	"embed"
	"fmt"
	"io/fs"
	"strconv"
	"strings"
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

// A Migration is one change of the schema.
type Migration struct {
	// Version numbers the migrations, from 1.
	Version int64
	// Text is the statements, to be run in one transaction.
	Text string
}

// List returns the migrations in their order, as engine reads them: lines between
// "-- only: X" and the next "-- only:" are kept for X alone, and collations, which
// SQLite does not know, are left out for it.
func List(engine Engine) ([]Migration, error) {
	names, err := fs.Glob(files, "*.sql")
	if err != nil {
		return nil, err
	}
	out := make([]Migration, 0, len(names))
	for _, name := range names {
		text, err := files.ReadFile(name)
		if err != nil {
			return nil, fmt.Errorf("read migration %s: %w", name, err)
		}
		number, _, _ := strings.Cut(name, "_")
		version, err := strconv.ParseInt(number, 10, 64)
		if err != nil {
			return nil, fmt.Errorf("migration %s has no number: %w", name, err)
		}
		out = append(out, Migration{Version: version, Text: forEngine(text, engine)})
	}
	return out, nil
}

func forEngine(text []byte, engine Engine) string {
	var out strings.Builder
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
	return out.String()
}
