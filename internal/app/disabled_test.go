package app_test

import (
	"net/http"
	"testing"

	"usersync/internal/app"
	"usersync/internal/app/apptest"
	"usersync/internal/outbox"
	"usersync/internal/platform"
	"usersync/internal/queue"
	"usersync/internal/request"
	"usersync/internal/tenant"
	"usersync/internal/usersync"
)

// setStatus disables the organization or enables it, as an operator does.
func (n customer) setStatus(t *testing.T, status string) {
	t.Helper()
	_, err := tenant.Update(t.Context(), n.app.Store.Org(n.org.ID), "operator", func(o *tenant.Organization) ([]string, error) {
		o.Status = status
		return []string{"status"}, nil
	})
	must(t, err)
	if status == tenant.Active {
		must(t, outbox.Resume(t.Context(), n.app.Store, n.org.ID))
	}
}

// paused has the workers take nothing while something is done.
func (n customer) paused(t *testing.T, do func()) {
	t.Helper()
	for _, q := range queue.Queues {
		must(t, n.app.Queue.Pause(q))
	}
	do()
	for _, q := range queue.Queues {
		must(t, n.app.Queue.Resume(q))
	}
}

// held waits until so many tasks are held, and nothing else is to be worked.
func (n customer) held(t *testing.T, want int64) {
	t.Helper()
	apptest.Eventually(t, "the organization's tasks are held", func() bool {
		state, err := outbox.Count(t.Context(), n.app.Store)
		must(t, err)
		return state.Held == want && state.Ready+state.Sent == 0
	})
}

func TestNothingOfADisabledOrganizationIsWorkedOrSentUntilItIsEnabled(t *testing.T) {
	t.Parallel()
	each(t, 10, func(t *testing.T, n customer) {
		receiver := apptest.NewReceiver(t)
		n.endpoint(t, receiver)
		p := n.connect(t, "http")
		n.people(t, "ann@acme.example.com", "bob@acme.example.com")

		// A request and an import are accepted, and taken up by nobody yet.
		var first, imported string
		n.paused(t, func() {
			first = n.sync(t, usersync.UserInput{FirstName: "Cora"}, "cora@acme.example.com")
			imported = n.upload(t, addresses(20))
			n.setStatus(t, tenant.Disabled)
		})
		n.held(t, 2)
		if r := n.report(t, first); r.Status != request.Queued || !r.StartedAt.IsZero() {
			t.Errorf("the request is %s since %s", r.Status, r.StartedAt)
		}
		if i := n.imported(t, imported); i.Done != 0 {
			t.Errorf("the import is %+v", i)
		}
		n.setStatus(t, tenant.Active)
		n.until(t, first, request.Succeeded)
		apptest.Eventually(t, "imported", func() bool { return n.imported(t, imported).Status.Final() })
		apptest.Eventually(t, "the webhook has come", func() bool { return len(receiver.Got()) == 1 })

		// A push is due, and a delivery is to be tried again.
		receiver.Next(http.StatusInternalServerError)
		n.sync(t, usersync.UserInput{FirstName: "Dora"}, "dora@acme.example.com")
		apptest.Eventually(t, "the delivery has failed once", func() bool { return len(receiver.Got()) == 2 })
		calls := p.server.State(p.name).Calls
		must(t, n.app.Queue.Pause(queue.Push))
		third := n.sync(t, usersync.UserInput{FirstName: "Ed"}, "ed@acme.example.com")
		p.step(t, third, request.StepPending)
		n.setStatus(t, tenant.Disabled)
		must(t, n.app.Queue.Resume(queue.Push))
		apptest.Eventually(t, "what was to be tried again is held too", func() bool {
			state, err := outbox.Count(t.Context(), n.app.Store)
			must(t, err)
			return state.Held == 2 && state.Scheduled+state.Ready+state.Sent == 0
		})
		if got, more := len(receiver.Got()), p.server.State(p.name).Calls-calls; got != 2 || more != 0 {
			t.Errorf("%d webhooks came and %d calls more, want none while the organization is disabled", got, more)
		}
		n.setStatus(t, tenant.Active)
		n.until(t, third, request.Succeeded)
		apptest.Eventually(t, "all webhooks have come", func() bool { return len(receiver.Got()) == 4 })
	})
}

