package fairness

import (
	"context"
	"sync"
	"time"
)

// Turns let each organization do one thing at a time, so that however much it has to do,
// it is one of those that ask the database. While others are there too, its turns have a
// rest between them, as long as the one before: it has half of what one at a time can do.
// Turns may be used concurrently.
type Turns struct {
	presence *Presence

	mu    sync.Mutex
	lines map[string]*line // by organization; only where somebody is in turn or waits
}

const (
	// besideWithin is how long an organization counts as there, and longestRest bounds a
	// rest: what takes longer waits for others itself.
	besideWithin = time.Second
	longestRest  = 100 * time.Millisecond
)

// NewTurns returns turns between which an organization rests while presence knows of
// others.
func NewTurns(presence *Presence) *Turns {
	return &Turns{presence: presence, lines: map[string]*line{}}
}

// line is who is in turn, and who waits: inside holds one place.
type line struct {
	inside chan struct{}
	users  int // those in turn and those who wait
}

// Enter waits for an organization's turn and returns how to end it, which is to be called
// once. It returns the error of ctx if that ends before.
func (t *Turns) Enter(ctx context.Context, organization string) (leave func(), err error) {
	l := t.join(organization)
	select {
	case l.inside <- struct{}{}:
		began := time.Now()
		return func() { t.leave(organization, l, time.Since(began)) }, nil
	case <-ctx.Done():
		t.part(organization, l)
		return nil, ctx.Err()
	}
}

// leave ends a turn that took so long, and the rest behind it.
func (t *Turns) leave(organization string, l *line, took time.Duration) {
	end := func() {
		<-l.inside
		t.part(organization, l)
	}
	if !t.presence.Others(organization, besideWithin) {
		end()
		return
	}
	time.AfterFunc(min(took, longestRest), end)
}

func (t *Turns) join(organization string) *line {
	t.mu.Lock()
	defer t.mu.Unlock()
	l := t.lines[organization]
	if l == nil {
		l = &line{inside: make(chan struct{}, 1)}
		t.lines[organization] = l
	}
	l.users++
	return l
}

func (t *Turns) part(organization string, l *line) {
	t.mu.Lock()
	defer t.mu.Unlock()
	if l.users--; l.users == 0 {
		delete(t.lines, organization)
	}
}
