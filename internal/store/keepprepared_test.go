package store

import (
	"database/sql"
	"fmt"
	"path/filepath"
	"testing"

	sqlitelib "modernc.org/sqlite"
)

func preparedPool(t *testing.T) *sql.DB {
	t.Helper()
	connector, err := sqlitelib.NewConnector("file:" + filepath.Join(t.TempDir(), "a.db"))
	if err != nil {
		t.Fatal(err)
	}
	pool := sql.OpenDB(keepPrepared(connector))
	pool.SetMaxOpenConns(1)
	t.Cleanup(func() { _ = pool.Close() })
	return pool
}

func TestKeptStatementServesAgainAfterAnError(t *testing.T) {
	t.Parallel()
	pool := preparedPool(t)
	if _, err := pool.ExecContext(t.Context(), `CREATE TABLE a (n integer PRIMARY KEY)`); err != nil {
		t.Fatal(err)
	}
	for i, n := range []int{1, 1, 2} {
		_, err := pool.ExecContext(t.Context(), `INSERT INTO a (n) VALUES ($1)`, n)
		if failed := err != nil; failed != (i == 1) {
			t.Fatalf("insert %d: %v", i, err)
		}
	}
}

func TestKeptStatementIsNotSharedWhileItsRowsAreRead(t *testing.T) {
	t.Parallel()
	tx, err := preparedPool(t).BeginTx(t.Context(), nil)
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = tx.Rollback() }()
	const numbers = `SELECT 1 + $1 UNION ALL SELECT 2 + $1`
	outer, err := tx.QueryContext(t.Context(), numbers, 10)
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = outer.Close() }()
	sum := 0
	for outer.Next() {
		var a, b int
		if err := outer.Scan(&a); err != nil {
			t.Fatal(err)
		}
		if err := tx.QueryRowContext(t.Context(), numbers, 100).Scan(&b); err != nil {
			t.Fatal(err)
		}
		sum += a * b
	}
	if err := outer.Err(); err != nil || sum != (11+12)*101 {
		t.Fatalf("sum %d, %v", sum, err)
	}
}

func TestKeptStatementsAreBounded(t *testing.T) {
	t.Parallel()
	pool := preparedPool(t)
	for i := range maxPrepared + 50 {
		var n int
		if err := pool.QueryRowContext(t.Context(), fmt.Sprintf(`SELECT %d`, i)).Scan(&n); err != nil || n != i {
			t.Fatalf("%d: got %d, %v", i, n, err)
		}
	}
	conn, err := pool.Conn(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = conn.Close() }()
	err = conn.Raw(func(c any) error {
		if n := len(c.(*preparingConn).kept); n > maxPrepared {
			return fmt.Errorf("%d statements are kept", n)
		}
		return nil
	})
	if err != nil {
		t.Fatal(err)
	}
}
