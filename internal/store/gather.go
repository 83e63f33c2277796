package store

import (
	"context"
	"database/sql/driver"
	"errors"
	"fmt"
	"io"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgconn"
	"github.com/jackc/pgx/v5/pgtype"
	"github.com/jackc/pgx/v5/stdlib"
)

// gather has each connection of a PostgreSQL pool hold back the statements of a
// transaction that are not in a hurry, see unhurried, until somebody asks for a row, or
// for the commit: then all of it, with the BEGIN, goes to the server in one way there
// and back (PostgreSQL's pipeline mode). The server skips what stands behind a
// statement that failed, and with it the commit.
func gather(c driver.Connector) driver.Connector { return gatheringConnector{c} }

// unhurried marks a call of ExecContext whose statement may be held back, and names
// the statement. It must be one that the server can prepare before those ahead of
// it have run. refusal is the error of a fence that does not hold, see Fence.
func unhurried(ctx context.Context, name string, refusal error) context.Context {
	return context.WithValue(ctx, unhurriedKey{}, held{name, refusal})
}

type unhurriedKey struct{}

// held is what is known of a statement that is held back.
type held struct {
	name    string
	refusal error
}

// behindCommit marks a call of ExecContext whose query goes with the commit, behind
// it. The answer is written into to.
func behindCommit(ctx context.Context, to *asked) context.Context {
	return context.WithValue(ctx, behindKey{}, to)
}

type behindKey struct{}

// asked is a query behind a commit, and how many rows it found.
type asked struct {
	text string
	args []any
	rows int64
	err  error
}

type gatheringConnector struct{ driver.Connector }

// Connect implements driver.Connector.
func (c gatheringConnector) Connect(ctx context.Context) (driver.Conn, error) {
	inner, err := c.Connector.Connect(ctx)
	if err != nil {
		return nil, err
	}
	able, ok := inner.(*stdlib.Conn)
	if !ok {
		_ = inner.Close()
		return nil, fmt.Errorf("a %T cannot send statements together", inner)
	}
	return &gatheringConn{Conn: able}, nil
}

// gatheringConn is a connection. database/sql never uses one from two goroutines
// at once, nor asks a result of it for its rows while it does something else.
type gatheringConn struct {
	*stdlib.Conn
	open    bool // in a transaction that gathers
	waiting []*gathered
	behind  []*asked
}

// gathered is a statement, and what became of it once it was sent.
type gathered struct {
	conn *gatheringConn
	ctx  context.Context //nolint:containedctx // that of the call, for when it is sent
	held
	text string
	args []any
	sent bool
	n    int64
	err  error
}

// RowsAffected implements driver.Result.
func (g *gathered) RowsAffected() (int64, error) {
	if !g.sent {
		_ = g.conn.flush(g.ctx) // every statement keeps its own error
	}
	return g.n, g.err
}

// LastInsertId implements driver.Result; PostgreSQL has none.
func (*gathered) LastInsertId() (int64, error) { return 0, errors.ErrUnsupported }

// divisionByZero is what a fence that does not hold ends in, see Statement.fencedText.
const divisionByZero = "22012"

// failed names the statement in an error. That of a fence is its refusal.
func (g *gathered) failed(err error) error {
	if pg, ok := errors.AsType[*pgconn.PgError](err); ok && pg.Code == divisionByZero && g.refusal != nil {
		return g.refusal
	}
	return named(g.name, err)
}

// errUndone is the outcome of a statement that was rolled back before it was sent.
var errUndone = errors.New("the transaction ended before the statement was sent")

// BeginTx implements driver.ConnBeginTx. Only the ordinary transaction gathers.
func (c *gatheringConn) BeginTx(ctx context.Context, o driver.TxOptions) (driver.Tx, error) {
	if o != (driver.TxOptions{}) {
		return c.Conn.BeginTx(ctx, o)
	}
	if c.Conn.Conn().IsClosed() {
		return nil, driver.ErrBadConn
	}
	c.open = true
	c.add(ctx, held{name: "begin"}, "begin", nil)
	return gatheringTx{c, ctx}, nil
}

func (c *gatheringConn) add(ctx context.Context, h held, text string, args []driver.NamedValue) *gathered {
	g := &gathered{conn: c, ctx: ctx, held: h, text: text, args: values(args)}
	c.waiting = append(c.waiting, g)
	return g
}

func values(args []driver.NamedValue) []any {
	out := make([]any, len(args))
	for i, a := range args {
		out[i] = a.Value
	}
	return out
}

// ExecContext implements driver.ExecerContext.
func (c *gatheringConn) ExecContext(ctx context.Context, text string, args []driver.NamedValue) (driver.Result, error) {
	if to, ok := ctx.Value(behindKey{}).(*asked); c.open && ok {
		to.text, to.args = text, values(args)
		c.behind = append(c.behind, to)
		return driver.ResultNoRows, nil
	}
	if h, ok := ctx.Value(unhurriedKey{}).(held); c.open && ok {
		return c.add(ctx, h, text, args), nil
	}
	if err := c.flush(ctx); err != nil {
		return nil, err
	}
	return c.Conn.ExecContext(ctx, text, args)
}

// QueryContext implements driver.QueryerContext.
func (c *gatheringConn) QueryContext(ctx context.Context, text string, args []driver.NamedValue) (driver.Rows, error) {
	if len(c.waiting) == 0 {
		return c.Conn.QueryContext(ctx, text, args)
	}
	batch, waiting := c.batch()
	batch.Queue(text, values(args)...)
	results := c.Conn.Conn().SendBatch(ctx, batch)
	if err := judge(results, waiting); err != nil {
		_ = results.Close()
		return nil, err
	}
	return firstRow(results)
}

