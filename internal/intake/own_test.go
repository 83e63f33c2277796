package intake_test

import (
	"database/sql"
	"testing"

	"usersync/internal/event"
	"usersync/internal/intake"
	"usersync/internal/request"
	"usersync/internal/roomtest"
	"usersync/internal/store"
	"usersync/internal/usersync"
)

// TestARequestOfItsOwnKeepsTheUserThatItNames checks it also where the statement is a
// repetition, which gives new users other ids.
func TestARequestOfItsOwnKeepsTheUserThatItNames(t *testing.T) {
	t.Parallel()
	roomtest.Engines(t, func(t *testing.T, s *store.Store, db *sql.DB) {
		n := roomtest.New(t, s, 1)
		first := n.Acceptance("ann@acme.example")
		n.Accept(t, n.Submission(first))
		own := &intake.Acceptance{RequestID: usersync.NewID(usersync.PrefixRequest), Kind: request.KindEvent, Input: []byte("{}"), UserID: first.UserID,
			Event: &intake.NewEvent{Type: "custom/x", Attributes: map[string]any{"a": "b"}, Trigger: &event.Trigger{RunID: "fur_1", Hops: 2}}}
		for range 2 { // what is there already stays as it is
			err := s.Tx(t.Context(), func(tx *store.Tx) error {
				again := *own
				return intake.AcceptOwn(t.Context(), tx, n.Organization.ID, &again)
			})
			if err != nil {
				t.Fatal(err)
			}
		}
		e, err := event.Get(t.Context(), s.Org(n.Organization.ID), own.EventID())
		if err != nil || e.UserID != first.UserID || e.Cause != own.RequestID || e.Trigger.Hops != 2 || e.Attributes["a"] != "b" {
			t.Errorf("%+v %v", e, err)
		}
		var about string
		if err := db.QueryRowContext(t.Context(), `SELECT user_id FROM requests WHERE id = $1`, own.RequestID).Scan(&about); err != nil || about != first.UserID {
			t.Errorf("the request is about %q, want %q: %v", about, first.UserID, err)
		}
		if got := roomtest.Count(t, db, `SELECT count(*) FROM outbox WHERE kind = 'event.run'`); got != 1 {
			t.Errorf("%d tasks, want 1", got)
		}
	})
}
