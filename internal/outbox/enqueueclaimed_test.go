package outbox_test

import (
	"errors"
	"testing"

	"usersync/internal/outbox"
	"usersync/internal/store"
	"usersync/internal/store/storetest"
	"usersync/internal/usersync"
)

func taskIn(fairnessKey string) usersync.Task {
	return usersync.Task{ID: usersync.NewID(usersync.PrefixTask), Organization: "org_a", Kind: "k", Queue: "q", FairnessKey: fairnessKey, Args: []byte(`{}`)}
}

func enqueueClaimed(t *testing.T, s *store.Store, tasks ...usersync.Task) (claims []usersync.Claim) {
	t.Helper()
	err := s.Tx(t.Context(), func(tx *store.Tx) (err error) {
		claims, err = outbox.EnqueueClaimed(t.Context(), tx, tasks...)
		return err
	})
	if err != nil {
		t.Fatal(err)
	}
	return claims
}

func TestATaskIsClaimedAsItIsWritten(t *testing.T) {
	t.Parallel()
	storetest.Engines(t, func(t *testing.T, open func() *store.Store) {
		s := open()
		task := taskIn("a")
		claims := enqueueClaimed(t, s, task)
		if len(claims) != 1 || claims[0].TaskID != task.ID || claims[0].FairnessKey != "a" || claims[0].Organization != "org_a" || claims[0].StartedAt.IsZero() {
			t.Fatalf("%+v", claims)
		}
		again := enqueueClaimed(t, s, task)
		if err := s.Tx(t.Context(), func(tx *store.Tx) error { return outbox.Finish(t.Context(), tx, again[0]) }); !errors.Is(err, outbox.ErrClaimLost) {
			t.Fatalf("a second claim on the same task holds: %v", err)
		}
		if taken, err := outbox.TakeReady(t.Context(), s, "q", "", outbox.Shares{Slots: 1000, Key: 10}, 10); err != nil || len(taken) != 0 {
			t.Fatalf("the relay took %+v, %v", taken, err)
		}
		if n, err := outbox.UnsendAll(t.Context(), s, false); err != nil || n != 0 {
			t.Fatalf("a living claim was undone: %d %v", n, err)
		}
		if err := s.Tx(t.Context(), func(tx *store.Tx) error { return outbox.Finish(t.Context(), tx, claims[0]) }); err != nil {
			t.Fatal(err)
		}
	})
}
