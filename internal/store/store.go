// Package store is the database: the truth about everything accepted. It is
// the only importer of GORM. Hot statements are hand-written, set-wise, one
// text for both engines; GORM's conveniences serve the rest.
package store

import (
	"cmp"
	"context"
	"database/sql"
	"database/sql/driver"
	"errors"
	"fmt"
	"math/rand/v2"
	"os"
	"path/filepath"
	"slices"
	"time"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/stdlib"
	gormpostgres "gorm.io/driver/postgres"
	"gorm.io/gorm"
	"gorm.io/gorm/logger"
	sqlitelib "modernc.org/sqlite"

	"usersync/internal/store/migration"
	"usersync/internal/usersync"
)

type EngineName = migration.Engine

const (
	Postgres = migration.Postgres
	SQLite   = migration.SQLite
)

// Options say which database to open.
type Options struct {
	// URL of a PostgreSQL database; empty means the SQLite file in Dir.
	URL usersync.Secret
	// Dir holds the SQLite file.
	Dir string
	// MaxConns bounds the connections of this process to PostgreSQL; 0 is 30, and
	// each of the four pools has two at least.
	MaxConns int
	// Schema is the PostgreSQL schema to live in; empty is the server's default.
	Schema string
	// Seal keeps secrets unreadable at rest; nil where none are stored or read.
	Seal Sealer
	// Wrap, for tests alone, stands between the store and the driver: it gets
	// what makes the connections of each pool and returns what is used instead,
	// which must be able to do all that the driver can. nil is the driver itself.
	Wrap func(driver.Connector) driver.Connector
}

// pool opens a pool of connections.
func (o Options) pool(c driver.Connector) *sql.DB {
	if o.Wrap != nil {
		c = o.Wrap(c)
	}
	return sql.OpenDB(c)
}

// Sealer seals and opens what must not be read from a stolen database. aad
// names the row and column, so that a sealed value cannot be moved to another.
type Sealer interface {
	Seal(plain []byte, aad string) (string, error)
	Open(sealed, aad string) ([]byte, error)
	// Rewrap puts sealed under the key that seals now, and reports whether it was
	// under another.
	Rewrap(sealed, aad string) (rewrapped string, changed bool, err error)
}

// Store is the database.
type Store struct {
	Engine EngineName
	seal   Sealer
	write  *gorm.DB
	read   *gorm.DB
	// brisk is for the bookkeeping of the outbox: its commits do not wait for
	// the disk, because what a crash takes from them is only done again.
	asyncCommitPool gorm.ConnPool
	// search is for the candidates and for accepting: their statements are large,
	// and PostgreSQL would take longer to plan than to run them. So it would with
	// those of the transactions of write.
	genericPlanPool gorm.ConnPool
	pools           []*sql.DB
	schema          string
	ready           func(queues ...string)
}

// defaultMaxConns is what an ordinary server has room for three times.
const defaultMaxConns = 30

// sqliteReaders bounds the connections that read a SQLite file beside its one writer.
const sqliteReaders = 8

// Open opens the database. It does not migrate, see Migrate.
func Open(ctx context.Context, o Options) (*Store, error) {
	if o.URL.IsZero() {
		return openSQLite(ctx, o)
	}
	return openPostgres(ctx, o)
}

