package outbox_test

import (
	"errors"
	"fmt"
	"sync"
	"testing"
	"time"

	"usersync/internal/outbox"
	"usersync/internal/roomtest"
	"usersync/internal/store"
	"usersync/internal/store/storetest"
	"usersync/internal/usersync"
)

// roomFor is what the arguments of n tasks of plan need.
func roomFor(n int) int { return n * len(`{}`) }

// sendFirst puts the oldest task of a fairness key on the queue and leaves the others.
func sendFirst(t *testing.T, s *store.Store) outbox.Envelope {
	t.Helper()
	taken, err := outbox.TakeReady(t.Context(), s, "q", "", outbox.Shares{Slots: 1000, Key: 100}, 1)
	if err != nil || len(taken) != 1 {
		t.Fatal(taken, err)
	}
	return taken[0]
}

func acceptMany(t *testing.T, n roomtest.Tenant, prefix string, count int) {
	t.Helper()
	for i := range count {
		n.Accept(t, n.Submission(n.Acceptance(fmt.Sprintf("%s%d@acme.example", prefix, i))))
	}
}

// claimTogether claims as many tasks of one fairness key, the first of which takes
// the others with it.
func claimTogether(t *testing.T, n roomtest.Tenant, tasks int) usersync.Claim {
	t.Helper()
	acceptMany(t, n, "a", tasks)
	first := sendFirst(t, n.Store)
	c, _, err := outbox.ClaimCoalesced(t.Context(), n.Store, first.ID, first.Generation, roomFor(tasks-1))
	if err != nil || len(c.Coalesced) != tasks-1 {
		t.Fatal(c, err)
	}
	return c
}

func TestClaimCoalescedTakesWaitingTasksOfTheFairnessKeyThatFit(t *testing.T) {
	t.Parallel()
	storetest.Engines(t, func(t *testing.T, open func() *store.Store) {
		s := open()
		n := roomtest.New(t, s, 1)
		acceptMany(t, n, "a", 5)
		first := sendFirst(t, s)
		acceptMany(t, roomtest.New(t, s, 1), "b", 2)
		c, ok, err := outbox.ClaimCoalesced(t.Context(), s, first.ID, first.Generation, roomFor(3))
		if err != nil || !ok || c.TaskID != first.ID || len(c.Coalesced) != 3 {
			t.Fatalf("%+v %v %v, want the task and three coalesced", c, ok, err)
		}
		for _, one := range c.All() {
			if one.FairnessKey != n.FairnessKey || one.Token != c.Token || string(one.Args) != `{}` || one.StartedAt.IsZero() {
				t.Errorf("coalesced %+v", one)
			}
		}
		if _, ok, err := outbox.ClaimCoalesced(t.Context(), s, first.ID, first.Generation, roomFor(3)); ok || err != nil {
			t.Fatalf("a second claim: %v %v", ok, err)
		}
		if err := outbox.Renew(t.Context(), s, c); err != nil {
			t.Fatal(err)
		}
		if err := s.Tx(t.Context(), func(tx *store.Tx) error { return outbox.Finish(t.Context(), tx, c) }); err != nil {
			t.Fatal(err)
		}
		if state, err := outbox.Count(t.Context(), s); err != nil || state.Ready != 3 || state.Sent != 0 {
			t.Fatalf("%+v %v, want one of the key and two of another left", state, err)
		}
	})
}

func TestAClaimOfWhichOneTaskIsLostEndsNone(t *testing.T) {
	t.Parallel()
	roomtest.Each(t, 1, func(t *testing.T, n roomtest.Tenant) {
		c := claimTogether(t, n, 3)
		if err := outbox.Postpone(t.Context(), n.Store, c.Coalesced[1], outbox.In(time.Hour), false); err != nil {
			t.Fatal(err)
		}
		err := n.Tx(t.Context(), func(tx *store.Tx) error { return outbox.Finish(t.Context(), tx, c) })
		if !errors.Is(err, outbox.ErrClaimLost) {
			t.Fatalf("finished without holding all: %v", err)
		}
		if err := outbox.Renew(t.Context(), n.Store, c); !errors.Is(err, outbox.ErrClaimLost) {
			t.Fatalf("renewed without holding all: %v", err)
		}
		if err := outbox.Release(t.Context(), n.Store, c, outbox.When{}, false); err != nil {
			t.Fatal(err)
		}
		if state, err := outbox.Count(t.Context(), n.Store); err != nil || state.Ready != 2 || state.Scheduled != 1 {
			t.Fatalf("%+v %v, want the two that were held back and the third as it was", state, err)
		}
	})
}

