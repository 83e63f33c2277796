package retention_test

import (
	"database/sql"
	"testing"
	"time"

	"usersync/internal/delivery"
	"usersync/internal/event"
	"usersync/internal/intake"
	"usersync/internal/retention"
	"usersync/internal/roomtest"
	"usersync/internal/store"
	"usersync/internal/tenant"
	"usersync/internal/usersync"
)

// keep has an organization keep requests and events for a day.
func keep(t *testing.T, n roomtest.Tenant) {
	t.Helper()
	_, err := tenant.Update(t.Context(), n.Org(n.Organization.ID), "test", func(o *tenant.Organization) ([]string, error) {
		o.Settings.RetentionDays = tenant.RetentionDays{Requests: 1, Events: 1}
		return []string{"settings"}, nil
	})
	if err != nil {
		t.Fatal(err)
	}
}

// accept accepts count requests, all but the first of which are finished, and an
// event of their user.
func accept(t *testing.T, db *sql.DB, n roomtest.Tenant, count int) {
	t.Helper()
	var items []*intake.Acceptance
	for range count {
		items = append(items, n.Acceptance("ann@acme.example"))
	}
	n.Accept(t, n.Submission(items...))
	roomtest.Execute(t, db, `UPDATE requests SET status = 'succeeded' WHERE organization_id = $1 AND id <> $2`, n.Organization.ID, items[0].RequestID)
	roomtest.Execute(t, db, `INSERT INTO steps (request_id, position, organization_id, name, status, updated_at) VALUES ($1, 0, $2, 'colleagues', 'succeeded', 1)`,
		items[1].RequestID, n.Organization.ID)
	err := n.Tx(t.Context(), func(tx *store.Tx) error {
		return event.Save(t.Context(), tx, n.Organization.ID, []event.Event{{ID: usersync.NewID(usersync.PrefixEvent), Type: event.UserCreated, UserID: items[0].UserID}})
	})
	if err != nil {
		t.Fatal(err)
	}
}

func TestOnlyWhatIsFinishedAndOldIsRemovedAndOnlyWhereItIsAskedFor(t *testing.T) {
	t.Parallel()
	roomtest.Engines(t, func(t *testing.T, s *store.Store, db *sql.DB) {
		n, keeper := roomtest.New(t, s, 9), roomtest.New(t, s, 9)
		keep(t, n)
		accept(t, db, n, 3)
		accept(t, db, keeper, 3)
		left := func(table string) int {
			return roomtest.Count(t, db, `SELECT count(*) FROM `+table+` WHERE organization_id = '`+n.Organization.ID+`'`)
		}
		if more, err := retention.Run(t.Context(), s, time.Now().Add(23*time.Hour), 10); err != nil || more || left("requests") != 3 || left("events") != 1 {
			t.Errorf("before the time %d requests and %d events are left, %v %v", left("requests"), left("events"), more, err)
		}
		if more, err := retention.Run(t.Context(), s, time.Now().Add(25*time.Hour), 10); err != nil || more {
			t.Errorf("%v %v", more, err)
		}
		if left("requests") != 1 || left("steps") != 0 || left("events") != 0 || left("users") != 1 || left("ledger") == 0 {
			t.Errorf("left are %d requests, %d steps, %d events, %d users, %d ledger entries", left("requests"), left("steps"), left("events"), left("users"), left("ledger"))
		}
		if roomtest.Count(t, db, `SELECT count(*) FROM requests`) != 4 || roomtest.Count(t, db, `SELECT count(*) FROM events`) != 1 {
			t.Error("an organization that keeps everything has lost something")
		}
	})
}

func TestARunRemovesUpToTheLimitAndSaysThatThereIsMore(t *testing.T) {
	t.Parallel()
	roomtest.Engines(t, func(t *testing.T, s *store.Store, db *sql.DB) {
		n := roomtest.New(t, s, 9)
		keep(t, n)
		accept(t, db, n, 4) // three of them are finished
		for run, want := range []struct {
			more bool
			left int
		}{{true, 2}, {false, 1}} {
			more, err := retention.Run(t.Context(), s, time.Now().Add(25*time.Hour), 2)
			if left := roomtest.Count(t, db, `SELECT count(*) FROM requests`); err != nil || more != want.more || left != want.left {
				t.Errorf("run %d: more %v, %d left, %v", run, more, left, err)
			}
		}
	})
}

