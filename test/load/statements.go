//go:build unix

package main

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"regexp"
	"slices"
	"strings"
	"time"

	_ "usersync/internal/app" // whose packages define the statements
	"usersync/internal/store"
)

// counted is what PostgreSQL counted for one statement.
type counted struct {
	calls int64
	took  time.Duration
	pages int64 // of 8 KiB, read or found in memory
	rows  int64
	wal   int64 // records
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
			sum(s.shared_blks_hit + s.shared_blks_read)::bigint, sum(s.rows)::bigint, sum(s.wal_records)::bigint
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
		if err := found.Scan(&query, &c.calls, &ms, &c.pages, &c.rows, &c.wal); err != nil {
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
		c = counted{c.calls - b.calls, c.took - b.took, c.pages - b.pages, c.rows - b.rows, c.wal - b.wal}
		if c.calls > 0 {
			out[query] = c
		}
	}
	return out
}

func (s statements) total() (t counted) {
	for _, c := range s {
		t = counted{t.calls + c.calls, t.took + c.took, t.pages + c.pages, t.rows + c.rows, t.wal + c.wal}
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

// names maps the shapes of the hand-written statements to their names.
func names() map[string]string {
	out := map[string]string{}
	for _, st := range store.Definitions() {
		for _, form := range st.Forms() {
			out[shape(form)] = st.Name()
		}
	}
	return out
}