func TestWhatFailedTogetherRunsAlone(t *testing.T) {
	t.Parallel()
	roomtest.Each(t, 1, func(t *testing.T, n roomtest.Tenant) {
		c := claimTogether(t, n, 2)
		if err := outbox.Release(t.Context(), n.Store, c, outbox.When{}, true); err != nil {
			t.Fatal(err)
		}
		acceptMany(t, n, "b", 2)
		first := sendFirst(t, n.Store)
		again, ok, err := outbox.ClaimCoalesced(t.Context(), n.Store, first.ID, first.Generation, roomFor(10))
		if err != nil || !ok || again.Failures != 1 || len(again.Coalesced) != 0 {
			t.Fatalf("what failed was coalesced with others: %+v %v %v", again, ok, err)
		}
		taken, err := outbox.TakeReady(t.Context(), n.Store, "q", "", outbox.Shares{Slots: 1000, Key: 100}, 100)
		if err != nil || len(taken) != 3 {
			t.Fatal(taken, err)
		}
		for _, e := range taken { // all but the last of the fresh ones are on the queue
			if e.ID == c.Coalesced[0].TaskID || e.ID == c.TaskID {
				continue
			}
			if err := outbox.Unsend(t.Context(), n.Store, []outbox.Envelope{e}); err != nil {
				t.Fatal(err)
			}
		}
		fresh := sendFirst(t, n.Store)
		last, ok, err := outbox.ClaimCoalesced(t.Context(), n.Store, fresh.ID, fresh.Generation, roomFor(10))
		if err != nil || !ok || len(last.Coalesced) != 1 || last.Coalesced[0].Failures != 0 {
			t.Fatalf("%+v %v %v, want the other fresh one alone coalesced", last, ok, err)
		}
	})
}

func TestClaimCoalescedNeverGivesATaskTwice(t *testing.T) {
	t.Parallel()
	roomtest.Each(t, 1, func(t *testing.T, n roomtest.Tenant) {
		const tasks = 60
		acceptMany(t, n, "a", tasks)
		var mu sync.Mutex
		seen := map[string]int{}
		var wg sync.WaitGroup
		for range 4 {
			wg.Go(func() {
				for claimSome(t, n, func(c usersync.Claim) {
					mu.Lock()
					defer mu.Unlock()
					for _, id := range c.TaskIDs() {
						seen[id]++
					}
				}) {
				}
			})
		}
		wg.Wait()
		for id, times := range seen {
			if times != 1 {
				t.Errorf("%s was claimed %d times", id, times)
			}
		}
		if len(seen) != tasks {
			t.Errorf("%d tasks were claimed, want %d", len(seen), tasks)
		}
	})
}

// claimSome claims what a pass of the relay gives; false when there was nothing.
func claimSome(t *testing.T, n roomtest.Tenant, note func(usersync.Claim)) bool {
	taken, err := outbox.TakeReady(t.Context(), n.Store, "q", "", outbox.Shares{Slots: 1000, Key: 1000}, 2)
	if err != nil {
		t.Error(err)
	}
	for _, e := range taken {
		c, ok, err := outbox.ClaimCoalesced(t.Context(), n.Store, e.ID, e.Generation, roomFor(3))
		if err != nil || !ok {
			t.Errorf("a task that was sent cannot be claimed: %v %v", ok, err)
			continue
		}
		note(c)
	}
	return len(taken) > 0
}