// What was delivered to an endpoint is removed after its time whether or not the
// endpoint is still there, and what another endpoint waits for stays.
func TestWhatBelongedToADeletedEndpointIsRemovedToo(t *testing.T) {
	t.Parallel()
	roomtest.Engines(t, func(t *testing.T, s *store.Store, db *sql.DB) {
		n, keeper := roomtest.New(t, s, 9), roomtest.New(t, s, 9)
		_, err := tenant.Update(t.Context(), n.Org(n.Organization.ID), "test", func(o *tenant.Organization) ([]string, error) {
			o.Settings.RetentionDays = tenant.RetentionDays{Deliveries: 1}
			return []string{"settings"}, nil
		})
		if err != nil {
			t.Fatal(err)
		}
		gone, there := deliver(t, n, 3), deliver(t, n, 2)
		waiting, kept := deliver(t, n, 1), deliver(t, keeper, 2)
		roomtest.Execute(t, db, `UPDATE deliveries SET status = 'delivered' WHERE endpoint_id <> $1`, waiting)
		for endpoint, of := range map[string]roomtest.Tenant{gone: n, kept: keeper} {
			if err := delivery.DeleteEndpoint(t.Context(), of.Org(of.Organization.ID), "test", endpoint); err != nil {
				t.Fatal(err)
			}
		}
		left := func(endpoint string) int {
			return roomtest.Count(t, db, `SELECT count(*) FROM deliveries WHERE endpoint_id = '`+endpoint+`'`)
		}
		if more, err := retention.Run(t.Context(), s, time.Now().Add(23*time.Hour), 10); err != nil || more || left(gone) != 3 {
			t.Errorf("before the time %d deliveries are left, %v %v", left(gone), more, err)
		}
		for range 3 { // up to two of each endpoint at once
			if _, err := retention.Run(t.Context(), s, time.Now().Add(25*time.Hour), 2); err != nil {
				t.Fatal(err)
			}
		}
		if left(gone) != 0 || left(there) != 0 || left(waiting) != 1 || left(kept) != 2 {
			t.Errorf("left are %d deliveries of the deleted endpoint, %d of that which is there, %d of that which waits, %d of another organization",
				left(gone), left(there), left(waiting), left(kept))
		}
		if bodies := roomtest.Count(t, db, `SELECT count(*) FROM messages`); bodies != 3 {
			t.Errorf("%d messages are left, want 3", bodies)
		}
	})
}

// deliver sends count messages to a new endpoint and returns its id.
func deliver(t *testing.T, n roomtest.Tenant, count int) string {
	t.Helper()
	o := n.Org(n.Organization.ID)
	e, err := delivery.CreateEndpoint(t.Context(), o, "test", delivery.Endpoint{URL: "https://x.example/", EventTypes: []string{"test"}}, usersync.NewSecret("whsec_x"))
	if err != nil {
		t.Fatal(err)
	}
	for range count {
		if _, err := delivery.Test(t.Context(), o, "test", e.ID, ""); err != nil {
			t.Fatal(err)
		}
	}
	return e.ID
}

// An event stays while a run goes on that it set off, or that began with it.
func TestEventsGoWithTheirRunsAndNotBeforeThem(t *testing.T) {
	t.Parallel()
	roomtest.Engines(t, func(t *testing.T, s *store.Store, db *sql.DB) {
		n := roomtest.New(t, s, 1)
		keep(t, n)
		for _, id := range []string{"evt_00root", "evt_00waits", "evt_00done", "evt_00plain"} {
			roomtest.Execute(t, db, `INSERT INTO events (id, organization_id, type, source, created_at) VALUES ($1, $2, 'user/update', 'event', 1)`, id, n.Organization.ID)
		}
		for _, r := range [][3]string{{"fur_1", "evt_00waits", "0"}, {"fur_2", "evt_00done", "1"}, {"fur_3", "evt_00waits", "1"}} {
			roomtest.Execute(t, db, `INSERT INTO follow_up_runs (id, organization_id, follow_up_id, version, event_id, root_id, task_id, status, created_at, updated_at, finished_at)
				VALUES ($1, $2, 'fup_1', 1, $3, 'evt_00root', 'tsk_1', CASE WHEN $4 = '0' THEN 'waiting' ELSE 'succeeded' END, 1, 1, CASE WHEN $4 = '0' THEN 0 ELSE 1 END)`,
				r[0], n.Organization.ID, r[1], r[2])
		}
		run := func(events, runs int) {
			t.Helper()
			if _, err := retention.Run(t.Context(), s, time.Now(), 100); err != nil {
				t.Fatal(err)
			}
			if e, r := roomtest.Count(t, db, `SELECT count(*) FROM events`), roomtest.Count(t, db, `SELECT count(*) FROM follow_up_runs`); e != events || r != runs {
				t.Errorf("%d events and %d runs are left, want %d and %d", e, r, events, runs)
			}
		}
		run(2, 1)
		roomtest.Execute(t, db, `UPDATE follow_up_runs SET finished_at = 1, status = 'succeeded'`)
		run(0, 0)
	})
}
