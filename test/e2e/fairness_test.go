//go:build unix

package e2e

import (
	"fmt"
	"net/http"
	"slices"
	"testing"
	"time"

	"usersync/test/system"
)

const (
	backlog      = 5000
	backlogBatch = 1000
	// putOff is how many requests of a large organization may end while one of a
	// small organization is under way: what is in flight of one fairness key, a few
	// tasks of up to 128 requests, twice over. One queue for all would end the whole
	// backlog first.
	putOff = backlog / 3
)

// The full measure is `make bench-fairness`. This counts requests, not time, so
// that it holds on any machine.
func TestASmallOrganizationDoesNotWaitForTheBacklogOfALargeOne(t *testing.T) {
	t.Parallel()
	d := system.Deploy(t, system.Straight, "WORKER_CONCURRENCY=4")
	large, small := d.Tenant(t, "Large", 2*backlog), d.Tenant(t, "Small", 100)
	for _, w := range d.Workers {
		w.Stop(t)
	}
	for from := 0; from < backlog; from += backlogBatch {
		send(t, large, from, backlogBatch)
	}
	for _, w := range d.Workers {
		w.Start(t)
	}
	system.Await(t, time.Minute, "the large organization is being served", func() bool { return large.Done() > 0 }, nil)
	for i := range 5 {
		before := large.Done()
		send(t, small, i, 1)
		system.Await(t, time.Minute, "the small organization's request ends", func() bool { return small.Done() > i }, func() string {
			return fmt.Sprintf("%d of %d of the large organization have ended", large.Done(), backlog)
		})
		// The moment it ended, not the moment this was noticed.
		at := slices.MaxFunc(values(small.Endings()), time.Time.Compare)
		after := 0
		for _, end := range large.Endings() {
			if end.Before(at) {
				after++
			}
		}
		t.Logf("request %d: %d of the large organization ended meanwhile", i, after-before)
		if after == backlog {
			t.Fatalf("request %d ended only when the whole backlog had", i)
		}
		if after-before > putOff {
			t.Errorf("request %d: %d of the large organization ended meanwhile, want at most %d", i, after-before, putOff)
		}
	}
}

// send sends n new users in one call.
func send(t *testing.T, n *system.Tenant, from, count int) {
	t.Helper()
	users := make([]system.User, count)
	for i := range users {
		users[i] = system.User{Email: fmt.Sprintf("u%d@company%d.example", from+i, (from+i)/3), Country: "US", FirstName: "John",
			LastName: "Doe", Name: "John Doe", JobTitle: "Software Engineer", InviteLink: "https://app.example.com/join"}
	}
	var answer struct {
		Results []system.Result `json:"results"`
	}
	n.Call(t, http.MethodPost, "/v1/user-sync/batch", map[string]any{"users": users}, &answer)
	if len(answer.Results) != count || answer.Results[0].RequestID == "" {
		t.Fatalf("of %d users sent, %d were answered for", count, len(answer.Results))
	}
}

func values[K comparable, V any](m map[K]V) []V {
	var all []V
	for _, v := range m {
		all = append(all, v)
	}
	return all
}
