package store_test

import (
	"encoding/json"
	"testing"
	"time"

	"usersync/internal/store"
	"usersync/internal/store/storetest"
	"usersync/internal/usersync"
)

func TestParkedTasksGoOnOnlyWhereThereAreCredits(t *testing.T) {
	t.Parallel()
	storetest.Engines(t, func(t *testing.T, open func() *store.Store) {
		s := open()
		want := map[string]int{}
		for _, credits := range []int64{0, 1, 5, 0} {
			n := newTenant(t, s, credits)
			want[n.org.ID] = int(min(credits, 3))
			err := s.Tx(t.Context(), func(tx *store.Tx) error {
				var tasks []usersync.Task
				for range 3 {
					tasks = append(tasks, usersync.Task{ID: usersync.NewID(usersync.PrefixTask), Organization: n.org.ID, Kind: "k", Queue: "q", Lane: n.org.ID,
						Args: json.RawMessage("{}"), DueAt: time.Now().Add(time.Hour)})
				}
				return tx.Park(t.Context(), tasks...)
			})
			if err != nil {
				t.Fatal(err)
			}
		}
		if err := s.ResumePayable(t.Context(), 100); err != nil {
			t.Fatal(err)
		}
		taken, err := s.TakeReady(t.Context(), "q", "", 10, 100)
		if err != nil {
			t.Fatal(err)
		}
		got := map[string]int{}
		for _, e := range taken {
			got[e.Lane]++
		}
		for id, n := range want {
			if got[id] != n {
				t.Errorf("%d tasks of %s go on, want %d", got[id], id, n)
			}
		}
	})
}
