package store_test

import (
	"database/sql"
	"fmt"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"testing"
	"time"

	"usersync/internal/store"
	"usersync/internal/usersync"
)

// listed is a request as its filters see it.
type listed struct {
	id, email string
	kind      usersync.RequestKind
	status    usersync.RequestStatus
}

// outboxOf says, for each status, which requests have it: the status that is
// stored and the statement that makes their task what it then is.
var outboxOf = []struct {
	status usersync.RequestStatus
	stored usersync.RequestStatus
	task   string
}{
	{usersync.RequestQueued, "queued", `UPDATE outbox SET state = 'ready' WHERE id = $1`},
	{usersync.RequestSucceeded, "succeeded", `DELETE FROM outbox WHERE id = $1`},
	{usersync.RequestProcessing, "queued", `UPDATE outbox SET state = 'sent', claim_token = 'c', claimed_until = 9000000000000000 WHERE id = $1`},
	{usersync.RequestFailed, "failed", `DELETE FROM outbox WHERE id = $1`},
	{usersync.RequestQueued, "queued", `UPDATE outbox SET state = 'sent', claim_token = 'c', claimed_until = 1 WHERE id = $1`},
	{usersync.RequestPartiallySucceeded, "partially_succeeded", `DELETE FROM outbox WHERE id = $1`},
	{usersync.RequestProcessing, "processing", `DELETE FROM outbox WHERE id = $1`},
	{usersync.RequestAwaitingCredits, "awaiting_credits", `UPDATE outbox SET state = 'parked', look_at = 9000000000000000 WHERE id = $1`},
	{usersync.RequestQueued, "queued", `UPDATE outbox SET state = 'scheduled', look_at = 9000000000000000 WHERE id = $1`},
	{usersync.RequestAwaitingCredits, "awaiting_credits", `UPDATE outbox SET state = 'sent', claim_token = 'c', claimed_until = 9000000000000000 WHERE id = $1`},
	{usersync.RequestProcessing, "processing", `UPDATE outbox SET state = 'scheduled', look_at = 9000000000000000 WHERE id = $1`},
}

// planAlone makes a task of each request, as the pipeline does.
func planAlone(accepted []*store.Acceptance) (tasks []usersync.Task) {
	for i, a := range accepted {
		a.TaskID = usersync.DeriveID(usersync.PrefixTask, a.RequestID)
		t := usersync.Task{ID: a.TaskID, Organization: a.Organization(), Queue: "run", Lane: a.Organization(),
			Kind: "pipeline.run", Args: fmt.Appendf(nil, `{"requests":[%q]}`, a.RequestID)}
		if i%3 == 2 {
			t.Queue, t.Kind, t.Args = "bulk", "platform.bulk", fmt.Appendf(nil, `{"request":%q}`, a.RequestID)
		}
		tasks = append(tasks, t)
	}
	return tasks
}

// ofEverySort stores requests of every status, kind and some users, newest first.
func ofEverySort(t *testing.T, n tenant, db *sql.DB) []listed {
	t.Helper()
	var items []*store.Acceptance
	for i := range 3 * len(outboxOf) {
		a := n.acceptance(fmt.Sprintf("u%d@acme.example", i%4))
		a.Kind = usersync.RequestKinds[i%len(usersync.RequestKinds)]
		items = append(items, a)
	}
	all := make([]listed, len(items))
	if err := n.Accept(t.Context(), []*store.Submission{n.submission(slices.Clone(items)...)}, planAlone); err != nil {
		t.Fatal(err)
	}
	for i, a := range items {
		made := outboxOf[i%len(outboxOf)]
		execute(t, db, `UPDATE requests SET status = $1 WHERE id = $2`, string(made.stored), a.RequestID)
		execute(t, db, made.task, a.TaskID)
		all[len(items)-1-i] = listed{a.RequestID, a.User.Email.Key(), a.Kind, made.status}
	}
	return all
}

// succeed stores n requests of the organization's user-syncs that are newer than
// all others.
func succeed(t *testing.T, n tenant, db *sql.DB, user string, count int) {
	t.Helper()
	execute(t, db, `
INSERT INTO requests (organization_id, id, kind, status, user_id, email, sequence, input, task_id, created_at, finished_at)
WITH RECURSIVE made(i) AS (SELECT 100000 UNION ALL SELECT i + 1 FROM made WHERE i < 99999 + $3)
SELECT $1, 'req_01z' || i || 'aaaaaaaaaaaaaaaaaa', 'user-sync', 'succeeded', $2, 'a@acme.example', i, '{}', 'tsk_' || i, 4000000000000000, 4000000000000000 FROM made`,
		n.org.ID, user, count)
}

