package store

import (
	"context"
	"database/sql"
	"fmt"
	"hash/crc32"
	"log/slog"
	"time"

	"github.com/jackc/pgx/v5"
	"github.com/pressly/goose/v3"
	"github.com/pressly/goose/v3/database"
	"github.com/pressly/goose/v3/lock"

	"usersync/internal/store/migration"
	"usersync/internal/usersync"
)

// Migrate brings the database to this release's schema. Several processes may
// call it at once: on PostgreSQL one works under an advisory lock and the
// others wait; a SQLite file belongs to one process.
func (s *Store) Migrate(ctx context.Context) (applied int, err error) {
	p, err := s.provider()
	if err != nil {
		return 0, fmt.Errorf("prepare the migrations: %w", err)
	}
	results, err := p.Up(ctx)
	if err != nil {
		return 0, fmt.Errorf("migrate the database: %w", err)
	}
	return len(results), nil
}

// CheckMigrated returns nil when the database has this release's schema, or a
// newer one, which this release runs on too.
func (s *Store) CheckMigrated(ctx context.Context) error {
	p, err := s.provider()
	if err != nil {
		return fmt.Errorf("prepare the migrations: %w", err)
	}
	has, target, err := p.GetVersions(ctx)
	if err != nil {
		return fmt.Errorf("read the version of the schema: %w", Classify(err))
	}
	if has < target {
		return usersync.Errorf(usersync.CodeUnavailable, "The database has schema version %d, this release needs %d: run `usersync migrate`.", has, target)
	}
	return nil
}

func (s *Store) provider() (*goose.Provider, error) {
	migrations, err := s.migrations()
	if err != nil {
		return nil, err
	}
	db, err := s.write.DB()
	if err != nil {
		return nil, fmt.Errorf("take the pool that writes: %w", err)
	}
	options := []goose.ProviderOption{goose.WithSlog(slog.New(slog.DiscardHandler)), goose.WithGoMigrations(migrations...), goose.WithDisableGlobalRegistry(true)}
	dialect := database.DialectSQLite3
	if s.Engine == Postgres {
		dialect = database.DialectPostgres
		locker, err := lock.NewPostgresSessionLocker(lock.WithLockID(lockID(s.schema)), lock.WithLockTimeout(1, uint64((2*time.Minute)/time.Second)))
		if err != nil {
			return nil, fmt.Errorf("make the lock of migrations: %w", err)
		}
		options = append(options, goose.WithSessionLocker(locker))
	}
	return goose.NewProvider(dialect, db, nil, options...)
}

// migrations are Goose's for this engine. Each is run as one text, which takes a sixth
// of the time that Goose takes with its statements one by one.
func (s *Store) migrations() ([]*goose.Migration, error) {
	list, err := migration.List(s.Engine)
	if err != nil {
		return nil, fmt.Errorf("read the migrations: %w", err)
	}
	out := make([]*goose.Migration, len(list))
	//lint:loop Goose runs each migration, once
	for i, m := range list {
		run := func(ctx context.Context, tx *sql.Tx) error {
			_, err := tx.ExecContext(ctx, s.unhurriedMigration()+m.Text, s.manyStatements()...)
			return err
		}
		out[i] = goose.NewGoMigration(m.Version, &goose.GoFunc{RunTx: run}, nil)
	}
	return out, nil
}

// unhurriedMigration lets a migration run as long as it takes: an index of a large table
// takes minutes. A lock it does not wait for longer than the others wait for theirs, since
// all that comes after it to the table waits behind it.
func (s *Store) unhurriedMigration() string {
	if s.Engine == Postgres {
		return "SET LOCAL statement_timeout = 0; SET LOCAL idle_in_transaction_session_timeout = 0;\n"
	}
	return ""
}

// manyStatements are the arguments with which a driver runs a text of several
// statements: PostgreSQL takes such a text only without preparing it.
func (s *Store) manyStatements() []any {
	if s.Engine == Postgres {
		return []any{pgx.QueryExecModeSimpleProtocol}
	}
	return nil
}

// lockID names the advisory lock of one schema, so that schemas side by side
// do not wait for each other.
func lockID(schema string) int64 {
	return lock.DefaultLockID + int64(crc32.ChecksumIEEE([]byte(schema)))
}
