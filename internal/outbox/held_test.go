package outbox_test

import (
	"errors"
	"testing"
	"time"

	"usersync/internal/outbox"
	"usersync/internal/roomtest"
	"usersync/internal/tenant"
	"usersync/internal/usersync"
)

func setStatus(t *testing.T, n roomtest.Tenant, status string) {
	t.Helper()
	_, err := tenant.Update(t.Context(), n.Org(n.Organization.ID), "operator", func(o *tenant.Organization) ([]string, error) {
		o.Status = status
		return []string{"status"}, nil
	})
	if err != nil {
		t.Fatal(err)
	}
}

// refuse fails the test if a task that is on the queue can be claimed in either way.
func refuse(t *testing.T, n roomtest.Tenant, e outbox.Envelope) {
	t.Helper()
	if _, ok, err := outbox.Claim(t.Context(), n.Store, e.ID, e.Generation); ok || err != nil {
		t.Errorf("claimed: %v %v", ok, err)
	}
	if _, ok, err := outbox.ClaimCoalesced(t.Context(), n.Store, e.ID, e.Generation, roomFor(10)); ok || err != nil {
		t.Errorf("claimed with others: %v %v", ok, err)
	}
}

func TestNothingOfADisabledOrganizationIsClaimedAndNothingIsLost(t *testing.T) {
	t.Parallel()
	roomtest.Each(t, 1, func(t *testing.T, n roomtest.Tenant) {
		other := roomtest.New(t, n.Store, 1)
		acceptMany(t, n, "a", 5)
		first := sendFirst(t, n.Store)
		setStatus(t, n, tenant.Disabled)
		refuse(t, n, first)
		for range 2 { // the queue may bring a message twice
			if err := outbox.HoldBack(t.Context(), n.Store, first.ID, first.Generation); err != nil {
				t.Fatal(err)
			}
		}
		acceptMany(t, other, "b", 2)
		ready, due, err := outbox.ReadyQueues(t.Context(), n.Store, []string{"q"})
		if state, _ := outbox.Count(t.Context(), n.Store); err != nil || state.Held != 5 || state.Ready != 2 || state.Sent != 0 || len(ready) != 1 || due != 24*time.Hour {
			t.Errorf("%+v, ready %q, the next is due in %s, %v", state, ready, due, err)
		}
		if got := roomtest.ClaimAll(t, n.Store, 10); len(got) != 2 || got[0].Organization != other.Organization.ID {
			t.Errorf("claimed %+v, want what the other organization has", got)
		}

		if err := outbox.ResumeEnabled(t.Context(), n.Store, 10); err != nil {
			t.Fatal(err)
		}
		if state, err := outbox.Count(t.Context(), n.Store); err != nil || state.Held != 5 {
			t.Errorf("%+v %v: resumed while disabled", state, err)
		}
		setStatus(t, n, tenant.Active)
		if err := outbox.ResumeEnabled(t.Context(), n.Store, 10); err != nil {
			t.Fatal(err)
		}
		got := roomtest.ClaimAll(t, n.Store, 10)
		if len(got) != 5 || got[0].TaskID != first.ID || got[0].Organization != n.Organization.ID {
			t.Errorf("claimed %+v, want all five, oldest first", got)
		}
	})
}

func TestHoldingBackSparesTasksOfAnOrganizationThatIsNotDisabled(t *testing.T) {
	t.Parallel()
	roomtest.Each(t, 1, func(t *testing.T, n roomtest.Tenant) {
		claimed, other := takeTwoAndClaimOne(t, n)
		for _, e := range []outbox.Envelope{claimed, other} {
			if err := outbox.HoldBack(t.Context(), n.Store, e.ID, e.Generation); err != nil {
				t.Fatal(err)
			}
		}
		setStatus(t, n, tenant.Disabled)
		if err := outbox.HoldBack(t.Context(), n.Store, claimed.ID, claimed.Generation); err != nil {
			t.Fatal(err)
		}
		if state, err := outbox.Count(t.Context(), n.Store); err != nil || state.Sent != 2 {
			t.Errorf("%+v %v: want the one as it was, and the claim of the other left to its worker", state, err)
		}
	})
}

func TestRenewingTellsAWorkerToStopWhenTheOrganizationIsDisabled(t *testing.T) {
	t.Parallel()
	roomtest.Each(t, 1, func(t *testing.T, n roomtest.Tenant) {
		c := claimTogether(t, n, 2)
		if err := outbox.Renew(t.Context(), n.Store, c); err != nil {
			t.Error(err)
		}
		setStatus(t, n, tenant.Disabled)
		if err := outbox.Renew(t.Context(), n.Store, c); !errors.Is(err, outbox.ErrDisabled) {
			t.Errorf("%v, want to be told to stop", err)
		}
		// What was begun may be written: it has happened.
		if err := outbox.Release(t.Context(), n.Store, c, outbox.When{}, false); err != nil {
			t.Error(err)
		}
		if err := outbox.Renew(t.Context(), n.Store, usersync.Claim{TaskID: c.TaskID, Token: c.Token}); !errors.Is(err, outbox.ErrClaimLost) {
			t.Errorf("%v, want the claim to be lost", err)
		}
	})
}
