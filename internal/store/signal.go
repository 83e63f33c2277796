package store

import "sync"

// Signal says which queues have tasks that may be sent. Every commit that writes
// the outbox raises it, in whatever role the process runs, and the process's relay
// waits for it. Nothing is lost with it: the relay also looks by itself.
type Signal struct {
	mu     sync.Mutex
	queues map[string]bool
	raised chan struct{}
}

func newSignal() *Signal {
	return &Signal{queues: map[string]bool{}, raised: make(chan struct{}, 1)}
}

// Raise notes queues. It never blocks.
func (s *Signal) Raise(queues ...string) {
	if len(queues) == 0 {
		return
	}
	s.mu.Lock()
	for _, q := range queues {
		s.queues[q] = true
	}
	s.mu.Unlock()
	select {
	case s.raised <- struct{}{}:
	default: // raised already
	}
}

// Raised delivers a value when queues were noted since the last Take.
func (s *Signal) Raised() <-chan struct{} { return s.raised }

// Take returns the queues that were noted, and forgets them.
func (s *Signal) Take() []string {
	s.mu.Lock()
	defer s.mu.Unlock()
	queues := make([]string, 0, len(s.queues))
	for q := range s.queues {
		queues = append(queues, q)
	}
	clear(s.queues)
	return queues
}

// Ready is raised by every commit that made tasks ready, or made room for them,
// with the names of their queues.
func (s *Store) Ready() *Signal { return s.ready }
