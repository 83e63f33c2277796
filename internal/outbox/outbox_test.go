package outbox_test

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"sync"
	"testing"
	"time"

	"usersync/internal/credit"
	"usersync/internal/delivery"
	"usersync/internal/outbox"
	"usersync/internal/roomtest"
	"usersync/internal/store"
	"usersync/internal/usersync"
)

func TestTakeReadyIsFairToFairnessKeys(t *testing.T) {
	t.Parallel()
	roomtest.Each(t, 1, func(t *testing.T, busy roomtest.Tenant) {
		s := busy.Store
		quiet := roomtest.New(t, s, 1)
		for i := range 10 {
			busy.Accept(t, busy.Submission(busy.Acceptance(fmt.Sprintf("u%d@acme.example", i))))
		}
		quiet.Accept(t, quiet.Submission(quiet.Acceptance("a@acme.example")))
		taken, err := outbox.TakeReady(t.Context(), s, "q", "", outbox.Shares{Slots: 1000, Key: 3}, 100)
		if err != nil {
			t.Fatal(err)
		}
		count := map[string]int{}
		for _, e := range taken {
			count[e.FairnessKey]++
		}
		if count[busy.FairnessKey] != 3 || count[quiet.FairnessKey] != 1 {
			t.Fatalf("taken %v, want 3 of the busy and 1 of the quiet key", count)
		}
		again, err := outbox.TakeReady(t.Context(), s, "q", "", outbox.Shares{Slots: 1000, Key: 3}, 100)
		if err != nil || len(again) != 0 {
			t.Fatalf("a full key gave %d more, %v", len(again), err)
		}
	})
}

func TestReadyQueuesAreThoseWithTasksThatWait(t *testing.T) {
	t.Parallel()
	roomtest.Each(t, 1, func(t *testing.T, n roomtest.Tenant) {
		ready := func(atMost time.Duration, want ...string) {
			t.Helper()
			got, next, err := outbox.ReadyQueues(t.Context(), n.Store, []string{"other", "q"})
			if err != nil || !slices.Equal(got, want) {
				t.Errorf("ready are %q, %v; want %q", got, err, want)
			}
			if next > atMost || next < atMost-time.Minute {
				t.Errorf("the next is due in %s, want %s", next, atMost)
			}
		}
		ready(24 * time.Hour)
		n.Accept(t, n.Submission(n.Acceptance("a@acme.example")))
		ready(24*time.Hour, "q")
		if _, err := outbox.TakeReady(t.Context(), n.Store, "q", "", outbox.Shares{Slots: 1000, Key: 10}, 10); err != nil {
			t.Fatal(err)
		}
		ready(outbox.LostAfter)
	})
}

func TestTakeReadyNeverGivesATaskTwice(t *testing.T) {
	t.Parallel()
	roomtest.Each(t, 1, func(t *testing.T, n roomtest.Tenant) {
		for i := range 60 {
			n.Accept(t, n.Submission(n.Acceptance(fmt.Sprintf("u%d@acme.example", i))))
		}
		var mu sync.Mutex
		seen := map[string]int{}
		var wg sync.WaitGroup
		for range 6 {
			wg.Go(func() {
				for range 20 {
					taken, err := outbox.TakeReady(context.Background(), n.Store, "q", "", outbox.Shares{Slots: 1000, Key: 1000}, 5)
					if err != nil {
						t.Error(err)
						return
					}
					mu.Lock()
					for _, e := range taken {
						seen[e.ID]++
					}
					mu.Unlock()
				}
			})
		}
		wg.Wait()
		for id, n := range seen {
			if n != 1 {
				t.Errorf("%s was taken %d times", id, n)
			}
		}
		if len(seen) != 60 {
			t.Errorf("%d tasks taken, want 60", len(seen))
		}
	})
}

// claimOne accepts a request and claims its task.
func claimOne(t *testing.T, n roomtest.Tenant) usersync.Claim {
	t.Helper()
	n.Accept(t, n.Submission(n.Acceptance("a@acme.example")))
	return roomtest.ClaimAll(t, n.Store, 10)[0]
}

func TestClaimIsExclusiveAndFencesWrites(t *testing.T) {
	t.Parallel()
	roomtest.Each(t, 1, func(t *testing.T, n roomtest.Tenant) {
		c := claimOne(t, n)
		if _, ok, err := outbox.Claim(t.Context(), n.Store, c.TaskID, 1); ok || err != nil {
			t.Fatalf("a second claim: %v %v", ok, err)
		}
		if err := outbox.Renew(t.Context(), n.Store, c); err != nil {
			t.Fatal(err)
		}
		stolen := c
		stolen.Token = "clm_other"
		err := n.Tx(t.Context(), func(tx *store.Tx) error { return outbox.Finish(t.Context(), tx, stolen) })
		if !errors.Is(err, outbox.ErrClaimLost) {
			t.Fatalf("a write under a lost claim: %v", err)
		}
		if err := n.Tx(t.Context(), func(tx *store.Tx) error { return outbox.Finish(t.Context(), tx, c) }); err != nil {
			t.Fatal(err)
		}
		if err := outbox.Renew(t.Context(), n.Store, c); !errors.Is(err, outbox.ErrClaimLost) {
			t.Fatalf("a finished task renewed: %v", err)
		}
	})
}

