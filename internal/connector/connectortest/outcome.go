package connectortest

import (
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"usersync/internal/connector/casetable"
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
	path := filepath.Join(casetable.Root(t), "docs", "platforms.md")
	page, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	before, rest, begins := strings.Cut(string(page), tableBegins)
	table, after, ends := strings.Cut(rest, tableEnds)
	if !begins || !ends {
		t.Fatalf("%s has no place for the table", path)
	}
	columns := casetable.Read(table)
	columns[connector] = map[string]string{}
	var names []string
	for i, c := range cases {
		names, columns[connector][c.name] = append(names, c.name), o[i]
	}
	doctest.Page(t, path, before+tableBegins+casetable.Write(names, columns)+tableEnds+after)
}
