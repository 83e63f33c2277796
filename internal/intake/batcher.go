// Package intake is the one door: every dialect hands its requests in here,
// and a 202 goes out when they are in the database to stay.
package intake

import (
	"context"
	"errors"
	"log/slog"
	"sync/atomic"
	"time"

	"usersync/internal/store"
	"usersync/internal/telemetry"
	"usersync/internal/usersync"
)

// maxRows bounds the requests of one commit.
const maxRows = 500

// Options are what a door is made of.
type Options struct {
	Store   *store.Store
	Metrics *telemetry.Metrics
	Log     *slog.Logger
	// MaxWaiting bounds the requests that wait for a commit; beyond it callers
	// are told to come back.
	MaxWaiting int
}

// Batcher groups the submissions of all callers into commits. There is no timer:
// a commit takes all that waited while the last one ran, and a submission that
// comes alone is committed at once.
type Batcher struct {
	Options

	waiting atomic.Int64
	queue   chan *waitingSubmission
	closed  chan struct{}
}

// waitingSubmission is a submission on its way through the door.
type waitingSubmission struct {
	*Submission
	err  error
	done chan struct{}
}

// New returns a door; it lets nobody in before Run.
func New(o Options) *Batcher {
	return &Batcher{Options: o, queue: make(chan *waitingSubmission, max(o.MaxWaiting, 1)), closed: make(chan struct{})}
}

// ErrFull is the answer while more is waiting than can be taken soon.
var ErrFull = &usersync.Error{Code: usersync.CodeUnavailable, Message: "Too many requests are waiting. Try again in a second.", RetryAfter: time.Second}

// errClosing is the answer while the process ends.
var errClosing = &usersync.Error{Code: usersync.CodeUnavailable, Message: "The server is shutting down. Try again.", RetryAfter: time.Second}

// Submit hands a submission in and returns when it is committed or refused;
// sub.Accepted holds what was accepted. A submission that was handed in is
// committed even when its caller has gone.
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

// last answers a submission that met the closing of the door: with its outcome
// when there is one.
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
			d.commit(ctx, d.gather(t))
		case <-ctx.Done():
			d.drain(ctx)
			return
		}
	}
}

func (d *Batcher) drain(ctx context.Context) {
	for {
		select {
		case t := <-d.queue:
			d.commit(ctx, d.gather(t))
		default:
			return
		}
	}
}

// gather takes all that waits, up to maxRows.
func (d *Batcher) gather(first *waitingSubmission) []*waitingSubmission {
	group, rows := []*waitingSubmission{first}, len(first.Items)
	for rows < maxRows {
		select {
		case t := <-d.queue:
			group, rows = append(group, t), rows+len(t.Items)
		default:
			return group
		}
	}
	return group
}

func (d *Batcher) commit(ctx context.Context, group []*waitingSubmission) {
	err := d.accept(ctx, group)
	if err != nil && store.IsData(err) && len(group) > 1 {
		// One of them cannot be stored: halve until it stands alone.
		half := len(group) / 2
		d.commit(ctx, group[:half])
		d.commit(ctx, group[half:])
		return
	}
	rows := 0
	for _, t := range group {
		rows += len(t.Items)
	}
	d.Metrics.IntakeBatch.Observe(float64(rows))
	d.Metrics.IntakeWaiting.Set(float64(d.waiting.Add(-int64(rows))))
	for _, t := range group {
		t.err = err
		close(t.done)
	}
}

// commitWithin is how long a commit is tried while the database is away. The
// ids are made before, so trying again after an outcome that nobody knows
// accepts nothing twice.
const commitWithin = 10 * time.Second

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
		d.Log.WarnContext(ctx, "could not commit; trying again", "error", errors.Unwrap(err))
		select {
		case <-ctx.Done():
			return err
		case <-time.After(100 * time.Millisecond):
		}
	}
}
