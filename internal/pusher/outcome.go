package pusher

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"maps"
	"math/rand/v2"
	"slices"
	"time"

	"usersync/internal/bulk"
	"usersync/internal/connector"
	"usersync/internal/consent"
	"usersync/internal/outbox"
	"usersync/internal/platform"
	"usersync/internal/request"
	"usersync/internal/store"
	"usersync/internal/usersync"
)

// ending is what became of a push, as a step shows it.
type ending struct {
	status   request.StepStatus
	outcome  connector.Status // of one that went well: for the counts of a bulk
	reason   string
	details  string
	failure  *usersync.Error
	attempts int
	next     time.Time // of one that is tried again, or asked for
	job      string    // of one that the platform works on
	attempt  *request.Attempt
}

// final reports whether nothing more will happen by itself.
func (e ending) final() bool {
	return e.status != request.StepRetrying && e.status != request.StepPending
}

// outcomes collects what a transaction writes of pushes: steps, bulk counts,
// requests that are finished by them and the messages about these.
type outcomes struct {
	*turn
	tx       *store.Tx
	steps    []request.PushedStep
	ended    []platform.Wait
	requests map[string]bool
	bulks    map[string]request.Progress
	errors   []bulk.Error
	finished []string
}

// reset begins anew: a transaction may run more than once.
func (b *outcomes) reset(tx *store.Tx) {
	*b = outcomes{turn: b.turn, tx: tx, requests: map[string]bool{}, bulks: map[string]request.Progress{}}
}

// end notes what became of a push that somebody waits for.
func (b *outcomes) end(w platform.Wait, e ending) {
	if e.final() {
		b.ended = append(b.ended, w)
	}
	if w.Position == platform.BulkPosition {
		if e.final() {
			b.count(w, e)
		}
		return
	}
	if e.job != "" {
		return // as it was
	}
	s := request.Step{Position: w.Position, Name: request.StepPlatform, Platform: b.connection.Platform, ConnectionID: b.id,
		Status: e.status, Reason: e.reason, Attempts: e.attempts, NextAttemptAt: e.next, Details: e.details}
	if e.failure != nil {
		s.ErrorCode, s.ErrorMessage = e.failure.Code, e.failure.Message
	}
	b.steps = append(b.steps, request.PushedStep{RequestID: w.RequestID, Step: s, Attempt: e.attempt})
	b.requests[w.RequestID] = true
}

// count adds one user to the counts of a bulk.
func (b *outcomes) count(w platform.Wait, e ending) {
	p := b.bulks[w.RequestID]
	switch {
	case e.status == request.StepFailed:
		p.Errors++
	case e.status == request.StepSkipped:
		p.Skipped++
	case e.status == request.StepUnchanged:
		p.Unchanged++
	case e.outcome == connector.Added:
		p.Added++
	case e.outcome == connector.Removed:
		p.Removed++
	default:
		p.Updated++
	}
	b.bulks[w.RequestID] = p
	switch {
	case e.failure != nil:
		b.errors = append(b.errors, bulk.Error{RequestID: w.RequestID, UserID: w.UserID, Status: e.status, Code: string(e.failure.Code), Message: e.failure.Message})
	case e.status == request.StepSkipped:
		b.errors = append(b.errors, bulk.Error{RequestID: w.RequestID, UserID: w.UserID, Status: e.status, Code: e.reason, Message: e.details})
	}
}

// save writes what was collected.
func (b *outcomes) save(ctx context.Context) error {
	organization := b.org.ID()
	if err := request.SavePushedSteps(ctx, b.tx, organization, b.steps); err != nil {
		return fmt.Errorf("save the steps: %w", err)
	}
	if err := platform.DropWaits(ctx, b.tx, b.id, b.ended); err != nil {
		return fmt.Errorf("drop the waits that ended: %w", err)
	}
	if err := b.saveBulks(ctx); err != nil {
		return fmt.Errorf("save the progress of bulks: %w", err)
	}
	if len(b.requests) == 0 {
		return nil
	}
	moved, finished, err := request.Fold(ctx, b.tx, organization, slices.Sorted(maps.Keys(b.requests)))
	if err != nil {
		return fmt.Errorf("update the requests of the steps: %w", err)
	}
	b.finished = append(b.finished, finished...)
	return request.Tell(ctx, b.tx, organization, request.Told(moved))
}

