// Package storetest opens fresh databases for tests, one for each engine.
package storetest

import (
	"context"
	"crypto/rand"
	"database/sql"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	_ "github.com/jackc/pgx/v5/stdlib" // the driver that makes and drops schemas

	"usersync/internal/config"
	"usersync/internal/seal"
	"usersync/internal/store"
	"usersync/internal/usersync"
)

// Engines runs a test on both engines, in parallel: a new SQLite file, and a
// new schema of the PostgreSQL server that TEST_DATABASE_URL names. Without a
// server the test fails: an engine is never skipped silently.
func Engines(t *testing.T, test func(t *testing.T, open func() *store.Store)) {
	t.Helper()
	for _, engine := range []string{"sqlite", "postgres"} {
		t.Run(engine, func(t *testing.T) {
			t.Parallel()
			o := Options(t, engine)
			test(t, func() *store.Store { return Open(t, o) })
		})
	}
}

// Options returns where a fresh database of the engine lives.
func Options(t testing.TB, engine string) store.Options {
	t.Helper()
	if engine == "sqlite" {
		return store.Options{Dir: t.TempDir(), Seal: Keys(t)}
	}
	url := os.Getenv("TEST_DATABASE_URL")
	if url == "" {
		t.Fatal("TEST_DATABASE_URL is not set: run the tests with `make test`, which starts a PostgreSQL server, or point it to one")
	}
	schema := "t_" + strings.ToLower(rand.Text()[:16])
	admin(t, url, `CREATE SCHEMA `+schema)
	t.Cleanup(func() { admin(t, url, `DROP SCHEMA `+schema+` CASCADE`) })
	return store.Options{URL: usersync.NewSecret(url), Schema: schema, MaxConns: 8, Seal: Keys(t)}
}

// Keys returns new sealing keys.
func Keys(t testing.TB) *seal.Keys {
	t.Helper()
	keys, err := seal.ParseKeys(config.NewSealingKeys())
	if err != nil {
		t.Fatal(err)
	}
	return keys
}

func admin(t testing.TB, url, statement string) {
	t.Helper()
	db, err := sql.Open("pgx", url)
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = db.Close() }()
	ctx, cancel := context.WithTimeout(context.Background(), time.Minute)
	defer cancel()
	if _, err := db.ExecContext(ctx, statement); err != nil {
		t.Fatalf("%s: %v", statement, err)
	}
}

// File names the database file of a directory to SQLite, with further parameters, for those
// who look into it beside the store. The directory of a test may have a number sign in its name.
func File(dir, parameters string) string {
	return "file:" + strings.NewReplacer("%", "%25", "?", "%3f", "#", "%23").Replace(filepath.Join(dir, "usersync.db")) + parameters
}

// Open opens a database and migrates it; it is closed when the test ends.
func Open(t testing.TB, o store.Options) *store.Store {
	t.Helper()
	s, err := store.Open(t.Context(), o)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := s.Close(); err != nil {
			t.Errorf("close the store: %v", err)
		}
	})
	if _, err := s.Migrate(t.Context()); err != nil {
		t.Fatal(err)
	}
	return s
}
