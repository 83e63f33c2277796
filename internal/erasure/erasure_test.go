package erasure_test

import (
	"errors"
	"fmt"
	"testing"
	"time"

	"usersync/internal/colleague"
	"usersync/internal/erasure"
	"usersync/internal/intake"
	"usersync/internal/outbox"
	"usersync/internal/queue"
	"usersync/internal/receipt"
	"usersync/internal/request"
	"usersync/internal/roomtest"
	"usersync/internal/store"
	"usersync/internal/user"
	"usersync/internal/usersync"
)

// fixture is an organization whose tasks the test works itself.
type fixture struct {
	roomtest.Tenant
	handler queue.Handler
}

// each runs a test on both engines, each time with an organization of its own.
func each(t *testing.T, test func(t *testing.T, n fixture)) {
	t.Helper()
	roomtest.Each(t, 10, func(t *testing.T, n roomtest.Tenant) {
		test(t, fixture{n, (&erasure.Service{Store: n.Store}).Handler()})
	})
}

func must(t *testing.T, err error) {
	t.Helper()
	if err != nil {
		t.Fatal(err)
	}
}

// accept accepts n requests of one user.
func (n fixture) accept(t *testing.T, address string, count int) (u string, ids []string) {
	t.Helper()
	sub := &intake.Submission{Organization: n.Organization.ID, KeyID: n.Key.ID}
	for range count {
		in := usersync.UserInput{Email: usersync.NewEmail(address, address), Country: "US"}
		sub.Items = append(sub.Items, &intake.Acceptance{RequestID: usersync.NewID(usersync.PrefixRequest), Kind: request.KindUserSync,
			Salt: n.Organization.Salt, User: intake.NewUser{UserInput: in, Identity: user.Identity{Key: address, Company: "acme.example"}}})
	}
	must(t, intake.AcceptPlanned(t.Context(), n.Store, []*intake.Submission{sub}, func(items []*intake.Acceptance) []usersync.Task {
		for _, a := range items {
			a.TaskID = "none"
			ids = append(ids, a.RequestID)
		}
		return nil
	}))
	return sub.Items[0].UserID, ids
}

func (n fixture) erase(t *testing.T, s erasure.Subject) erasure.Erasure {
	t.Helper()
	e, err := erasure.Begin(t.Context(), n.Org(n.Organization.ID), "test", n.Organization.Salt, s, func(tr erasure.Traces) usersync.Task { return erasure.Task(n.Organization.ID, tr) })
	must(t, err)
	return e
}

// claim takes the one task there is; ok is false when none is left.
func (n fixture) claim(t *testing.T) (c usersync.Claim, ok bool) {
	t.Helper()
	taken, err := outbox.TakeReady(t.Context(), n.Store, queue.Run, "", outbox.Shares{Slots: 1000, Key: 10}, 10)
	must(t, err)
	if len(taken) == 0 {
		return c, false
	}
	c, ok, err = outbox.Claim(t.Context(), n.Store, taken[0].ID, taken[0].Generation)
	must(t, err)
	if !ok {
		t.Fatal("the task could not be claimed")
	}
	return c, true
}

func TestErasureGoesOnWhereItWasKilled(t *testing.T) {
	t.Parallel()
	each(t, func(t *testing.T, n fixture) {
		const count = 450 // more than two batches
		user, ids := n.accept(t, "john@acme.example", count)
		e := n.erase(t, erasure.Subject{UserID: user})
		runs := 0
		for c, ok := n.claim(t); ok; c, ok = n.claim(t) {
			runs++
			stale := c
			stale.Token = "another's"
			if err := n.handler.Work(t.Context(), stale); !errors.Is(err, outbox.ErrClaimLost) {
				t.Fatalf("a worker whose claim was lost gets %v", err)
			}
			must(t, n.handler.Work(t.Context(), c))
		}
		e, err := erasure.Get(t.Context(), n.Org(n.Organization.ID), e.ID)
		must(t, err)
		if runs < 3 || e.Status != receipt.Succeeded || e.Removed.Requests != count || e.Removed.Users != 1 {
			t.Errorf("after %d runs %+v", runs, e)
		}
		reports, err := request.List(t.Context(), n.Org(n.Organization.ID), ids)
		must(t, err)
		for _, r := range reports {
			if r.Email != "" || r.Status != request.Failed {
				t.Fatalf("left %+v", r)
			}
		}
		if len(reports) != count {
			t.Errorf("%d requests are left", len(reports))
		}
	})
}

