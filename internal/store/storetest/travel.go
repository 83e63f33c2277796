package storetest

import (
	"context"
	"database/sql"
	"testing"
	"time"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/stdlib"

	"usersync/internal/store"
)

// Travel returns a function that makes what a connection's pushes wait for due
// now, and jobs that they wait for a minute old: in place of a test that waits.
func Travel(t testing.TB, o store.Options) func() {
	t.Helper()
	db := raw(t, o)
	t.Cleanup(func() { _ = db.Close() })
	return func() {
		t.Helper()
		ctx, cancel := context.WithTimeout(context.Background(), time.Minute)
		defer cancel()
		for _, statement := range []string{
			`UPDATE pushes SET wanted_at = wanted_at - 60000000, pushed_at = pushed_at - 60000000 WHERE status = 'confirming'`,
			`UPDATE pushes SET due_at = 1 WHERE due_at > 0`,
			`UPDATE push_waits SET due_at = 1 WHERE due_at > 0`,
			`UPDATE outbox SET state = 'ready' WHERE state = 'scheduled'`,
		} {
			if _, err := db.ExecContext(ctx, statement); err != nil {
				t.Fatalf("%s: %v", statement, err)
			}
		}
	}
}

// raw opens a second way to a database, past the store.
func raw(t testing.TB, o store.Options) *sql.DB {
	t.Helper()
	if o.URL.IsZero() {
		db, err := sql.Open("sqlite", File(o.Dir, "?_txlock=immediate&_pragma=busy_timeout(10000)"))
		if err != nil {
			t.Fatal(err)
		}
		return db
	}
	cfg, err := pgx.ParseConfig(o.URL.Reveal())
	if err != nil {
		t.Fatal(err)
	}
	cfg.RuntimeParams["search_path"] = o.Schema
	return stdlib.OpenDB(*cfg)
}
