//go:build unix

package e2e

import (
	"fmt"
	"maps"
	"slices"
	"strings"
	"testing"
	"time"

	"usersync/internal/outbox"
	"usersync/internal/request"
	"usersync/internal/store"
	"usersync/test/system"
)

// customer is an organization under test: what it sent, what it received, and
// what the service holds of it.
type customer struct {
	*clients
	*system.Tenant
	store *store.Store
}

// open opens the database beside the service, to look at what no call shows.
func (n *customer) open(t *testing.T, o store.Options) {
	t.Helper()
	s, err := store.Open(t.Context(), o)
	system.Must(t, err)
	t.Cleanup(func() { _ = s.Close() })
	n.store = s
}

// drained waits until nothing is left to do.
func (n *customer) drained(t *testing.T, within time.Duration) {
	t.Helper()
	var state outbox.State
	system.Await(t, within, "the outbox is empty", func() bool {
		var err error
		state, err = outbox.Count(t.Context(), n.store)
		return err == nil && state.Ready+state.Sent+state.Scheduled+state.Parked == 0
	}, func() string {
		return fmt.Sprintf("outbox: %d ready, %d sent, %d scheduled, %d parked, the oldest %s old\n%s",
			state.Ready, state.Sent, state.Scheduled, state.Parked, time.Since(state.OldestUnfinished).Round(time.Second), n.describe(t))
	})
}

// ended waits until every request has its end. What waits for a platform's
// answer stands in no queue meanwhile.
func (n *customer) ended(t *testing.T, within time.Duration) {
	t.Helper()
	system.Await(t, within, "every request has its end", func() bool {
		for _, r := range n.Reports(t) {
			if !r.Status.Final() {
				return false
			}
		}
		return true
	}, func() string { return n.describe(t) })
}

// describe says how far all requests have come.
func (n *customer) describe(t *testing.T) string {
	statuses, deliveries := map[string]int{}, map[string]int{}
	for _, r := range n.Reports(t) {
		statuses[string(r.Status)]++
		for _, w := range r.Webhooks {
			deliveries[fmt.Sprintf("%s after %d attempts", w.Status, w.Attempts)]++
		}
	}
	return fmt.Sprintf("requests: %d accepted; %s\ndeliveries: %s\nends received: %d", n.count(), counts(statuses), counts(deliveries), n.Done())
}

func counts(by map[string]int) string {
	var parts []string
	for _, name := range slices.Sorted(maps.Keys(by)) {
		parts = append(parts, fmt.Sprintf("%d %s", by[name], name))
	}
	return strings.Join(parts, ", ")
}

// audit checks everything that must hold once nothing is left to do, and
// returns the requests.
func (n *customer) audit(t *testing.T) map[string]request.View {
	t.Helper()
	reports, accepted := n.Reports(t), n.all()
	f := &system.Faults{}
	for id, a := range accepted {
		r, known := reports[id]
		switch {
		case !known:
			f.Add("accepted request is gone", "%s of %s", id, emailOf(a.user))
		case r.Email != emailOf(a.user):
			f.Add("request is of another user", "%s is of %s, sent for %s", id, r.Email, emailOf(a.user))
		}
	}
	stray := len(reports) - len(accepted)
	if stray > n.lost {
		f.Add("request that nobody sent", "%d more than accepted, but only %d users' answers were lost", stray, n.lost)
	}
	charged := n.auditRequests(f, reports)
	n.AuditLedger(t, f, reports)
	n.auditCompanies(f, reports)
	f.Report(t)
	n.faults.Report(t)
	n.Faults.Report(t)
	t.Logf("requests: %d accepted, %d more whose answer was lost (of %d such users); %d charged", len(accepted), stray, n.lost, charged)
	messages, calls := n.Received()
	t.Logf("webhooks: %d messages, %d times received", messages, calls)
	return reports
}

// auditRequests checks each request's end, charge and webhooks.
func (n *customer) auditRequests(f *system.Faults, reports map[string]request.View) (charged int) {
	for id, r := range reports {
		if !r.Status.Final() {
			f.Add("request has no end", "%s is %s", id, r.Status)
			continue
		}
		if r.Status != request.Succeeded {
			f.Add("request did not succeed", "%s is %s: %+v", id, r.Status, r.Steps)
			continue
		}
		charged += int(r.Credits.Charged)
		system.AuditCharge(f, r)
		n.AuditWebhooks(f, r)
	}
	return charged
}

// auditCompanies checks that the search saw what was accepted: of a company
// whose users were all accepted, at least the last one found the others.
func (n *customer) auditCompanies(f *system.Faults, reports map[string]request.View) {
	known, charged := map[int]int{}, map[int]int{}
	for id, a := range n.all() {
		known[companyOf(a.user)]++
		charged[companyOf(a.user)] += int(reports[id].Credits.Charged)
	}
	for company, users := range known {
		if users == sizeOf(company) && charged[company] == 0 {
			f.Add("colleagues were not found", "none of the %d users of company %d", users, company)
		}
	}
}
