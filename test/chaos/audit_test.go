//go:build unix

package chaos

import (
	"bufio"
	"database/sql"
	"encoding/json"
	"fmt"
	"net/http"
	"strconv"
	"strings"
	"testing"
	"time"

	"usersync/internal/connector/fakeplatform"
	"usersync/internal/request"
	"usersync/internal/store"
	"usersync/internal/usersync"
	"usersync/internal/verify"
	"usersync/test/system"
)

// audit checks what must hold once nothing is left to do.
type audit struct {
	*world
	db *sql.DB
	system.Faults

	requests, charged, erased int
}

// number runs a query that returns one number.
func (a *audit) number(t *testing.T, query string, args ...any) int {
	t.Helper()
	n := 0
	system.Must(t, a.db.QueryRowContext(t.Context(), query, args...).Scan(&n))
	return n
}

// deadlocks returns how many the database has found since it was started.
func (a *audit) deadlocks(t *testing.T) int {
	t.Helper()
	return a.number(t, `SELECT deadlocks FROM pg_stat_database WHERE datname = current_database()`)
}

// store opens the database as the operator's command verify does.
func (a *audit) store(t *testing.T) *store.Store {
	t.Helper()
	s, err := store.Open(t.Context(), store.Options{URL: usersync.NewSecret(a.Postgres.URL()), MaxConns: 1, ReadOnly: true})
	system.Must(t, err)
	return s
}

// waiting counts what is left of the last fault of a part of the outside: it was
// tried and will be again soon, or it waits because the service leaves a platform
// alone that failed. A third attempt is minutes away and is not waited for. Neither is
// what the harmful tenant has fail all the time.
var waiting = map[string]string{
	"webhook":  `SELECT count(*) FROM deliveries WHERE organization_id <> $2 AND status = 'retrying' AND next_attempt_at < $1::bigint + 10000000`,
	"platform": `SELECT count(*) FROM pushes WHERE organization_id <> $2 AND status = 'pending' AND wanted_at < $1::bigint - 4000000 AND due_at BETWEEN 1 AND $1::bigint + 60000000`,
}

// hushed waits, before a fault of the outside, until nothing is left of the one
// before: that would be tried for the third time after minutes (see
// docs/webhooks.md), and a platform that is left alone meets no fault. When it
// takes too long the fault comes all the same.
func (a *audit) hushed(t *testing.T, p planned) {
	t.Helper()
	query, ok := waiting[outside(p.name)]
	if !ok {
		return
	}
	const patience = 30 * time.Second
	for until := time.Now().Add(patience); time.Now().Before(until); time.Sleep(100 * time.Millisecond) {
		if a.number(t, query, time.Now().UnixMicro(), a.harmful.organization) == 0 {
			return
		}
	}
	t.Logf("%s: something was left of the fault before for more than %s", p.name, patience)
}

// drained waits until nothing is left to do.
func (a *audit) drained(t *testing.T) {
	t.Helper()
	s := a.store(t)
	defer func() { _ = s.Close() }()
	count := func() (text []string) {
		left, err := verify.AllLeft(t.Context(), s)
		system.Must(t, err)
		for _, l := range left {
			if l.Count > 0 {
				text = append(text, fmt.Sprintf("%d %s", l.Count, l.Name))
			}
		}
		return text
	}
	system.Await(t, drainWithin, "all work is done", func() bool { return len(count()) == 0 }, func() string { return strings.Join(count(), "\n") })
}

// check checks the database and every tenant, and fails the test for each breach.
func (a *audit) check(t *testing.T) {
	t.Helper()
	s := a.store(t)
	defer func() { _ = s.Close() }()
	findings, err := verify.Run(t.Context(), s)
	system.Must(t, err)
	for _, f := range findings {
		for _, b := range f.Breaches {
			a.Add("not so: "+f.Name, "%s of %s", b.ID, b.Organization)
		}
	}
	for _, n := range a.tenants {
		n.AuditLedger(t, &a.Faults, a.acceptances(t, n))
		a.users(t, n)
		n.faults.Report(t)
		n.Faults.Report(t)
	}
	a.Report(t)
}

// acceptances checks that what was accepted is there, final, and nothing else,
// and returns it.
func (a *audit) acceptances(t *testing.T, n *tenant) map[string]request.View {
	t.Helper()
	reports := n.Reports(t)
	for id, sent := range n.accepted {
		if _, ok := reports[id]; !ok {
			a.Add("an accepted request is gone", "%s of %s", id, sent.email)
		}
	}
	if stray := len(reports) - len(n.accepted); stray > 0 {
		a.Add("requests that nobody sent", "%d of %s", stray, n.name)
	}
	for _, r := range reports {
		a.request(n, r)
	}
	return reports
}

