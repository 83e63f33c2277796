package request_test

import (
	"database/sql"
	"fmt"
	"regexp"
	"slices"
	"strings"
	"testing"
	"time"

	"usersync/internal/intake"
	"usersync/internal/request"
	"usersync/internal/roomtest"
	"usersync/internal/store"
	"usersync/internal/user"
	"usersync/internal/usersync"
)

// listed is a request as its filters see it.
type listed struct {
	id, email string
	kind      request.Kind
	status    request.Status
}

// outboxOf says, for each status, which requests have it: the status that is
// stored and the statement that makes their task what it then is.
var outboxOf = []struct {
	status request.Status
	stored request.Status
	task   string
}{
	{request.Queued, "queued", `UPDATE outbox SET state = 'ready' WHERE id = $1`},
	{request.Succeeded, "succeeded", `DELETE FROM outbox WHERE id = $1`},
	{request.Processing, "queued", `UPDATE outbox SET state = 'sent', claim_token = 'c', claimed_until = 9000000000000000 WHERE id = $1`},
	{request.Failed, "failed", `DELETE FROM outbox WHERE id = $1`},
	{request.Queued, "queued", `UPDATE outbox SET state = 'sent', claim_token = 'c', claimed_until = 1 WHERE id = $1`},
	{request.PartiallySucceeded, "partially_succeeded", `DELETE FROM outbox WHERE id = $1`},
	{request.Processing, "processing", `DELETE FROM outbox WHERE id = $1`},
	{request.AwaitingCredits, "awaiting_credits", `UPDATE outbox SET state = 'parked', look_at = 9000000000000000 WHERE id = $1`},
	{request.Queued, "queued", `UPDATE outbox SET state = 'scheduled', look_at = 9000000000000000 WHERE id = $1`},
	{request.AwaitingCredits, "awaiting_credits", `UPDATE outbox SET state = 'sent', claim_token = 'c', claimed_until = 9000000000000000 WHERE id = $1`},
	{request.Processing, "processing", `UPDATE outbox SET state = 'scheduled', look_at = 9000000000000000 WHERE id = $1`},
	{request.Queued, "queued", `UPDATE outbox SET state = 'poisoned', look_at = 9000000000000000 WHERE id = $1`},
	{request.Queued, "queued", `UPDATE outbox SET state = 'held', look_at = 9000000000000000 WHERE id = $1`},
}

// planAlone makes a task of each request, as the pipeline does.
func planAlone(accepted []*intake.Acceptance) (tasks []usersync.Task) {
	for i, a := range accepted {
		a.TaskID = usersync.DeriveID(usersync.PrefixTask, a.RequestID)
		t := usersync.Task{ID: a.TaskID, Organization: a.Organization(), Queue: "run", FairnessKey: a.Organization(),
			Kind: "pipeline.run", Args: fmt.Appendf(nil, `{"requests":[%q]}`, a.RequestID)}
		if i%3 == 2 {
			t.Queue, t.Kind, t.Args = "bulk", "platform.bulk", fmt.Appendf(nil, `{"request":%q}`, a.RequestID)
		}
		tasks = append(tasks, t)
	}
	return tasks
}

// ofEverySort stores requests of every status, kind and some users, newest first.
func ofEverySort(t *testing.T, n roomtest.Tenant, db *sql.DB) []listed {
	t.Helper()
	var items []*intake.Acceptance
	for i := range 3 * len(outboxOf) {
		a := n.Acceptance(fmt.Sprintf("u%d@acme.example", i%4))
		a.Kind = request.Kinds[i%len(request.Kinds)]
		items = append(items, a)
	}
	all := make([]listed, len(items))
	if err := intake.AcceptPlanned(t.Context(), n.Store, []*intake.Submission{n.Submission(slices.Clone(items)...)}, planAlone); err != nil {
		t.Fatal(err)
	}
	for i, a := range items {
		made := outboxOf[i%len(outboxOf)]
		roomtest.Execute(t, db, `UPDATE requests SET status = $1 WHERE id = $2`, string(made.stored), a.RequestID)
		roomtest.Execute(t, db, made.task, a.TaskID)
		all[len(items)-1-i] = listed{a.RequestID, a.User.Email.Key(), a.Kind, made.status}
	}
	return all
}

