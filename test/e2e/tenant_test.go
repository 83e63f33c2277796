//go:build unix

package e2e

import (
	"bytes"
	"encoding/json"
	"fmt"
	"io"
	"maps"
	"net/http"
	"net/url"
	"slices"
	"strings"
	"testing"
	"time"

	"usersync/internal/store"
	"usersync/internal/usersync"
)

// tenant is an organization under test: what it sent, what it received, and
// what the service holds of it.
type tenant struct {
	*clients
	*receiver
	organization string
	endpoint     string
	env          []string // for the command line
	store        *store.Store
}

// callWithin bounds the calls that show what became of everything.
const callWithin = 2 * time.Minute

// call makes one call with the organization's key at the first API process.
func (n *tenant) call(t *testing.T, method, path string, body, out any) {
	t.Helper()
	encoded, err := json.Marshal(body)
	must(t, err)
	request, err := http.NewRequestWithContext(t.Context(), method, n.bases[0]+path, bytes.NewReader(encoded))
	must(t, err)
	request.Header.Set("X-API-Key", n.key)
	request.Header.Set("Content-Type", "application/json")
	response, err := (&http.Client{Transport: n.http.Transport, Timeout: callWithin}).Do(request)
	must(t, err)
	defer func() { _ = response.Body.Close() }()
	text, err := io.ReadAll(response.Body)
	must(t, err)
	if response.StatusCode >= 300 {
		t.Fatalf("%s %s: %s %s", method, path, response.Status, text)
	}
	must(t, json.Unmarshal(text, out))
}

// subscribe makes the endpoint of the receiver.
func (n *tenant) subscribe(t *testing.T) {
	t.Helper()
	var made struct {
		ID     string `json:"id"`
		Secret string `json:"secret"`
	}
	n.call(t, http.MethodPost, "/v1/webhook-endpoints", map[string]any{"url": n.url, "eventTypes": []string{"*"}}, &made)
	n.endpoint = made.ID
	n.signed(usersync.NewSecret(made.Secret))
}

// topUp adds credits by the command line.
func (n *tenant) topUp(t *testing.T, amount int) {
	t.Helper()
	var entry usersync.Entry
	command(t, n.env, &entry, "credits", "add", n.organization, fmt.Sprint(amount), "--reference", "e2e")
}

// open opens the database beside the service, to look at what no call shows.
func (n *tenant) open(t *testing.T, o store.Options) {
	t.Helper()
	s, err := store.Open(t.Context(), o)
	must(t, err)
	t.Cleanup(func() { _ = s.Close() })
	n.store = s
}

// reports lists all requests of the organization, page by page.
func (n *tenant) reports(t *testing.T) map[string]usersync.Report {
	t.Helper()
	out := map[string]usersync.Report{}
	for cursor := ""; ; {
		var page struct {
			Items      []usersync.Report `json:"items"`
			NextCursor string            `json:"nextCursor"`
		}
		n.call(t, http.MethodGet, "/v1/requests?limit=500&cursor="+url.QueryEscape(cursor), nil, &page)
		for _, r := range page.Items {
			out[r.RequestID] = r
		}
		if cursor = page.NextCursor; cursor == "" {
			return out
		}
	}
}

// drained waits until nothing is left to do.
func (n *tenant) drained(t *testing.T, within time.Duration) {
	t.Helper()
	var state store.OutboxState
	await(t, within, "the outbox is empty", func() bool {
		var err error
		state, err = n.store.OutboxState(t.Context())
		return err == nil && state.Ready+state.Sent+state.Scheduled+state.Parked == 0
	}, func() string {
		return fmt.Sprintf("outbox: %d ready, %d sent, %d scheduled, %d parked, the oldest %s old\n%s",
			state.Ready, state.Sent, state.Scheduled, state.Parked, time.Since(state.OldestUnfinished).Round(time.Second), n.describe(t))
	})
}