// request checks one request's end, charge and webhooks.
func (a *audit) request(n *tenant, r request.View) {
	a.requests++
	if k := n.known[n.accepted[r.RequestID].email]; k != nil && k.erasure != "" {
		a.erased++
		if !r.Status.Final() {
			a.Add("a request of an erased user has no end", "%s is %s", r.RequestID, r.Status)
		}
		return
	}
	if r.Status != request.Succeeded {
		a.Add("a request did not succeed", "%s is %s: %+v", r.RequestID, r.Status, r.Steps)
		return
	}
	a.charged += int(r.Credits.Charged)
	system.AuditCharge(&a.Faults, r)
	n.AuditWebhooks(&a.Faults, r)
}

// users checks that every user has what was last accepted, and that the platform
// has the same; and that the erased are nowhere.
func (a *audit) users(t *testing.T, n *tenant) {
	t.Helper()
	stored := n.stored(t)
	for email, k := range n.known {
		got, ok := stored[email]
		delete(stored, email)
		var one fakeplatform.Person
		held := false
		if n.connection != "" {
			one, held = a.platform.fake.People().Get(email)
		}
		if k.erasure != "" {
			if ok || held {
				a.Add("an erased user is still there", "%s: stored %v, on the platform %v", email, ok, held)
			}
			continue
		}
		if got != k.jobTitle {
			a.Add("a user has not the newest state", "%s: %q, want %q", email, got, k.jobTitle)
		}
		if there := fmt.Sprint(one.Fields["jobTitle"]); n.connection != "" && there != k.jobTitle {
			a.Add("the platform has not the newest state", "%s: %q, want %q", email, there, k.jobTitle)
		}
	}
	for email := range stored {
		a.Add("a user that nobody sent", "%s", email)
	}
}

// stored returns the titles of all users by address.
func (n *tenant) stored(t *testing.T) map[string]string {
	t.Helper()
	users, err := system.List[system.User](t.Context(), n.Client, "/v1/users")
	system.Must(t, err)
	out := map[string]string{}
	for _, u := range users {
		out[u.Email] = u.JobTitle
	}
	return out
}

// recoveries returns, for each fault, how long after its end the last request was
// done, its webhooks included, that was accepted since the fault before.
func (a *audit) recoveries(t *testing.T, list []*outcome) []time.Duration {
	t.Helper()
	rows, err := a.db.QueryContext(t.Context(), `SELECT r.id, greatest(r.finished_at, d.last) FROM requests r
		LEFT JOIN (SELECT m.request_id, max(d.updated_at) AS last FROM deliveries d JOIN messages m ON m.id = d.message_id GROUP BY m.request_id) d ON d.request_id = r.id`)
	system.Must(t, err)
	defer func() { _ = rows.Close() }()
	done := map[string]time.Time{}
	for rows.Next() {
		var id string
		var at int64
		system.Must(t, rows.Scan(&id, &at))
		done[id] = time.UnixMicro(at)
	}
	system.Must(t, rows.Err())
	out := make([]time.Duration, len(list))
	var before time.Time
	for i, x := range list {
		for _, n := range a.tenants {
			if n.poor {
				continue // its requests may wait for credits
			}
			for id, sent := range n.accepted {
				if k := n.known[sent.email]; k != nil && k.erasure != "" {
					continue // whose erasure changed its deliveries once more
				}
				if sent.seen.After(before) && sent.seen.Before(x.over) {
					out[i] = max(out[i], done[id].Sub(x.over))
				}
			}
		}
		before = x.over
	}
	return out
}

// forgottenWithin is how long a message that a worker left behind may stay on the queue:
// Asynq takes it back once its lease of 30 s has been over for 30 s, looks every minute,
// and may have to do so twice. Its task has long been done under another generation, so
// the short form does not wait for it: fewForgotten may be left then.
const (
	forgottenWithin = 6 * time.Minute
	fewForgotten    = 10
)

