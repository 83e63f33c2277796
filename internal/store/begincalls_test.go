package store_test

import (
	"testing"

	"usersync/internal/store"
	"usersync/internal/store/storetest"
	"usersync/internal/usersync"
)

// A pump reads two users, and they are erased before it calls the platform, which
// knows one of them. No call may begin for either: nobody would take it back. And
// the one who is known there stays to be removed.
func TestNoCallBeginsForWhoWasErasedMeanwhile(t *testing.T) {
	t.Parallel()
	storetest.Engines(t, func(t *testing.T, open func() *store.Store) {
		n := newTenant(t, open(), 10)
		c := n.connect(t)
		known, strange, stays := n.wanted(t, c, "known@acme.example"), n.wanted(t, c, "strange@acme.example"), n.wanted(t, c, "stays@acme.example")
		if got := n.begin(t, c, known); len(got) != 1 {
			t.Fatalf("%v begun, want the one that was asked for", got)
		}
		for _, user := range []string{known, strange} {
			_, err := n.Org(n.org.ID).Erase(t.Context(), "test", n.org.Salt, store.Subject{UserID: user}, func(store.Traces) usersync.Task {
				return usersync.Task{ID: usersync.NewID(usersync.PrefixTask), Organization: n.org.ID, Kind: "erase", Queue: "bulk", Lane: n.org.ID, Args: []byte(`{}`)}
			})
			if err != nil {
				t.Fatal(err)
			}
		}
		if got := n.begin(t, c, known, strange, stays); len(got) != 1 || got[0] != stays {
			t.Errorf("calls begin for %v, want %s alone", got, stays)
		}
		err := n.Tx(t.Context(), func(tx *store.Tx) error { return tx.DropGone(t.Context(), c.ID, []string{known, strange}) })
		if err != nil {
			t.Fatal(err)
		}
		due, err := n.Org(n.org.ID).DuePushes(t.Context(), c.ID, 10)
		if err != nil {
			t.Fatal(err)
		}
		removals := 0
		for _, d := range due {
			if d.UserID == known && !d.Removal.IsZero() {
				removals++
			}
		}
		if removals != 1 {
			t.Errorf("due are %+v, want the removal of %s among them", due, known)
		}
	})
}

// wanted makes a user who is to be pushed to the connection.
func (n tenant) wanted(t *testing.T, c usersync.Connection, email string) string {
	t.Helper()
	a := n.acceptance(email)
	n.accept(t, n.submission(a))
	err := n.Tx(t.Context(), func(tx *store.Tx) error {
		return tx.WantPushes(t.Context(), n.org.ID, []store.Want{{ConnectionID: c.ID, UserID: a.UserID, RequestID: a.RequestID,
			Mode: usersync.PushState, Version: 1, Rank: usersync.RankOrdinary}})
	})
	if err != nil {
		t.Fatal(err)
	}
	return a.UserID
}

// begin begins calls that are over at once, should nobody tell how they ended.
func (n tenant) begin(t *testing.T, c usersync.Connection, users ...string) (begun []string) {
	t.Helper()
	err := n.Tx(t.Context(), func(tx *store.Tx) (err error) {
		begun, err = tx.BeginCalls(t.Context(), c.ID, users, 0)
		return err
	})
	if err != nil {
		t.Fatal(err)
	}
	return begun
}