// describe says how far all requests have come.
func (n *tenant) describe(t *testing.T) string {
	statuses, deliveries := map[string]int{}, map[string]int{}
	for _, r := range n.reports(t) {
		statuses[string(r.Status)]++
		for _, w := range r.Webhooks {
			deliveries[fmt.Sprintf("%s after %d attempts", w.Status, w.Attempts)]++
		}
	}
	return fmt.Sprintf("requests: %d accepted; %s\ndeliveries: %s\nends received: %d", n.count(), counts(statuses), counts(deliveries), n.done())
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
func (n *tenant) audit(t *testing.T) map[string]usersync.Report {
	t.Helper()
	reports, accepted := n.reports(t), n.all()
	f := &faults{}
	for id, a := range accepted {
		r, known := reports[id]
		switch {
		case !known:
			f.add("accepted request is gone", "%s of %s", id, emailOf(a.user))
		case r.Email != emailOf(a.user):
			f.add("request is of another user", "%s is of %s, sent for %s", id, r.Email, emailOf(a.user))
		}
	}
	stray := len(reports) - len(accepted)
	if stray > n.lost {
		f.add("request that nobody sent", "%d more than accepted, but only %d users' answers were lost", stray, n.lost)
	}
	charged := n.auditRequests(f, reports)
	n.auditLedger(t, f, reports)
	n.auditCompanies(f, reports)
	f.report(t)
	n.clients.faults.report(t)
	n.receiver.faults.report(t)
	t.Logf("requests: %d accepted, %d more whose answer was lost (of %d such users); %d charged", len(accepted), stray, n.lost, charged)
	t.Logf("webhooks: %d messages, %d times received", len(n.got), n.total)
	return reports
}

// auditRequests checks each request's end, charge and webhooks.
func (n *tenant) auditRequests(f *faults, reports map[string]usersync.Report) (charged int) {
	n.receiver.mu.Lock()
	defer n.receiver.mu.Unlock()
	for id, r := range reports {
		if !r.Status.Final() {
			f.add("request has no end", "%s is %s", id, r.Status)
			continue
		}
		if r.Status != usersync.RequestSucceeded {
			f.add("request did not succeed", "%s is %s: %+v", id, r.Status, r.Steps)
			continue
		}
		charged += int(r.Credits.Charged)
		if want := billable(r); r.Credits.Charged != want {
			f.add("charge does not fit the colleagues found", "%s: %d, want %d", id, r.Credits.Charged, want)
		}
		n.auditWebhooks(f, r)
	}
	return charged
}

// billable is the rule of the contract: more than one colleague costs a credit.
func billable(r usersync.Report) int64 {
	if r.Colleagues != nil && r.Colleagues.Found > 1 {
		return 1
	}
	return 0
}

// auditWebhooks checks that each message of a request came, under one id, and
// that the service knows it.
func (n *tenant) auditWebhooks(f *faults, r usersync.Report) {
	want := []usersync.MessageType{usersync.MessageCompleted}
	if r.Colleagues != nil && r.Colleagues.Found > 0 {
		want = append(want, usersync.MessageColleaguesFound)
	}
	delivered := map[usersync.MessageType]string{}
	for _, w := range r.Webhooks {
		if w.EndpointID != n.endpoint {
			continue
		}
		delivered[w.Type] = w.ID
		if w.Status != usersync.DeliveryDelivered {
			f.add("delivery has not arrived", "%s of %s is %s after %d attempts", w.Type, r.RequestID, w.Status, w.Attempts)
		}
	}
	for _, kind := range want {
		h := n.got[hookKey{r.RequestID, kind}]
		switch {
		case h == nil:
			f.add("webhook never came", "%s of %s", kind, r.RequestID)
		case len(h.ids) != 1 || h.ids[delivered[kind]] == 0:
			f.add("webhook came under another id", "%s of %s: %v, want %s", kind, r.RequestID, h.ids, delivered[kind])
		case h.report.Credits.Charged != r.Credits.Charged || h.report.Status != r.Status:
			f.add("webhook tells another end", "%s of %s: %s and %d credits, want %s and %d",
				kind, r.RequestID, h.report.Status, h.report.Credits.Charged, r.Status, r.Credits.Charged)
		}
	}
	if len(delivered) != len(want) {
		f.add("wrong number of messages", "%s: %v, want %v", r.RequestID, delivered, want)
	}
}

// auditLedger checks that exactly the charged requests have a line, one, and
// that the balance is the sum of all lines.
func (n *tenant) auditLedger(t *testing.T, f *faults, reports map[string]usersync.Report) {
	t.Helper()
	var sum int64
	lines := map[string]int64{}
	for before := ""; ; {
		page, err := n.store.Org(n.organization).Ledger(t.Context(), before, 500)
		must(t, err)
		for _, e := range page {
			sum += e.Amount
			if e.Kind == usersync.EntryCharge {
				lines[e.RequestID] -= e.Amount
			}
		}
		if len(page) == 0 {
			break
		}
		before = page[len(page)-1].ID
	}
	for id, r := range reports {
		if lines[id] != r.Credits.Charged {
			f.add("ledger does not fit the request", "%s: %d in the ledger, %d charged", id, lines[id], r.Credits.Charged)
		}
		delete(lines, id)
	}
	if len(lines) > 0 {
		f.add("charge for no request", "%v", lines)
	}
	var proof store.Verification
	command(t, n.env, &proof, "credits", "verify", n.organization)
	if !proof.OK || proof.Balance != sum {
		f.add("balance is not the sum of the ledger", "%+v, sum of the lines read %d", proof, sum)
	}
}

// auditCompanies checks that the search saw what was accepted: of a company
// whose users were all accepted, at least the last one found the others.
func (n *tenant) auditCompanies(f *faults, reports map[string]usersync.Report) {
	known, charged := map[int]int{}, map[int]int{}
	for id, a := range n.all() {
		known[companyOf(a.user)]++
		charged[companyOf(a.user)] += int(reports[id].Credits.Charged)
	}
	for company, users := range known {
		if users == sizeOf(company) && charged[company] == 0 {
			f.add("colleagues were not found", "none of the %d users of company %d", users, company)
		}
	}
}
