package directory_test

import (
	"database/sql"
	"testing"

	"usersync/internal/directory"
	"usersync/internal/roomtest"
	"usersync/internal/store"
	"usersync/internal/usersync"
)

func TestNoMoreImportsAreBegunThanTheLimitSays(t *testing.T) {
	t.Parallel()
	roomtest.Engines(t, func(t *testing.T, s *store.Store, db *sql.DB) {
		n := roomtest.New(t, s, 1)
		roomtest.Execute(t, db, `UPDATE organizations SET settings = '{"limits":{"imports":1}}'`)
		begin := func() error {
			_, err := directory.BeginImport(t.Context(), n.Org(n.Organization.ID), "test", "csv")
			return err
		}
		if err := begin(); err != nil {
			t.Fatal(err)
		}
		if err := begin(); usersync.CodeOf(err) != usersync.CodeConflict {
			t.Fatalf("a second of one allowed import: %v", err)
		}
		roomtest.Execute(t, db, `UPDATE imports SET finished_at = 1`)
		if err := begin(); err != nil {
			t.Errorf("after the first has ended: %v", err)
		}
	})
}
