package store

import (
	"cmp"
	"context"
	"database/sql"
	"database/sql/driver"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"strings"
	"time"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/stdlib"
	gormpostgres "gorm.io/driver/postgres"
	"gorm.io/gorm"
	"gorm.io/gorm/logger"
	sqlitelib "modernc.org/sqlite"

	"usersync/internal/usersync"
)

// defaultMaxConns is what an ordinary server has room for three times.
const defaultMaxConns = 30

// sqliteReaders bounds the connections that read a SQLite file beside its one writer.
const sqliteReaders = 8

// pool opens a pool of connections.
func (o Options) pool(c driver.Connector) *sql.DB {
	if o.Wrap != nil {
		c = o.Wrap(c)
	}
	return sql.OpenDB(c)
}

// Reader runs what reads outside of transactions. Each statement is planned for
// its arguments.
func (s *Store) Reader() Conn { return s.conn(s.read.Statement.ConnPool) }

// Writer runs single statements that write: each is its own transaction, whose
// commit waits for the disk. On PostgreSQL each has one plan for all arguments.
func (s *Store) Writer() Conn { return s.conn(s.write.Statement.ConnPool) }

// AsyncCommit runs the bookkeeping of the outbox: its commits do not wait for the
// disk on PostgreSQL, because what a crash takes from them is only done again. On
// PostgreSQL each statement has one plan for all arguments: planning them anew costs
// more than they do. On SQLite it is Writer.
func (s *Store) AsyncCommit() Conn { return s.conn(s.asyncCommitPool) }

// GenericPlan runs the search for colleagues: its statements are large, and
// PostgreSQL would take longer to plan than to run them, so each has one plan for
// all arguments, and that avoids sorting (ADR 0007). On SQLite it is Reader.
func (s *Store) GenericPlan() Conn { return s.conn(s.genericPlanPool) }

// conn runs statements outside of transactions.
func (s *Store) conn(pool gorm.ConnPool) Conn {
	return Conn{pool: pool, Engine: s.Engine, outage: s.outage, attendance: s.attendance}
}

// genericPlanForWrites is GenericPlan for accepting requests, whose commits wait for
// the disk. On SQLite it is Writer.
func (s *Store) genericPlanForWrites() Conn {
	if s.Embedded() {
		return s.Writer()
	}
	return s.GenericPlan()
}

