package connectortest

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"sync"
	"time"

	"golang.org/x/sync/errgroup"

	"usersync/internal/connector"
	"usersync/internal/usersync"
)

const (
	// paceFor is how long a case calls a platform as fast as its limits allow.
	paceFor = 2500 * time.Millisecond
	// pacers are the workers that call it at once, in two processes.
	pacers = 6
	// paceTries is how often that is tried before it is said to fail.
	paceTries = 3
)

// quickly is a rate, in calls a second, at which a case with many calls does not take long.
const quickly = 200

// quick runs a case that makes many calls, and is not about their rate, at a rate that the
// owner has set.
func quick(run func(*fixture)) func(*fixture) {
	return func(f *fixture) {
		f.hasten()
		run(f)
	}
}

// hasten sets the rate of a quick case.
func (f *fixture) hasten() {
	f.Helper()
	f.quick = true
	f.config.Settings = withRate(f, f.config, quickly)
	f.connector = f.open(f.config, f.client)
}

// another returns a fixture of the same kind with nobody at the platform.
func (f *fixture) another() *fixture {
	f.Helper()
	one := f.suite.start(f.TB)
	if f.quick {
		one.hasten()
	}
	return one
}

// staysBelowTheLimit calls an account from two processes as fast as the limits allow. The
// fake counts the calls in any window of the length that the platform counts by. Calls that
// a busy machine delays arrive closer together than they were made, so a platform has
// several tries; limits that allow too many fail in each.
func staysBelowTheLimit(f *fixture) {
	if len(f.Kind.Limits.Published) == 0 {
		f.Skip("the platform publishes no rate")
	}
	var err error
	for range paceTries {
		if err = f.another().callsTooOften(pushesSomebody, f.Kind.Limits.PerSecond); err == nil {
			return
		}
	}
	f.Errorf("in each of %d tries: %v", paceTries, err)
}

// staysBelowInLanes makes the calls that the platform counts by themselves: it looks
// people up, pushes them and removes them.
func staysBelowInLanes(f *fixture) {
	if len(f.Kind.Lanes) == 0 {
		f.Skip("the platform counts all calls together")
	}
	var err error
	for range paceTries {
		one := f.another()
		if err = one.callsTooOften(looksPushesAndRemoves, 0); err == nil {
			for _, l := range f.Kind.Lanes {
				if one.Server.State(f.Fake.Name()).ByLane[l.Name] == 0 {
					f.Errorf("nothing was called in %s", l.Name)
				}
			}
			return
		}
	}
	f.Errorf("in each of %d tries: %v", paceTries, err)
}

func pushesSomebody(f *fixture, c connector.Connector, p connector.Profile) error {
	_, err := c.Push(f.Context(), []connector.Profile{p})
	return err
}

func looksPushesAndRemoves(f *fixture, c connector.Connector, p connector.Profile) error {
	if _, err := c.Preview(f.Context(), p); err != nil {
		return err
	}
	if err := pushesSomebody(f, c, p); err != nil {
		return err
	}
	_, err := c.Remove(f.Context(), p)
	return err
}

// callsTooOften returns an error when the platform was called more often than it allows, or
// hardly at all: the limits are used.
func (f *fixture) callsTooOften(call func(*fixture, connector.Connector, connector.Profile) error, perSecond float64) (err error) {
	f.Server.Limit(f.Kind)
	hubs := []*connector.Hub{f.hub(), f.hub()}
	before, until := f.calls(), time.Now().Add(paceFor)
	var workers errgroup.Group
	for i := range pacers {
		c := f.openBy(f.config, hubs[i%2].Client("org_1", ""))
		workers.Go(func() (err error) {
			for n := 0; err == nil && time.Now().Before(until); n++ {
				err = call(f, c, Person(f, fmt.Sprintf("pace-%d-%d@%s", i, n, domain), "Grace", "Hopper"))
			}
			return err
		})
	}
	err = workers.Wait()
	over, calls, least := f.Server.State(f.Fake.Name()).Over, f.calls()-before, int(perSecond*paceFor.Seconds()/2)
	if over > 0 || calls < min(least, 20) {
		err = errors.Join(err, fmt.Errorf("%d calls in %v, want %d, of which %d were more than the platform allows", calls, paceFor, least, over))
	}
	return err
}

// losesNothingInLine pushes batches of one account at once, so that all of them wait in
// line for its limits. Nobody's call is thrown away and made again.
func losesNothingInLine(f *fixture) {
	const batches = 3
	size := min(f.Kind.Batch, 4)
	alone := f.costOf(size)
	people := People(f, batches*size)
	before := f.calls()
	var pushes sync.WaitGroup
	for slice := range slices.Chunk(people, size) {
		c := f.openBy(f.config, f.hub().Client("org_1", ""))
		pushes.Go(func() {
			if _, err := c.Push(f.Context(), slice); err != nil {
				f.Errorf("push: %v", err)
			}
		})
	}
	pushes.Wait()
	if calls := f.calls() - before; calls > batches*alone {
		f.Errorf("%d calls for %d batches that cost %d each", calls, batches, alone)
	}
}

// costOf is how many calls a push of so many new people takes.
func (f *fixture) costOf(n int) int {
	f.Helper()
	one := f.suite.start(f.TB)
	one.hasten()
	before := one.calls()
	if _, err := one.push(People(f, n)...); err != nil {
		f.Fatal(err)
	}
	return one.calls() - before
}

// keepsWhatItLearnt gives a push less time than its limits need. It says that the limit
// of the account holds it back, nobody has failed, and the people that are left take
// no more calls than they would have taken anyway.
func keepsWhatItLearnt(f *fixture) {
	if f.Kind.Limits.PerSecond <= 0 {
		f.Skip("the platform has no rate")
	}
	size := min(f.Kind.Batch, 20)
	people := People(f, size)
	slow := f.config
	slow.Settings = withRate(f, f.config, 10)
	c := f.openBy(slow, f.hub().Client("org_1", ""))
	before, left := f.calls(), people
	for try := 0; len(left) > 0; try++ {
		if try > 10*size {
			f.Fatalf("%d people of %d still wait after %d pushes", len(left), size, try)
		}
		left = f.pushFor(c, left, 600*time.Millisecond)
	}
	if calls, most := f.calls()-before, 2*f.costOf(size)+size/2; calls > most {
		f.Errorf("%d calls for %d people, want at most %d", calls, size, most)
	}
}

// pushFor pushes people within a time and returns those who have to come again. Their own
// limit may hold them back, or the time ends in the middle of a call, and nothing else.
func (f *fixture) pushFor(c connector.Connector, people []connector.Profile, within time.Duration) (left []connector.Profile) {
	f.Helper()
	ctx, cancel := context.WithTimeout(f.Context(), within)
	defer cancel()
	results, err := c.Push(ctx, people)
	late := ctx.Err() != nil && errors.Is(err, context.DeadlineExceeded)
	if err != nil && !late && !errors.Is(err, connector.ErrHeldBack) && usersync.CodeOf(err) != usersync.CodeUnavailable {
		f.Errorf("push: %v", err)
	}
	for i, p := range people {
		switch {
		case i >= len(results) || results[i].Status == "":
			left = append(left, p)
		case results[i].Status == connector.Failed:
			f.Errorf("person %d: %+v, %v", i, results[i], results[i].Err)
		}
	}
	return left
}

// withRate returns settings with a rate that the owner sets.
func withRate(f *fixture, cfg connector.Config, perSecond float64) []byte {
	f.Helper()
	values := fields(f, cfg.Settings)
	values["callsPerSecond"] = perSecond
	return []byte(JSON(f, values))
}
