package credit_test

import (
	"encoding/json"
	"testing"
	"time"

	"usersync/internal/credit"
	"usersync/internal/outbox"
	"usersync/internal/roomtest"
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
			n := roomtest.New(t, s, credits)
			want[n.Organization.ID] = int(min(credits, 3))
			err := s.Tx(t.Context(), func(tx *store.Tx) error {
				var tasks []usersync.Task
				for range 3 {
					tasks = append(tasks, usersync.Task{ID: usersync.NewID(usersync.PrefixTask), Organization: n.Organization.ID, Kind: "k", Queue: "q", FairnessKey: n.Organization.ID,
						Args: json.RawMessage("{}"), DueAt: time.Now().Add(time.Hour)})
				}
				return outbox.Park(t.Context(), tx, tasks...)
			})
			if err != nil {
				t.Fatal(err)
			}
		}
		if err := credit.ResumePayable(t.Context(), s, 100); err != nil {
			t.Fatal(err)
		}
		taken, err := outbox.TakeReady(t.Context(), s, "q", "", outbox.Shares{Slots: 1000, Key: 10}, 100)
		if err != nil {
			t.Fatal(err)
		}
		got := map[string]int{}
		for _, e := range taken {
			got[e.FairnessKey]++
		}
		for id, n := range want {
			if got[id] != n {
				t.Errorf("%d tasks of %s go on, want %d", got[id], id, n)
			}
		}
	})
}