// succeed stores n requests of the organization's user-syncs that are newer than
// all others.
func succeed(t *testing.T, n roomtest.Tenant, db *sql.DB, user string, count int) {
	t.Helper()
	roomtest.Execute(t, db, `
INSERT INTO requests (organization_id, id, kind, status, user_id, email, sequence, input, task_id, created_at, finished_at)
WITH RECURSIVE made(i) AS (SELECT 100000 UNION ALL SELECT i + 1 FROM made WHERE i < 99999 + $3)
SELECT $1, 'req_01z' || i || 'aaaaaaaaaaaaaaaaaa', 'user-sync', 'succeeded', $2, 'a@acme.example', i, '{}', 'tsk_' || i, 4000000000000000, 4000000000000000 FROM made`,
		n.Organization.ID, user, count)
}

func (f filter) lets(q listed) bool {
	return (f.Status == "" || f.Status == q.status) && (f.Kind == "" || f.Kind == q.kind) && (f.Email.IsZero() || f.Email.Key() == q.email)
}

type filter struct{ request.Filter }

// filters are all combinations of the filters, some that let nothing through.
func filters() (all []filter) {
	for _, status := range append([]request.Status{""}, request.Statuses...) {
		for _, kind := range append([]request.Kind{"", "other"}, request.Kinds...) {
			for _, email := range []string{"", "u1@acme.example", "nobody@acme.example"} {
				f := filter{request.Filter{Status: status, Kind: kind}}
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
func pages(t *testing.T, n roomtest.Tenant, f request.Filter) (all []string) {
	t.Helper()
	for {
		ids, err := request.ListIDs(t.Context(), n.Org(n.Organization.ID), f)
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

func checkLists(t *testing.T, n roomtest.Tenant, all []listed) {
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
		if got := pages(t, n, f.Filter); !slices.Equal(got, want) {
			t.Errorf("status %q, kind %q, user %q: got %d %v, want %d %v", f.Status, f.Kind, f.Email.Key(), len(got), got, len(want), want)
		}
	}
}

func TestListsOfRequestsShowWhatTheFiltersLetThroughNewestFirst(t *testing.T) {
	t.Parallel()
	roomtest.Engines(t, func(t *testing.T, s *store.Store, db *sql.DB) {
		n, other := roomtest.New(t, s, 1), roomtest.New(t, s, 1)
		ofEverySort(t, other, db)
		all := ofEverySort(t, n, db)
		checkLists(t, n, all)

		// Now so many tasks wait that the newest requests are looked at before them.
		roomtest.Execute(t, db, `
INSERT INTO outbox (id, organization_id, kind, queue, fairness_key, args, state, created_at)
WITH RECURSIVE made(i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM made WHERE i < 150)
SELECT 'tsk_' || i, $1, 'user.erase', 'run', $1, '{}', 'ready', 1 FROM made`, n.Organization.ID)
		checkLists(t, n, all)

		// What is queued is now older than all that is looked at without the outbox.
		u, err := user.ByEmail(t.Context(), n.Org(n.Organization.ID), usersync.NewEmail("u1@acme.example", "u1@acme.example"))
		if err != nil {
			t.Fatal(err)
		}
		const newer = 1100
		succeed(t, n, db, u[0].ID, newer)
		for i := range newer {
			all = slices.Insert(all, 0, listed{fmt.Sprintf("req_01z%daaaaaaaaaaaaaaaaaa", 100000+i), "u1@acme.example", request.KindUserSync, request.Succeeded})
		}
		checkLists(t, n, all)
	})
}

func TestListsOfRequestsBeginWhereTheyAreToldTo(t *testing.T) {
	t.Parallel()
	roomtest.Engines(t, func(t *testing.T, s *store.Store, db *sql.DB) {
		n := roomtest.New(t, s, 1)
		all := ofEverySort(t, n, db)
		roomtest.Execute(t, db, `UPDATE requests SET created_at = 1 WHERE id <= $1`, all[10].id)
		for _, status := range append([]request.Status{""}, request.Statuses...) {
			want := []string{}
			for _, q := range all[:10] {
				if status == "" || q.status == status {
					want = append(want, q.id)
				}
			}
			if got := pages(t, n, request.Filter{Status: status, Since: time.Now().Add(-time.Hour), Limit: 2}); !slices.Equal(got, want) {
				t.Errorf("%q: got %v, want %v", status, got, want)
			}
			if got := pages(t, n, request.Filter{Status: status, Since: time.Now().Add(time.Hour), Limit: 2}); len(got) > 0 {
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
	roomtest.Engines(t, func(t *testing.T, s *store.Store, db *sql.DB) {
		n := roomtest.New(t, s, 1)
		all := ofEverySort(t, n, db)
		email := usersync.NewEmail("u1@acme.example", "u1@acme.example")
		u, err := user.ByEmail(t.Context(), n.Org(n.Organization.ID), email)
		if err != nil {
			t.Fatal(err)
		}
		succeed(t, n, db, u[0].ID, 20_000)
		o := n.Org(n.Organization.ID)
		lists := map[string]func() ([]string, error){}
		requests := func(index string, f request.Filter) {
			f.Limit = 50
			lists[fmt.Sprintf("%s %+v", index, f)] = func() ([]string, error) { return request.ExplainRequests(t.Context(), o, f) }
		}
		requests("(requests_pkey|sqlite_autoindex_requests_1)", request.Filter{Before: all[0].id})
		requests("requests_user", request.Filter{Email: email})
		requests("requests_kind", request.Filter{Kind: request.KindPlatformSync})
		requests("requests_kind", request.Filter{Kind: request.KindPlatformBulk, Status: request.Succeeded})
		for _, status := range []request.Status{request.Failed, request.PartiallySucceeded, request.AwaitingCredits, request.Processing} {
			for _, kind := range append([]request.Kind{""}, request.Kinds...) {
				requests("requests_notable", request.Filter{Status: status, Kind: kind})
				requests("requests_user_notable", request.Filter{Status: status, Kind: kind, Email: email})
			}
		}
		for _, state := range []string{"ready", "sent", "scheduled", "poisoned", "held"} {
			lists["outbox_"+state] = func() ([]string, error) { return request.ExplainOpen(t.Context(), o) }
		}
		roomtest.CheckPlans(t, db, lists)
		for _, f := range []request.Filter{{}, {Email: email}} {
			lines, err := request.ExplainRecent(t.Context(), o, f)
			if plan := strings.Join(lines, "\n"); err != nil || regexp.MustCompile(`Sort|TEMP B-TREE FOR ORDER`).MatchString(plan) || roomtest.PagesOf(plan) > 300 {
				t.Errorf("recent: %v, %d pages\n%s", err, roomtest.PagesOf(plan), plan)
			}
		}
	})
}

// PostgreSQL writes every index of a row anew when an update changes a column
// that one of them asks for. A request that goes well changes status and the
// times; no index may ask for those.
func TestNoIndexAsksForWhatEveryRequestChanges(t *testing.T) {
	t.Parallel()
	_, db := roomtest.OpenWithSQL(t, "postgres")
	// Not pg_indexes: it also describes indexes of schemas that other tests drop meanwhile.
	const ofRequests = `SELECT count(*) FROM pg_index WHERE indrelid = 'requests'::regclass AND pg_get_indexdef(indexrelid) ~ `
	if n := roomtest.Count(t, db, ofRequests+`'\y(status|charged|started_at|finished_at)\y'`); n != 0 {
		t.Errorf("%d indexes of requests ask for what every request changes", n)
	}
	if n := roomtest.Count(t, db, ofRequests+`'\ynotable\y'`); n != 2 {
		t.Errorf("%d indexes ask for notable, want 2: the test looks at the wrong place", n)
	}
}
