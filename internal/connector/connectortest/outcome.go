package connectortest

import (
	"maps"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"usersync/internal/doctest"
)

// This file keeps the table of docs/platforms.md: which case of the suite a connector
// passes, and which its platform has nothing for. Each connector's test holds its own
// column against what has just happened. With -update, and one package after the other,
// it writes it:
//
//	go test -p 1 -run TestConnector ./internal/connector/... -update

// outcomes are how the cases ended, in their order.
type outcomes []string

// How a case ends. A case that has not run has "".
const (
	passed  = "yes"
	nothing = "–" // the platform has nothing of the kind
	failed  = "no"
)

func outcomeOf(t *testing.T) string {
	switch {
	case t.Failed():
		return failed
	case t.Skipped():
		return nothing
	}
	return passed
}

// The table stands between these lines.
const (
	tableBegins = "<!-- The table is written by the conformance suite. -->\n"
	tableEnds   = "<!-- The table ends. -->\n"
)

// compare holds the column of a connector against its outcomes. Where not all cases have
// run, or one has failed, there is nothing to compare.
func (o outcomes) compare(t *testing.T, connector string) {
	t.Helper()
	if slices.Contains(o, "") || slices.Contains(o, failed) {
		return
	}
	path := filepath.Join(root(t), "docs", "platforms.md")
	page, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	before, rest, begins := strings.Cut(string(page), tableBegins)
	table, after, ends := strings.Cut(rest, tableEnds)
	if !begins || !ends {
		t.Fatalf("%s has no place for the table", path)
	}
	columns := readTable(table)
	columns[connector] = map[string]string{}
	for i, c := range cases {
		columns[connector][c.name] = o[i]
	}
	doctest.Page(t, path, before+tableBegins+writeTable(columns)+tableEnds+after)
}

// root is the directory of the module, seen from that of the test.
func root(t *testing.T) string {
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

// readTable returns the cells of a table by connector and case.
func readTable(table string) map[string]map[string]string {
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

// writeTable writes a row for each case and a column for each connector, by name.
func writeTable(columns map[string]map[string]string) string {
	names := slices.Sorted(maps.Keys(columns))
	var out strings.Builder
	out.WriteString("| case | " + strings.Join(names, " | ") + " |\n|---" + strings.Repeat("|---", len(names)) + "|\n")
	for _, c := range cases {
		out.WriteString("| " + c.name)
		for _, name := range names {
			out.WriteString(" | " + columns[name][c.name])
		}
		out.WriteString(" |\n")
	}
	return out.String()
}
