//go:build unix

package main

import (
	"slices"
	"strings"
	"testing"

	"usersync/internal/store"
	"usersync/internal/store/storetest"
	"usersync/internal/tenant"
)

// filled returns a database with 20,000 stored requests, as the planner sees
// a large one.
func filled(t *testing.T) *store.Store {
	t.Helper()
	o := storetest.Options(t, "postgres")
	s := storetest.Open(t, o)
	org, err := tenant.Create(t.Context(), s, "test", tenant.Organization{Name: "Large"})
	if err != nil {
		t.Fatal(err)
	}
	d, err := openDatabase(o.URL.Reveal() + "&search_path=" + o.Schema)
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = d.Close() }()
	if _, err := d.ExecContext(t.Context(), `INSERT INTO webhook_endpoints (id, organization_id, url, event_types, description, status, secret, created_at, updated_at)
		VALUES ('whe_1', $1, 'https://example.com/', '', '', 'disabled', '', 1, 1)`, org.ID); err != nil {
		t.Fatal(err)
	}
	if _, err := d.ExecContext(t.Context(), "UPDATE balances SET balance = 1000000; INSERT INTO ledger (id, organization_id, kind, amount, balance_after, created_at) SELECT 'led_1', organization_id, 'top_up', 1000000, 1000000, 1 FROM balances"); err != nil {
		t.Fatal(err)
	}
	if err := d.fill(t.Context(), org.ID, 0, 20_000); err != nil {
		t.Fatal(err)
	}
	return s
}

func TestNoStatementOfTheWorkReadsATableWhole(t *testing.T) {
	t.Parallel()
	known := store.Definitions()
	if len(known) < 150 {
		t.Fatalf("only %d statements are known", len(known))
	}
	plans, err := plansOf(t.Context(), filled(t), known)
	if err != nil {
		t.Fatal(err)
	}
	for _, p := range plans {
		if strings.HasPrefix(p.Name(), "verify.") {
			continue // the operator's command, which looks at everything
		}
		if len(p.whole) > 0 && mayReadWhole[p.Name()] == "" {
			t.Errorf("%s reads %s whole:\n%s\n%s", p.Name(), strings.Join(p.whole, ", "), p.Forms()[0], strings.Join(p.plan, "\n"))
		}
		if len(p.filtered) > 0 && mayFilter[p.Name()] == "" {
			t.Errorf("%s looks through %s of an organization:\n%s\n%s", p.Name(), strings.Join(p.filtered, ", "), p.Forms()[0], strings.Join(p.plan, "\n"))
		}
		if len(p.filtered) == 0 && mayFilter[p.Name()] != "" {
			t.Errorf("%s looks through nothing: take it off the list", p.Name())
		}
		if len(p.whole) == 0 && mayReadWhole[p.Name()] != "" {
			t.Errorf("%s reads no table whole: take it off the list", p.Name())
		}
	}
}

func TestReadWholeSeesWhatIsNotBoundedByAnIndex(t *testing.T) {
	t.Parallel()
	for _, c := range []struct {
		plan string
		want []string
	}{
		{"Seq Scan on requests q\n  Filter: (status = 'failed'::text)", []string{"requests"}},
		{"Seq Scan on organizations", nil},
		{"Index Scan using requests_pkey on requests q\n  Index Cond: (id = $1)", nil},
		{"Index Scan using requests_pkey on requests q\n  Filter: (status = $1)", []string{"requests"}},
		{"Limit\n  ->  Index Scan Backward using requests_pkey on requests q", nil},
		{"Limit\n  ->  Index Scan Backward using requests_pkey on requests q\n        Filter: (status = $1)", []string{"requests"}},
		{"Nested Loop\n  ->  Index Only Scan using users_pkey on users u\n  ->  Index Scan using requests_user on requests q\n        Index Cond: (user_id = u.id)", []string{"users"}},
		{"Bitmap Heap Scan on users u\n  ->  Bitmap Index Scan on users_email\n        Index Cond: (email_key = $1)", nil},
		{"Bitmap Heap Scan on outbox o\n  Recheck Cond: (state = 'parked'::text)\n  ->  Bitmap Index Scan on outbox_parked", []string{"outbox"}},
	} {
		if got := readWhole(strings.Split(c.plan, "\n")); !slices.Equal(got, c.want) {
			t.Errorf("%q: got %v, want %v", c.plan, got, c.want)
		}
	}
}

func TestReadFilteredSeesWhatIsBoundedByTheOrganizationAlone(t *testing.T) {
	t.Parallel()
	for _, c := range []struct {
		plan string
		want []string
	}{
		{"Index Scan Backward using requests_pkey on requests q\n  Index Cond: (organization_id = $1)\n  Filter: (status = $2)", []string{"requests"}},
		{"Index Scan Backward using requests_pkey on requests q\n  Index Cond: ((organization_id = $1) AND (id < $2) AND (id >= $3))\n  Filter: (status = $2)", []string{"requests"}},
		{"Bitmap Heap Scan on events\n  Recheck Cond: (organization_id = $1)\n  Filter: (type = $2)\n  ->  Bitmap Index Scan on events_pkey\n        Index Cond: (organization_id = $1)", []string{"events"}},
		{"Index Scan Backward using requests_pkey on requests q\n  Index Cond: ((organization_id = $1) AND (id < $2))", nil},
		{"Index Scan using requests_pkey on requests q\n  Index Cond: ((organization_id = r.organization_id) AND (id = r.id))\n  Filter: (status = $2)", nil},
		{"Index Scan using people_email on people\n  Index Cond: ((organization_id = $1) AND (email_key = $2))\n  Filter: (company = $3)", nil},
	} {
		if got := readFiltered(strings.Split(c.plan, "\n")); !slices.Equal(got, c.want) {
			t.Errorf("%q: got %v, want %v", c.plan, got, c.want)
		}
	}
}

// workOfARequest are the statements that every request runs, and those of the outbox
// around it, on connections that plan once, perhaps while the tables are empty.
var workOfARequest = []string{
	"intake.gate", "intake.accept", "outbox.take", "pipeline.claimRun", "colleague.candidates", "delivery.lockAccount", "colleague.saveRecords",
	"colleague.link", "request.outcome", "request.insertSteps", "credit.charge", "outbox.finish", "outbox.waiting", "delivery.saveDelivered",
	"outbox.claim", "outbox.unsend", "outbox.promote", "outbox.revive", "outbox.retake", "outbox.renew", "outbox.hold", "outbox.holdBack",
	"outbox.readyQueues",
}

// A plan for empty tables stays with its connection while they grow: a look-up that the
// planner could turn around would then read all users, or all that an organization has.
func TestTheWorkOfARequestIsPlannedWellOnEmptyTables(t *testing.T) {
	t.Parallel()
	s := storetest.Open(t, storetest.Options(t, "postgres"))
	hot := slices.DeleteFunc(store.Definitions(), func(st *store.Statement) bool { return !slices.Contains(workOfARequest, st.Name()) })
	if len(hot) != len(workOfARequest) {
		t.Fatalf("%d of %d statements are known", len(hot), len(workOfARequest))
	}
	plans, err := plansOf(t.Context(), s, hot)
	if err != nil {
		t.Fatal(err)
	}
	for _, p := range plans {
		plan := strings.Join(p.plan, "\n")
		if len(p.whole) > 0 {
			t.Errorf("%s reads %s whole:\n%s", p.Name(), strings.Join(p.whole, ", "), plan)
		}
		for _, table := range joinFiltered(p.plan) {
			t.Errorf("%s looks through %s for each row:\n%s", p.Name(), table, plan)
		}
	}
}
