package platform

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"runtime/debug"
	"slices"
	"time"

	"usersync/internal/connector"
	"usersync/internal/usersync"
)

// call pushes items and notes the results in them.
func (p *turn) call(ctx context.Context, c connector.Connector, items []*item) {
	limited, cancel := context.WithTimeout(ctx, callWithin-5*time.Second)
	defer cancel()
	profiles := make([]connector.Profile, len(items))
	for i, it := range items {
		profiles[i], it.called = it.profile, true
	}
	results, err := guarded(p, func() ([]connector.Result, error) { return c.Push(limited, profiles) })
	failure := usersync.AsError(err)
	if ctx.Err() != nil {
		failure = errStopped
	}
	if failure != nil && failure.Code == usersync.CodeRejected && len(items) > 1 && !anyResult(results) {
		p.call(ctx, c, items[:len(items)/2])
		p.call(ctx, c, items[len(items)/2:])
		return
	}
	for i, it := range items {
		switch {
		case i < len(results) && results[i].Status != "":
			it.result = results[i]
		case failure == nil:
			it.err = usersync.Errorf(usersync.CodeInternal, "The connector did not say what became of the user.")
		case failure.Code == usersync.CodeRejected:
			it.result = connector.Result{Status: connector.Failed, Err: failure}
		default:
			it.err = failure
		}
	}
}

// errStopped is of a call that our own end interrupted: nobody knows what became
// of it, and it is no attempt.
var errStopped = &usersync.Error{Code: usersync.CodeRateLimited, Message: "The worker was stopped.", RetryAfter: time.Second}

func anyResult(results []connector.Result) bool {
	return slices.ContainsFunc(results, func(r connector.Result) bool { return r.Status != "" })
}

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
func (p *turn) confirm(ctx context.Context, c connector.Connector, jobs map[string][]PushRow) error {
	confirmer, ok := c.(connector.Confirmer)
	for job, due := range jobs { //lint:loop each job is asked for at the platform and recorded by itself
		items, gone, err := p.load(ctx, due)
		if err != nil {
			return fmt.Errorf("load the users to push: %w", err)
		}
		if !ok { // another platform's row cannot be: the connector has changed
			for _, it := range items {
				it.result = connector.Result{Status: connector.Synced}
			}
		} else {
			p.ask(ctx, confirmer, job, items)
		}
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
	results, err := guarded(p, func() ([]connector.Result, error) { return c.Confirm(ctx, job, profiles) })
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

// since is when the push was asked for.
func (it *item) since() time.Time { return cmp.Or(it.wait.CreatedAt, it.push.WantedAt) }