// saveBulks counts users of bulks and ends those that are done by it.
func (b *outcomes) saveBulks(ctx context.Context) (err error) {
	if len(b.bulks) == 0 {
		return nil
	}
	if err := bulk.Count(ctx, b.tx, b.org.ID(), b.bulks, b.errors); err != nil {
		return fmt.Errorf("count the users of a bulk: %w", err)
	}
	b.finished, err = bulk.Finish(ctx, b.tx, b.org.ID(), slices.Collect(maps.Keys(b.bulks))...)
	return err
}

// recordStates writes what became of users whose newest state was pushed, and of
// those who are gone.
func (p *turn) recordStates(ctx context.Context, items []*item, gone []string) error {
	if len(items)+len(gone) == 0 {
		return nil
	}
	return p.record(ctx, items, func(ctx context.Context, b *outcomes, items []*item) error { return b.writeStates(ctx, items, gone) })
}

// recordSingles writes what became of pushes that do not coalesce.
func (p *turn) recordSingles(ctx context.Context, items []*item, gone []platform.Wait) error {
	if len(items)+len(gone) == 0 {
		return nil
	}
	return p.record(ctx, items, func(ctx context.Context, b *outcomes, items []*item) error { return b.writeSingles(ctx, items, gone) })
}

// record runs write in a transaction under the claim of the connection's
// task, and then counts and publishes what it wrote. An error that concerns the
// connection disconnects it, once the results that came before it are written; those
// whom the error met are left as they were, but for what the platform calls them. When the claim was lost meanwhile, another
// worker may have pushed before our call arrived: the newest state is pushed once
// more.
func (p *turn) record(ctx context.Context, items []*item, write func(context.Context, *outcomes, []*item) error) error {
	kept := slices.DeleteFunc(slices.Clone(items), func(it *item) bool { return disconnects(it.err) })
	if len(kept) == len(items) {
		return p.keep(ctx, items, write)
	}
	if len(kept) > 0 {
		if err := p.keep(ctx, kept, write); err != nil {
			return err
		}
	}
	met := those(items, func(it *item) bool { return disconnects(it.err) })
	if err := p.keepRemotes(ctx, met); err != nil {
		return err
	}
	return p.disconnect(ctx, met[0].err)
}

// keepRemotes writes what was learnt of people before an error that says nothing of them.
func (p *turn) keepRemotes(ctx context.Context, items []*item) error {
	remotes := map[string]string{}
	for _, it := range items {
		if it.result.Remote != "" {
			remotes[it.profile.UserID] = it.result.Remote
		}
	}
	if len(remotes) == 0 {
		return nil
	}
	return p.Store.Tx(ctx, func(tx *store.Tx) error {
		if err := outbox.Hold(ctx, tx, p.claim); err != nil {
			return fmt.Errorf("hold the claim: %w", err)
		}
		return platform.KeepRemotes(ctx, tx, p.id, remotes)
	})
}

// keep writes what became of items that no error of the connection met.
func (p *turn) keep(ctx context.Context, items []*item, write func(context.Context, *outcomes, []*item) error) error {
	ctx, stop := outlast(ctx, recordWithin)
	defer stop()
	b := &outcomes{turn: p}
	err := p.Store.Tx(ctx, func(tx *store.Tx) error {
		b.reset(tx)
		if err := outbox.Hold(ctx, tx, p.claim); err != nil {
			return fmt.Errorf("hold the claim: %w", err)
		}
		return write(ctx, b, items)
	})
	if errors.Is(err, outbox.ErrClaimLost) {
		return errors.Join(err, p.pushAgain(ctx, items))
	}
	if err != nil {
		return err
	}
	b.note(items)
	b.Queue.PublishFinished(ctx, b.finished)
	return nil
}

// outlast returns a context that ends a while after ctx does: a platform was
// called, and what it answered is to be written.
func outlast(ctx context.Context, while time.Duration) (context.Context, context.CancelFunc) {
	out, cancel := context.WithCancel(context.WithoutCancel(ctx))
	stop := context.AfterFunc(ctx, func() { time.AfterFunc(while, cancel) })
	return out, func() {
		stop()
		cancel()
	}
}

// note counts results for the log line and the metrics.
func (b *outcomes) note(items []*item) {
	for _, it := range items {
		if it.err == nil {
			b.done[it.result.Status]++
		}
	}
}