func (f filter) lets(q listed) bool {
	return (f.Status == "" || f.Status == q.status) && (f.Kind == "" || f.Kind == q.kind) && (f.Email.IsZero() || f.Email.Key() == q.email)
}

type filter struct{ store.RequestFilter }

// filters are all combinations of the filters, some that let nothing through.
func filters() (all []filter) {
	for _, status := range append([]usersync.RequestStatus{""}, usersync.RequestStatuses...) {
		for _, kind := range append([]usersync.RequestKind{"", "other"}, usersync.RequestKinds...) {
			for _, email := range []string{"", "u1@acme.example", "nobody@acme.example"} {
				f := filter{store.RequestFilter{Status: status, Kind: kind}}
				if email != "" {
					f.Email = usersync.NewEmail(email, email)
				}
				all = append(all, f)
			}
		}
	}
	return all
}

// pages reads a list page by page.
func (n tenant) pages(t *testing.T, f store.RequestFilter) (all []string) {
	t.Helper()
	for {
		ids, err := n.Org(n.org.ID).RequestIDs(t.Context(), f)
		if err != nil {
			t.Fatalf("%+v: %v", f, err)
		}
		all = append(all, ids...)
		if len(ids) < f.Limit {
			return all
		}
		if len(ids) > f.Limit {
			t.Fatalf("%+v: %d requests on a page", f, len(ids))
		}
		f.Before = ids[len(ids)-1]
	}
}

func (n tenant) checkLists(t *testing.T, all []listed) {
	t.Helper()
	for _, f := range filters() {
		want := []string{}
		for _, q := range all {
			if f.lets(q) {
				want = append(want, q.id)
			}
		}
		f.Limit = 3
		if len(want) > 100 {
			f.Limit = 500
		}
		if got := n.pages(t, f.RequestFilter); !slices.Equal(got, want) {
			t.Errorf("status %q, kind %q, user %q: got %d %v, want %d %v", f.Status, f.Kind, f.Email.Key(), len(got), got, len(want), want)
		}
	}
}

func TestListsOfRequestsShowWhatTheFiltersLetThroughNewestFirst(t *testing.T) {
	t.Parallel()
	engines(t, func(t *testing.T, s *store.Store, db *sql.DB) {
		n, other := newTenant(t, s, 1), newTenant(t, s, 1)
		ofEverySort(t, other, db)
		all := ofEverySort(t, n, db)
		n.checkLists(t, all)

		// Now so many tasks wait that the newest requests are looked at before them.
		execute(t, db, `
INSERT INTO outbox (id, organization_id, kind, queue, lane, args, state, created_at)
WITH RECURSIVE made(i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM made WHERE i < 150)
SELECT 'tsk_' || i, $1, 'user.erase', 'run', $1, '{}', 'ready', 1 FROM made`, n.org.ID)
		n.checkLists(t, all)

		// What is queued is now older than all that is looked at without the outbox.
		u, err := n.Org(n.org.ID).UserByEmail(t.Context(), usersync.NewEmail("u1@acme.example", "u1@acme.example"))
		if err != nil {
			t.Fatal(err)
		}
		const newer = 1100
		succeed(t, n, db, u[0].ID, newer)
		for i := range newer {
			all = slices.Insert(all, 0, listed{fmt.Sprintf("req_01z%daaaaaaaaaaaaaaaaaa", 100000+i), "u1@acme.example", usersync.KindUserSync, usersync.RequestSucceeded})
		}
		n.checkLists(t, all)
	})
}

func TestListsOfRequestsBeginWhereTheyAreToldTo(t *testing.T) {
	t.Parallel()
	engines(t, func(t *testing.T, s *store.Store, db *sql.DB) {
		n := newTenant(t, s, 1)
		all := ofEverySort(t, n, db)
		execute(t, db, `UPDATE requests SET created_at = 1 WHERE id <= $1`, all[10].id)
		for _, status := range append([]usersync.RequestStatus{""}, usersync.RequestStatuses...) {
			want := []string{}
			for _, q := range all[:10] {
				if status == "" || q.status == status {
					want = append(want, q.id)
				}
			}
			if got := n.pages(t, store.RequestFilter{Status: status, Since: time.Now().Add(-time.Hour), Limit: 2}); !slices.Equal(got, want) {
				t.Errorf("%q: got %v, want %v", status, got, want)
			}
			if got := n.pages(t, store.RequestFilter{Status: status, Since: time.Now().Add(time.Hour), Limit: 2}); len(got) > 0 {
				t.Errorf("%q of the future: %v", status, got)
			}
		}
	})
}

