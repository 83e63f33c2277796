package store

import (
	"cmp"
	"context"
	"database/sql"
	"fmt"
	"math/rand/v2"
	"slices"
	"time"

	"gorm.io/gorm"
)

// Tx is one transaction. Its methods are the writes that belong together.
type Tx struct {
	Conn
	gorm   *gorm.DB
	store  *Store
	ready  []string // the queues of tasks that are ready with the commit
	fenced []fenced
	behind []behind
}

// Fence says how many rows a statement must change at least. With fewer, the
// transaction fails with Refusal, and nothing of it is written.
type Fence struct {
	Least   int
	Refusal error
}

// fenced is a statement whose outcome is judged before the commit, on SQLite.
type fenced struct {
	statement *Statement
	result    sql.Result
	fence     *Fence
}

// Later runs a statement whose outcome the next ones do not depend on: it may
// travel with them, and with the commit, see gather. fence is nil where it may change
// any number of rows.
func (tx *Tx) Later(ctx context.Context, st *Statement, r *Rows, fence *Fence, args ...any) error {
	set, err := r.Args(tx.Engine)
	if err != nil {
		return st.failed(err)
	}
	args = append(args, set...)
	if tx.Engine == Postgres {
		text, refusal := tx.text(st), error(nil)
		if fence != nil {
			text, refusal, args = st.fencedText(), fence.Refusal, append(args, fence.Least)
		}
		_, err := tx.pool.ExecContext(unhurried(ctx, st.name, refusal), text, args...)
		return st.failed(err)
	}
	result, err := tx.pool.ExecContext(ctx, st.texts[SQLite], args...)
	if err != nil {
		return st.failed(err)
	}
	if fence != nil {
		tx.fenced = append(tx.fenced, fenced{st, result, fence})
	}
	return nil
}

// judge returns the refusal of the first fence that does not hold, else failed: what
// kept the transaction from its end, if anything did. PostgreSQL judges by itself.
func (tx *Tx) judge(failed error) error {
	for _, f := range tx.fenced {
		n, err := f.result.RowsAffected()
		if err != nil {
			return cmp.Or(failed, f.statement.failed(err))
		}
		if n < int64(f.fence.Least) {
			return f.fence.Refusal
		}
	}
	return failed
}

// behind is a query that runs behind the commit, and the queue that it tells of.
type behind struct {
	statement *Statement
	args      []any
	queue     string
	// asked is what PostgreSQL answers in the trip of the commit.
	asked *asked
}

// ReadiedIf is Readied where a query, which runs behind the commit, finds any row, or
// cannot tell. On PostgreSQL it travels with the commit.
func (tx *Tx) ReadiedIf(ctx context.Context, queue string, st *Statement, args ...any) error {
	b := behind{st, args, queue, &asked{}}
	if tx.Engine == Postgres {
		if _, err := tx.pool.ExecContext(behindCommit(ctx, b.asked), st.texts[Postgres], args...); err != nil {
			return st.failed(err)
		}
	}
	tx.behind = append(tx.behind, b)
	return nil
}

// raise raises the signal for a transaction that is committed.
func (s *Store) raise(ctx context.Context, tx *Tx) {
	ready := tx.ready
	for _, b := range tx.behind { //lint:loop one question for each claim that ends, and on PostgreSQL none
		if s.Embedded() {
			rows, err := Collect(ctx, s.Reader(), b.statement, nil, func(func(...any) error) (struct{}, error) { return struct{}{}, nil }, b.args...)
			b.asked.rows, b.asked.err = int64(len(rows)), err
		}
		if b.asked.rows > 0 || b.asked.err != nil {
			ready = append(ready, b.queue)
		}
	}
	s.ready.Raise(ready...)
}

// OneStatement is Once for a function that writes by one statement, which
// PostgreSQL commits by itself: that saves two trips.
func (s *Store) OneStatement(ctx context.Context, try int, fn func(*Tx) error) error {
	if s.Embedded() {
		return s.Once(ctx, try, fn)
	}
	tx := &Tx{Conn: s.genericPlanForWrites(), store: s}
	tx.first = try == 0
	if err := fn(tx); err != nil {
		return Classify(err)
	}
	s.ready.Raise(tx.ready...)
	return nil
}

// Readied notes that a task of a queue is ready with the commit.
func (tx *Tx) Readied(queue string) {
	if !slices.Contains(tx.ready, queue) {
		tx.ready = append(tx.ready, queue)
	}
}

// maxCollisions bounds how often a transaction that lost against another runs again.
const maxCollisions = 20

// Tx runs fn in a transaction and commits. fn may run more than once: after a
// deadlock, a serialization failure, a row that changed meanwhile, or an insert that a
// unique index refused, see {again} of Statement.
func (s *Store) Tx(ctx context.Context, fn func(*Tx) error) error {
	return Repeat(ctx, func(try int) error { return s.Once(ctx, try, fn) })
}

// Repeat runs do again while it loses against another transaction; try counts
// the runs from 0.
func Repeat(ctx context.Context, do func(try int) error) error {
	for try := 0; ; try++ {
		err := do(try)
		if try == 0 && IsDuplicate(err) {
			continue
		}
		if err == nil || !collided(err) || try == maxCollisions {
			return err
		}
		if err := pause(ctx, time.Duration(rand.IntN(5<<min(try, 6))+1)*time.Millisecond); err != nil {
			return err
		}
	}
}

// Once runs fn in a transaction and commits, one time: for whoever repeats more than
// the transaction, see Repeat. try is 0 where the rows that are inserted are not there,
// as far as is known.
func (s *Store) Once(ctx context.Context, try int, fn func(*Tx) error) error {
	var done *Tx
	var failed error
	err := s.write.WithContext(ctx).Transaction(func(db *gorm.DB) error {
		tx := &Tx{Conn: Conn{pool: db.Statement.ConnPool, Engine: s.Engine, first: try == 0, attendance: s.attendance}, gorm: db, store: s}
		failed = tx.judge(fn(tx))
		done = tx
		return failed
	})
	if err != nil && failed == nil {
		return fmt.Errorf("begin or commit the transaction: %w", s.outage.note(Classify(err), false))
	}
	if err == nil {
		s.raise(ctx, done)
	}
	return s.outage.note(Classify(err), true)
}

func pause(ctx context.Context, d time.Duration) error {
	timer := time.NewTimer(d)
	defer timer.Stop()
	select {
	case <-timer.C:
		return nil
	case <-ctx.Done():
		return ctx.Err()
	}
}
