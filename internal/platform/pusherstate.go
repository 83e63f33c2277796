package platform

import (
	"cmp"
	"context"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"golang.org/x/sync/errgroup"
	"runtime/debug"
	"slices"
	"strings"
	"time"
	"usersync/internal/connector"
	"usersync/internal/outbox"
	"usersync/internal/store"
	"usersync/internal/user"
	"usersync/internal/usersync"
)

// item is one user on the way to the platform.
type item struct {
	push    PushRow
	wait    Wait // of a push that does not coalesce
	profile connector.Profile
	version int64
	hash    string
	result  connector.Result
	// err is why the call as a whole says nothing of this user.
	err    *usersync.Error
	called bool
}

// states pushes the newest states of the users that are due, asks for those that
// the platform works on, and removes those who were erased.
func (p *turn) states(ctx context.Context) (worked bool, err error) {
	due, err := DuePushes(ctx, p.org, p.id, max(p.kind.Batch, 1))
	if err != nil || len(due) == 0 {
		return false, err
	}
	c, err := p.open(usersync.PlatformSync{})
	if err != nil {
		return true, p.disconnect(ctx, usersync.AsError(err))
	}
	removals, jobs, pushes := sortDue(due)
	if err := p.remove(ctx, c, removals); err != nil {
		return true, err
	}
	if err := p.confirm(ctx, c, jobs); err != nil {
		return true, err
	}
	return true, p.pushStates(ctx, c, pushes)
}

func sortDue(due []PushRow) (removals []PushRow, jobs map[string][]PushRow, pushes []PushRow) {
	jobs = map[string][]PushRow{}
	for _, d := range due {
		switch {
		case !d.Removal.IsZero():
			removals = append(removals, d)
		case d.Status == PushConfirming:
			jobs[d.Job] = append(jobs[d.Job], d)
		default:
			pushes = append(pushes, d)
		}
	}
	return removals, jobs, pushes
}

// pushStates makes one push of all that has changed and writes what became of it.
func (p *turn) pushStates(ctx context.Context, c connector.Connector, due []PushRow) error {
	if len(due) == 0 {
		return nil
	}
	items, gone, err := p.load(ctx, due)
	if err != nil {
		return err
	}
	var calls []*item
	for _, it := range items {
		if it.hash = p.hash(c, it.profile); it.hash == it.push.PushedHash {
			it.result = connector.Result{Status: unchanged, Details: unchangedSentence}
		} else {
			calls = append(calls, it)
		}
	}
	if len(calls) > 0 {
		begun, err := p.begin(ctx, calls)
		if err != nil {
			return err
		}
		erased := map[*item]bool{}
		for _, it := range calls {
			if !begun[it.push.UserID] {
				erased[it] = true
				gone = append(gone, it.push.UserID)
			}
		}
		out := func(it *item) bool { return erased[it] }
		items, calls = slices.DeleteFunc(items, out), slices.DeleteFunc(calls, out)
	}
	if len(calls) > 0 {
		p.call(ctx, c, calls)
	}
	return p.settle(ctx, items, gone)
}

// unchanged is the status of a user whom the platform has already as they are.
const unchanged connector.Status = "unchanged"

const unchangedSentence = "The platform already has the user exactly like this"

// load reads the users as they are now. gone are those that are no more.
func (p *turn) load(ctx context.Context, due []PushRow) (items []*item, gone []string, err error) {
	ids := make([]string, len(due))
	for i, d := range due {
		ids[i] = d.UserID
	}
	users, err := user.ByID(ctx, p.org, ids)
	if err != nil {
		return nil, nil, err
	}
	for _, d := range due {
		u, ok := users[d.UserID]
		if !ok {
			gone = append(gone, d.UserID)
			continue
		}
		items = append(items, &item{push: d, profile: connector.ProfileOf(u.ID, u.Input(), d.Remote), version: u.Version})
	}
	return items, gone, nil
}

// hash fingerprints what the platform would be told of a person, with the
// settings that say where.
func (p *turn) hash(c connector.Connector, profile connector.Profile) string {
	content, err := json.Marshal(c.Content(profile))
	if err != nil {
		return "" // never equal: pushed each time
	}
	sum := sha256.Sum256(slices.Concat([]byte(p.connection.Settings), []byte{0}, content))
	return hex.EncodeToString(sum[:12])
}

