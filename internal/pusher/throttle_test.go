package pusher_test

import (
	"context"
	"encoding/json"
	"testing"
	"time"

	"usersync/internal/connector"
	"usersync/internal/outbox"
	"usersync/internal/platform"
	"usersync/internal/usersync"
)

// throttling is a platform that wants rest, after something else has happened.
type throttling struct {
	*model
	meanwhile func()
}

func (p throttling) Push(context.Context, []connector.Profile) ([]connector.Result, error) {
	p.meanwhile()
	return nil, &usersync.Error{Code: usersync.CodeRateLimited, Message: "Rest.", RetryAfter: time.Hour}
}

// throttle has the platform ask for an hour of rest in the next turn.
func (o *order) throttle(meanwhile func()) {
	o.t.Helper()
	o.platform = throttling{o.model, meanwhile}
	o.change(2)
	must(o.t, o.pusher.Work(o.t.Context(), o.take()))
	o.platform = o.model
}

func (o *order) connection() platform.Connection {
	o.t.Helper()
	c, err := platform.GetConnection(o.t.Context(), o.org, o.conn)
	must(o.t, err)
	return c
}

// wantThrottled fails unless the connection waits for an hour.
func (o *order) wantThrottled() {
	o.t.Helper()
	if wait := time.Until(o.connection().ThrottledUntil.Time); wait < 50*time.Minute || wait > time.Hour {
		o.t.Errorf("shown as throttled for %v", wait)
	}
	if o.comesAgain() {
		o.t.Error("the task comes before the rest is over")
	}
}

// wantLifted fails unless the connection is pushed to now.
func (o *order) wantLifted() {
	o.t.Helper()
	if until := o.connection().ThrottledUntil; !until.IsZero() {
		o.t.Errorf("shown as throttled until %v", until)
	}
	if wait := o.next(); wait > 0 {
		o.t.Errorf("something is due in %v", wait)
	}
	if !o.comesAgain() {
		o.t.Error("the task does not come")
	}
}

// comesAgain reports whether the task is ready, or due now. It leaves it so.
func (o *order) comesAgain() bool {
	o.t.Helper()
	_, err := outbox.Promote(o.t.Context(), o.store, 10)
	must(o.t, err)
	ready, _, err := outbox.ReadyQueues(o.t.Context(), o.store, []string{"push"})
	must(o.t, err)
	return len(ready) > 0
}

func (o *order) resume() {
	o.t.Helper()
	_, err := platform.ResumeConnection(o.t.Context(), o.org, "test", o.conn)
	must(o.t, err)
}

func TestResumeLiftsTheRestThatAPlatformAskedFor(t *testing.T) {
	t.Parallel()
	eachOrder(t, func(t *testing.T, o *order) {
		o.throttle(func() {})
		o.wantThrottled()
		o.resume()
		o.wantLifted()
		o.drain()
	})
}

func TestWhoLiftsARestDuringATurnIsNotOverruledByIt(t *testing.T) {
	t.Parallel()
	eachOrder(t, func(t *testing.T, o *order) {
		o.throttle(func() {})
		o.wantThrottled()
		o.throttle(o.resume)
		o.wantLifted()
		o.drain()
	})
}

func TestOtherSettingsLiftTheRest(t *testing.T) {
	t.Parallel()
	eachOrder(t, func(t *testing.T, o *order) {
		o.throttle(func() {})
		o.wantThrottled()
		_, err := platform.UpdateConnection(t.Context(), o.org, "test", o.conn, func(c *platform.Connection) ([]string, error) {
			c.Name = "another"
			return []string{"name"}, nil
		})
		must(t, err)
		o.wantThrottled()
		_, err = platform.UpdateConnection(t.Context(), o.org, "test", o.conn, func(c *platform.Connection) ([]string, error) {
			c.Settings = json.RawMessage(`{"callsPerSecond":1}`)
			return []string{"settings.callsPerSecond"}, nil
		})
		must(t, err)
		o.wantLifted()
		o.drain()
	})
}

// What waits at a connection that is deleted must not wait until its platform has
// rested: its owner has nothing left to lift that by.
func TestAConnectionThatIsDeletedDuringATurnIsClearedAtOnce(t *testing.T) {
	t.Parallel()
	eachOrder(t, func(t *testing.T, o *order) {
		o.throttle(func() { must(t, platform.DeleteConnection(t.Context(), o.org, "test", o.conn)) })
		if !o.comesAgain() {
			t.Error("the task does not come")
		}
	})
}

func TestAConnectionThatIsPausedDuringATurnEndsWhatWaitsAtOnce(t *testing.T) {
	t.Parallel()
	eachOrder(t, func(t *testing.T, o *order) {
		o.throttle(func() {
			_, err := platform.PauseConnection(t.Context(), o.org, "test", o.conn)
			must(t, err)
		})
		if !o.comesAgain() {
			t.Error("the task does not come")
		}
	})
}