// queued checks that the queue has nothing left either, as the operator is shown
// it. Failed ones are counted over the day, not kept.
func (a *audit) queued(t *testing.T) {
	t.Helper()
	var shown struct {
		Queues []struct {
			Name                              string
			Pending, Active, Scheduled, Retry int
		}
		Outbox struct{ Ready, Sent, Scheduled, Parked int }
	}
	var stuck struct{ Items []json.RawMessage }
	system.Await(t, forgottenWithin, "the queue is empty", func() bool {
		err := a.operator.Ask(t.Context(), http.MethodGet, "/admin/v1/queues", nil, &shown)
		left := shown.Outbox.Ready + shown.Outbox.Sent + shown.Outbox.Scheduled + shown.Outbox.Parked
		forgotten := 0
		for _, q := range shown.Queues {
			left += q.Pending + q.Scheduled
			forgotten += q.Active + q.Retry
		}
		if *harming || *minutes > 0 {
			left += forgotten
		}
		return err == nil && len(shown.Queues) > 0 && left == 0 && forgotten <= fewForgotten
	}, func() string { return fmt.Sprintf("%+v", shown) })
	system.Must(t, a.operator.Ask(t.Context(), http.MethodGet, "/admin/v1/stuck?olderThan=0s", nil, &stuck))
	if len(stuck.Items) > 0 {
		t.Errorf("tasks are stuck: %s", stuck.Items)
	}
}

// goroutines returns how many each program has.
func (w *world) goroutines(t *testing.T) map[string]int {
	t.Helper()
	out := map[string]int{}
	for _, p := range w.Programs() {
		response, err := http.Get("http://" + p.Ops + "/metrics")
		system.Must(t, err)
		scanner := bufio.NewScanner(response.Body)
		for scanner.Scan() {
			if value, ok := strings.CutPrefix(scanner.Text(), "go_goroutines "); ok {
				out[p.Name], err = strconv.Atoi(value)
				system.Must(t, err)
			}
		}
		system.Must(t, response.Body.Close())
		if out[p.Name] == 0 {
			t.Fatalf("%s does not tell how many goroutines it has", p.Name)
		}
	}
	return out
}

// spare is how many goroutines a program may have more than when it was new:
// those of its connections to the databases.
const spare = 20

// leftOver checks that the programs hold no more than when they were new.
func (a *audit) leftOver(t *testing.T, before map[string]int) {
	t.Helper()
	for _, n := range a.tenants {
		n.Leave()
		n.HangUp()
	}
	a.operator.Leave()
	a.harmful.Leave()
	a.platform.hangUp()
	var now map[string]int
	system.Await(t, 2*time.Minute, "the goroutines have gone", func() bool {
		now = a.goroutines(t)
		for name, n := range now {
			if n > before[name]+spare {
				return false
			}
		}
		return true
	}, func() string { return fmt.Sprintf("%v, at first %v", now, before) })
	t.Logf("goroutines: %v at first, %v now", before, now)
	if n := a.number(t, `SELECT count(*) FROM pg_stat_activity WHERE application_name = 'usersync' AND state LIKE 'idle in transaction%'`); n > 0 {
		t.Errorf("%d transactions are left open", n)
	}
	most := (maxConns + 1) * len(a.Programs()) // and that by which others see that it lives
	if n := a.number(t, `SELECT count(*) FROM pg_stat_activity WHERE application_name = 'usersync'`); n > most {
		t.Errorf("%d connections to PostgreSQL, at most %d are allowed", n, most)
	}
}

// maxConns is the default of DATABASE_MAX_CONNS.
const maxConns = 30

// disconnected checks that the programs, which have ended, left no connection.
func (a *audit) disconnected(t *testing.T) {
	t.Helper()
	system.Await(t, 30*time.Second, "no connection to PostgreSQL is left", func() bool {
		return a.number(t, `SELECT count(*) FROM pg_stat_activity WHERE application_name = 'usersync'`) == 0
	}, nil)
	system.Await(t, 30*time.Second, "no connection to Redis is left", func() bool {
		n, err := a.Redis.Clients(t.Context())
		return err == nil && n == 1 // that of the question
	}, nil)
}

// summary says in a line or two what the load was.
func (a *audit) summary() string {
	var calls, messages, repeated, broke int
	for _, n := range a.tenants {
		m, c := n.Received()
		messages, calls = messages+m, calls+c
		repeated, broke = repeated+n.repeated, broke+n.broke
	}
	state := a.platform.State(platformName)
	return fmt.Sprintf("%d requests, of which %d charged and %d of users erased since; %d calls repeated on purpose gave the same answer, %d refused for want of credits; "+
		"%d webhook messages in %d calls; %d people on the platform in %d calls; %d answers to commits lost",
		a.requests, a.charged, a.erased, repeated, broke, messages, calls, state.People, state.Calls, losing.count.Load())
}
