package platform_test

import (
	"database/sql"
	"testing"

	"usersync/internal/platform"
	"usersync/internal/roomtest"
	"usersync/internal/store"
	"usersync/internal/usersync"
)

func TestNoMoreConnectionsAreMadeThanTheLimitSays(t *testing.T) {
	t.Parallel()
	roomtest.Engines(t, func(t *testing.T, s *store.Store, db *sql.DB) {
		n := roomtest.New(t, s, 1)
		first := n.Connect(t)
		roomtest.Execute(t, db, `UPDATE organizations SET settings = '{"limits":{"connections":1}}'`)
		o := n.Org(n.Organization.ID)
		_, err := platform.CreateConnection(t.Context(), o, "test", platform.Connection{Platform: "http", Name: "second"})
		if usersync.CodeOf(err) != usersync.CodeConflict {
			t.Fatalf("a second of one allowed connection: %v", err)
		}
		if err := platform.DeleteConnection(t.Context(), o, "test", first.ID); err != nil {
			t.Fatal(err)
		}
		if _, err := platform.CreateConnection(t.Context(), o, "test", platform.Connection{Platform: "http", Name: "second"}); err != nil {
			t.Errorf("after the first was deleted: %v", err)
		}
	})
}