func TestErasureIsNeverGivenUp(t *testing.T) {
	t.Parallel()
	each(t, func(t *testing.T, n fixture) {
		user, _ := n.accept(t, "john@acme.example", 1)
		n.erase(t, erasure.Subject{UserID: user})
		c, _ := n.claim(t)
		must(t, n.handler.GiveUp(t.Context(), c, errors.New("broken")))
		state, err := outbox.Count(t.Context(), n.Store)
		must(t, err)
		if state.Scheduled != 1 {
			t.Errorf("%+v: the task must come again", state)
		}
	})
}

func TestSettlingOfAnErasedUserIsRefused(t *testing.T) {
	t.Parallel()
	each(t, func(t *testing.T, n fixture) {
		u, ids := n.accept(t, "john@acme.example", 1)
		c := usersync.Claim{TaskID: "none", Organization: n.Organization.ID}
		works, err := request.Load(t.Context(), n.Store, c, ids)
		must(t, err)
		if len(works) != 1 {
			t.Fatalf("%d works", len(works))
		}
		n.erase(t, erasure.Subject{UserID: u})
		outcome := works[0].Outcome()
		outcome.Status, outcome.Charged, outcome.FinishedAt = request.Succeeded, 1, time.Now()
		outcome.Steps = []request.Step{{Name: request.StepColleagues, Status: request.StepSucceeded, Details: "0 colleagues found"}}
		err = n.Tx(t.Context(), func(tx *store.Tx) error {
			_, err := request.SaveOutcomes(t.Context(), tx, n.Organization.ID, []request.Outcome{outcome})
			return err
		})
		if !errors.Is(err, store.ErrStale) {
			t.Errorf("the outcome of an erased user's request is taken: %v", err)
		}
		update := user.Update{User: works[0].User}
		err = n.Tx(t.Context(), func(tx *store.Tx) error { return user.Save(t.Context(), tx, []user.Update{update}) })
		if !errors.Is(err, store.ErrStale) {
			t.Errorf("an erased user is updated: %v", err)
		}
	})
}

func TestErasedPersonBecomesNoColleagueUnlessTheyAreAUserAgain(t *testing.T) {
	t.Parallel()
	each(t, func(t *testing.T, n fixture) {
		eve, _ := n.accept(t, "eve@acme.example", 1)
		found := []colleague.Found{
			{UserID: eve, Candidate: colleague.Candidate{Email: usersync.NewEmail("john@acme.example", "john@acme.example")}, Reasons: []string{"same_company"}},
			{UserID: eve, Candidate: colleague.Candidate{Email: usersync.NewEmail("ann@acme.example", "ann@acme.example")}, Reasons: []string{"same_company"}},
		}
		save := func() (saved map[string]colleague.Summary, err error) {
			err = n.Tx(t.Context(), func(tx *store.Tx) error {
				saved, err = colleague.SaveFound(t.Context(), tx, n.Organization.ID, n.Organization.Salt, found)
				return err
			})
			return saved, err
		}
		before, err := save()
		must(t, err)
		n.erase(t, erasure.Subject{Email: found[0].Email})
		_, err = save()
		gone, ok := errors.AsType[*colleague.ErasedError](err)
		if !ok || len(gone.Keys) != 1 || gone.Keys[0] != "john@acme.example" {
			t.Fatalf("an erased person is stored as a colleague: %v", err)
		}
		if text := fmt.Sprint(err); text != "1 of the people found were erased" {
			t.Errorf("the error says %q", text)
		}
		n.accept(t, "john@acme.example", 1)
		after, err := save()
		must(t, err)
		if len(after) != 2 || after["john@acme.example"].ID == before["john@acme.example"].ID || after["ann@acme.example"].ID != before["ann@acme.example"].ID {
			t.Errorf("before %v, after %v", before, after)
		}
	})
}
