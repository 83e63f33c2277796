package platform_test

import (
	"testing"

	"usersync/internal/erasure"
	"usersync/internal/platform"
	"usersync/internal/roomtest"
	"usersync/internal/store"
	"usersync/internal/usersync"
)

// A pusher reads two users, and they are erased before it calls the platform, which
// knows one of them. No call may begin for either: nobody would take it back. And
// the one who is known there stays to be removed.
func TestNoCallBeginsForWhoWasErasedMeanwhile(t *testing.T) {
	t.Parallel()
	roomtest.Each(t, 10, func(t *testing.T, n roomtest.Tenant) {
		c := n.Connect(t)
		known, strange, stays := wanted(t, n, c, "known@acme.example"), wanted(t, n, c, "strange@acme.example"), wanted(t, n, c, "stays@acme.example")
		if got := begin(t, n, c, known); len(got) != 1 {
			t.Fatalf("%v begun, want the one that was asked for", got)
		}
		for _, user := range []string{known, strange} {
			_, err := erasure.Begin(t.Context(), n.Org(n.Organization.ID), "test", n.Organization.Salt, erasure.Subject{UserID: user}, func(erasure.Traces) usersync.Task {
				return usersync.Task{ID: usersync.NewID(usersync.PrefixTask), Organization: n.Organization.ID, Kind: "erase", Queue: "bulk", FairnessKey: n.Organization.ID, Args: []byte(`{}`)}
			})
			if err != nil {
				t.Fatal(err)
			}
		}
		if got := begin(t, n, c, known, strange, stays); len(got) != 1 || got[0] != stays {
			t.Errorf("calls begin for %v, want %s alone", got, stays)
		}
		err := n.Tx(t.Context(), func(tx *store.Tx) error { return platform.DropGone(t.Context(), tx, c.ID, []string{known, strange}) })
		if err != nil {
			t.Fatal(err)
		}
		due, err := platform.DuePushes(t.Context(), n.Org(n.Organization.ID), c.ID, 10)
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
func wanted(t *testing.T, n roomtest.Tenant, c platform.Connection, email string) string {
	t.Helper()
	a := n.Acceptance(email)
	n.Accept(t, n.Submission(a))
	err := n.Tx(t.Context(), func(tx *store.Tx) error {
		return platform.WantPushes(t.Context(), tx, n.Organization.ID, []platform.Want{{ConnectionID: c.ID, UserID: a.UserID, RequestID: a.RequestID,
			Mode: usersync.PushState, Version: 1, Rank: platform.RankOrdinary}})
	})
	if err != nil {
		t.Fatal(err)
	}
	return a.UserID
}

// begin begins calls that are over at once, should nobody tell how they ended.
func begin(t *testing.T, n roomtest.Tenant, c platform.Connection, users ...string) (begun []string) {
	t.Helper()
	err := n.Tx(t.Context(), func(tx *store.Tx) (err error) {
		begun, err = platform.BeginCalls(t.Context(), tx, c.ID, users, 0)
		return err
	})
	if err != nil {
		t.Fatal(err)
	}
	return begun
}