// The relay of an enabled organization does it where the process that enabled it ended
// before.
func TestHeldTasksGoOnByThemselvesOnceTheOrganizationIsEnabled(t *testing.T) {
	t.Parallel()
	each(t, 10, func(t *testing.T, n customer) {
		var id string
		n.paused(t, func() {
			id = n.sync(t, usersync.UserInput{}, "cora@acme.example.com")
			n.setStatus(t, tenant.Disabled)
		})
		n.held(t, 1)
		_, err := tenant.Update(t.Context(), n.app.Store.Org(n.org.ID), "operator", func(o *tenant.Organization) ([]string, error) {
			o.Status = tenant.Active
			return []string{"status"}, nil
		})
		must(t, err)
		n.until(t, id, request.Succeeded)
	})
}

func TestARequestWhoseTaskIsPoisonedSaysSo(t *testing.T) {
	t.Parallel()
	apptest.Each(t, func(t *testing.T, e *apptest.Environment) {
		n := newTenant(t, e.Start(t, app.All), 10)
		var id string
		n.paused(t, func() {
			id = n.sync(t, usersync.UserInput{}, "cora@acme.example.com")
			admin(t, e, `UPDATE outbox SET state = 'poisoned', deaths = 3, generation = generation + 1 WHERE kind = 'pipeline.run'`)
		})
		r := n.report(t, id)
		if r.Status != request.Queued || len(r.Steps) != 1 || r.Steps[0].Status != request.StepPending || r.Steps[0].Reason != request.ReasonStopped || r.Steps[0].Details == "" {
			t.Errorf("the request is %+v", r)
		}
		queued, err := request.ListIDs(t.Context(), n.app.Store.Org(n.org.ID), request.Filter{Status: request.Queued, Limit: 10})
		if err != nil || len(queued) != 1 || queued[0] != id {
			t.Errorf("queued are %q, %v", queued, err)
		}
		stuck, err := outbox.Stuck(t.Context(), n.app.Store, 0, "", 10)
		if err != nil || len(stuck) != 1 {
			t.Fatal(stuck, err)
		}
		must(t, outbox.RetryPoisoned(t.Context(), n.app.Store, "operator", stuck[0].ID))
		if r := n.until(t, id, request.Succeeded); r.Steps[0].Reason == request.ReasonStopped {
			t.Errorf("the request is %+v", r)
		}
	})
}

// All pushes of a connection are one task: the steps that wait for it say so.
func TestAStepWhoseConnectionIsPoisonedSaysSo(t *testing.T) {
	t.Parallel()
	apptest.Each(t, func(t *testing.T, e *apptest.Environment) {
		n := newTenant(t, e.Start(t, app.All), 10)
		p := n.connect(t, "http")
		must(t, n.app.Queue.Pause(queue.Push))
		id := n.sync(t, usersync.UserInput{}, "cora@acme.example.com")
		p.step(t, id, request.StepPending)
		admin(t, e, `UPDATE outbox SET state = 'poisoned', deaths = 3, generation = generation + 1 WHERE kind = 'platform.push'`)
		must(t, n.app.Queue.Resume(queue.Push))
		if s := p.step(t, id, request.StepPending); s.Reason != request.ReasonStopped || s.Details == "" {
			t.Errorf("the step is %+v", s)
		}
		must(t, outbox.RetryPoisoned(t.Context(), n.app.Store, "operator", platform.PushTaskID(p.connection.ID)))
		if s := p.step(t, id, request.StepSynced); s.Reason != "" {
			t.Errorf("the step is %+v", s)
		}
	})
}
