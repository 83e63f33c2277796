// Package roomtest is what the tests of packages that own tables share: an
// organization that requests can be accepted for, and SQL beside the store.
package roomtest

import (
	"database/sql"
	"fmt"
	"regexp"
	"strconv"
	"strings"
	"testing"

	_ "github.com/jackc/pgx/v5/stdlib" // the driver

	"usersync/internal/store"
	"usersync/internal/store/storetest"
)

// Engines runs a test on both engines with a second connection to the same
// database, for what there is no call for.
func Engines(t *testing.T, test func(t *testing.T, s *store.Store, db *sql.DB)) {
	t.Helper()
	for _, engine := range []string{"sqlite", "postgres"} {
		t.Run(engine, func(t *testing.T) {
			t.Parallel()
			s, db := OpenWithSQL(t, engine)
			test(t, s, db)
		})
	}
}

// Execute runs a statement.
func Execute(t *testing.T, db *sql.DB, statement string, args ...any) {
	t.Helper()
	if _, err := db.ExecContext(t.Context(), statement, args...); err != nil {
		t.Fatalf("%s: %v", statement, err)
	}
}

// OpenWithSQL makes a store of the engine with SQL beside it.
func OpenWithSQL(t *testing.T, engine string) (*store.Store, *sql.DB) {
	t.Helper()
	o := storetest.Options(t, engine)
	return storetest.Open(t, o), SQLOf(t, o)
}

// SQLOf opens the database of a store for SQL.
func SQLOf(t *testing.T, o store.Options) *sql.DB {
	t.Helper()
	driver, dsn := "sqlite", storetest.File(o.Dir, "?_pragma=foreign_keys(1)&_pragma=busy_timeout(10000)")
	if !o.URL.IsZero() {
		driver, dsn = "pgx", o.URL.Reveal()+"&search_path="+o.Schema
	}
	db, err := sql.Open(driver, dsn)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = db.Close() })
	return db
}

// Count returns the number that a query returns.
func Count(t *testing.T, db *sql.DB, query string) (n int) {
	t.Helper()
	if err := db.QueryRowContext(t.Context(), query).Scan(&n); err != nil {
		t.Fatal(err)
	}
	return n
}

// CheckPlans fails the test unless each plan reads the index that its name begins
// with, and at most 60 pages, with the statistics of an empty table as with true ones.
func CheckPlans(t *testing.T, db *sql.DB, plans map[string]func() ([]string, error)) {
	t.Helper()
	for _, analysed := range []bool{false, true} {
		if analysed {
			Execute(t, db, "ANALYZE")
		}
		for name, explain := range plans {
			index, _, _ := strings.Cut(name, " ")
			lines, err := explain()
			plan := strings.Join(lines, "\n")
			if err != nil || !regexp.MustCompile(`(\b|_)`+index+`\b`).MatchString(plan) || PagesOf(plan) > 60 {
				t.Errorf("%s, analysed %v: %v, %d pages\n%s", name, analysed, err, PagesOf(plan), plan)
			}
		}
	}
}

// PagesOf returns how many pages a plan of PostgreSQL says that it read.
func PagesOf(plan string) (pages int) {
	m := regexp.MustCompile(`Buffers: shared(?: hit=(\d+))?(?: read=(\d+))?`).FindStringSubmatch(plan)
	for i := 1; i < len(m); i++ {
		n, _ := strconv.Atoi(m[i])
		pages += n
	}
	return pages
}

// Texts returns every text in the database by the column it is in and a number.
func Texts(t *testing.T, db *sql.DB) map[string]string {
	t.Helper()
	out := map[string]string{}
	for _, c := range textColumns(t, db) {
		table, column, _ := strings.Cut(c, ".")
		for i, text := range strs(t, db, fmt.Sprintf(`SELECT %s FROM %s`, column, table)) {
			out[fmt.Sprintf("%s %d", c, i)] = text
		}
	}
	return out
}

// textColumns lists the columns that hold text, as table.column.
func textColumns(t *testing.T, db *sql.DB) []string {
	t.Helper()
	query := `SELECT m.name || '.' || c.name FROM sqlite_master m, pragma_table_info(m.name) c WHERE m.type = 'table' AND lower(c.type) = 'text'`
	if strings.Contains(fmt.Sprintf("%T", db.Driver()), "stdlib") {
		query = `SELECT table_name || '.' || column_name FROM information_schema.columns WHERE table_schema = current_schema() AND data_type = 'text'`
	}
	columns := strs(t, db, query)
	if len(columns) < 50 {
		t.Fatalf("the database has the columns %v", columns)
	}
	return columns
}

func strs(t *testing.T, db *sql.DB, query string) (out []string) {
	t.Helper()
	rows, err := db.QueryContext(t.Context(), query)
	if err != nil {
		t.Fatalf("%s: %v", query, err)
	}
	defer func() { _ = rows.Close() }()
	for rows.Next() {
		var text string
		if err := rows.Scan(&text); err != nil {
			t.Fatal(err)
		}
		out = append(out, text)
	}
	if err := rows.Err(); err != nil {
		t.Fatal(err)
	}
	return out
}
