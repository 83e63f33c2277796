// Package intake accepts requests. Every dialect hands its requests in here, and
// the caller gets its 202 when they are committed to the database.
package intake

import (
	"context"
	"log/slog"
	"sync/atomic"
	"time"

	"usersync/internal/store"
	"usersync/internal/telemetry"
	"usersync/internal/usersync"
)

// maxRows is the number of requests from which on a commit takes no further
// submission. Only the last submission of a commit can exceed it, because a
// submission is never split.
const maxRows = 500

// Options are what a Batcher is made of.
type Options struct {
	Store   *store.Store
	Metrics *telemetry.Metrics
	Log     *slog.Logger
	// MaxWaiting bounds the requests that wait for a commit. Submit answers with
	// ErrFull beyond it.
	MaxWaiting int
}

// Batcher groups the submissions of all callers into commits. A commit takes the
// submissions that arrived while the previous commit ran. A lone submission is
// committed at once, and where they come often, the commit waits a little for the
// next ones: see pacer.
type Batcher struct {
	Options

	pacer   pacer
	waiting atomic.Int64
	queue   chan *waitingSubmission
	closed  chan struct{}
}

// waitingSubmission is a submission that was handed in and has no outcome yet. err
// may be read once done is closed.
type waitingSubmission struct {
	*Submission
	err  error
	done chan struct{}
}

// New returns a batcher. Submissions wait until Run is called.
func New(o Options) *Batcher {
	return &Batcher{Options: o, queue: make(chan *waitingSubmission, max(o.MaxWaiting, 1)), closed: make(chan struct{})}
}

// ErrFull is the answer while MaxWaiting requests wait for a commit.
var ErrFull = &usersync.Error{Code: usersync.CodeUnavailable, Message: "Too many requests are waiting. Try again in a second.", RetryAfter: time.Second}

// errClosing is the answer while the process ends.
var errClosing = &usersync.Error{Code: usersync.CodeUnavailable, Message: "The server is shutting down. Try again.", RetryAfter: time.Second}

// Submit hands a submission in and returns when it is committed or refused;
// sub.Accepted holds what was accepted. It returns ErrFull while too much waits,
// an unavailable error while the process ends, and the error of ctx when ctx ends
// first. The submission is committed even then, so the caller must not use it again.
func (d *Batcher) Submit(ctx context.Context, sub *Submission) error {
	n := int64(len(sub.Items))
	if d.waiting.Add(n) > int64(d.MaxWaiting) {
		d.waiting.Add(-n)
		return ErrFull
	}
	t := &waitingSubmission{Submission: sub, done: make(chan struct{})}
	select {
	case <-d.closed:
		d.waiting.Add(-n)
		return errClosing
	case d.queue <- t:
	}
	select {
	case <-t.done:
	case <-ctx.Done():
		return ctx.Err()
	case <-d.closed:
		return d.last(t)
	}
	if t.err != nil {
		return t.err
	}
	if sub.Err != nil {
		return sub.Err
	}
	return nil
}

// last answers a submission that was handed in while the batcher stopped. It
// returns the outcome where the last commits included the submission.
func (d *Batcher) last(t *waitingSubmission) error {
	select {
	case <-t.done:
	default:
		return errClosing
	}
	if t.err == nil && t.Err != nil {
		return t.Err
	}
	return t.err
}

// Run commits submissions until ctx ends and everything handed in by then is
// committed.
func (d *Batcher) Run(ctx context.Context) {
	defer close(d.closed)
	for {
		select {
		case t := <-d.queue:
			d.commit(ctx, d.gatherPaced(ctx, t))
		case <-ctx.Done():
			d.drain(ctx)
			return
		}
	}
}

// drain commits what was handed in before ctx ended.
func (d *Batcher) drain(ctx context.Context) {
	for {
		select {
		case t := <-d.queue:
			d.commit(ctx, d.gather([]*waitingSubmission{t}))
		default:
			return
		}
	}
}

// gatherPaced returns first and the submissions that wait behind it, see maxRows. It
// waits for further ones where that is worth it.
func (d *Batcher) gatherPaced(ctx context.Context, first *waitingSubmission) []*waitingSubmission {
	group := d.gather([]*waitingSubmission{first})
	wait := d.pacer.pause(len(group))
	if wait == 0 {
		return group
	}
	timer := time.NewTimer(wait)
	defer timer.Stop()
	alone := len(group)
	defer func() { d.pacer.paused(len(group) - alone) }()
	for len(group) < enough && rowsOf(group) < maxRows {
		select {
		case t := <-d.queue:
			group = d.gather(append(group, t))
		case <-timer.C:
			return group
		case <-ctx.Done():
			return group
		}
	}
	return group
}

// gather adds the submissions that wait to a group, see maxRows.
func (d *Batcher) gather(group []*waitingSubmission) []*waitingSubmission {
	d.pacer.arrived(time.Now())
	for rows := rowsOf(group); rows < maxRows; {
		select {
		case t := <-d.queue:
			d.pacer.arrived(time.Now())
			group, rows = append(group, t), rows+len(t.Items)
		default:
			return group
		}
	}
	return group
}

// rowsOf counts the requests of a group.
func rowsOf(group []*waitingSubmission) (rows int) {
	for _, t := range group {
		rows += len(t.Items)
	}
	return rows
}

// commit stores a group of submissions and tells each caller the outcome.
func (d *Batcher) commit(ctx context.Context, group []*waitingSubmission) {
	err := d.accept(ctx, group)
	if err != nil && store.IsData(err) && len(group) > 1 {
		// The database refuses the data of one submission. The group is halved until
		// that submission is alone, so that only its caller gets the error.
		half := len(group) / 2
		d.commit(ctx, group[:half])
		d.commit(ctx, group[half:])
		return
	}
	rows := rowsOf(group)
	d.Metrics.IntakeBatch.Observe(float64(rows))
	d.Metrics.IntakeWaiting.Set(float64(d.waiting.Add(-int64(rows))))
	for _, t := range group {
		t.err = err
		close(t.done)
	}
}

// commitWithin is how long a commit is repeated while the database cannot be
// reached. The ids are made before the first try, so a repetition after a commit
// with an unknown outcome accepts nothing twice.
const commitWithin = 10 * time.Second

// accept stores the submissions in one transaction. It repeats the transaction
// while the database cannot be reached, for at most commitWithin.
func (d *Batcher) accept(ctx context.Context, group []*waitingSubmission) error {
	ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), commitWithin)
	defer cancel()
	submissions := make([]*Submission, len(group))
	for i, t := range group {
		submissions[i] = t.Submission
	}
	for { //lint:loop tries again while the database does not answer
		err := Accept(ctx, d.Store, submissions)
		if err == nil {
			err = FillReplays(ctx, d.Store, submissions)
		}
		if usersync.CodeOf(err) != usersync.CodeUnavailable || ctx.Err() != nil {
			return err
		}
		d.Log.WarnContext(ctx, "could not commit; trying again", "error", err)
		select {
		case <-ctx.Done():
			return err
		case <-time.After(100 * time.Millisecond):
		}
	}
}
