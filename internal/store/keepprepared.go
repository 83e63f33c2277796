package store

import (
	"context"
	"database/sql/driver"
	"fmt"
)

// maxPrepared bounds the statements that a connection keeps: more than there are
// different ones, but for lists with changing filters.
const maxPrepared = 256

// keepPrepared has each connection of a SQLite pool keep its statements prepared:
// preparing one takes longer than most take to run. database/sql and GORM can do
// it too, but what they prepare in a transaction they prepare anew in the next,
// and what they prepare outside of one waits for the connection.
func keepPrepared(c driver.Connector) driver.Connector { return preparingConnector{c} }

type preparingConnector struct{ driver.Connector }

// preparer is what a connection of the driver can do.
type preparer interface {
	driver.Conn
	driver.ConnPrepareContext
	driver.ConnBeginTx
	driver.Pinger
	driver.SessionResetter
	driver.Validator
}

func (c preparingConnector) Connect(ctx context.Context) (driver.Conn, error) {
	inner, err := c.Connector.Connect(ctx)
	if err != nil {
		return nil, err
	}
	able, ok := inner.(preparer)
	if !ok {
		_ = inner.Close()
		return nil, fmt.Errorf("a %T cannot keep statements", inner)
	}
	return &preparingConn{preparer: able, kept: map[string]*preparedStmt{}}, nil
}

// preparingConn is a connection. database/sql never uses one from two goroutines
// at once.
type preparingConn struct {
	preparer
	kept map[string]*preparedStmt
}

// preparedStmt is a statement and whether its rows are being read.
type preparedStmt struct {
	driver.Stmt
	execs   driver.StmtExecContext
	queries driver.StmtQueryContext
	busy    bool
	kept    bool
}

// take returns the statement of a text for the caller alone; give it back.
func (c *preparingConn) take(ctx context.Context, text string) (*preparedStmt, error) {
	if s := c.kept[text]; s != nil && !s.busy {
		s.busy = true
		return s, nil
	}
	made, err := c.PrepareContext(ctx, text)
	if err != nil {
		return nil, err
	}
	execs, canExec := made.(driver.StmtExecContext)
	queries, canQuery := made.(driver.StmtQueryContext)
	if !canExec || !canQuery {
		_ = made.Close()
		return nil, fmt.Errorf("a %T cannot be used again", made)
	}
	s := &preparedStmt{Stmt: made, execs: execs, queries: queries, busy: true}
	if c.kept[text] == nil {
		c.makeRoom()
		s.kept, c.kept[text] = true, s
	}
	return s, nil
}

// makeRoom drops any one statement when there are too many.
func (c *preparingConn) makeRoom() {
	if len(c.kept) < maxPrepared {
		return
	}
	for text, s := range c.kept {
		if !s.busy {
			delete(c.kept, text)
			_ = s.Close()
			return
		}
	}
}

// give puts a statement back; one that failed is not used again.
func (c *preparingConn) give(text string, s *preparedStmt, failed bool) {
	s.busy = false
	if failed && s.kept {
		delete(c.kept, text)
	}
	if failed || !s.kept {
		_ = s.Close()
	}
}

// ExecContext implements driver.ExecerContext.
func (c *preparingConn) ExecContext(ctx context.Context, text string, args []driver.NamedValue) (driver.Result, error) {
	s, err := c.take(ctx, text)
	if err != nil {
		return nil, err
	}
	result, err := s.execs.ExecContext(ctx, args)
	c.give(text, s, err != nil)
	return result, err
}

// QueryContext implements driver.QueryerContext.
func (c *preparingConn) QueryContext(ctx context.Context, text string, args []driver.NamedValue) (driver.Rows, error) {
	s, err := c.take(ctx, text)
	if err != nil {
		return nil, err
	}
	found, err := s.queries.QueryContext(ctx, args)
	if err != nil {
		c.give(text, s, true)
		return nil, err
	}
	return &preparedRows{Rows: found, give: func(failed bool) { c.give(text, s, failed) }}, nil
}

// Close closes the statements and the connection.
func (c *preparingConn) Close() error {
	for _, s := range c.kept {
		_ = s.Close()
	}
	return c.preparer.Close()
}

// preparedRows gives its statement back when it is closed.
type preparedRows struct {
	driver.Rows
	give func(failed bool)
}

func (r *preparedRows) Close() error {
	if r.give == nil {
		return nil
	}
	err := r.Rows.Close()
	r.give(err != nil)
	r.give = nil
	return err
}
