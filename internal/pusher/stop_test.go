package pusher_test

import (
	"context"
	"math/rand/v2"
	"testing"
	"time"

	"usersync/internal/connector"
	"usersync/internal/outbox"
	"usersync/internal/platform"
	"usersync/internal/store"
	"usersync/internal/usersync"
)

// eachOrder runs a test on both engines, with a platform that makes no trouble.
func eachOrder(t *testing.T, test func(t *testing.T, o *order)) {
	t.Helper()
	for _, engine := range []string{"sqlite", "postgres"} {
		t.Run(engine, func(t *testing.T) {
			t.Parallel()
			o := newOrder(t, engine, rand.New(rand.NewPCG(1, 1)))
			o.model.sound = true
			test(t, o)
		})
	}
}

// take claims the task of the connection, which is ready.
func (o *order) take() usersync.Claim {
	o.t.Helper()
	c, ok := o.claim()
	if !ok {
		o.t.Fatal("the connection's task is not ready")
	}
	return c
}

// next returns in how long something is due at the connection.
func (o *order) next() time.Duration {
	o.t.Helper()
	c := o.connection()
	var due, now time.Time
	must(o.t, o.store.Tx(o.t.Context(), func(tx *store.Tx) (err error) {
		if due, err = platform.NextPush(o.t.Context(), tx, c); err != nil {
			return err
		}
		now, err = tx.Now(o.t.Context())
		return err
	}))
	if due.IsZero() {
		o.t.Fatal("nothing is due")
	}
	return due.Sub(now)
}

func TestCallThatAStopInterruptsIsNoAttemptAndMadeAgainSoon(t *testing.T) {
	t.Parallel()
	eachOrder(t, func(t *testing.T, o *order) {
		o.change(5)
		o.stop(o.take())
		if wait := o.next(); wait > 5*time.Second {
			t.Errorf("made again in %s", wait)
		}
		o.travel()
		due, err := platform.DuePushes(t.Context(), o.org, o.conn, 10)
		must(t, err)
		for _, d := range due {
			if d.Attempts > 0 {
				t.Errorf("%+v: a stop is no attempt", d)
			}
		}
		if len(due) != 5 {
			t.Errorf("%d are due, want 5", len(due))
		}
		o.drain()
	})
}

func TestCallsOfADeadWorkerAreMadeAgainSoonAfterTheirTaskIsTaken(t *testing.T) {
	t.Parallel()
	eachOrder(t, func(t *testing.T, o *order) {
		o.change(5)
		o.kill(o.take())
		if wait := o.next(); wait < time.Minute {
			t.Fatalf("the calls may still be under way, but are made again in %s", wait)
		}
		must(t, o.pusher.Work(t.Context(), o.take()))
		if wait := o.next(); wait > 5*time.Second {
			t.Errorf("made again in %s", wait)
		}
		o.drain()
	})
}

// Between two deaths is a turn that only puts off the calls of the dead worker: it does
// not count as one that the pusher has survived.
func TestDeathsInTheSameCallsFollowEachOther(t *testing.T) {
	t.Parallel()
	eachOrder(t, func(t *testing.T, o *order) {
		o.change(5)
		c := o.take()
		for n := 1; n <= outbox.MaxDeaths; n++ {
			o.kill(c)
			if c = o.take(); c.Deaths != n {
				t.Fatalf("%d workers are said to have died, want %d", c.Deaths, n)
			}
			must(t, o.pusher.Work(t.Context(), c))
			o.travel()
			if c = o.take(); c.Deaths != n {
				t.Fatalf("%d workers are said to have died after the calls were put off, want %d", c.Deaths, n)
			}
		}
		must(t, o.pusher.Work(t.Context(), c))
		o.travel()
		if c, ok := o.claim(); ok && c.Deaths != 0 {
			t.Errorf("%d workers are said to have died after the calls were made", c.Deaths)
		}
	})
}

// Workers that die in calls about different people died of something else than the people:
// however many there were, the connection's task goes on.
func TestDeathsInDifferentCallsAreNobodysFault(t *testing.T) {
	t.Parallel()
	eachOrder(t, func(t *testing.T, o *order) {
		o.change(len(o.users))
		for n := range outbox.MaxDeaths + 1 {
			c := o.take()
			if c.Deaths >= outbox.MaxDeaths {
				t.Fatalf("after %d deaths %d count as those of one call: the task would be given up", n, c.Deaths)
			}
			o.kill(c)
		}
	})
}

// Who ends the worker is found also where a long backlog of others is worked in between.
func TestDeathsInTheSameCallsFollowEachOtherBesideOtherWork(t *testing.T) {
	t.Parallel()
	eachOrder(t, func(t *testing.T, o *order) {
		o.changeThese(o.users[:5])
		for range outbox.MaxDeaths - 1 {
			o.kill(o.take())
			must(t, o.pusher.Work(t.Context(), o.take())) // the dead worker's calls are put off
			o.changeThese(o.users[100:105])
			must(t, o.pusher.Work(t.Context(), o.take())) // others are pushed meanwhile
			o.travel()
		}
		o.kill(o.take())
		must(t, o.pusher.Work(t.Context(), o.take()))
		if c := o.take(); c.Deaths < outbox.MaxDeaths {
			t.Errorf("%d of %d deaths are counted: the task is never given up", c.Deaths, outbox.MaxDeaths)
		}
	})
}

// forgetful takes pushes as jobs and knows none of them afterwards.
type forgetful struct {
	*model
	pushed, asked int
	remembers     bool
}

func (f *forgetful) Push(_ context.Context, people []connector.Profile) ([]connector.Result, error) {
	f.pushed += len(people)
	results := make([]connector.Result, len(people))
	for i := range results {
		results[i] = connector.Result{Status: connector.Pending, Job: "job"}
	}
	return results, nil
}

func (f *forgetful) Confirm(_ context.Context, _ string, people []connector.Profile) ([]connector.Result, error) {
	f.asked += len(people)
	if !f.remembers {
		return nil, connector.ErrNoJob
	}
	results := make([]connector.Result, len(people))
	for i := range results {
		results[i] = connector.Result{Status: connector.Updated}
	}
	return results, nil
}

// A platform may not know a job that it has just taken. One that it still does not
// know long after is lost, and so is what was pushed with it.
func TestForgottenJobIsPushedAnew(t *testing.T) {
	t.Parallel()
	eachOrder(t, func(t *testing.T, o *order) {
		f := &forgetful{model: o.model}
		o.platform = f
		o.change(5)
		must(t, o.pusher.Work(t.Context(), o.take()))
		o.travel()
		for f.asked == 0 {
			must(t, o.pusher.Work(t.Context(), o.take()))
		}
		if f.pushed != 5 {
			t.Fatalf("%d pushed while the job is young, want 5", f.pushed)
		}
		for range 20 {
			o.travel()
			if c, ok := o.claim(); ok {
				must(t, o.pusher.Work(t.Context(), c))
			}
			if f.pushed == 10 {
				f.remembers = true
			}
		}
		if f.pushed != 10 {
			t.Errorf("%d pushed, want each of 5 a second time", f.pushed)
		}
		if due, err := platform.DuePushes(t.Context(), o.org, o.conn, 10); err != nil || len(due) > 0 {
			t.Errorf("still due: %+v, %v", due, err)
		}
	})
}
