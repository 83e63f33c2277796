// Package intake accepts requests. Every dialect hands its requests in here, and
// the caller gets its 202 when they are committed to the database.
package intake

import (
	"context"
	"errors"
	"log/slog"
	"slices"
	"sync"
	"time"

	"usersync/internal/fairness"
	"usersync/internal/store"
	"usersync/internal/telemetry"
	"usersync/internal/usersync"
)

// maxRows is the number of requests from which on a commit takes no further
// submission. Only the last submission of a commit can exceed it, because a
// submission is never split.
const maxRows = 500

// largeRows is the number of requests from which on a submission is large. Large ones
// have commits of their own, beside those of the others: a commit of a thousand requests
// takes a hundred times as long as one of a single request, and nobody else waits for it.
const largeRows = 129

// restTimes is how many times as long as it took a large commit rests, see restAfter. With
// 1 the slowest of 100 small submissions beside large ones took six times as long as
// alone; five times are allowed.
const restTimes = 2

// longestRest bounds the pause between two large commits.
const longestRest = time.Second

// Options are what a Batcher is made of.
type Options struct {
	Store   *store.Store
	Metrics *telemetry.Metrics
	Log     *slog.Logger
	// MaxWaiting bounds the requests of one organization that wait for a commit, and
	// twice as many those of all. Submit answers with ErrFull beyond it.
	MaxWaiting int
}

// Batcher groups the submissions of all callers into commits. A commit takes the
// submissions that arrived while the previous commit ran. A lone submission is
// committed at once, and where they come often, the commit waits a little for the
// next ones: see pacer.
type Batcher struct {
	Options

	places       *fairness.Places
	small, large *line
	closed       chan struct{}
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
	return &Batcher{Options: o, places: fairness.NewPlaces(2 * o.MaxWaiting), small: newLine(), large: newLine(), closed: make(chan struct{})}
}

// ErrFull is the answer while too many requests wait for a commit, see MaxWaiting.
var ErrFull = &usersync.Error{Code: usersync.CodeUnavailable, Message: "Too many requests are waiting. Try again in a second.", RetryAfter: time.Second}

// errClosing is the answer while the process ends.
var errClosing = &usersync.Error{Code: usersync.CodeUnavailable, Message: "The server is shutting down. Try again.", RetryAfter: time.Second}

// Submit hands a submission in and returns when it is committed or refused;
// sub.Accepted holds what was accepted. It returns ErrFull while too much waits,
// an unavailable error while the process ends, and the error of ctx when ctx ends
// first. The submission is committed even then, so the caller must not use it again.
func (d *Batcher) Submit(ctx context.Context, sub *Submission) error {
	if !d.places.Take(sub.Organization, len(sub.Items)) {
		return ErrFull
	}
	t := &waitingSubmission{Submission: sub, done: make(chan struct{})}
	select {
	case <-d.closed:
		d.places.Free(sub.Organization, len(sub.Items))
		return errClosing
	default:
		d.lineOf(t).add(t)
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

func (d *Batcher) lineOf(t *waitingSubmission) *line {
	if len(t.Items) >= largeRows {
		return d.large
	}
	return d.small
}

// Run commits submissions until ctx ends and everything handed in by then is
// committed.
func (d *Batcher) Run(ctx context.Context) {
	defer close(d.closed)
	var lines sync.WaitGroup
	lines.Go(func() { (&committer{Batcher: d, line: d.small}).run(ctx) })
	lines.Go(func() { (&committer{Batcher: d, line: d.large, beside: d.small}).run(ctx) })
	lines.Wait()
}

// committer commits what waits in one line.
type committer struct {
	*Batcher
	line  *line
	pacer pacer
	// beside is the line that this one leaves time to; nil for none.
	beside *line
}

func (c *committer) run(ctx context.Context) {
	for ended := false; !ended; { //lint:loop until the process ends
		select {
		case <-c.line.arrived:
		case <-ctx.Done():
			ended = true
		}
		for t := c.line.take(); t != nil; t = c.line.take() { //lint:loop a commit for each group
			c.commitPolitely(ctx, c.gatherPaced(ctx, t))
		}
	}
}

// commitPolitely commits a group. If others have handed in meanwhile, it then leaves the
// processor and the database to them for restTimes as long as the commit took: large
// commits without a pause made the small ones beside them wait half as long again.
func (c *committer) commitPolitely(ctx context.Context, group []*waitingSubmission) {
	if c.beside == nil {
		c.commit(ctx, group)
		return
	}
	before, began := c.beside.count(), time.Now() //lint:clock it measures the commit
	c.commit(ctx, group)
	select {
	case <-time.After(restAfter(time.Since(began), c.beside.count()-before)):
	case <-ctx.Done():
	}
}

// restAfter returns how long a line rests after a commit during which others have handed
// in so many submissions.
func restAfter(took time.Duration, others int) time.Duration {
	if others == 0 {
		return 0
	}
	return min(restTimes*took, longestRest)
}

// gatherPaced returns first and the submissions that wait behind it, see maxRows. It
// waits for further ones where that is worth it.
func (c *committer) gatherPaced(ctx context.Context, first *waitingSubmission) []*waitingSubmission {
	c.pacer.arrived(time.Now(), first.Organization) //lint:clock it measures how often submissions come
	group := c.gather([]*waitingSubmission{first})
	for part := range parts {
		wait := c.pacer.pause(part, len(group))
		if wait == 0 || c.hurries(group) {
			continue
		}
		before := len(group)
		group = c.gatherFor(ctx, wait, group)
		c.pacer.paused(part, len(group)-before)
	}
	return group
}

// gatherFor adds the submissions that come within a time to a group, until it has enough.
func (c *committer) gatherFor(ctx context.Context, wait time.Duration, group []*waitingSubmission) []*waitingSubmission {
	timer := time.NewTimer(wait)
	defer timer.Stop()
	for len(group) < enough && rowsOf(group) < maxRows && !c.hurries(group) {
		select {
		case <-c.line.arrived:
			group = c.gather(group)
		case <-timer.C:
			return group
		case <-ctx.Done():
			return group
		}
	}
	return group
}

// hurries reports whether one of a group waits for no further company.
func (c *committer) hurries(group []*waitingSubmission) bool {
	return slices.ContainsFunc(group, func(t *waitingSubmission) bool { return c.pacer.hurries(t.Organization) })
}

// gather adds the submissions that wait to a group, see maxRows.
func (c *committer) gather(group []*waitingSubmission) []*waitingSubmission {
	for rows := rowsOf(group); rows < maxRows; {
		t := c.line.take()
		if t == nil {
			return group
		}
		c.pacer.arrived(time.Now(), t.Organization) //lint:clock as above
		group, rows = append(group, t), rows+len(t.Items)
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
	d.Metrics.IntakeBatch.Observe(float64(rowsOf(group)))
	for _, t := range group {
		d.places.Free(t.Organization, len(t.Items))
		t.err = err
		close(t.done)
	}
	d.Metrics.IntakeWaiting.Set(float64(d.places.Taken()))
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
		if !errors.Is(err, usersync.ErrDatabaseAway) { // which the store says
			d.Log.WarnContext(ctx, "could not commit; trying again", "error", err)
		}
		select {
		case <-ctx.Done():
			return err
		case <-time.After(100 * time.Millisecond):
		}
	}
}
