// Package store is the database: the truth about everything accepted. It is
// the only importer of GORM. Hot statements are hand-written, set-wise, one
// text for both engines; GORM's conveniences serve the rest.
package store

import (
	"context"
	"database/sql"
	"database/sql/driver"
	"errors"
	"fmt"
	"log/slog"

	"gorm.io/gorm"

	"usersync/internal/store/migration"
	"usersync/internal/usersync"
)

// Engine names the kind of a database.
type Engine = migration.Engine

// The engines.
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
	// Existing has Open refuse to make an embedded database that is not there.
	Existing bool
	// ReadOnly has every connection refuse to write, and plan for statements that read
	// whole tables, however long that takes.
	ReadOnly bool
	// Seal keeps secrets unreadable at rest; nil where none are stored or read.
	Seal Sealer
	// Wrap, for tests alone, stands between the store and the driver: it gets
	// what makes the connections of each pool and returns what is used instead,
	// which must be able to do all that the driver can. nil is the driver itself.
	Wrap func(driver.Connector) driver.Connector
	// Log is told once when the database does not do what it is asked, and once when it
	// does again. nil tells nobody.
	Log *slog.Logger
}

// Sealer seals and opens what must not be read from a stolen database. aad
// names organization, row and column, so that a sealed value cannot be moved to another.
type Sealer interface {
	Seal(plain []byte, aad string) (string, error)
	Open(sealed, aad string) ([]byte, error)
	// Rewrap puts sealed under the key that seals now, and reports whether it was
	// under another.
	Rewrap(sealed, aad string) (rewrapped string, changed bool, err error)
}

// Store is the database.
type Store struct {
	// Engine is the kind of the database.
	Engine Engine
	seal   Sealer
	write  *gorm.DB
	read   *gorm.DB
	// The pools behind AsyncCommit and GenericPlan.
	asyncCommitPool gorm.ConnPool
	genericPlanPool gorm.ConnPool
	pools           []*sql.DB // all of them
	schema          string
	ready           *Signal
	outage          *outage
	attendance      *attendance // nil on SQLite
}

// Open opens the database. It does not migrate, see Migrate.
func Open(ctx context.Context, o Options) (*Store, error) {
	if o.URL.IsZero() {
		return openSQLite(ctx, o)
	}
	return openPostgres(ctx, o)
}

// Ping asks whether the database answers.
func (s *Store) Ping(ctx context.Context) error {
	//lint:loop one ping for each of the four pools
	for _, p := range s.pools {
		if err := p.PingContext(ctx); err != nil {
			return fmt.Errorf("ping the database: %w", Classify(err))
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
