package connector

import (
	"context"
	"testing"
	"testing/synctest"
	"time"

	"usersync/internal/outbound"
	"usersync/internal/usersync"
)

// attempt makes a call that ends with err and reports whether it was made.
func attempt(b *breaker, err error) (made bool) {
	_, _, _ = b.run(func() (*outbound.Response, error) {
		made = true
		return nil, err
	})
	return made
}

var away = usersync.Errorf(usersync.CodeUnavailable, "away")

func TestBreakerOpensAfterFiveFailuresInARow(t *testing.T) {
	t.Parallel()
	b := newBreaker()
	for range opensAfter - 1 {
		attempt(b, away)
	}
	attempt(b, nil) // begins a new row
	for range opensAfter - 1 {
		attempt(b, away)
	}
	if err := b.refusal(); err != nil {
		t.Fatalf("open too early: %v", err)
	}
	attempt(b, away)
	err := b.refusal()
	if usersync.CodeOf(err) != usersync.CodeUnavailable {
		t.Fatalf("got %v", err)
	}
	if wait := usersync.AsError(err).RetryAfter; wait < opensFor-time.Second || wait > opensFor {
		t.Errorf("waits %v", wait)
	}
	if attempt(b, nil) {
		t.Error("a call was made")
	}
}

func TestBreakerCountsOnlyWhatIsUnavailable(t *testing.T) {
	t.Parallel()
	b := newBreaker()
	for _, err := range []error{
		usersync.Errorf(usersync.CodeRejected, ""), usersync.Errorf(usersync.CodeRateLimited, ""), usersync.Errorf(usersync.CodeDisconnected, ""), nil,
	} {
		for range opensAfter {
			attempt(b, err)
		}
		if got := b.refusal(); got != nil {
			t.Errorf("%v opened it", err)
		}
	}
	for range opensAfter - 1 {
		attempt(b, away)
	}
	attempt(b, context.Canceled) // is neither failure nor success
	attempt(b, away)
	if b.refusal() == nil {
		t.Error("a cancelled call counted as a success")
	}
}

func TestBreakerTriesOneCallAfterThirtySeconds(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		b := newBreaker()
		for range opensAfter {
			attempt(b, away)
		}
		time.Sleep(opensFor - time.Second)
		if wait := usersync.AsError(b.refusal()).RetryAfter; wait != trialWait {
			t.Errorf("a second before, waits %v", wait)
		}
		time.Sleep(2 * time.Second)
		if err := b.refusal(); err != nil {
			t.Errorf("still open: %v", err)
		}
		trial, decided := make(chan error), make(chan bool)
		go func() {
			_, _, err := b.run(func() (*outbound.Response, error) { return nil, <-trial })
			decided <- err == nil
		}()
		synctest.Wait()
		if attempt(b, nil) {
			t.Error("two calls try it at once")
		}
		trial <- away
		<-decided
		if attempt(b, nil) {
			t.Error("the trial failed, and another call was made")
		}
		time.Sleep(opensFor + time.Second)
		for range 2 {
			if !attempt(b, nil) || b.refusal() != nil {
				t.Error("the trial succeeded, and it is still open")
			}
		}
	})
}