// PrepareContext implements driver.ConnPrepareContext.
func (c *gatheringConn) PrepareContext(ctx context.Context, text string) (driver.Stmt, error) {
	if err := c.flush(ctx); err != nil {
		return nil, err
	}
	return c.Conn.PrepareContext(ctx, text)
}

// flush sends what waits and notes what became of each.
func (c *gatheringConn) flush(ctx context.Context) error {
	if len(c.waiting) == 0 {
		return nil
	}
	batch, waiting := c.batch()
	results := c.Conn.Conn().SendBatch(ctx, batch)
	err := judge(results, waiting)
	if closed := results.Close(); err == nil {
		err = closed
	}
	return err
}

// batch takes what waits.
func (c *gatheringConn) batch() (*pgx.Batch, []*gathered) {
	batch, waiting := &pgx.Batch{}, c.waiting
	c.waiting = nil
	for _, g := range waiting {
		batch.Queue(g.text, g.args...)
	}
	return batch, waiting
}

// judge notes what became of each statement. Those behind one that failed were
// not run: its error, which has its name, is theirs.
func judge(results pgx.BatchResults, waiting []*gathered) (err error) {
	for _, g := range waiting {
		g.sent = true
		if g.err = err; err != nil {
			continue
		}
		tag, failed := results.Exec()
		err = g.failed(failed)
		g.n, g.err = tag.RowsAffected(), err
	}
	return err
}

// gatheringTx is the end of a transaction.
type gatheringTx struct {
	conn *gatheringConn
	ctx  context.Context //nolint:containedctx // that of its beginning, as database/sql has it
}

// Commit implements driver.Tx. It sends what waits with the commit. Where a statement
// fails, the server skips the commit, and Commit rolls back and returns that error.
func (tx gatheringTx) Commit() error {
	c := tx.conn
	if tx.untouched() {
		return tx.Rollback()
	}
	batch, waiting := c.batch()
	batch.Queue("commit")
	for _, a := range c.behind {
		batch.Queue(a.text, a.args...)
	}
	results := c.Conn.Conn().SendBatch(tx.ctx, batch)
	err := judge(results, waiting)
	if err == nil {
		err = committed(results)
	}
	for _, a := range c.behind {
		tag, failed := results.Exec()
		a.rows, a.err = tag.RowsAffected(), failed
	}
	_ = results.Close() // every statement has told its error
	if err != nil {
		return errors.Join(err, tx.Rollback())
	}
	c.end()
	return nil
}

// committed reads the answer to a commit.
func committed(results pgx.BatchResults) error {
	tag, err := results.Exec()
	if err == nil && tag.String() == "ROLLBACK" {
		return pgx.ErrTxCommitRollback
	}
	return err
}

// end forgets the transaction.
func (c *gatheringConn) end() { c.open, c.waiting, c.behind = false, nil, nil }

// untouched reports whether the transaction has only begun.
func (tx gatheringTx) untouched() bool {
	return len(tx.conn.waiting) == 1 && tx.conn.Conn.Conn().PgConn().TxStatus() == 'I'
}

// Rollback implements driver.Tx.
func (tx gatheringTx) Rollback() error {
	c := tx.conn
	for _, g := range c.waiting {
		g.sent, g.err = true, errUndone
	}
	for _, a := range c.behind {
		a.err = errUndone
	}
	c.end()
	if c.Conn.Conn().PgConn().TxStatus() == 'I' {
		return nil
	}
	_, err := c.Conn.Conn().Exec(tx.ctx, "rollback")
	return err
}

// gatheredRows are the rows of a query that went with what was gathered.
type gatheredRows struct {
	results pgx.BatchResults
	rows    pgx.Rows
	ahead   bool // the row that rows stands on was not handed out
}

// firstRow reads as far as it takes to know whether the query failed.
func firstRow(results pgx.BatchResults) (driver.Rows, error) {
	rows, err := results.Query()
	if err != nil {
		_ = results.Close()
		return nil, err
	}
	ahead := rows.Next()
	if err := rows.Err(); err != nil {
		_ = results.Close()
		return nil, err
	}
	return &gatheredRows{results, rows, ahead}, nil
}

// Columns implements driver.Rows.
func (r *gatheredRows) Columns() []string {
	fields := r.rows.FieldDescriptions()
	names := make([]string, len(fields))
	for i, f := range fields {
		names[i] = f.Name
	}
	return names
}

// Next implements driver.Rows.
func (r *gatheredRows) Next(dest []driver.Value) error {
	if !r.ahead && !r.rows.Next() {
		if err := r.rows.Err(); err != nil {
			return err
		}
		return io.EOF
	}
	r.ahead = false
	row, err := r.rows.Values()
	if err != nil {
		return err
	}
	for i, v := range row {
		if dest[i], err = plain(v); err != nil {
			return fmt.Errorf("column %d: %w", i+1, err)
		}
	}
	return nil
}

// plain returns a value as database/sql takes it.
func plain(v any) (driver.Value, error) {
	switch v := v.(type) {
	case nil, int64, float64, bool, []byte, string:
		return v, nil
	case int16:
		return int64(v), nil
	case int32:
		return int64(v), nil
	case float32:
		return float64(v), nil
	case pgtype.Numeric:
		return v.Value()
	}
	return nil, fmt.Errorf("a %T is not among the types that statements return", v)
}

// Close implements driver.Rows.
func (r *gatheredRows) Close() error {
	r.rows.Close()
	return errors.Join(r.rows.Err(), r.results.Close())
}
