package erasure_test

import (
	"errors"
	"fmt"
	"testing"
	"time"

	"usersync/internal/erasure"
	"usersync/internal/queue"
	"usersync/internal/store"
	"usersync/internal/store/storetest"
	"usersync/internal/usersync"
)

// tenant is an organization whose tasks the test works itself.
type tenant struct {
	*store.Store
	org     usersync.Organization
	key     usersync.Key
	handler queue.Handler
}

func newTenant(t *testing.T, s *store.Store) tenant {
	t.Helper()
	o, err := s.CreateOrganization(t.Context(), "test", usersync.Organization{Name: "Example Inc."})
	must(t, err)
	_, err = s.TopUp(t.Context(), "test", o.ID, 10, "first")
	must(t, err)
	k, _, err := s.CreateKey(t.Context(), "test", o.ID, usersync.Key{Name: "k"})
	must(t, err)
	return tenant{s, o, k, (&erasure.Service{Store: s}).Handler()}
}

func must(t *testing.T, err error) {
	t.Helper()
	if err != nil {
		t.Fatal(err)
	}
}

// accept accepts n requests of one user.
func (n tenant) accept(t *testing.T, address string, count int) (user string, ids []string) {
	t.Helper()
	sub := &store.Submission{Organization: n.org.ID, KeyID: n.key.ID}
	for range count {
		in := usersync.UserInput{Email: usersync.NewEmail(address, address), Country: "US"}
		sub.Items = append(sub.Items, &store.Acceptance{RequestID: usersync.NewID(usersync.PrefixRequest), Kind: usersync.KindUserSync,
			Salt: n.org.Salt, User: store.NewUser{UserInput: in, Person: store.Person{Key: address, Company: "acme.example"}}})
	}
	must(t, n.Accept(t.Context(), []*store.Submission{sub}, func(items []*store.Acceptance) []usersync.Task {
		for _, a := range items {
			a.TaskID = "none"
			ids = append(ids, a.RequestID)
		}
		return nil
	}))
	return sub.Items[0].UserID, ids
}

func (n tenant) erase(t *testing.T, s store.Subject) usersync.Erasure {
	t.Helper()
	e, err := n.Org(n.org.ID).Erase(t.Context(), "test", n.org.Salt, s, func(tr store.Traces) usersync.Task { return erasure.Task(n.org.ID, tr) })
	must(t, err)
	return e
}

// claim takes the one task there is; ok is false when none is left.
func (n tenant) claim(t *testing.T) (c usersync.Claim, ok bool) {
	t.Helper()
	taken, err := n.TakeReady(t.Context(), queue.Run, "", 10, 10)
	must(t, err)
	if len(taken) == 0 {
		return c, false
	}
	c, ok, err = n.Claim(t.Context(), taken[0].ID, taken[0].Generation)
	must(t, err)
	if !ok {
		t.Fatal("the task could not be claimed")
	}
	return c, true
}

func TestErasureGoesOnWhereItWasKilled(t *testing.T) {
	t.Parallel()
	storetest.Engines(t, func(t *testing.T, open func() *store.Store) {
		n := newTenant(t, open())
		const count = 450 // more than two batches
		user, ids := n.accept(t, "john@acme.example", count)
		e := n.erase(t, store.Subject{UserID: user})
		runs := 0
		for c, ok := n.claim(t); ok; c, ok = n.claim(t) {
			runs++
			stale := c
			stale.Token = "another's"
			if err := n.handler.Work(t.Context(), stale); !errors.Is(err, store.ErrClaimLost) {
				t.Fatalf("a worker whose claim was lost gets %v", err)
			}
			must(t, n.handler.Work(t.Context(), c))
		}
		e, err := n.Org(n.org.ID).Erasure(t.Context(), e.ID)
		must(t, err)
		if runs < 3 || e.Status != usersync.ErasureSucceeded || e.Removed.Requests != count || e.Removed.Users != 1 {
			t.Errorf("after %d runs %+v", runs, e)
		}
		reports, err := n.Org(n.org.ID).Reports(t.Context(), ids)
		must(t, err)
		for _, r := range reports {
			if r.Email != "" || r.Status != usersync.RequestFailed {
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
	storetest.Engines(t, func(t *testing.T, open func() *store.Store) {
		n := newTenant(t, open())
		user, _ := n.accept(t, "john@acme.example", 1)
		n.erase(t, store.Subject{UserID: user})
		c, _ := n.claim(t)
		must(t, n.handler.GiveUp(t.Context(), c, errors.New("broken")))
		state, err := n.OutboxState(t.Context())
		must(t, err)
		if state.Scheduled != 1 {
			t.Errorf("%+v: the task must come again", state)
		}
	})
}

func TestSettlingOfAnErasedUserIsRefused(t *testing.T) {
	t.Parallel()
	storetest.Engines(t, func(t *testing.T, open func() *store.Store) {
		n := newTenant(t, open())
		user, ids := n.accept(t, "john@acme.example", 1)
		c := usersync.Claim{TaskID: "none", Organization: n.org.ID}
		works, err := n.Work(t.Context(), c, ids)
		must(t, err)
		if len(works) != 1 {
			t.Fatalf("%d works", len(works))
		}
		n.erase(t, store.Subject{UserID: user})
		outcome := store.Outcome{RequestID: ids[0], Status: usersync.RequestSucceeded, Charged: 1, FinishedAt: time.Now(),
			Steps: []usersync.Step{{Name: usersync.StepColleagues, Status: usersync.StepSucceeded, Details: "0 colleagues found"}}}
		err = n.Tx(t.Context(), func(tx *store.Tx) error { return tx.SaveOutcomes(t.Context(), c, []store.Outcome{outcome}) })
		if !errors.Is(err, store.ErrStale) {
			t.Errorf("the outcome of an erased user's request is taken: %v", err)
		}
		update := store.UserUpdate{User: works[0].User}
		err = n.Tx(t.Context(), func(tx *store.Tx) error { return tx.UpdateUsers(t.Context(), []store.UserUpdate{update}) })
		if !errors.Is(err, store.ErrStale) {
			t.Errorf("an erased user is updated: %v", err)
		}
	})
}

func TestErasedPersonBecomesNoColleagueUnlessTheyAreAUserAgain(t *testing.T) {
	t.Parallel()
	storetest.Engines(t, func(t *testing.T, open func() *store.Store) {
		n := newTenant(t, open())
		eve, _ := n.accept(t, "eve@acme.example", 1)
		found := []store.FoundColleague{
			{UserID: eve, Candidate: store.Candidate{Email: usersync.NewEmail("john@acme.example", "john@acme.example")}, Reasons: []string{"same_company"}},
			{UserID: eve, Candidate: store.Candidate{Email: usersync.NewEmail("ann@acme.example", "ann@acme.example")}, Reasons: []string{"same_company"}},
		}
		save := func() (saved map[string]store.SavedColleague, err error) {
			err = n.Tx(t.Context(), func(tx *store.Tx) error {
				saved, err = tx.SaveColleagues(t.Context(), n.org.ID, n.org.Salt, found)
				return err
			})
			return saved, err
		}
		before, err := save()
		must(t, err)
		n.erase(t, store.Subject{Email: found[0].Email})
		_, err = save()
		gone, ok := errors.AsType[*store.ErasedError](err)
		if !ok || len(gone.Keys) != 1 || gone.Keys[0] != "john@acme.example" {
			t.Fatalf("an erased person is stored as a colleague: %v", err)
		}
		if text := fmt.Sprint(err); text != "store: 1 of the people found were erased" {
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
