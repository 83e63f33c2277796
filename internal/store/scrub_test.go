package store_test

import (
	"bytes"
	"database/sql"
	"os"
	"path/filepath"
	"testing"

	"usersync/internal/store"
	"usersync/internal/store/storetest"
)

// TestScrubLeavesNothingOfWhatWasDeleted also waits for whoever still reads the pages as
// they were, without keeping others from the database.
func TestScrubLeavesNothingOfWhatWasDeleted(t *testing.T) {
	t.Parallel()
	o := storetest.Options(t, "sqlite")
	s := storetest.Open(t, o)
	file := filepath.Join(o.Dir, "usersync.db")
	db, err := sql.Open("sqlite", "file:"+file+"?_pragma=busy_timeout(10000)")
	must(t, err)
	t.Cleanup(func() { _ = db.Close() })
	execute := func(statement string) {
		t.Helper()
		_, err := db.ExecContext(t.Context(), statement)
		must(t, err)
	}
	execute(`INSERT INTO erased (organization_id, person, created_at) VALUES ('org_1', 'needle', 1)`)
	reader, err := db.BeginTx(t.Context(), nil)
	must(t, err)
	var n int
	must(t, reader.QueryRowContext(t.Context(), `SELECT count(*) FROM erased`).Scan(&n))
	must(t, s.Tx(t.Context(), func(tx *store.Tx) error { return tx.GORM().Exec(`DELETE FROM erased`).Error }))
	if clean, err := s.Scrub(t.Context()); clean || err != nil {
		t.Errorf("while somebody reads the log: %v %v", clean, err)
	}
	must(t, reader.Rollback())
	if clean, err := s.Scrub(t.Context()); !clean || err != nil {
		t.Errorf("%v %v", clean, err)
	}
	for _, end := range []string{"", "-wal"} {
		data, err := os.ReadFile(file + end)
		must(t, err)
		if bytes.Contains(data, []byte("needle")) {
			t.Errorf("usersync.db%s still holds it", end)
		}
	}
}

func must(t *testing.T, err error) {
	t.Helper()
	if err != nil {
		t.Fatal(err)
	}
}
