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
	gorm  *gorm.DB
	store *Store
	ready []string // the queues of tasks that are ready with the commit
	owed  []owed
}

// owed is a statement whose outcome is judged before the commit.
type owed struct {
	statement *Statement
	result    sql.Result
	judge     func(n int64) error
}

// Later runs a statement whose outcome the next ones do not depend on: it may
// travel with them, see gather. judge says, before the commit, what is wrong with
// the number of rows it changed; nil where any number is right.
func (tx *Tx) Later(ctx context.Context, st *Statement, r *Rows, judge func(n int64) error, args ...any) error {
	set, err := r.Args(tx.Engine)
	if err != nil {
		return st.failed(err)
	}
	result, err := tx.pool.ExecContext(unhurried(ctx, st.name), st.texts[tx.Engine], append(args, set...)...)
	if err != nil {
		return st.failed(err)
	}
	tx.owed = append(tx.owed, owed{st, result, judge})
	return nil
}

// judge judges what is owed, in the order in which it was run. failed is what
// kept the transaction from its end, if anything did: a fence that did not hold
// comes before it, as it would if each statement had been judged at once.
func (tx *Tx) judge(failed error) error {
	for _, o := range tx.owed {
		n, err := o.result.RowsAffected()
		if err != nil {
			return cmp.Or(failed, o.statement.failed(err))
		}
		if o.judge == nil {
			continue
		}
		if err := o.judge(n); err != nil {
			return err
		}
	}
	return failed
}

// OneStatement is Once for a function that writes by one statement, which
// PostgreSQL commits by itself: that saves two trips.
func (s *Store) OneStatement(ctx context.Context, fn func(*Tx) error) error {
	if s.Embedded() {
		return s.Once(ctx, fn)
	}
	tx := &Tx{Conn: s.genericPlanForWrites(), store: s}
	if err := tx.judge(fn(tx)); err != nil {
		return Classify(err)
	}
	s.ready.Raise(tx.ready...)
	return nil
}

// Readied notes that a task of a queue is ready with the commit, or has room then.
func (tx *Tx) Readied(queue string) {
	if !slices.Contains(tx.ready, queue) {
		tx.ready = append(tx.ready, queue)
	}
}

// maxCollisions bounds how often a transaction that lost against another runs again.
const maxCollisions = 20

// Tx runs fn in a transaction and commits. fn may run more than once: after a
// deadlock, a serialization failure or a row that changed meanwhile.
func (s *Store) Tx(ctx context.Context, fn func(*Tx) error) error {
	return Repeat(ctx, func(int) error { return s.Once(ctx, fn) })
}

// Repeat runs do again while it loses against another transaction; try counts
// the runs from 0.
func Repeat(ctx context.Context, do func(try int) error) error {
	for try := 0; ; try++ {
		err := do(try)
		if err == nil || !collided(err) || try == maxCollisions {
			return err
		}
		if err := pause(ctx, time.Duration(rand.IntN(5<<min(try, 6))+1)*time.Millisecond); err != nil {
			return err
		}
	}
}

// Once runs fn in a transaction and commits, one time: for who repeats more than
// the transaction, see Repeat.
func (s *Store) Once(ctx context.Context, fn func(*Tx) error) error {
	var ready []string
	var failed error
	err := s.write.WithContext(ctx).Transaction(func(db *gorm.DB) error {
		tx := &Tx{Conn: Conn{db.Statement.ConnPool, s.Engine}, gorm: db, store: s}
		failed = tx.judge(fn(tx))
		ready = tx.ready
		return failed
	})
	if err != nil && failed == nil {
		return fmt.Errorf("begin or commit the transaction: %w", Classify(err))
	}
	if err == nil {
		s.ready.Raise(ready...)
	}
	return Classify(err)
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
