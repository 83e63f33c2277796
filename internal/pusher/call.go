package pusher

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"runtime/debug"
	"time"

	"usersync/internal/connector"
	"usersync/internal/platform"
	"usersync/internal/usersync"
)

// call pushes items and notes the results in them.
func (p *turn) call(ctx context.Context, c connector.Connector, items []*item) {
	limited, cancel := context.WithTimeout(ctx, callWithin-5*time.Second)
	defer cancel()
	profiles := make([]connector.Profile, len(items))
	for i, it := range items {
		profiles[i], it.called, it.by = it.profile, true, c
	}
	watched, noted := watch(limited, items...)
	results, err := guarded(p, func() ([]connector.Result, error) { return c.Push(watched, profiles) })
	noted()
	failure := usersync.AsError(err)
	if ctx.Err() != nil {
		failure = errStopped
	}
	rest := take(items, results)
	if len(rest) > 0 && failure != nil && failure.Code == usersync.CodeRejected {
		p.refused(ctx, c, rest, failure)
		return
	}
	settle(rest, failure)
}

// note writes what a call answered into its items.
func (p *turn) note(ctx context.Context, items []*item, results []connector.Result, failure *usersync.Error) {
	if ctx.Err() != nil {
		failure = errStopped
	}
	settle(take(items, results), failure)
}

// settle notes of items that a call said nothing of why that is.
func settle(rest []*item, failure *usersync.Error) {
	switch {
	case failure == nil:
		fail(rest, usersync.Errorf(usersync.CodeInternal, "The connector did not say what became of the user."))
	case failure.Code == usersync.CodeRejected:
		reject(rest, failure)
	default:
		fail(rest, failure)
	}
}

// take notes the results of a push, and returns the items that it says nothing of. What
// it learnt of them before it failed is kept.
func take(items []*item, results []connector.Result) (rest []*item) {
	for i, it := range items {
		if i < len(results) && results[i].Status != "" {
			it.result = results[i]
			continue
		}
		if i < len(results) {
			it.result = connector.Result{Remote: results[i].Remote}
		}
		rest = append(rest, it)
	}
	return rest
}

// fail notes why the call as a whole says nothing of items.
func fail(items []*item, why *usersync.Error) {
	for _, it := range items {
		it.err = why
	}
}

// reject notes that the platform refuses items.
func reject(items []*item, why *usersync.Error) {
	for _, it := range items {
		it.result = connector.Result{Status: connector.Failed, Err: why}
	}
}

// refused finds who is to blame when a platform has refused to take items together.
func (p *turn) refused(ctx context.Context, c connector.Connector, items []*item, why *usersync.Error) {
	switch {
	case errors.Is(why, connector.ErrEverybody) && p.refusesEverybody(ctx, c, items, why):
		fail(items, everybody(why))
	case len(items) > 1 && !errors.Is(why, connector.ErrGone):
		p.call(ctx, c, items[:len(items)/2])
		p.call(ctx, c, items[len(items)/2:])
	default:
		reject(items, why)
	}
}

// refusesEverybody reports whether the platform refuses such calls whoever they are
// about. Two people of a batch stand for it: when each alone gets the same answer, so would
// all. Somebody who was pushed alone may have caused the answer, by an address that the
// platform reads as another path, say. Then a check, which is about nobody, tells.
func (p *turn) refusesEverybody(ctx context.Context, c connector.Connector, items []*item, failure *usersync.Error) bool {
	ctx, cancel := context.WithTimeout(ctx, callWithin-5*time.Second)
	defer cancel()
	if len(items) == 1 {
		_, err := guarded(p, func() (connector.Facts, error) { return c.Check(ctx) })
		return errors.Is(err, connector.ErrEverybody)
	}
	for _, it := range []*item{items[0], items[len(items)-1]} {
		results, err := guarded(p, func() ([]connector.Result, error) { return c.Push(ctx, []connector.Profile{it.profile}) })
		if err == nil && len(results) == 1 && results[0].Err != nil {
			err = results[0].Err
		}
		if !errors.Is(err, connector.ErrEverybody) || usersync.AsError(err).Message != failure.Message {
			return false
		}
	}
	return true
}

// everybody is the refusal of a connection whose platform refuses everybody.
func everybody(why *usersync.Error) *usersync.Error {
	return usersync.Errorf(usersync.CodeDisconnected, "The platform refuses every call: %s", why.Message).Because(why)
}

// errStopped is of a call that our own end interrupted: nobody knows what became
// of it, and it is no attempt.
var errStopped = &usersync.Error{Code: usersync.CodeRateLimited, Message: "The worker was stopped.", RetryAfter: time.Second}

// guarded calls a connector; one that panics has failed.
func guarded[T any](p *turn, call func() (T, error)) (out T, err error) {
	defer func() {
		if cause := recover(); cause != nil {
			p.Log.Error("panic in a connector", "platform", p.connection.Platform, "connection", p.id, "cause", fmt.Sprint(cause), "stack", string(debug.Stack()))
			err = usersync.Errorf(usersync.CodeInternal, "Something went wrong on our side.")
		}
	}()
	return call()
}

// confirm asks how the jobs went that the platform works on.
func (p *turn) confirm(ctx context.Context, c connector.Connector, jobs map[string][]platform.PushRow) error {
	confirmer, ok := c.(connector.Confirmer)
	for job, due := range jobs { //lint:loop each job is asked for at the platform and recorded by itself
		items, gone, err := p.load(ctx, due)
		if err != nil {
			return fmt.Errorf("load the users to push: %w", err)
		}
		if err := p.withConsents(ctx, c, items); err != nil {
			return err
		}
		if !ok { // another platform's row cannot be: the connector has changed
			for _, it := range items {
				it.result = connector.Result{Status: connector.Synced}
			}
		} else {
			p.ask(ctx, confirmer, job, items)
		}
		p.subscribe(ctx, c, items)
		for _, it := range items {
			it.version, it.hash = it.push.SentVersion, it.push.SentHash
		}
		if err := p.recordStates(ctx, items, gone); err != nil {
			return err
		}
	}
	return nil
}

// ask asks for one job. One that went wrong as a whole, or that the platform does
// not know, is pushed anew.
func (p *turn) ask(ctx context.Context, c connector.Confirmer, job string, items []*item) {
	if len(items) == 0 {
		return
	}
	profiles := make([]connector.Profile, len(items))
	for i, it := range items {
		profiles[i] = it.profile
	}
	watched, noted := watch(ctx, items...)
	results, err := guarded(p, func() ([]connector.Result, error) { return c.Confirm(watched, job, profiles) })
	noted()
	failure := usersync.AsError(err)
	for i, it := range items {
		switch {
		case i < len(results) && results[i].Status != "":
			it.result = results[i]
		case failure == nil, throttled(failure), ctx.Err() != nil, errors.Is(err, connector.ErrNoJob) && it.young(p.clock.now()):
			it.result = connector.Result{Status: connector.Pending, Job: job}
		default:
			it.err = failure
		}
	}
}

// jobKnownWithin is how long a platform may take until it knows a job that it has
// just taken: SendGrid answers 404 at first.
const jobKnownWithin = 30 * time.Second

// young reports whether the job of an item may not be known yet.
func (it *item) young(now time.Time) bool { return now.Sub(it.since()) < jobKnownWithin }

// since is when the job was made, or else when the push was asked for.
func (it *item) since() time.Time {
	return cmp.Or(it.push.PushedAt, it.wait.CreatedAt, it.push.WantedAt)
}
