package pipeline_test

import (
	"database/sql"
	"reflect"
	"testing"

	"usersync/internal/colleague"
	"usersync/internal/credit"
	"usersync/internal/identity"
	"usersync/internal/intake"
	"usersync/internal/outbox"
	"usersync/internal/pipeline"
	"usersync/internal/platform"
	"usersync/internal/queue"
	"usersync/internal/request"
	"usersync/internal/roomtest"
	"usersync/internal/store"
	"usersync/internal/store/storetest"
	"usersync/internal/telemetry"
	"usersync/internal/tenant"
	"usersync/internal/user"
	"usersync/internal/usersync"
)

// eachHall runs a test on both engines with a hall that can work runs, SQL beside it,
// and what opens its database as another process does.
func eachHall(t *testing.T, test func(t *testing.T, h *hall, db *sql.DB, other func() *store.Store)) {
	t.Helper()
	for _, engine := range []string{"sqlite", "postgres"} {
		t.Run(engine, func(t *testing.T) {
			t.Parallel()
			o := storetest.Options(t, engine)
			h := newHall(t, storetest.Open(t, o))
			h.work.Metrics, h.work.Search = telemetry.NewMetrics(), &colleague.Search{Own: []colleague.Source{colleague.Users{}}}
			_, err := credit.TopUp(t.Context(), h.store, "test", h.org.ID(), 100, "runs")
			must(t, err)
			test(t, h, roomtest.SQLOf(t, o), func() *store.Store { return storetest.Open(t, o) })
		})
	}
}

// sync accepts one task for each list of addresses and returns the ids of the requests.
func (h *hall) sync(t *testing.T, tasks ...[]string) (ids []string) {
	t.Helper()
	for _, addresses := range tasks {
		var items []*intake.Acceptance
		for _, address := range addresses {
			email, err := identity.ParseEmail(address)
			must(t, err)
			in := usersync.UserInput{Email: email, Country: "US", FirstName: "F", Attributes: map[string]any{"plan": "b"}}
			id := usersync.NewID(usersync.PrefixRequest)
			items, ids = append(items, &intake.Acceptance{RequestID: id, Kind: request.KindUserSync, Salt: h.salt,
				User: intake.NewUser{UserInput: in, Identity: user.IdentityOf(in)}}), append(ids, id)
		}
		h.accept(t, items...)
	}
	return ids
}

// send puts the oldest ready run on the queue and leaves the others.
func (h *hall) send(t *testing.T) outbox.Envelope {
	t.Helper()
	taken, err := outbox.TakeReady(t.Context(), h.store, queue.Run, "", outbox.Shares{Slots: 1000, Key: 1}, 1)
	if err != nil || len(taken) != 1 {
		t.Fatal(taken, err)
	}
	return taken[0]
}

// claimRun claims the oldest run and what waits beside it, as the worker does.
func (h *hall) claimRun(t *testing.T) usersync.Claim {
	t.Helper()
	e := h.send(t)
	c, ok, err := h.handler(t, pipeline.Run.Name).Claim(t.Context(), e.ID, e.Generation)
	if err != nil || !ok {
		t.Fatal(ok, err)
	}
	return c
}

// rest returns how many tasks of runs are left.
func rest(t *testing.T, db *sql.DB) (n int) {
	t.Helper()
	must(t, db.QueryRowContext(t.Context(), `SELECT count(*) FROM outbox WHERE queue = 'run'`).Scan(&n))
	return n
}

func TestAClaimOfARunBringsWhatItsTasksName(t *testing.T) {
	t.Parallel()
	eachHall(t, func(t *testing.T, h *hall, db *sql.DB, _ func() *store.Store) {
		ids := h.sync(t, []string{"a@acme.example.com", "b@acme.example.com"}, []string{"a@acme.example.com"}, []string{"c@acme.example.com"})
		e := h.send(t)
		claim := h.handler(t, pipeline.Run.Name).Claim
		if _, ok, err := claim(t.Context(), e.ID, e.Generation+1); ok || err != nil {
			t.Fatalf("another generation was claimed: %v %v", ok, err)
		}
		c, ok, err := claim(t.Context(), e.ID, e.Generation)
		if err != nil || !ok || c.TaskID != e.ID || len(c.Coalesced) != 2 || c.Organization != h.org.ID() || c.StartedAt.IsZero() {
			t.Fatalf("%+v %v %v, want the task and two coalesced", c, ok, err)
		}
		want, err := request.Load(t.Context(), h.store, c, ids)
		must(t, err)
		works, known := pipeline.Brought(c)
		if !known || len(works) != len(ids) || !reflect.DeepEqual(works, want) {
			t.Errorf("the claim brought (%v)\n%+v, want\n%+v", known, works, want)
		}
		for i, w := range works {
			if w.ID != ids[i] {
				t.Errorf("work %d is %s, want the order of acceptance", i, w.ID)
			}
		}
		if _, ok, err := claim(t.Context(), e.ID, e.Generation); ok || err != nil {
			t.Errorf("a second claim: %v %v", ok, err)
		}
		must(t, h.handler(t, pipeline.Run.Name).Work(t.Context(), c))
		for _, id := range ids {
			if r := h.report(t, id); r.Status == request.Queued {
				t.Errorf("%s is still %s", id, r.Status)
			}
		}
		if n := rest(t, db); n != 0 {
			t.Errorf("%d tasks are left", n)
		}
	})
}

