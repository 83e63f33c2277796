package fairness_test

import (
	"context"
	"errors"
	"runtime"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"usersync/internal/fairness"
)

func TestAnOrganizationDoesOneThingAtATime(t *testing.T) {
	t.Parallel()
	turns := fairness.NewTurns(&fairness.Presence{})
	var inside, done atomic.Int64
	var all sync.WaitGroup
	for range 50 {
		all.Go(func() {
			leave, err := turns.Enter(t.Context(), "org_a")
			if err != nil {
				t.Error(err)
				return
			}
			defer leave()
			if n := inside.Add(1); n != 1 {
				t.Errorf("%d are in turn", n)
			}
			done.Add(1)
			inside.Add(-1)
		})
	}
	all.Wait()
	if done.Load() != 50 {
		t.Errorf("%d of 50 had their turn", done.Load())
	}
}

func TestOrganizationsDoNotWaitForOneAnother(t *testing.T) {
	t.Parallel()
	turns := fairness.NewTurns(&fairness.Presence{})
	leaveA, errA := turns.Enter(t.Context(), "org_a")
	leaveB, errB := turns.Enter(t.Context(), "org_b")
	if err := errors.Join(errA, errB); err != nil {
		t.Fatal(err)
	}
	leaveB()
	leaveA()
}

func TestWhoDoesNotWaitAnyLongerHoldsNobodyBack(t *testing.T) {
	t.Parallel()
	turns := fairness.NewTurns(&fairness.Presence{})
	leave, err := turns.Enter(t.Context(), "org_a")
	if err != nil {
		t.Fatal(err)
	}
	gone, cancel := context.WithCancel(t.Context())
	cancel()
	if _, err := turns.Enter(gone, "org_a"); !errors.Is(err, context.Canceled) {
		t.Errorf("a turn of somebody who has gone: %v", err)
	}
	leave()
	leave, err = turns.Enter(t.Context(), "org_a")
	if err != nil {
		t.Fatal(err)
	}
	leave()
}

func TestAnOrganizationRestsBetweenItsTurnsWhileOthersAreThere(t *testing.T) {
	t.Parallel()
	presence := &fairness.Presence{}
	turns := fairness.NewTurns(presence)
	rested := func() time.Duration {
		leave, err := turns.Enter(t.Context(), "org_a")
		if err != nil {
			t.Fatal(err)
		}
		presence.Note("org_a")
		for busy := time.Now(); time.Since(busy) < 20*time.Millisecond; {
			runtime.Gosched()
		}
		leave()
		began := time.Now()
		if leave, err = turns.Enter(t.Context(), "org_a"); err != nil {
			t.Fatal(err)
		}
		leave()
		return time.Since(began)
	}
	alone := rested()
	for range 5 { // a busy machine may make anybody wait
		alone = min(alone, rested())
	}
	presence.Note("org_b")
	beside := rested()
	if alone > 15*time.Millisecond || beside < 19*time.Millisecond {
		t.Errorf("after turns of 20 ms it rested for %v alone and for %v beside another", alone, beside)
	}
}

func TestPresenceForgetsNobodyWhoCameBeforeAnother(t *testing.T) {
	t.Parallel()
	p := &fairness.Presence{}
	if p.Others("org_a", time.Hour) {
		t.Error("others are there before anybody came")
	}
	p.Note("org_a")
	if p.Others("org_a", time.Hour) || !p.Others("org_b", time.Hour) {
		t.Error("org_a came alone")
	}
	p.Note("org_b")
	p.Note("org_a")
	p.Note("org_a")
	if !p.Others("org_a", time.Hour) || p.Others("org_a", 0) {
		t.Error("org_b came before org_a, and not just now")
	}
}
