package storetest

import (
	"context"
	"database/sql/driver"
	"errors"
	"io"
	"sync"
)

// Breaker breaks one connection between a store and its database, at one chosen
// call: a statement, the beginning of a transaction, or its end. It stands
// between database/sql and the driver, see store.Options.Wrap.
type Breaker struct {
	mu    sync.Mutex
	at    int // the call to break; 0: none
	calls int // since the breaker was armed
	late  bool
	what  string
}

// errBroken is what a driver says of a connection that went away in the middle.
// It is not driver.ErrBadConn, which promises that nothing was done.
var errBroken = io.ErrUnexpectedEOF

// Arm has the n-th call from now, counted from 1, break its connection: early
// ones are not made, late ones are made, and their answer is lost.
func (b *Breaker) Arm(n int, late bool) {
	b.mu.Lock()
	defer b.mu.Unlock()
	b.at, b.calls, b.late, b.what = n, 0, late, ""
}

// Disarm lets all calls pass and returns which one was broken, "" if none was.
func (b *Breaker) Disarm() (what string) {
	b.mu.Lock()
	defer b.mu.Unlock()
	b.at = 0
	return b.what
}

// Broke reports whether the call has come.
func (b *Breaker) Broke() bool {
	b.mu.Lock()
	defer b.mu.Unlock()
	return b.what != ""
}

// Calls returns how many calls were made since the breaker was armed, at most up to the
// one that was broken.
func (b *Breaker) Calls() int {
	b.mu.Lock()
	defer b.mu.Unlock()
	return b.calls
}

// Wrap has the breaker see what the connections of c do.
func (b *Breaker) Wrap(c driver.Connector) driver.Connector { return breakable{c, b} }

// due counts a call and reports whether it is the one to break, and how.
func (b *Breaker) due(what string) (broken, late bool) {
	b.mu.Lock()
	defer b.mu.Unlock()
	if b.at == 0 || b.what != "" {
		return false, false
	}
	if b.calls++; b.calls != b.at {
		return false, false
	}
	b.what = what
	return true, b.late
}

type breakable struct {
	driver.Connector
	breaker *Breaker
}

func (c breakable) Connect(ctx context.Context) (driver.Conn, error) {
	inner, err := c.Connector.Connect(ctx)
	if err != nil {
		return nil, err
	}
	return &breakableConn{conn: inner.(conn), breaker: c.breaker}, nil
}

// conn is what the connections of both drivers can do.
type conn interface {
	driver.Conn
	driver.ConnPrepareContext
	driver.ConnBeginTx
	driver.ExecerContext
	driver.QueryerContext
	driver.Pinger
	driver.SessionResetter
}

// breakableConn is a connection. Once it is broken, nothing goes through any
// more, and database/sql throws it away.
type breakableConn struct {
	conn
	breaker *Breaker
	broken  bool
}

// call makes one call, unless the connection is broken or breaks here.
func call[T any](c *breakableConn, what string, make func() (T, error), drop func(T)) (out T, err error) {
	if c.broken {
		return out, driver.ErrBadConn
	}
	due, late := c.breaker.due(what)
	if !due {
		return make()
	}
	c.broken = true
	if late {
		if made, err := make(); err == nil {
			drop(made)
		}
	}
	return out, errBroken
}

func (c *breakableConn) ExecContext(ctx context.Context, query string, args []driver.NamedValue) (driver.Result, error) {
	return call(c, query, func() (driver.Result, error) { return c.conn.ExecContext(ctx, query, args) }, func(driver.Result) {})
}

func (c *breakableConn) QueryContext(ctx context.Context, query string, args []driver.NamedValue) (driver.Rows, error) {
	return call(c, query, func() (driver.Rows, error) { return c.conn.QueryContext(ctx, query, args) }, finish)
}

// finish has a query do all that it does.
func finish(rows driver.Rows) {
	row := make([]driver.Value, len(rows.Columns()))
	for rows.Next(row) == nil {
	}
	_ = rows.Close()
}

func (c *breakableConn) BeginTx(ctx context.Context, o driver.TxOptions) (driver.Tx, error) {
	tx, err := call(c, "BEGIN", func() (driver.Tx, error) { return c.conn.BeginTx(ctx, o) }, func(tx driver.Tx) { _ = tx.Rollback() })
	if err != nil {
		return nil, err
	}
	return breakableTx{tx, c}, nil
}

func (c *breakableConn) PrepareContext(ctx context.Context, query string) (driver.Stmt, error) {
	if c.broken {
		return nil, driver.ErrBadConn
	}
	s, err := c.conn.PrepareContext(ctx, query)
	if err != nil {
		return nil, err
	}
	return breakableStmt{s.(stmt), c, query}, nil
}

// Prepare and Begin are not called where there are the ones with a context.
func (c *breakableConn) Prepare(string) (driver.Stmt, error) { return nil, errors.ErrUnsupported }
func (c *breakableConn) Begin() (driver.Tx, error)           { return nil, errors.ErrUnsupported }

func (c *breakableConn) Ping(ctx context.Context) error {
	if c.broken {
		return driver.ErrBadConn
	}
	return c.conn.Ping(ctx)
}

func (c *breakableConn) ResetSession(ctx context.Context) error {
	if c.broken {
		return driver.ErrBadConn
	}
	return c.conn.ResetSession(ctx)
}

// IsValid keeps a broken connection from being used again.
func (c *breakableConn) IsValid() bool {
	v, ok := c.conn.(driver.Validator)
	return !c.broken && (!ok || v.IsValid())
}

// CheckNamedValue leaves the arguments to the driver.
func (c *breakableConn) CheckNamedValue(v *driver.NamedValue) error {
	if checker, ok := c.conn.(driver.NamedValueChecker); ok {
		return checker.CheckNamedValue(v)
	}
	return driver.ErrSkip
}

type breakableTx struct {
	driver.Tx
	conn *breakableConn
}

func (tx breakableTx) Commit() error {
	_, err := call(tx.conn, "COMMIT", func() (struct{}, error) { return struct{}{}, tx.Tx.Commit() }, func(struct{}) {})
	return err
}

// Rollback on a broken connection does what the server does when it is gone.
func (tx breakableTx) Rollback() error { return tx.Tx.Rollback() }

// stmt is what the prepared statements of both drivers can do.
type stmt interface {
	driver.Stmt
	driver.StmtExecContext
	driver.StmtQueryContext
}

type breakableStmt struct {
	stmt
	conn  *breakableConn
	query string
}

func (s breakableStmt) ExecContext(ctx context.Context, args []driver.NamedValue) (driver.Result, error) {
	return call(s.conn, s.query, func() (driver.Result, error) { return s.stmt.ExecContext(ctx, args) }, func(driver.Result) {})
}

func (s breakableStmt) QueryContext(ctx context.Context, args []driver.NamedValue) (driver.Rows, error) {
	return call(s.conn, s.query, func() (driver.Rows, error) { return s.stmt.QueryContext(ctx, args) }, finish)
}