func openPostgres(ctx context.Context, o Options) (*Store, error) {
	cfg, err := pgx.ParseConfig(o.URL.Reveal())
	if err != nil {
		// The parser's error may quote the URL, and with it the password.
		return nil, usersync.Errorf(usersync.CodeInvalid, "DATABASE_URL is not a PostgreSQL URL; expected postgres://user:password@host:5432/database")
	}
	cfg.RuntimeParams["application_name"] = "usersync"
	if o.Schema != "" {
		cfg.RuntimeParams["search_path"] = o.Schema
	}
	limit := cmp.Or(max(o.MaxConns, 0), defaultMaxConns)
	pool := func(conns int, prepare func(context.Context, *pgx.Conn) error, wrap func(driver.Connector) driver.Connector) *sql.DB {
		db := o.pool(wrap(stdlib.GetConnector(*cfg, stdlib.OptionAfterConnect(prepare))))
		conns = max(conns, 2)
		db.SetMaxOpenConns(conns)
		db.SetMaxIdleConns(conns)
		db.SetConnMaxIdleTime(5 * time.Minute)
		return db
	}
	write, read := pool(limit*3/8, genericPlans, gather), pool(limit/4, steady, alone)
	brisk, search := pool(limit*3/16, asyncCommit, alone), pool(limit*3/16, genericPlansUnsorted, alone)
	s := &Store{
		Engine: Postgres, seal: o.Seal, asyncCommitPool: brisk, genericPlanPool: search,
		pools: []*sql.DB{write, read, brisk, search}, schema: o.Schema,
	}
	for _, one := range []struct {
		to   **gorm.DB
		pool *sql.DB
	}{{&s.write, write}, {&s.read, read}} {
		// The driver keeps prepared statements for each connection by itself.
		db, err := openGORM(gormpostgres.New(gormpostgres.Config{Conn: one.pool}))
		if err != nil {
			return nil, errors.Join(Classify(err), s.Close())
		}
		*one.to = db
	}
	return s, s.Ping(ctx)
}

// alone leaves the connections as the driver makes them.
func alone(c driver.Connector) driver.Connector { return c }

// steadyPlans keeps the planner from judging by the size that a table had when
// a statement was first planned: every hot statement reads a bounded range of
// an index, and a hash or a sequential scan that looks cheap on an empty table
// would cost more with every row; see docs/adr/0007.
const steadyPlans = "SET enable_seqscan = off; SET enable_hashjoin = off; SET enable_mergejoin = off; SET jit = off"

func steady(ctx context.Context, c *pgx.Conn) error {
	_, err := c.PgConn().Exec(ctx, steadyPlans).ReadAll()
	return err
}

// keptPlans has statements planned once, and not anew for every set of rows.
const keptPlans = steadyPlans + "; SET plan_cache_mode = force_generic_plan"

func genericPlans(ctx context.Context, c *pgx.Conn) error {
	_, err := c.PgConn().Exec(ctx, keptPlans).ReadAll()
	return err
}

// genericPlansUnsorted is keeping where there is an index for every order that is wanted:
// planning for the average company, which is small, PostgreSQL would read the
// whole of a large one and sort it.
func genericPlansUnsorted(ctx context.Context, c *pgx.Conn) error {
	_, err := c.PgConn().Exec(ctx, keptPlans+"; SET enable_sort = off").ReadAll()
	return err
}

// asyncCommit is steady on a connection whose commits do not wait for the disk.
func asyncCommit(ctx context.Context, c *pgx.Conn) error {
	_, err := c.PgConn().Exec(ctx, steadyPlans+"; SET synchronous_commit = off; SET statement_timeout = '10s'").ReadAll()
	return err
}

// sqliteWriter keeps every promise a 202 makes: one writer that takes the lock
// at once, and a commit that has reached the disk.
const (
	sqliteWriter = "?_txlock=immediate&_pragma=journal_mode(WAL)&_pragma=synchronous(FULL)&_pragma=busy_timeout(10000)&_pragma=wal_autocheckpoint(4000)&_pragma=cache_size(-65536)"
	sqliteReader = "?_pragma=query_only(1)&_pragma=busy_timeout(10000)&_pragma=cache_size(-16384)"
)

func openSQLite(ctx context.Context, o Options) (*Store, error) {
	file := filepath.Join(o.Dir, "usersync.db")
	if err := private(file); err != nil {
		return nil, fmt.Errorf("open the database: %w", err)
	}
	s := &Store{Engine: SQLite, seal: o.Seal}
	for _, mode := range []struct {
		to    **gorm.DB
		dsn   string
		conns int
	}{{&s.write, sqliteWriter, 1}, {&s.read, sqliteReader, sqliteReaders}} {
		connector, err := sqlitelib.NewConnector("file:" + file + mode.dsn)
		if err != nil {
			return nil, fmt.Errorf("open %s: %w", file, err)
		}
		pool := o.pool(keepPrepared(connector))
		pool.SetMaxOpenConns(mode.conns)
		pool.SetMaxIdleConns(mode.conns)
		s.pools = append(s.pools, pool)
		db, err := openGORM(sqliteDialect{pool})
		if err != nil {
			return nil, fmt.Errorf("open %s: %w", file, err)
		}
		*mode.to = db
	}
	s.asyncCommitPool, s.genericPlanPool = s.pools[0], s.read.Statement.ConnPool
	return s, s.Ping(ctx)
}

