package intake

import (
	"context"
	"errors"
	"log/slog"
	"sync"
	"time"

	"usersync/internal/fairness"
	"usersync/internal/queue"
	"usersync/internal/request"
	"usersync/internal/store"
	"usersync/internal/usersync"
)

// maxWaiters bounds the calls of one process that wait for their work. One organization
// has half of them at most. Further calls are answered at once.
const maxWaiters = 2000

// pollEvery is how often the database is asked about all waiting requests, with one
// query: the fall-back while Redis cannot be reached.
const pollEvery = 500 * time.Millisecond

// Waiters lets calls wait until their request is finished. Workers publish the ids of
// finished requests through Redis. A waiter has no query and no connection of its own.
type Waiters struct {
	Store *store.Store
	Queue *queue.Client
	Log   *slog.Logger

	places *fairness.Places
	ended  chan struct{}

	mu      sync.Mutex
	waiting map[string]*waiter
}

// waiter is a request and the calls that wait for it.
type waiter struct {
	ref   request.Ref
	calls []waitingCall
}

// waitingCall is one call. Its organization has a place, whoever's the request is.
type waitingCall struct {
	organization string
	finished     chan struct{}
}

// NewWaiters returns the waiters of this process. They are told nothing before Run.
func NewWaiters(s *store.Store, q *queue.Client, log *slog.Logger) *Waiters {
	return &Waiters{Store: s, Queue: q, Log: log, places: fairness.NewPlaces(maxWaiters), waiting: map[string]*waiter{}, ended: make(chan struct{})}
}

// nothingToWaitFor is what a call that may not wait gets instead of a channel of its
// own. It is closed, so that nobody can block on it.
var nothingToWaitFor = func() <-chan struct{} {
	c := make(chan struct{})
	close(c)
	return c
}()

// Register begins to wait for a request. finished is closed when the request
// finishes, and when it may rest, see request.View.Rests. The caller must call forget when it has stopped waiting. ok is false when
// too many calls wait already, of all or of the organization. Then finished is closed from the start, and forget
// does nothing. Register must come before the question whether the request is
// finished: a request that finishes between the two would not be noticed.
func (w *Waiters) Register(ref request.Ref) (finished <-chan struct{}, forget func(), ok bool) {
	if !w.places.Take(ref.Organization, 1) {
		return nothingToWaitFor, func() {}, false
	}
	w.mu.Lock()
	defer w.mu.Unlock()
	one := w.waiting[ref.ID]
	if one == nil {
		one = &waiter{ref: ref}
		w.waiting[ref.ID] = one
	}
	call := make(chan struct{})
	one.calls = append(one.calls, waitingCall{ref.Organization, call})
	return call, func() { w.forget(ref.ID, call) }, true
}

// forget removes one call. The request may have finished, and may have new waiters.
func (w *Waiters) forget(id string, call chan struct{}) {
	w.mu.Lock()
	defer w.mu.Unlock()
	one := w.waiting[id]
	if one == nil {
		return
	}
	for i, c := range one.calls {
		if c.finished == call {
			one.calls = append(one.calls[:i], one.calls[i+1:]...)
			w.places.Free(c.organization, 1)
			break
		}
	}
	if len(one.calls) == 0 {
		delete(w.waiting, id)
	}
}

// Waiting returns how many calls wait.
func (w *Waiters) Waiting() int { return w.places.Taken() }

// Wait waits until finished is closed, at most d, and reports whether it was. It returns
// early when the caller goes or the process ends.
func (w *Waiters) Wait(ctx context.Context, finished <-chan struct{}, d time.Duration) bool {
	timer := time.NewTimer(d)
	defer timer.Stop()
	select {
	case <-finished:
		return true
	case <-timer.C:
	case <-ctx.Done():
	case <-w.ended:
	}
	return false
}

// finished answers the calls that wait for the requests.
func (w *Waiters) finished(ids []string) {
	w.mu.Lock()
	defer w.mu.Unlock()
	for _, id := range ids {
		one := w.waiting[id]
		if one == nil {
			continue
		}
		for _, call := range one.calls {
			close(call.finished)
			w.places.Free(call.organization, 1)
		}
		delete(w.waiting, id)
	}
}

// Run listens for finished requests until ctx ends, then answers all waiters.
func (w *Waiters) Run(ctx context.Context) {
	defer close(w.ended)
	var listening sync.WaitGroup
	listening.Go(func() { w.Queue.Finished(ctx, w.finished) })
	defer listening.Wait()
	ticker := time.NewTicker(pollEvery)
	defer ticker.Stop()
	for {
		select {
		case <-ctx.Done():
			return
		case <-ticker.C:
			w.poll(ctx)
		}
	}
}

// poll asks the database which of the waiting requests are finished.
func (w *Waiters) poll(ctx context.Context) {
	w.mu.Lock()
	refs := make([]request.Ref, 0, len(w.waiting))
	for _, one := range w.waiting {
		refs = append(refs, one.ref)
	}
	w.mu.Unlock()
	if len(refs) == 0 {
		return
	}
	ids, err := request.Finished(ctx, w.Store, refs)
	if err != nil {
		if ctx.Err() == nil && !errors.Is(err, usersync.ErrDatabaseAway) { // which the store says
			w.Log.WarnContext(ctx, "could not ask for finished requests", "error", err)
		}
		return
	}
	w.finished(ids)
}