// pushAgain has the users pushed once more for whom the platform was called.
func (p *turn) pushAgain(ctx context.Context, items []*item) error {
	var users []string
	for _, it := range items {
		if it.called {
			users = append(users, it.profile.UserID)
		}
	}
	if len(users) == 0 {
		return nil
	}
	ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), 15*time.Second)
	defer cancel()
	return p.Store.Tx(ctx, func(tx *store.Tx) error { return platform.TellOnceMore(ctx, tx, p.id, users) })
}

// writeStates writes what became of pushes of the newest state, and tells those
// who wait for them.
func (b *outcomes) writeStates(ctx context.Context, items []*item, gone []string) error {
	byUser := make(map[string]*item, len(items))
	users := append([]string(nil), gone...)
	for _, it := range items {
		byUser[it.push.UserID] = it
		users = append(users, it.push.UserID)
	}
	waits, err := platform.StateWaits(ctx, b.tx, b.id, compact(users))
	if err != nil {
		return fmt.Errorf("read who waits for the users: %w", err)
	}
	endings := make(map[string]ending, len(items))
	for _, it := range items {
		endings[it.push.UserID] = b.ending(it, it.push.Attempts)
	}
	waited := map[string]bool{} // whom somebody goes on waiting for
	for _, w := range waits {
		it := byUser[w.UserID]
		if it == nil {
			b.end(w, ending{status: request.StepSkipped, reason: platform.ReasonErased, details: "The user was erased"})
			continue
		}
		e := endings[w.UserID]
		if w.Mode == usersync.PushAbsence {
			b.overtaken(w, !w.Absent)
			continue
		}
		if e.final() && w.Version > it.version {
			continue // waits for a newer state
		}
		e = expired(e, w.CreatedAt)
		b.end(w, e)
		waited[w.UserID] = waited[w.UserID] || !e.final()
	}
	outs := make([]platform.PushOutcome, 0, len(items))
	for _, it := range items {
		outs = append(outs, it.pushed(endings[it.push.UserID], waited[it.push.UserID]))
	}
	if err := platform.SavePushes(ctx, b.tx, b.id, outs); err != nil {
		return fmt.Errorf("save the outcomes of pushes: %w", err)
	}
	if err := platform.DropGone(ctx, b.tx, b.id, gone); err != nil {
		return fmt.Errorf("drop the pushes of users who are gone: %w", err)
	}
	back := func(it *item) bool {
		return it.push.Rank == platform.RankOnDemand && endings[it.push.UserID].status == request.StepSynced
	}
	if err := b.noteAway(ctx, items, back); err != nil {
		return fmt.Errorf("note who was brought back: %w", err)
	}
	return b.save(ctx)
}

// expired ends what was tried for as long as the contract says.
func expired(e ending, since time.Time) ending {
	if e.final() || e.next.Before(since.Add(tryPushFor)) {
		return e
	}
	why := e.failure
	switch {
	case why == nil && e.job != "":
		why = usersync.Errorf(usersync.CodeUnavailable, "The platform did not say what became of the user.")
	case why == nil:
		why = usersync.Errorf(usersync.CodeInternal, "The turn of the user did not come: the account takes too few calls for those who wait.")
	}
	if e.attempt != nil {
		e.attempt.Status, e.attempt.NextAttemptAt = request.StepFailed, usersync.Time{}
	}
	return ending{status: request.StepFailed, failure: why, details: "Given up after a day", attempts: e.attempts, attempt: e.attempt}
}

// pushed is what the row of a state says after this run.
func (it *item) pushed(e ending, waited bool) platform.PushOutcome {
	o := platform.PushOutcome{UserID: it.push.UserID, Status: platform.PushIdle, Version: it.version, Remote: it.result.Remote, Called: it.called, Former: it.moved, Err: e.failure}
	switch {
	case !e.final() && !waited && !e.next.Before(it.push.WantedAt.Add(tryPushFor)):
		o.Status = platform.PushRest
	case e.job != "":
		o.Status, o.Job, o.Hash, o.DueAt = platform.PushConfirming, e.job, it.hash, e.next
	case !e.final():
		o.Status, o.Version, o.DueAt, o.Attempts = platform.PushPending, 0, e.next, e.attempts
	case e.status == request.StepSynced || e.status == request.StepUnchanged:
		o.Hash = it.hash
	}
	return o
}

// ending says what an item has come to, after so many failed attempts before.
func (b *outcomes) ending(it *item, failed int) ending {
	e := b.becomes(it, failed)
	e.attempt = b.attempt(it, e)
	return e
}