// private makes the file, when it is not there, readable by its owner alone.
func private(file string) error {
	f, err := os.OpenFile(file, os.O_CREATE|os.O_RDWR, 0o600)
	if err != nil {
		return err
	}
	return f.Close()
}

func openGORM(d gorm.Dialector) (*gorm.DB, error) {
	return gorm.Open(d, &gorm.Config{
		SkipDefaultTransaction: true,
		DisableAutomaticPing:   true,
		Logger:                 logger.Discard,
		NowFunc:                func() time.Time { return time.Now().UTC() },
	})
}

// Ping asks whether the database answers.
func (s *Store) Ping(ctx context.Context) error {
	//lint:loop one ping for each of the four pools
	for _, p := range s.pools {
		if err := p.PingContext(ctx); err != nil {
			return Classify(err)
		}
	}
	return nil
}

// Close closes all connections.
func (s *Store) Close() error {
	var errs []error
	for _, p := range s.pools {
		errs = append(errs, p.Close())
	}
	return errors.Join(errs...)
}

// Embedded reports whether the store is a file of this process alone.
func (s *Store) Embedded() bool { return s.Engine == SQLite }

func (s *Store) Reader() Conn      { return Conn{s.read.Statement.ConnPool, s.Engine} }
func (s *Store) Writer() Conn      { return Conn{s.write.Statement.ConnPool, s.Engine} }
func (s *Store) AsyncCommit() Conn { return Conn{s.asyncCommitPool, s.Engine} }
func (s *Store) GenericPlan() Conn { return Conn{s.genericPlanPool, s.Engine} }

// OnReady has fn called after every transaction that made tasks ready, with their
// queues. It must be set before the store is used by others.
func (s *Store) OnReady(fn func(queues ...string)) { s.ready = fn }

// GenericPlanForWrites is for the acceptance of PostgreSQL, whose commits wait for the disk.
func (s *Store) GenericPlanForWrites() Conn { return Conn{s.genericPlanPool, s.Engine} }

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
	result, err := tx.pool.ExecContext(unhurried(ctx), st.texts[tx.Engine], append(args, set...)...)
	if err != nil {
		return st.failed(err)
	}
	tx.owed = append(tx.owed, owed{st, result, judge})
	return nil
}

// settle judges what is owed, in the order in which it was run. failed is what
// kept the transaction from its end, if anything did: a fence that did not hold
// comes before it, as it would if each statement had been judged at once.
func (tx *Tx) settle(failed error) error {
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

// Readied notes that a task of a queue is ready with the commit.
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

func (s *Store) Once(ctx context.Context, fn func(*Tx) error) error {
	var ready []string
	err := s.write.WithContext(ctx).Transaction(func(db *gorm.DB) error {
		tx := &Tx{Conn: Conn{db.Statement.ConnPool, s.Engine}, gorm: db, store: s}
		err := tx.settle(fn(tx))
		ready = tx.ready
		return err
	})
	if err == nil && len(ready) > 0 && s.ready != nil {
		s.ready(ready...)
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

var nowStatement = Define("store.now", `SELECT {now}`)

// Now returns the database's time.
func (s *Store) Now(ctx context.Context) (time.Time, error) {
	var us int64
	err := s.Reader().QueryRow(ctx, nowStatement).Scan(&us)
	return At(us), Classify(err)
}

// Now returns the database's time.
func (tx *Tx) Now(ctx context.Context) (time.Time, error) {
	var us int64
	err := tx.QueryRow(ctx, nowStatement).Scan(&us)
	return At(us), Classify(err)
}

// Micros is how times are stored: UTC microseconds since 1970, 0 for never.
func Micros(t time.Time) int64 {
	if t.IsZero() {
		return 0
	}
	return t.UnixMicro()
}

// At is the inverse of micros.
func At(us int64) time.Time {
	if us == 0 {
		return time.Time{}
	}
	return time.UnixMicro(us).UTC()
}

// Stamp is at for the times that the API shows.
func Stamp(us int64) usersync.Time { return usersync.Time{Time: At(us)} }
