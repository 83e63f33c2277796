package app_test

import (
	"database/sql"
	"flag"
	"fmt"
	"math/rand/v2"
	"net/http/httptest"
	"strings"
	"testing"
	"time"

	"usersync/internal/app"
	"usersync/internal/app/apptest"
	"usersync/internal/connector/fakeplatform"
	"usersync/internal/credit"
	"usersync/internal/delivery"
	"usersync/internal/request"
	"usersync/internal/store"
	"usersync/internal/store/storetest"
	"usersync/internal/usersync"
	"usersync/internal/webhooksig"
)

// everyCall makes one run of the test break every call. Without it a run breaks every
// third call. Which third that is is random.
var everyCall = flag.Bool("every-call", false, "break every call of the main job to the database, not only every third")

// Whichever call to the database breaks, before or after it was made, the job ends
// once and is charged once. The user is accepted, their colleagues are found and
// paid, the platform gets the user and the webhook is delivered.
func TestJobSurvivesEachDatabaseCallBroken(t *testing.T) {
	t.Parallel()
	for _, engine := range apptest.Engines {
		for _, late := range []bool{false, true} {
			name := engine + ", call not made"
			if late {
				name = engine + ", answer lost"
			}
			chosen := rand.IntN(shares)
			for share := range shares {
				if !*everyCall && share != chosen {
					continue
				}
				t.Run(fmt.Sprintf("%s, %d of %d", name, share+1, shares), func(t *testing.T) {
					t.Parallel()
					breakEachCall(t, engine, late, share)
				})
			}
		}
	}
}

// fewestCalls and mostCalls bound how many calls a job makes. With fewer the test
// would not break what it should. With more it would take too long.
const fewestCalls, mostCalls = 30, 400

// shares is how many apps share the calls of a job. They run at once, because most of
// the time a job waits to be tried again.
const shares = 3

func breakEachCall(t *testing.T, engine string, late bool, share int) {
	t.Helper()
	e := apptest.New(t, engine)
	e.Breaker = &storetest.Breaker{}
	a := e.Start(t, app.All)
	o := store.Options{URL: e.Config.DatabaseURL, Schema: e.Schema, Dir: e.Config.DataDir, MaxConns: 2}
	beside, err := store.Open(t.Context(), o)
	must(t, err)
	t.Cleanup(func() { _ = beside.Close() })
	j := &job{e: e, beside: beside, clock: database(t, e), app: a, late: late, fake: fakeOf(t, "http"), seen: map[string]bool{}}
	listener := httptest.NewServer(fakeplatform.New(j.fake))
	t.Cleanup(listener.Close)
	j.platformURL = listener.URL
	j.run(t, 0) // what is done only once is done
	n := 1 + share
	for ; j.run(t, n); n += shares {
		if n > mostCalls {
			t.Fatalf("the job made more than %d calls", mostCalls)
		}
	}
	if n < fewestCalls {
		t.Errorf("the job was through after fewer than %d calls, want at least %d", n, fewestCalls)
	}
	t.Logf("up to call %d, each %d. one was broken: %d statements", n-1, shares, len(j.seen))
}

// job is the main job, done again and again in organizations of their own.
type job struct {
	e           *apptest.Environment
	app         *apptest.Running
	late        bool
	fake        fakeplatform.Platform
	platformURL string
	// beside is the database without the breaker.
	beside *store.Store
	clock  *sql.DB
	seen   map[string]bool // statements that were broken
}

// run does the job while its n-th call breaks. It reports whether the job made that
// many calls.
func (j *job) run(t *testing.T, n int) (broke bool) {
	t.Helper()
	tenant := newTenant(t, j.app, 10)
	company := fmt.Sprintf("company%d.example.com", n)
	tenant.people(t, "ann@"+company, "bob@"+company)
	receiver := apptest.NewReceiver(t)
	secret := tenant.endpoint(t, receiver)
	connection := tenant.create(t, connectionTo(t, j.fake, j.platformURL)).ID
	person := fmt.Sprintf("john%d@%s", n, company)
	began := time.Now()
	j.e.Breaker.Arm(n, j.late)
	id := tenant.sync(t, usersync.UserInput{JobTitle: "Engineer"}, person)
	what := j.await(t, tenant, id, n)
	if what != "" {
		j.seen[what] = true
	}
	t.Logf("call %d, after %s: %s", n, time.Since(began).Round(time.Millisecond), firstWords(what))

	r := tenant.report(t, id)
	if r.Status != request.Succeeded || r.Credits.Charged != 1 || *r.Credits.Balance != 9 {
		t.Errorf("call %d (%s): the request is %s, charged %d, balance %d", n, firstWords(what), r.Status, r.Credits.Charged, *r.Credits.Balance)
	}
	proof, err := credit.Verify(t.Context(), j.app.Store.Org(tenant.org.ID))
	if err != nil || !proof.OK || proof.Entries != 2 {
		t.Errorf("call %d (%s): the ledger is %+v, %v; want a top-up and a charge", n, firstWords(what), proof, err)
	}
	for _, s := range r.Steps {
		if s.ConnectionID == connection && s.Status != request.StepSynced && s.Status != request.StepUnchanged {
			t.Errorf("call %d (%s): the step of the platform is %+v", n, firstWords(what), s)
		}
	}
	if one, ok := j.fake.People().Get(person); !ok || one.Fields["jobTitle"] != "Engineer" {
		t.Errorf("call %d (%s): the platform has %+v", n, firstWords(what), one)
	}
	got := receiver.Got()
	for _, w := range got {
		if err := webhooksig.Verify(secret, w.Header, w.Body, time.Now(), time.Minute); err != nil || w.ID != got[0].ID {
			t.Errorf("call %d (%s): webhook %s after %s: %v", n, firstWords(what), w.ID, got[0].ID, err)
		}
	}
	return what != ""
}

// timePasses ends the claims that no process holds any more, and the calls of pushes
// whose end nobody records, as if their time had passed.
func (j *job) timePasses(t *testing.T, organization string) {
	t.Helper()
	for _, change := range []string{
		`outbox SET claimed_until = 1, look_at = 1 WHERE state = 'sent'`,
		`pushes SET due_at = 1 WHERE due_at > 0`,
		`outbox SET look_at = 1 WHERE state = 'scheduled'`,
	} {
		// An update that collides with the service's own work and loses is made again
		// later.
		_, _ = j.clock.ExecContext(t.Context(), `UPDATE `+change+` AND organization_id = '`+organization+`'`)
	}
}

// await waits until the request has ended and its webhook was delivered.
func (j *job) await(t *testing.T, n customer, id string, call int) (what string) {
	t.Helper()
	began, waited := time.Now(), time.Now()
	for {
		r, err := request.Get(t.Context(), j.beside.Org(n.org.ID), id)
		if err == nil && r.Status.Final() && len(r.Webhooks) == 1 && r.Webhooks[0].Status == delivery.Delivered {
			return j.e.Breaker.Disarm()
		}
		if j.e.Breaker.Broke() && time.Since(waited) > 300*time.Millisecond {
			j.timePasses(t, n.org.ID)
			waited = time.Now()
		}
		if time.Since(began) > time.Minute {
			t.Fatalf("call %d (%s): after a minute the job is not done: %+v, %v", call, firstWords(j.e.Breaker.Disarm()), r, err)
		}
		time.Sleep(10 * time.Millisecond)
	}
}

func firstWords(statement string) string {
	words := strings.Fields(statement)
	return strings.Join(words[:min(len(words), 14)], " ")
}