func (b *outcomes) becomes(it *item, failed int) ending {
	if it.err != nil {
		return b.again(it.err, failed)
	}
	r := it.result
	if r.Status == connector.Failed && r.Err != nil && r.Err.Code == usersync.CodeRateLimited {
		// The platform has had enough of this person for now, not of our calls.
		return ending{status: request.StepRetrying, failure: r.Err, attempts: failed, details: "Tried again later", next: b.clock.now().Add(max(r.Err.RetryAfter, time.Second))}
	}
	out := ending{outcome: r.Status, details: r.Details, reason: r.Reason, attempts: failed + 1}
	switch r.Status {
	case unchanged:
		out.status, out.attempts = request.StepUnchanged, failed
	case connector.Pending:
		out.status, out.job = request.StepPending, r.Job
		out.next = b.clock.now().Add(b.askAfter(it))
		b.asks = earlier(b.asks, out.next)
	case connector.Skipped:
		out.status = request.StepSkipped
	case connector.Failed:
		out.status = request.StepFailed
		out.failure = cmp.Or(r.Err, usersync.Errorf(usersync.CodeRejected, "The platform refuses the user."))
	default:
		out.status = request.StepSynced
	}
	return out
}

// again is what has become of a push that is made again, after so many failed attempts
// before. One that our own limit holds back has not failed, and nothing is wrong with it.
func (b *outcomes) again(e *usersync.Error, failed int) ending {
	if heldBack(e) {
		return ending{status: request.StepPending, attempts: failed, details: e.Message, next: b.clock.now().Add(b.delay(e, failed))}
	}
	out := ending{status: request.StepRetrying, failure: e, attempts: failed, details: "Tried again later"}
	if !throttled(e) {
		out.attempts++
	}
	out.next = b.clock.now().Add(b.delay(e, out.attempts))
	return out
}

// askAfter is how long to wait before a platform is asked again how the job of an item
// went: a quarter of the time that the job has taken, a minute at most, and so long at least
// that the asking takes a third of the calls that the platform allows.
func (p *turn) askAfter(it *item) time.Duration {
	least := soonest
	if rate := p.platform.Limits.PerSecond; rate > 0 {
		least = max(least, time.Duration(3/rate*float64(time.Second)))
	}
	taken := time.Duration(0)
	if !it.called && !it.push.PushedAt.IsZero() {
		taken = p.clock.now().Sub(it.push.PushedAt)
	}
	return min(max(taken/4, least), time.Minute)
}

// soonest is after what time a platform is asked how a job went.
const soonest = 250 * time.Millisecond

func earlier(a, b time.Time) time.Time {
	if a.IsZero() || b.Before(a) {
		return b
	}
	return a
}

// jitter spreads what failed together: ±10 %.
func jitter(d time.Duration) time.Duration { return d*9/10 + rand.N(d/5+1) }

// writeSingles writes what became of pushes that do not coalesce, and of those
// whose user is gone.
func (b *outcomes) writeSingles(ctx context.Context, items []*item, gone []platform.Wait) error {
	for _, w := range gone {
		b.end(w, ending{status: request.StepSkipped, reason: platform.ReasonErased, details: "The user was erased"})
	}
	var later []platform.DelayedWait
	overridden := map[string]string{}
	for _, it := range items {
		e := expired(b.ending(it, it.wait.Attempts), it.wait.CreatedAt)
		if it.wait.Mode == usersync.PushPreview && e.status == request.StepSynced {
			e.status = request.StepWouldSync
			if e.attempt != nil {
				e.attempt.Status = request.StepWouldSync
			}
		}
		b.end(it.wait, e)
		if !e.final() {
			w := it.wait
			w.Job, w.Attempts = e.job, e.attempts
			if e.job != "" {
				w.Attempts = it.wait.Attempts
			}
			later = append(later, platform.DelayedWait{Wait: w, DueAt: e.next})
		}
		if it.called {
			overridden[it.wait.UserID] = it.result.Remote
		}
	}
	if err := platform.MarkOverridden(ctx, b.tx, b.org.ID(), b.id, overridden); err != nil {
		return fmt.Errorf("note what was pushed with overrides: %w", err)
	}
	back := func(it *item) bool { return it.back && it.err == nil && consent.Present(it.result) }
	if err := b.noteAway(ctx, items, back); err != nil {
		return fmt.Errorf("note who was taken off the list: %w", err)
	}
	if err := platform.DelayWaits(ctx, b.tx, b.id, later); err != nil {
		return fmt.Errorf("delay the waits: %w", err)
	}
	return b.save(ctx)
}
