// Package casetable reads and writes the table of the conformance suite: which case each
// connector passes.
package casetable

import (
	"maps"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
)

// Root is the directory of the module, seen from that of the test.
func Root(t *testing.T) string {
	t.Helper()
	dir, err := os.Getwd()
	if err != nil {
		t.Fatal(err)
	}
	for dir != filepath.Dir(dir) {
		if _, err := os.Stat(filepath.Join(dir, "go.mod")); err == nil {
			return dir
		}
		dir = filepath.Dir(dir)
	}
	t.Fatal("the test is in no module")
	return ""
}

// Read returns the cells of a table by connector and case.
func Read(table string) map[string]map[string]string {
	columns := map[string]map[string]string{}
	var names []string
	for line := range strings.Lines(table) {
		cells := strings.Split(strings.Trim(strings.TrimSpace(line), "|"), "|")
		for i := range cells {
			cells[i] = strings.TrimSpace(cells[i])
		}
		if names == nil {
			names = cells
			for _, name := range names[1:] {
				columns[name] = map[string]string{}
			}
			continue
		}
		for i, cell := range cells[1:] {
			columns[names[i+1]][cells[0]] = cell
		}
	}
	return columns
}

// Write writes a row for each case and a column for each connector, by name.
func Write(cases []string, columns map[string]map[string]string) string {
	names := slices.Sorted(maps.Keys(columns))
	var out strings.Builder
	out.WriteString("| case | " + strings.Join(names, " | ") + " |\n|---" + strings.Repeat("|---", len(names)) + "|\n")
	for _, c := range cases {
		out.WriteString("| " + c)
		for _, name := range names {
			out.WriteString(" | " + columns[name][c])
		}
		out.WriteString(" |\n")
	}
	return out.String()
}
