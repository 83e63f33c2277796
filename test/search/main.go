//go:build unix

// Command search measures how long the colleague search takes in an
// organization with very many people, beside a small one:
//
//	make bench-search [SEARCH_ARGS='-people 100000 -searches 500']
//
// It fills one organization with people, a tenth of them in one company, a
// tenth of them users, on PostgreSQL (TEST_DATABASE_URL; in a schema of its own
// that is dropped at the end) and on SQLite (in a temporary directory). Then it
// searches for one user at a time and for batches of 64, and prints the times
// and how the databases went about it. Searching, ranking included, is timed
// where the pipeline calls it: colleague.Search.Run.
package main

import (
	"context"
	"database/sql"
	"errors"
	"flag"
	"fmt"
	"os"
	"os/signal"
	"path/filepath"
	"runtime"
	"time"

	"usersync/internal/config"
	"usersync/internal/seal"
	"usersync/internal/store"
	"usersync/internal/usersync"
)

type options struct {
	people   int
	searches int
	batches  int
	only     string
}

func main() {
	var o options
	flag.IntVar(&o.people, "people", 1_000_000, "people of the large organization")
	flag.IntVar(&o.searches, "searches", 2_000, "searches of one user, of each kind")
	flag.IntVar(&o.batches, "batches", 100, "searches of 64 users, of each kind")
	flag.StringVar(&o.only, "only", "", "one engine: postgres or sqlite")
	flag.Parse()
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt)
	err := run(ctx, o)
	stop()
	if err != nil {
		fmt.Fprintf(os.Stderr, "search: %v\n", err)
		os.Exit(1)
	}
}

func run(ctx context.Context, o options) error {
	fmt.Printf("%s, %d processors, %d people\n", time.Now().UTC().Format("2006-01-02"), runtime.NumCPU(), o.people)
	for _, engine := range []struct {
		name string
		open func(context.Context) (*database, error)
	}{{"postgres", openPostgres}, {"sqlite", openSQLite}} {
		if o.only != "" && o.only != engine.name {
			continue
		}
		d, err := engine.open(ctx)
		if err != nil {
			return err
		}
		if err := errors.Join(d.measure(ctx, o), d.close()); err != nil {
			return fmt.Errorf("%s: %w", d.name, err)
		}
	}
	return nil
}

// database is a store and a second connection to it, for what a store does not
// offer.
type database struct {
	name  string
	store *store.Store
	db    *sql.DB
	drop  func() error
}

func (d *database) close() error {
	return errors.Join(d.store.Close(), d.drop(), d.db.Close())
}

func openPostgres(ctx context.Context) (*database, error) {
	url := os.Getenv("TEST_DATABASE_URL")
	if url == "" {
		return nil, errors.New("TEST_DATABASE_URL is not set: run `make bench-search`, which starts a server")
	}
	db, err := sql.Open("pgx", url)
	if err != nil {
		return nil, errors.New("TEST_DATABASE_URL is not a PostgreSQL URL") // the parser's error may quote a password
	}
	db.SetMaxOpenConns(1) // so that its search_path holds for all statements
	schema := fmt.Sprintf("search_%d", os.Getpid())
	for _, statement := range []string{"CREATE SCHEMA " + schema, "SET search_path = " + schema} {
		if _, err := db.ExecContext(ctx, statement); err != nil {
			return nil, errors.Join(fmt.Errorf("%s: %w", statement, err), db.Close())
		}
	}
	drop := func() error {
		// Also when the run was interrupted.
		if _, err := db.ExecContext(context.WithoutCancel(ctx), "DROP SCHEMA "+schema+" CASCADE"); err != nil {
			return fmt.Errorf("drop the schema %s: %w", schema, err)
		}
		return nil
	}
	return open(ctx, "PostgreSQL", store.Options{URL: usersync.NewSecret(url), Schema: schema, MaxConns: 4}, db, drop)
}

func openSQLite(ctx context.Context) (*database, error) {
	dir, err := os.MkdirTemp("", "usersync-search-")
	if err != nil {
		return nil, fmt.Errorf("make a directory for SQLite: %w", err)
	}
	db, err := sql.Open("sqlite", "file:"+filepath.Join(dir, "usersync.db")+"?_pragma=busy_timeout(10000)&_pragma=synchronous(OFF)")
	if err != nil {
		return nil, errors.Join(err, os.RemoveAll(dir))
	}
	return open(ctx, "SQLite", store.Options{Dir: dir}, db, func() error { return os.RemoveAll(dir) })
}

func open(ctx context.Context, name string, o store.Options, db *sql.DB, drop func() error) (*database, error) {
	keys, err := seal.ParseKeys(config.NewSealingKeys())
	if err != nil {
		return nil, errors.Join(err, drop(), db.Close())
	}
	o.Seal = keys
	s, err := store.Open(ctx, o)
	if err != nil {
		return nil, errors.Join(fmt.Errorf("open the store: %w", err), drop(), db.Close())
	}
	d := &database{name, s, db, drop}
	if _, err := s.Migrate(ctx); err != nil {
		return nil, errors.Join(fmt.Errorf("make the schema: %w", err), d.close())
	}
	return d, nil
}
