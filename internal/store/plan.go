package store

import (
	"context"
	"database/sql"
	"errors"
	"fmt"
	"strings"
)

// Plan returns, line by line, how PostgreSQL goes about a statement whose
// arguments it does not know: the plan that serves all of them.
func (s *Store) Plan(ctx context.Context, st *Statement) (lines []string, err error) {
	pool, ok := s.genericPlanPool.(*sql.DB)
	if s.Embedded() || !ok {
		return nil, errors.New("only PostgreSQL has such plans")
	}
	// All on one connection: what is prepared is known there alone.
	conn, err := pool.Conn(ctx)
	if err != nil {
		return nil, fmt.Errorf("take a connection: %w", Classify(err))
	}
	defer func() { err = errors.Join(err, conn.Close()) }()
	if !st.unsorted {
		if _, err := conn.ExecContext(ctx, "SET enable_sort = on"); err != nil {
			return nil, fmt.Errorf("let the planner sort: %w", Classify(err))
		}
		defer func() {
			_, failed := conn.ExecContext(ctx, "SET enable_sort = off")
			err = errors.Join(err, failed)
		}()
	}
	if _, err := conn.ExecContext(ctx, "PREPARE looked_at AS "+st.texts[Postgres]); err != nil {
		return nil, fmt.Errorf("prepare statement %s: %w", st.name, Classify(err))
	}
	defer func() {
		_, failed := conn.ExecContext(ctx, "DEALLOCATE looked_at")
		err = errors.Join(err, failed)
	}()
	execute := "looked_at"
	if n := scalars(st.texts[Postgres]); n > 0 {
		execute += "(NULL" + strings.Repeat(", NULL", n-1) + ")"
	}
	found, err := conn.QueryContext(ctx, "EXPLAIN (COSTS OFF) EXECUTE "+execute)
	if err != nil {
		return nil, fmt.Errorf("explain statement %s: %w", st.name, Classify(err))
	}
	defer func() { err = errors.Join(err, found.Close()) }()
	for found.Next() {
		var line string
		if err := found.Scan(&line); err != nil {
			return nil, fmt.Errorf("read the plan of statement %s: %w", st.name, Classify(err))
		}
		lines = append(lines, line)
	}
	if err := found.Err(); err != nil {
		return nil, fmt.Errorf("read the plan of statement %s: %w", st.name, Classify(err))
	}
	return lines, nil
}

// Explain runs a statement and returns, line by line, how the database goes about
// it: the plan with the figures of this run on PostgreSQL, the plan alone on SQLite.
func (o *Org) Explain(ctx context.Context, st *Statement, set *Rows, args ...any) ([]string, error) {
	explained := &Statement{name: st.name, Columns: st.Columns, texts: map[Engine]string{
		Postgres: "EXPLAIN (ANALYZE, BUFFERS, COSTS OFF) " + st.texts[Postgres],
		SQLite:   "EXPLAIN QUERY PLAN " + st.texts[SQLite],
	}}
	parents := map[int]int{0: -1}
	return Collect(ctx, o.GenericPlan(), explained, set, func(scan func(...any) error) (line string, err error) {
		if !o.embedded() {
			return line, scan(&line)
		}
		var id, parent, unused int
		err = scan(&id, &parent, &unused, &line)
		parents[id] = parents[parent] + 1
		return strings.Repeat("  ", parents[id]) + line, err
	}, args...)
}
