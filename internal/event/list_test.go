package event_test

import (
	"database/sql"
	"testing"

	"usersync/internal/event"
	"usersync/internal/roomtest"
	"usersync/internal/store"
)

// Whatever a list of events is filtered by, it reads an index that holds what it
// shows and little else.
func TestListsOfEventsReadTheIndexOfWhatTheyShow(t *testing.T) {
	t.Parallel()
	roomtest.Engines(t, func(t *testing.T, s *store.Store, db *sql.DB) {
		n := roomtest.New(t, s, 1)
		roomtest.Execute(t, db, `
INSERT INTO events (id, organization_id, user_id, type, source, created_at)
WITH RECURSIVE made(i) AS (SELECT 100000 UNION ALL SELECT i + 1 FROM made WHERE i < 119999)
SELECT 'evt_01z' || i, $1, 'user_' || i, 'user.updated', 'user-sync', 4000000000000000 FROM made`, n.Organization.ID)
		o := n.Org(n.Organization.ID)
		list := func(f event.Filter) func() ([]string, error) {
			f.Limit = 50
			return func() ([]string, error) { return event.ExplainEvents(t.Context(), o, f) }
		}
		roomtest.CheckPlans(t, db, map[string]func() ([]string, error){
			"events_(pkey|1)": list(event.Filter{}),
			"events_user":     list(event.Filter{UserID: "user_100007"}),
			"events_type":     list(event.Filter{Type: event.UserErased}),
		})
	})
}