// begin notes that calls about these users are under way, and returns those who
// were not erased since they were loaded.
func (p *turn) begin(ctx context.Context, calls []*item) (begun map[string]bool, err error) {
	err = p.Store.Tx(ctx, func(tx *store.Tx) error {
		if err := outbox.Hold(ctx, tx, p.claim); err != nil {
			return err
		}
		ids := make([]string, len(calls))
		for i, it := range calls {
			ids[i] = it.push.UserID
		}
		left, err := BeginCalls(ctx, tx, p.id, ids, callWithin)
		begun = make(map[string]bool, len(left))
		for _, id := range left {
			begun[id] = true
		}
		return err
	})
	return begun, err
}

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
	for job, due := range jobs { //lint:loop each job is asked for at the platform and settled by itself
		items, gone, err := p.load(ctx, due)
		if err != nil {
			return err
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
		if err := p.settle(ctx, items, gone); err != nil {
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
		case failure == nil, throttled(failure), ctx.Err() != nil, errors.Is(err, connector.ErrNoJob) && it.young():
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
func (it *item) young() bool { return time.Since(it.since()) < jobKnownWithin }

// since is when the push was asked for.
func (it *item) since() time.Time { return cmp.Or(it.wait.CreatedAt, it.push.WantedAt) }

// removeAtOnce bounds the people that are removed at once.
const removeAtOnce = 8

// remove removes people who were erased.
func (p *turn) remove(ctx context.Context, c connector.Connector, due []PushRow) error {
	if len(due) == 0 {
		return nil
	}
	errs := make([]*usersync.Error, len(due))
	var group errgroup.Group
	group.SetLimit(removeAtOnce)
	for i, d := range due {
		group.Go(func() error {
			result, err := guarded(p, func() (connector.Result, error) {
				return c.Remove(ctx, connector.Profile{UserID: d.UserID, Email: d.Removal, Remote: d.Remote})
			})
			if errs[i] = usersync.AsError(err); errs[i] == nil {
				errs[i] = result.Err
			}
			return nil
		})
	}
	_ = group.Wait() // Each call's error is in errs.
	if ctx.Err() != nil {
		return ctx.Err()
	}
	if i := slices.IndexFunc(errs, disconnects); i >= 0 {
		return p.disconnect(ctx, errs[i])
	}
	if err := p.Store.Tx(ctx, func(tx *store.Tx) error { return p.noteRemovals(ctx, tx, due, errs) }); err != nil {
		return err
	}
	for _, err := range errs {
		if err == nil {
			p.done[connector.Removed]++
		}
	}
	return nil
}

// noteRemovals writes who is gone, and when the others are tried again: without
// end, for it was promised.
func (p *turn) noteRemovals(ctx context.Context, tx *store.Tx, due []PushRow, errs []*usersync.Error) error {
	if err := outbox.Hold(ctx, tx, p.claim); err != nil {
		return err
	}
	var dropped []string
	var later []LaterRemoval
	for i, d := range due { //lint:loop each erasure's row is locked and written by itself, and erasures are few
		switch {
		case errs[i] != nil && errs[i].Code != usersync.CodeRejected:
			wait := p.delay(errs[i], d.Attempts+1)
			later = append(later, LaterRemoval{UserID: d.UserID, DueAt: time.Now().Add(wait), Attempts: d.Attempts + 1})
			continue
		case errs[i] != nil:
			if err := NoteReceipt(ctx, tx, d.ErasureID, p.id, ReceiptFailed); err != nil {
				return err
			}
		default:
			if err := NoteReceipt(ctx, tx, d.ErasureID, p.id, ReceiptRemoved); err != nil {
				return err
			}
			// The organization may have sent the same person again meanwhile.
			if err := PushAddressAgain(ctx, tx, p.org.ID(), p.id, d.Removal); err != nil {
				return err
			}
		}
		dropped = append(dropped, d.UserID)
	}
	if err := DropPushes(ctx, tx, p.id, dropped); err != nil {
		return err
	}
	return DelayRemovals(ctx, tx, p.id, later)
}

// delay returns how long to wait after a failure, and notes when the platform
// wants to be left alone.
func (p *turn) delay(e *usersync.Error, attempts int) time.Duration {
	wait := max(e.RetryAfter, time.Second)
	if !throttled(e) {
		wait = max(jitter(PushWait(attempts)), e.RetryAfter)
	}
	if e.RetryAfter > 0 || throttled(e) {
		if until := time.Now().Add(max(e.RetryAfter, time.Second)); until.After(p.notBefore) {
			p.notBefore = until
		}
	}
	return wait
}

// throttled reports whether a failure is none: too many calls, or a breaker that
// is open, so that no call was made.
func throttled(e *usersync.Error) bool { return e.Code == usersync.CodeRateLimited }

// disconnects reports whether an error concerns the connection and not the user:
// it will not work before somebody changes it.
func disconnects(e *usersync.Error) bool {
	if e == nil {
		return false
	}
	switch e.Code {
	case usersync.CodeRateLimited, usersync.CodeUnavailable, usersync.CodeInternal, usersync.CodeRejected:
		return false
	}
	return true
}

// disconnect notes that the platform refuses the connection, tells its owner,
// and lets the next turn end what waits.
func (p *turn) disconnect(ctx context.Context, why *usersync.Error) error {
	reason := why.Message
	for _, f := range why.Fields {
		reason += " " + f.Field + " " + f.Message + "."
	}
	return p.Store.Tx(ctx, func(tx *store.Tx) error {
		changed, err := Disconnect(ctx, tx, p.connection, strings.TrimSpace(reason))
		if err != nil || !changed {
			return err
		}
		if err := outbox.Hold(ctx, tx, p.claim); err != nil {
			return err
		}
		return tellDisconnected(ctx, tx, p.connection, reason)
	})
}