// Whatever a list is filtered by, it reads an index that holds what it shows and
// little else: beside thousands of requests that succeeded it reads no more pages
// than beside none, with the statistics of an empty table as with true ones.
func TestFilteredListsReadTheIndexOfWhatTheyShow(t *testing.T) {
	t.Parallel()
	engines(t, func(t *testing.T, s *store.Store, db *sql.DB) {
		n := newTenant(t, s, 1)
		all := ofEverySort(t, n, db)
		email := usersync.NewEmail("u1@acme.example", "u1@acme.example")
		u, err := n.Org(n.org.ID).UserByEmail(t.Context(), email)
		if err != nil {
			t.Fatal(err)
		}
		succeed(t, n, db, u[0].ID, 20_000)
		o := n.Org(n.org.ID)
		lists := map[string]func() ([]string, error){}
		requests := func(index string, f store.RequestFilter) {
			f.Limit = 50
			lists[fmt.Sprintf("%s %+v", index, f)] = func() ([]string, error) { return o.ExplainRequests(t.Context(), f) }
		}
		requests("(requests_pkey|sqlite_autoindex_requests_1)", store.RequestFilter{Before: all[0].id})
		requests("requests_user", store.RequestFilter{Email: email})
		requests("requests_kind", store.RequestFilter{Kind: usersync.KindPlatformSync})
		requests("requests_kind", store.RequestFilter{Kind: usersync.KindPlatformBulk, Status: usersync.RequestSucceeded})
		for _, status := range []usersync.RequestStatus{usersync.RequestFailed, usersync.RequestPartiallySucceeded, usersync.RequestAwaitingCredits, usersync.RequestProcessing} {
			for _, kind := range append([]usersync.RequestKind{""}, usersync.RequestKinds...) {
				requests("requests_notable", store.RequestFilter{Status: status, Kind: kind})
				requests("requests_user_notable", store.RequestFilter{Status: status, Kind: kind, Email: email})
			}
		}
		events := func(index string, f store.EventFilter) {
			f.Limit = 50
			lists[fmt.Sprintf("%s %+v", index, f)] = func() ([]string, error) { return o.ExplainEvents(t.Context(), f) }
		}
		events("events_organization", store.EventFilter{})
		events("events_user", store.EventFilter{UserID: u[0].ID})
		events("events_type", store.EventFilter{Type: usersync.EventUserErased})
		lists["ledger_organization"] = func() ([]string, error) { return o.ExplainLedger(t.Context(), "led_~", 50) }
		for _, state := range []string{"ready", "sent", "scheduled"} {
			lists["outbox_"+state] = func() ([]string, error) { return o.ExplainOpen(t.Context()) }
		}
		for _, analysed := range []bool{false, true} {
			if analysed {
				execute(t, db, "ANALYZE")
			}
			for name, explain := range lists {
				index, _, _ := strings.Cut(name, " ")
				lines, err := explain()
				plan := strings.Join(lines, "\n")
				if err != nil || !regexp.MustCompile(`\b`+index+`\b`).MatchString(plan) || pagesOf(plan) > 40 {
					t.Errorf("%s, analysed %v: %v, %d pages\n%s", name, analysed, err, pagesOf(plan), plan)
				}
			}
			for _, f := range []store.RequestFilter{{}, {Email: email}} {
				lines, err := o.ExplainRecent(t.Context(), f)
				if plan := strings.Join(lines, "\n"); err != nil || regexp.MustCompile(`Sort|TEMP B-TREE FOR ORDER`).MatchString(plan) || pagesOf(plan) > 300 {
					t.Errorf("recent, analysed %v: %v, %d pages\n%s", analysed, err, pagesOf(plan), plan)
				}
			}
		}
	})
}

// pagesOf returns how many pages a plan of PostgreSQL says that it read.
func pagesOf(plan string) (pages int) {
	m := regexp.MustCompile(`Buffers: shared(?: hit=(\d+))?(?: read=(\d+))?`).FindStringSubmatch(plan)
	for i := 1; i < len(m); i++ {
		n, _ := strconv.Atoi(m[i])
		pages += n
	}
	return pages
}

// PostgreSQL writes every index of a row anew when an update changes a column
// that one of them asks for. A request that goes well changes status and the
// times; no index may ask for those.
func TestNoIndexAsksForWhatEveryRequestChanges(t *testing.T) {
	t.Parallel()
	_, db := openWithSQL(t, "postgres")
	n := count(t, db, `
SELECT count(*) FROM pg_indexes WHERE tablename = 'requests' AND schemaname = current_schema()
	AND indexdef ~ '\y(status|charged|started_at|finished_at)\y'`)
	if n != 0 {
		t.Errorf("%d indexes of requests ask for what every request changes", n)
	}
	if n := count(t, db, `SELECT count(*) FROM pg_indexes WHERE tablename = 'requests' AND schemaname = current_schema() AND indexdef ~ '\ynotable\y'`); n != 2 {
		t.Errorf("%d indexes ask for notable, want 2: the test looks at the wrong place", n)
	}
}
