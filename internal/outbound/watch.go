package outbound

import (
	"context"
	"sync"
	"time"
)

// Made is a call that was made, as it may be shown to whoever it was made for: without
// secrets and addresses.
type Made struct {
	What   string // the method and the path: POST /3.0/lists/8d2f1c0a3b/members
	Status int    // of HTTP; 0 where no answer came
	Took   time.Duration
	// Answer is the beginning of an answer that was no success.
	Answer string
}

// Watch keeps the last call about each person, and the last one about several together.
type Watch struct {
	mu    sync.Mutex
	calls map[string]Made
}

type watchKey struct{}

// aboutKey leads to the user whom calls under a context are about alone.
type aboutKey struct{}

// NewWatch returns a context whose calls are noted, and what keeps them. Another watch of
// ctx does not note them.
func NewWatch(ctx context.Context) (context.Context, *Watch) {
	w := &Watch{calls: map[string]Made{}}
	return context.WithValue(ctx, watchKey{}, w), w
}

// About says of the calls under a context that they are about one user.
func About(ctx context.Context, userID string) context.Context {
	return context.WithValue(ctx, aboutKey{}, userID)
}

// Of returns the last call about a user; alone says that it was about nobody else. made is
// false where no call was made.
func (w *Watch) Of(userID string) (last Made, alone, made bool) {
	w.mu.Lock()
	defer w.mu.Unlock()
	if last, made = w.calls[userID]; made {
		return last, true, true
	}
	last, made = w.calls[""]
	return last, false, made
}

// Note notes a call for the watch of its context. Where there is none, describe is not
// called.
func Note(ctx context.Context, describe func() Made) {
	w, watched := ctx.Value(watchKey{}).(*Watch)
	if !watched {
		return
	}
	userID, _ := ctx.Value(aboutKey{}).(string)
	made := describe()
	w.mu.Lock()
	defer w.mu.Unlock()
	w.calls[userID] = made
}