func openPostgres(ctx context.Context, o Options) (*Store, error) {
	cfg, err := pgx.ParseConfig(o.URL.Reveal())
	if err != nil {
		// The parser's error may quote the URL, and with it the password.
		return nil, usersync.Errorf(usersync.CodeInvalid, "DATABASE_URL is not a PostgreSQL URL; expected postgres://user:password@host:5432/database")
	}
	cfg.RuntimeParams["application_name"] = "usersync"
	cfg.OnPgError = keepsConnection
	if o.Schema != "" {
		cfg.RuntimeParams["search_path"] = o.Schema
	}
	limit := cmp.Or(max(o.MaxConns, 0), defaultMaxConns)
	unlessReadOnly := func(prepare func(context.Context, *pgx.Conn) error) func(context.Context, *pgx.Conn) error {
		if o.ReadOnly {
			return readWhole
		}
		return prepare
	}
	pool := func(conns int, prepare func(context.Context, *pgx.Conn) error, wrap func(driver.Connector) driver.Connector) *sql.DB {
		db := o.pool(wrap(stdlib.GetConnector(*cfg, stdlib.OptionAfterConnect(unlessReadOnly(prepare)))))
		conns = max(conns, 2)
		db.SetMaxOpenConns(conns)
		db.SetMaxIdleConns(conns)
		db.SetConnMaxIdleTime(5 * time.Minute)
		return db
	}
	write, read := pool(limit*3/8, prepared(keptPlans, writeWithin), gather), pool(limit/4, prepared(steadyPlans, readWithin), alone)
	async := pool(limit*3/16, prepared(keptPlans+"; SET synchronous_commit = off", asyncWithin), alone)
	generic := pool(limit*3/16, prepared(unsortedPlans, genericWithin), alone)
	s := &Store{
		Engine: Postgres, ready: newSignal(), outage: newOutage(o.Log), seal: o.Seal, asyncCommitPool: async, genericPlanPool: generic,
		pools: []*sql.DB{write, read, async, generic}, schema: o.Schema, attendance: newAttendance(cfg),
	}
	for _, one := range []struct {
		to   **gorm.DB
		pool *sql.DB
	}{{&s.write, write}, {&s.read, read}} {
		// The driver keeps prepared statements for each connection by itself.
		db, err := openGORM(gormpostgres.New(gormpostgres.Config{Conn: one.pool}))
		if err != nil {
			return nil, errors.Join(fmt.Errorf("prepare a pool: %w", Classify(err)), s.Close())
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

// keptPlans has statements planned once, for any argument, and not anew for every
// set of rows.
const keptPlans = steadyPlans + "; SET plan_cache_mode = force_generic_plan"

// unsortedPlans is keptPlans for statements that have an index for every order they
// want: a plan for the average company, which is small, would read the whole of a large
// one and sort it.
const unsortedPlans = keptPlans + "; SET enable_sort = off"

// How long PostgreSQL lets a statement wait and run, so that a lock that somebody else
// keeps, or a plan gone wrong, ends one statement and does not hold a connection, and
// with it all that needs one. What may take longer says so itself, as migrations do. On
// SQLite, whose one lock is that of the file, busy_timeout says how long it is waited for.
const (
	// lockWithin bounds the wait for one lock. Ours are held for milliseconds: whoever
	// waits longer waits for a session that stands still. Half of what a caller who
	// submits is given.
	lockWithin = 5 * time.Second
	// idleWithin ends a session that stands still within a transaction, and frees its
	// locks: as long as a claim holds, so the transaction of a worker is lost by then.
	idleWithin = 30 * time.Second
	// readWithin is for lists, exports and counts, each a page or a bounded part.
	readWithin = 30 * time.Second
	// writeWithin is for transactions: the largest statement of one writes a chunk of an
	// import, or removes a thousand rows that need not be kept.
	writeWithin = 30 * time.Second
	// asyncWithin is for the outbox, whose statements move a bounded number of tasks.
	asyncWithin = 10 * time.Second
	// genericWithin is for searching and accepting: a caller waits.
	genericWithin = 10 * time.Second
)

// readWhole is for a store that is ReadOnly. It leaves the planner all its ways.
func readWhole(ctx context.Context, c *pgx.Conn) error {
	return run(ctx, c, "SET default_transaction_read_only = on; SET jit = off; SET statement_timeout = 0")
}

// prepared returns what prepares a new connection: how its statements are planned, and
// how long each may run.
func prepared(plans string, within time.Duration) func(context.Context, *pgx.Conn) error {
	settings := fmt.Sprintf("%s; SET lock_timeout = %d; SET statement_timeout = %d; SET idle_in_transaction_session_timeout = %d",
		plans, lockWithin.Milliseconds(), within.Milliseconds(), idleWithin.Milliseconds())
	return func(ctx context.Context, c *pgx.Conn) error { return run(ctx, c, settings) }
}

func run(ctx context.Context, c *pgx.Conn, settings string) error {
	if _, err := c.PgConn().Exec(ctx, settings).ReadAll(); err != nil {
		return fmt.Errorf("prepare a connection: %w", err)
	}
	return nil
}

// sqliteWriter keeps every promise a 202 makes: one writer that takes the lock
// at once, and a commit that has reached the disk. What it deletes it overwrites with
// zeros, as an erasure promises.
const (
	sqliteBusy   = "busy_timeout = 10000" // milliseconds, as below
	sqliteWriter = "?_txlock=immediate&_pragma=foreign_keys(1)&_pragma=secure_delete(1)&_pragma=journal_mode(WAL)&_pragma=synchronous(FULL)&_pragma=busy_timeout(10000)&_pragma=wal_autocheckpoint(4000)&_pragma=cache_size(-65536)&_pragma=temp_store(MEMORY)"
	sqliteReader = "?_pragma=query_only(1)&_pragma=busy_timeout(10000)&_pragma=cache_size(-16384)"
)

// NoDatabase is the error where a directory has no embedded database, and what to do.
func NoDatabase(dir string) error {
	return usersync.Errorf(usersync.CodeNotFound, "There is no database in %s. Set DATA_DIR to where the service keeps it, or DATABASE_URL for a deployment; `usersync serve` makes a new one.", dir)
}

// fileURI names a file to SQLite, which would take what is behind a number sign or a question
// mark for no part of its name.
func fileURI(file string) string {
	return "file:" + strings.NewReplacer("%", "%25", "?", "%3f", "#", "%23").Replace(file)
}

func openSQLite(ctx context.Context, o Options) (*Store, error) {
	file := filepath.Join(o.Dir, "usersync.db")
	if _, err := os.Stat(file); (o.ReadOnly || o.Existing) && errors.Is(err, fs.ErrNotExist) {
		return nil, NoDatabase(o.Dir)
	}
	if err := private(file); err != nil {
		return nil, fmt.Errorf("open the database: %w", err)
	}
	writer := sqliteWriter
	if o.ReadOnly {
		writer = sqliteReader
	}
	s := &Store{Engine: SQLite, ready: newSignal(), outage: newOutage(o.Log), seal: o.Seal}
	for _, mode := range []struct {
		to    **gorm.DB
		dsn   string
		conns int
	}{{&s.write, writer, 1}, {&s.read, sqliteReader, sqliteReaders}} {
		connector, err := sqlitelib.NewConnector(fileURI(file) + mode.dsn)
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

const (
	// vacuumUpTo is the size of a SQLite file, in bytes, up to which Scrub writes it anew.
	// That took 0.6 s for 28 MB, in which nobody writes.
	vacuumUpTo = 32 << 20
	// scrubWait is how long Scrub waits for those who read, and others with it for Scrub.
	scrubWait = 250 * time.Millisecond
)

// Scrub removes from the files of a SQLite database what rows held before they were
// changed or deleted. The file has zeros in its place already, except where a row was
// moved between pages; so a small file is written anew. Then the log, which has the pages
// as they were, is written into the file and cut to nothing. clean is false while somebody
// still reads from the log: call it again. PostgreSQL removes old rows by itself.
func (s *Store) Scrub(ctx context.Context) (clean bool, err error) {
	if !s.Embedded() {
		return true, nil
	}
	c, err := s.pools[0].Conn(ctx)
	if err != nil {
		return false, fmt.Errorf("take the connection that writes: %w", Classify(err))
	}
	defer func() { _ = c.Close() }()
	if err := pragma(ctx, c, fmt.Sprintf("busy_timeout = %d", scrubWait.Milliseconds())); err != nil {
		return false, err
	}
	clean, err = scrub(ctx, c)
	if collided(err) {
		clean, err = false, nil
	}
	return clean, errors.Join(Classify(err), pragma(context.WithoutCancel(ctx), c, sqliteBusy))
}

func scrub(ctx context.Context, c *sql.Conn) (clean bool, err error) {
	var size int64
	err = c.QueryRowContext(ctx, "SELECT page_count * page_size FROM pragma_page_count, pragma_page_size").Scan(&size)
	if err != nil {
		return false, fmt.Errorf("read the size of the file: %w", err)
	}
	if size <= vacuumUpTo {
		if _, err := c.ExecContext(ctx, "VACUUM"); err != nil {
			return false, fmt.Errorf("write the file anew: %w", err)
		}
	}
	var busy, frames, written int
	if err := c.QueryRowContext(ctx, "PRAGMA wal_checkpoint(TRUNCATE)").Scan(&busy, &frames, &written); err != nil {
		return false, fmt.Errorf("cut the log: %w", err)
	}
	return busy == 0, nil
}

func pragma(ctx context.Context, c *sql.Conn, what string) error {
	var is int64
	if err := c.QueryRowContext(ctx, "PRAGMA "+what).Scan(&is); err != nil {
		return fmt.Errorf("set %s: %w", what, Classify(err))
	}
	return nil
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
