package app_test

import (
	"context"
	"fmt"
	"sync"
	"testing"

	"usersync/internal/app"
	"usersync/internal/app/apptest"
	"usersync/internal/credit"
	"usersync/internal/delivery"
	"usersync/internal/request"
	"usersync/internal/webhooksig"
)

// TestThousandRequestsOnThreeCreditsChargeExactlyThree accepts them all while
// there are credits and nobody works, then has several workers settle at once.
func TestThousandRequestsOnThreeCreditsChargeExactlyThree(t *testing.T) {
	t.Parallel()
	apptest.Each(t, func(t *testing.T, e *apptest.Environment) {
		edge := e.Start(t, app.API)
		n := newTenant(t, edge, 3)
		n.people(t, "ann@acme.example.com", "bob@acme.example.com")
		owner := apptest.NewReceiver(t)
		n.subscribe(t, owner, delivery.MessageCreditsExhausted)
		ids := n.submitAtOnce(t, 1000)
		edge.Stop(t)

		n.app = e.Start(t, app.All)
		if e.Engine == "deployed" {
			e.Start(t, app.Worker)
			e.Start(t, app.Worker)
		}
		n.eventually(t, ids, map[request.Status]int{request.Succeeded: 3, request.AwaitingCredits: 997})
		n.topUp(t, 2, "second")
		n.eventually(t, ids, map[request.Status]int{request.Succeeded: 5, request.AwaitingCredits: 995})
		apptest.Eventually(t, "the owner is told of both run-outs", func() bool { return len(owner.Got()) == 2 })
		n.verify(t, 0)

		n.topUp(t, 20, "third")
		n.topUp(t, 20, "third")
		n.eventually(t, ids, map[request.Status]int{request.Succeeded: 25, request.AwaitingCredits: 975})
		n.verify(t, 0)
		apptest.Eventually(t, "the owner is told of the third run-out, and no more", func() bool { return len(owner.Got()) >= 3 })
		if got := len(owner.Got()); got != 3 {
			t.Errorf("the owner was told %d times, want once for each of 3 run-outs", got)
		}
	})
}

// submitAtOnce hands in n users, each by a call of its own.
func (n customer) submitAtOnce(t *testing.T, count int) []string {
	t.Helper()
	var wg sync.WaitGroup
	ids := make([]string, count)
	for i := range ids {
		wg.Go(func() {
			var err error
			if ids[i], err = n.submit(context.Background(), fmt.Sprintf("user%d@acme.example.com", i)); err != nil {
				t.Error(err)
			}
		})
	}
	wg.Wait()
	return ids
}

func (n customer) subscribe(t *testing.T, r *apptest.Receiver, types ...delivery.MessageType) {
	t.Helper()
	names := make([]string, len(types))
	for i, m := range types {
		names[i] = string(m)
	}
	_, err := delivery.CreateEndpoint(t.Context(), n.app.Store.Org(n.org.ID), "test", delivery.Endpoint{URL: r.URL, EventTypes: names}, webhooksig.NewSecret())
	must(t, err)
}

func (n customer) topUp(t *testing.T, amount int64, reference string) {
	t.Helper()
	_, err := credit.TopUp(t.Context(), n.app.Store, "test", n.org.ID, amount, reference)
	must(t, err)
	n.app.Relay.Wake()
}

func (n customer) eventually(t *testing.T, ids []string, want map[request.Status]int) {
	t.Helper()
	apptest.Eventually(t, fmt.Sprint(want), func() bool { return fmt.Sprint(n.statuses(t, ids)) == fmt.Sprint(want) })
}

// verify proves the ledger and compares the balance.
func (n customer) verify(t *testing.T, balance int64) {
	t.Helper()
	v, err := credit.Verify(t.Context(), n.app.Store.Org(n.org.ID))
	if err != nil || !v.OK || v.Balance != balance {
		t.Errorf("%+v %v, want a balance of %d", v, err, balance)
	}
}
