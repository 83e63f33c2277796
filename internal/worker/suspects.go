package worker

import (
	"sync"
	"time"
)

// suspects has tasks whose worker has died run one at a time, and organizations take
// turns: one that has many such tasks, or slow ones, makes another wait for one of them.
type suspects struct {
	mu      sync.Mutex
	busy    bool
	freed   chan struct{}         // is closed when the one that runs has run
	waiting map[string]*candidate // by organization
}

// candidate is an organization whose turn has not come.
type candidate struct{ since, asked time.Time }

// forgottenAfter is after how long an organization that does not ask again has lost its
// turn. Whoever is refused comes back after a second or two.
const forgottenAfter = 5 * time.Second

func newSuspects() *suspects {
	return &suspects{freed: make(chan struct{}), waiting: map[string]*candidate{}}
}

// enter lets a task of an organization run, unless another one runs or the turn is that
// of an organization that has waited longer. Where it does not, wait is closed when it is
// worth asking again.
func (s *suspects) enter(organization string, now time.Time) (wait <-chan struct{}, ok bool) {
	s.mu.Lock()
	defer s.mu.Unlock()
	own := s.waiting[organization]
	if own == nil {
		own = &candidate{since: now}
		s.waiting[organization] = own
	}
	own.asked = now
	if s.busy || s.behind(own, now) {
		return s.freed, false
	}
	delete(s.waiting, organization)
	s.busy = true
	return nil, true
}

// behind reports whether another organization has waited longer.
func (s *suspects) behind(own *candidate, now time.Time) bool {
	for organization, other := range s.waiting {
		if now.Sub(other.asked) > forgottenAfter {
			delete(s.waiting, organization)
		} else if other != own && other.since.Before(own.since) {
			return true
		}
	}
	return false
}

// leave lets the next one run.
func (s *suspects) leave() {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.busy = false
	close(s.freed)
	s.freed = make(chan struct{})
}