func TestTasksWhoseRequestsAreGoneAreClaimedAndEnded(t *testing.T) {
	t.Parallel()
	eachHall(t, func(t *testing.T, h *hall, db *sql.DB, _ func() *store.Store) {
		ids := h.sync(t, []string{"a@acme.example.com"}, []string{"b@acme.example.com"}, []string{"c@acme.example.com"})
		roomtest.Execute(t, db, `DELETE FROM requests WHERE id = $1`, ids[0])
		roomtest.Execute(t, db, `DELETE FROM users WHERE id = (SELECT user_id FROM requests WHERE id = $1)`, ids[1])
		roomtest.Execute(t, db, `UPDATE requests SET status = 'succeeded' WHERE id = $1`, ids[2])
		c := h.claimRun(t)
		if works, known := pipeline.Brought(c); !known || len(works) != 0 || len(c.Coalesced) != 2 {
			t.Errorf("the claim %+v brought %+v (%v), want three tasks and nothing to do", c, works, known)
		}
		must(t, h.handler(t, pipeline.Run.Name).Work(t.Context(), c))
		if n := rest(t, db); n != 0 {
			t.Errorf("%d tasks are left", n)
		}
		var status string
		must(t, db.QueryRowContext(t.Context(), `SELECT status FROM requests WHERE id = $1`, ids[1]).Scan(&status))
		if !request.Status(status).Final() {
			t.Errorf("the request of nobody is %s", status)
		}
	})
}

func TestARunLoadsAgainWhatChangedAfterItsClaim(t *testing.T) {
	t.Parallel()
	eachHall(t, func(t *testing.T, h *hall, db *sql.DB, _ func() *store.Store) {
		ids := h.sync(t, []string{"a@acme.example.com"})
		must(t, h.handler(t, pipeline.Run.Name).Work(t.Context(), h.claimRun(t)))
		email, err := identity.ParseEmail("a@acme.example.com")
		must(t, err)
		in := usersync.UserInput{Email: email, FirstName: "G"}
		again := &intake.Acceptance{RequestID: usersync.NewID(usersync.PrefixRequest), Kind: request.KindUserSync, Salt: h.salt,
			User: intake.NewUser{UserInput: in, Identity: user.IdentityOf(in)}}
		h.accept(t, again)
		c := h.claimRun(t)
		roomtest.Execute(t, db, `UPDATE users SET last_name = 'Changed', version = version + 1 WHERE organization_id = $1`, h.org.ID())
		must(t, h.handler(t, pipeline.Run.Name).Work(t.Context(), c))
		var first, last string
		must(t, db.QueryRowContext(t.Context(), `SELECT first_name, last_name FROM users WHERE id = (SELECT user_id FROM requests WHERE id = $1)`, ids[0]).Scan(&first, &last))
		if first != "G" || last != "Changed" {
			t.Errorf("the user is %q %q, want both changes", first, last)
		}
		if r := h.report(t, again.RequestID); r.Status == request.Queued {
			t.Error("the request was not worked")
		}
	})
}

func TestARunSeesWhatAnotherProcessChangedBeforeIt(t *testing.T) {
	t.Parallel()
	eachHall(t, func(t *testing.T, h *hall, _ *sql.DB, other func() *store.Store) {
		elsewhere := other()
		look := func(name, status string) {
			t.Helper()
			h.sync(t, []string{"a@acme.example.com"})
			c := h.claimRun(t)
			o, connections, err := h.work.OrganizationOf(t.Context(), c)
			if err != nil || o.Name != name || len(connections) != 1 || connections[0].Status != status {
				t.Errorf("a run sees %q and %+v, %v; want %q and a connection that is %s", o.Name, connections, err, name, status)
			}
			must(t, h.handler(t, pipeline.Run.Name).Work(t.Context(), c))
		}
		look("Acme", platform.ConnectionActive)
		_, err := tenant.Update(t.Context(), elsewhere.Org(h.org.ID()), "test", func(o *tenant.Organization) ([]string, error) {
			o.Name = "Umbrella"
			return []string{"name"}, nil
		})
		must(t, err)
		look("Umbrella", platform.ConnectionActive)
		_, err = platform.PauseConnection(t.Context(), elsewhere.Org(h.org.ID()), "test", h.connection)
		must(t, err)
		look("Umbrella", platform.ConnectionPaused)
	})
}