// Statements may be judged late: what a worker without the claim did meanwhile,
// and what became of it, must not hide that it has lost the claim.
func TestLostClaimUndoesEverythingAndIsToldBeforeWhatFailedLater(t *testing.T) {
	t.Parallel()
	roomtest.Each(t, 3, func(t *testing.T, n roomtest.Tenant) {
		c := claimOne(t, n)
		c.Token = "clm_other"
		request := usersync.NewID(usersync.PrefixRequest)
		for what, charges := range map[string][]string{"nothing": {request}, "a second charge of one request": {request, request}} {
			err := n.Tx(t.Context(), func(tx *store.Tx) error {
				if err := outbox.Finish(t.Context(), tx, c); err != nil {
					return err
				}
				account, _, err := delivery.LockAccountWithEndpoints(t.Context(), tx, n.Organization.ID)
				if err != nil {
					return err
				}
				if err := credit.Charge(t.Context(), tx, &account, charges); err != nil {
					return err
				}
				return credit.Save(t.Context(), tx, account)
			})
			if !errors.Is(err, outbox.ErrClaimLost) {
				t.Errorf("after the claim failed %s: the transaction says %v", what, err)
			}
		}
		if v, err := credit.Verify(t.Context(), n.Org(n.Organization.ID)); err != nil || v.Balance != 3 {
			t.Errorf("the balance is %+v: %v", v, err)
		}
	})
}

func TestPostponeRearmsWithANewGeneration(t *testing.T) {
	t.Parallel()
	roomtest.Each(t, 1, func(t *testing.T, n roomtest.Tenant) {
		c := claimOne(t, n)
		if err := outbox.Postpone(t.Context(), n.Store, c, outbox.When{}, true); err != nil {
			t.Fatal(err)
		}
		taken, err := outbox.TakeReady(t.Context(), n.Store, "q", "", outbox.Shares{Slots: 1000, Key: 10}, 10)
		if err != nil || len(taken) != 1 || taken[0].Generation != 2 {
			t.Fatalf("%+v %v", taken, err)
		}
		again, ok, err := outbox.Claim(t.Context(), n.Store, c.TaskID, 2)
		if err != nil || !ok || again.Failures != 1 {
			t.Fatalf("%+v %v %v", again, ok, err)
		}
		if err := outbox.Postpone(t.Context(), n.Store, again, outbox.In(time.Hour), false); err != nil {
			t.Fatal(err)
		}
		if _, err := outbox.Promote(t.Context(), n.Store, 10); err != nil {
			t.Fatal(err)
		}
		if state, err := outbox.Count(t.Context(), n.Store); err != nil || state.Scheduled != 1 || state.Ready != 0 {
			t.Fatalf("promoted before its time: %+v %v", state, err)
		}
	})
}

// takeTwoAndClaimOne puts two tasks on the queue, of which a worker claims one.
func takeTwoAndClaimOne(t *testing.T, n roomtest.Tenant) (claimed, other outbox.Envelope) {
	t.Helper()
	n.Accept(t, n.Submission(n.Acceptance("a@acme.example"), n.Acceptance("b@acme.example")))
	taken, err := outbox.TakeReady(t.Context(), n.Store, "q", "", outbox.Shares{Slots: 1000, Key: 10}, 10)
	if err != nil || len(taken) != 2 {
		t.Fatal(len(taken), err)
	}
	if _, ok, err := outbox.Claim(t.Context(), n.Store, taken[0].ID, 1); !ok || err != nil {
		t.Fatal(ok, err)
	}
	return taken[0], taken[1]
}

func TestUnsendAllSparesLiveClaims(t *testing.T) {
	t.Parallel()
	roomtest.Each(t, 1, func(t *testing.T, n roomtest.Tenant) {
		takeTwoAndClaimOne(t, n)
		if got, err := outbox.UnsendAll(t.Context(), n.Store, false); got != 1 || err != nil {
			t.Fatalf("unsent %d, %v; want only the unclaimed one", got, err)
		}
		if got, err := outbox.UnsendAll(t.Context(), n.Store, true); got != 1 || err != nil {
			t.Fatalf("unsent %d, %v; a dead process's claims count for nothing", got, err)
		}
	})
}

func TestRetakeBringsBackATaskWhoseClaimWasUndone(t *testing.T) {
	t.Parallel()
	roomtest.Each(t, 1, func(t *testing.T, n roomtest.Tenant) {
		claimed, undone := takeTwoAndClaimOne(t, n)
		for _, e := range []outbox.Envelope{claimed, undone} {
			if err := outbox.Retake(t.Context(), n.Store, e.ID, e.Generation); err != nil {
				t.Fatal(err)
			}
		}
		again, err := outbox.TakeReady(t.Context(), n.Store, "q", "", outbox.Shares{Slots: 1000, Key: 10}, 10)
		if err != nil || len(again) != 1 || again[0].ID != undone.ID || again[0].Generation != 2 {
			t.Fatalf("%+v %v: want only the task without a claim, in a new generation", again, err)
		}
	})
}
