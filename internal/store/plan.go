package store

import (
	"context"
	"database/sql"
	"errors"
	"fmt"
	"path"
	"runtime"
	"slices"
	"strconv"
	"strings"
)

// Definition is a hand-written statement as PostgreSQL gets it.
type Definition struct {
	// File and Line say where in this package it is defined.
	File string
	Line int
	Text string
}

// defined are the statements of this package's variables; complete ends it:
// what is put together for one call, later, is not kept.
var (
	defined  []Definition
	complete bool
)

// Package variables have their values before any init runs.
func init() { complete = true }

// Statements returns every hand-written statement that has one text for all
// calls, to be looked at: how it is planned, how often it runs.
func Statements() []Definition { return defined }

// remember keeps a statement that a variable of this package is made of.
func remember(st *Statement) *Statement {
	if complete {
		return st
	}
	one := Definition{Text: strings.TrimSpace(st.Texts[Postgres])}
	one.File, one.Line = definition()
	defined = append(defined, one)
	return st
}

// definition finds the variable whose value is being made: the call furthest
// out that is still this package's.
func definition() (file string, line int) {
	callers := make([]uintptr, 16)
	frames := runtime.CallersFrames(callers[:runtime.Callers(2, callers)])
	for {
		f, more := frames.Next()
		if strings.HasPrefix(f.Function, "usersync/internal/store.") {
			file, line = path.Base(f.File), f.Line
		}
		if !more {
			return file, line
		}
	}
}

// searchedFiles define the statements that run on connections as searching makes
// them; of the others only the plans for any argument are asked for there.
var searchedFiles = []string{"accept.go", "acceptonce.go", "candidate.go"}

// Plan returns, line by line, how PostgreSQL goes about a statement whose
// arguments it does not know: the plan that serves all of them.
func (s *Store) Plan(ctx context.Context, st Definition) (lines []string, err error) {
	pool, ok := s.genericPlanPool.(*sql.DB)
	if s.Embedded() || !ok {
		return nil, errors.New("only PostgreSQL has such plans")
	}
	// All on one connection: what is prepared is known there alone.
	conn, err := pool.Conn(ctx)
	if err != nil {
		return nil, Classify(err)
	}
	defer func() { err = errors.Join(err, conn.Close()) }()
	if !slices.Contains(searchedFiles, st.File) {
		if _, err := conn.ExecContext(ctx, "SET enable_sort = on"); err != nil {
			return nil, Classify(err)
		}
		defer func() {
			_, failed := conn.ExecContext(ctx, "SET enable_sort = off")
			err = errors.Join(err, failed)
		}()
	}
	if _, err := conn.ExecContext(ctx, "PREPARE looked_at AS "+st.Text); err != nil {
		return nil, fmt.Errorf("prepare the statement of %s:%d: %w", st.File, st.Line, Classify(err))
	}
	defer func() {
		_, failed := conn.ExecContext(ctx, "DEALLOCATE looked_at")
		err = errors.Join(err, failed)
	}()
	execute := "looked_at"
	if n := parameters(st.Text); n > 0 {
		execute += "(NULL" + strings.Repeat(", NULL", n-1) + ")"
	}
	found, err := conn.QueryContext(ctx, "EXPLAIN (COSTS OFF) EXECUTE "+execute)
	if err != nil {
		return nil, Classify(err)
	}
	defer func() { err = errors.Join(err, found.Close()) }()
	for found.Next() {
		var line string
		if err := found.Scan(&line); err != nil {
			return nil, Classify(err)
		}
		lines = append(lines, line)
	}
	return lines, Classify(found.Err())
}

// parameters returns how many $n a text has.
func parameters(text string) int {
	most := 0
	for _, m := range scalar.FindAllStringSubmatch(text, -1) {
		n, _ := strconv.Atoi(m[1])
		most = max(most, n)
	}
	return most
}

func (o *Org) Explain(ctx context.Context, st *Statement, set *Rows, args ...any) ([]string, error) {
	explained := &Statement{Columns: st.Columns, Texts: map[EngineName]string{
		Postgres: "EXPLAIN (ANALYZE, BUFFERS, COSTS OFF) " + st.Texts[Postgres],
		SQLite:   "EXPLAIN QUERY PLAN " + st.Texts[SQLite],
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
