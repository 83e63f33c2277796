package outbox_test

import (
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
		if again := enqueueClaimed(t, s, task); len(again) != 0 {
			t.Fatalf("the same task was claimed again: %+v", again)
		}
		if taken, err := outbox.TakeReady(t.Context(), s, "q", "", 10, 10); err != nil || len(taken) != 0 {
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

func TestAClaimedTaskDoesNotOvertakeItsFairnessKey(t *testing.T) {
	t.Parallel()
	storetest.Engines(t, func(t *testing.T, open func() *store.Store) {
		s := open()
		waiting, behind, beside := taskIn("a"), taskIn("a"), taskIn("b")
		if err := s.Tx(t.Context(), func(tx *store.Tx) error { return outbox.Enqueue(t.Context(), tx, waiting) }); err != nil {
			t.Fatal(err)
		}
		if queues := s.Ready().Take(); len(queues) != 1 || queues[0] != "q" {
			t.Errorf("the commit of a task says that %q have something to send", queues)
		}
		claims := enqueueClaimed(t, s, behind, beside)
		if len(claims) != 1 || claims[0].TaskID != beside.ID {
			t.Fatalf("claimed %+v, want only the one whose key has no other", claims)
		}
		if queues := s.Ready().Take(); len(queues) != 1 || queues[0] != "q" {
			t.Errorf("the commit of a task that stands behind another says that %q have something to send", queues)
		}
		taken, err := outbox.TakeReady(t.Context(), s, "q", "", 10, 10)
		if err != nil || len(taken) != 2 {
			t.Fatalf("the relay took %+v, %v", taken, err)
		}
	})
}
