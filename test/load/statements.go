//go:build unix

package main

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"go/ast"
	"go/parser"
	"go/token"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"time"

	"usersync/internal/store"
)

// counted is what PostgreSQL counted for one statement.
type counted struct {
	calls int64
	took  time.Duration
	pages int64 // of 8 KiB, read or found in memory
	rows  int64
}

// statements are the counts of a database by the statement's text, in which the
// server has put $n for constants; nil where nothing counts.
type statements map[string]counted

// countOwn is in the statements of this program, which count for nothing.
const countOwn = "/* load */ "

// during returns what runs in this database while work is done.
func (d *database) during(ctx context.Context, work func() error) (statements, error) {
	before, err := d.statements(ctx)
	if err != nil {
		return nil, fmt.Errorf("read the statements before the work: %w", err)
	}
	if err := work(); err != nil {
		return nil, err
	}
	after, err := d.statements(ctx)
	if err != nil {
		return nil, fmt.Errorf("read the statements after the work: %w", err)
	}
	return after.since(before), nil
}

// statements returns what ran in this database until now, nil when the server
// has not loaded pg_stat_statements. A nil database is an embedded one.
func (d *database) statements(ctx context.Context) (statements, error) {
	if d == nil {
		return nil, nil
	}
	var loaded string
	if err := d.QueryRowContext(ctx, countOwn+"SHOW shared_preload_libraries").Scan(&loaded); err != nil {
		return nil, fmt.Errorf("ask what the server has loaded: %w", err)
	}
	if !strings.Contains(loaded, "pg_stat_statements") {
		return nil, nil
	}
	if _, err := d.ExecContext(ctx, countOwn+"CREATE EXTENSION IF NOT EXISTS pg_stat_statements"); err != nil {
		return nil, fmt.Errorf("make statements be counted: %w", err)
	}
	found, err := d.QueryContext(ctx, countOwn+`SELECT s.query, sum(s.calls)::bigint, sum(s.total_exec_time)::float8,
			sum(s.shared_blks_hit + s.shared_blks_read)::bigint, sum(s.rows)::bigint
		FROM pg_stat_statements s JOIN pg_database d ON d.oid = s.dbid
		WHERE d.datname = current_database() AND s.query NOT LIKE '/* load */%' GROUP BY s.query`)
	if err != nil {
		return nil, fmt.Errorf("read what the server has counted: %w", err)
	}
	defer func() { err = errors.Join(err, found.Close()) }()
	all := statements{}
	for found.Next() {
		var query string
		var ms float64
		var c counted
		if err := found.Scan(&query, &c.calls, &ms, &c.pages, &c.rows); err != nil {
			return nil, fmt.Errorf("read what the server has counted: %w", err)
		}
		c.took = time.Duration(ms * float64(time.Millisecond))
		all[query] = c
	}
	return all, found.Err()
}

// since returns what was counted after before.
func (s statements) since(before statements) statements {
	if s == nil {
		return nil
	}
	out := statements{}
	for query, c := range s {
		b := before[query]
		c = counted{c.calls - b.calls, c.took - b.took, c.pages - b.pages, c.rows - b.rows}
		if c.calls > 0 {
			out[query] = c
		}
	}
	return out
}

func (s statements) total() (t counted) {
	for _, c := range s {
		t = counted{t.calls + c.calls, t.took + c.took, t.pages + c.pages, t.rows + c.rows}
	}
	return t
}

// ranked returns the statements, those that took longest first.
func (s statements) ranked() []string {
	queries := make([]string, 0, len(s))
	for query := range s {
		queries = append(queries, query)
	}
	slices.SortFunc(queries, func(a, b string) int { return cmp.Or(cmp.Compare(s[b].took, s[a].took), cmp.Compare(a, b)) })
	return queries
}

var (
	// constants are what the server replaces by $n.
	constants = regexp.MustCompile(`'(?:[^']|'')*'|\$\d+|\b\d+(?:\.\d+)?\b|\btrue\b|\bfalse\b|\bepoch\b`)
	minus     = regexp.MustCompile(`-\s*\?`)
	space     = regexp.MustCompile(`\s+`)
)

// shape is a statement without its constants, by which its text in the program
// and that in the server's counts are compared.
func shape(text string) string {
	text = minus.ReplaceAllString(constants.ReplaceAllString(strings.TrimSpace(text), "?"), "?")
	return space.ReplaceAllString(text, " ")
}

// variable is a variable of a package and where it is made.
type variable struct {
	name        string
	file        string
	first, last int // lines
}

// variables returns the package-level variables of the Go files in a folder.
func variables(dir string) ([]variable, error) {
	files, err := filepath.Glob(filepath.Join(dir, "*.go"))
	if err != nil {
		return nil, fmt.Errorf("list the files of %s: %w", dir, err)
	}
	var all []variable
	set := token.NewFileSet()
	for _, name := range files {
		file, err := parser.ParseFile(set, name, nil, parser.SkipObjectResolution)
		if err != nil {
			return nil, fmt.Errorf("read the statements of %s: %w", name, err)
		}
		for _, d := range file.Decls {
			group, ok := d.(*ast.GenDecl)
			if !ok || group.Tok != token.VAR {
				continue
			}
			for _, one := range group.Specs {
				spec := one.(*ast.ValueSpec)
				all = append(all, variable{spec.Names[0].Name, filepath.Base(name), set.Position(spec.Pos()).Line, set.Position(spec.End()).Line})
			}
		}
	}
	return all, nil
}

// namedStatement is a hand-written statement of the store and its variable.
type namedStatement struct {
	store.Definition
	name string
}

// storeStatements returns the hand-written statements of the store, in whose
// folder their variables' names stand.
func storeStatements(dir string) ([]namedStatement, error) {
	known, err := variables(dir)
	if err != nil {
		return nil, err
	}
	var out []namedStatement
	for _, st := range store.Statements() {
		name := fmt.Sprintf("%s:%d", st.File, st.Line)
		for _, v := range known {
			if v.file == st.File && v.first <= st.Line && st.Line <= v.last {
				name = v.name
			}
		}
		out = append(out, namedStatement{st, name})
	}
	return out, nil
}

// names maps the shapes of statements to the names of their variables.
func names(all []namedStatement) map[string]string {
	out := map[string]string{}
	for _, st := range all {
		out[shape(st.Text)] = st.name
	}
	return out
}
