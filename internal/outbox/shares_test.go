package outbox_test

import (
	"database/sql"
	"fmt"
	"math/rand/v2"
	"testing"

	"usersync/internal/outbox"
	"usersync/internal/roomtest"
	"usersync/internal/store"
	"usersync/internal/usersync"
)

// enqueue writes n tasks of an organization, each under a fairness key of its own.
func enqueue(t *testing.T, s *store.Store, organization string, n int) {
	t.Helper()
	var tasks []usersync.Task
	for i := range n {
		tasks = append(tasks, usersync.Task{
			ID: usersync.NewID(usersync.PrefixTask), Organization: organization, Kind: "k", Queue: "q",
			FairnessKey: fmt.Sprintf("%s/%04d", organization, i), Args: []byte(`{}`),
		})
	}
	if err := s.Tx(t.Context(), func(tx *store.Tx) error { return outbox.Enqueue(t.Context(), tx, tasks...) }); err != nil {
		t.Fatal(err)
	}
}

// take takes what may go out and counts it by organization.
func take(t *testing.T, s *store.Store, after string, slots, limit int) map[string]int {
	t.Helper()
	taken, err := outbox.TakeReady(t.Context(), s, "q", after, outbox.Shares{Slots: slots, Key: 2}, limit)
	if err != nil {
		t.Fatal(err)
	}
	count := map[string]int{}
	for _, e := range taken {
		count[e.Organization]++
	}
	return count
}

func TestAnOrganizationWithManyKeysTakesHalfOfTheSlotsThatAreFree(t *testing.T) {
	t.Parallel()
	roomtest.Engines(t, func(t *testing.T, s *store.Store, _ *sql.DB) {
		enqueue(t, s, "org_a", 2000)
		for i, want := range []int{16, 0} {
			if got := take(t, s, "", 32, 100); got["org_a"] != want {
				t.Fatalf("take %d gave %d of 32 slots, want %d", i, got["org_a"], want)
			}
		}
		enqueue(t, s, "org_b", 2000)
		if got := take(t, s, "", 32, 100); got["org_a"] != 0 || got["org_b"] != 8 {
			t.Fatalf("beside 16 of another, %v were taken, want 8", got)
		}
		enqueue(t, s, "org_c", 1)
		if got := take(t, s, "org_a", 32, 100); got["org_c"] != 1 {
			t.Fatalf("behind two that have much to do, %v were taken, want the one", got)
		}
	})
}

// Whatever is ready and in flight, an organization with nothing in flight gets a slot,
// and none gets more than leaves a slot for another, as long as one is free.
func TestSlotsAreSharedWhateverIsReady(t *testing.T) {
	t.Parallel()
	roomtest.Engines(t, func(t *testing.T, s *store.Store, db *sql.DB) {
		const slots, organizations = 12, 5
		held := map[string]int{}
		for range 12 {
			ready := map[string]bool{}
			for i := range organizations {
				if rand.IntN(3) > 0 {
					name := fmt.Sprintf("org_%d", i)
					enqueue(t, s, name, 1+rand.IntN(40))
					ready[name] = true
				}
			}
			free := slots
			for _, h := range held {
				free -= h
			}
			got := take(t, s, "", slots, 1000)
			for name := range ready {
				if held[name]+got[name] == 0 {
					t.Errorf("%s has work and nothing in flight; held %v, taken %v", name, held, got)
				}
			}
			for name, k := range got {
				if most := max((free-held[name]+1)/2, 1-held[name]); k > most {
					t.Errorf("%s was given %d with %d free beside the %d it held, want %d at most", name, k, free, held[name], most)
				}
				held[name] += k
			}
			done := fmt.Sprintf("org_%d", rand.IntN(organizations))
			roomtest.Execute(t, db, `DELETE FROM outbox WHERE state = 'sent' AND organization_id = $1`, done)
			held[done] = 0
		}
	})
}

func TestNoKeyOfAnOrganizationWaitsForThoseBeforeIt(t *testing.T) {
	t.Parallel()
	roomtest.Engines(t, func(t *testing.T, s *store.Store, db *sql.DB) {
		const keys = 60
		enqueue(t, s, "org_a", keys)
		for range 100 {
			taken, err := outbox.TakeReady(t.Context(), s, "q", "", outbox.Shares{Slots: 8, Key: 2}, 100)
			if err != nil {
				t.Fatal(err)
			}
			for _, e := range taken {
				if e.FairnessKey > fmt.Sprintf("org_a/%04d", keys/2) {
					return
				}
			}
			roomtest.Execute(t, db, `UPDATE outbox SET state = 'ready'`)
		}
		t.Error("of 60 keys, none of the later 30 had a task taken in 100 turns")
	})
}
