package worker

import (
	"context"
	"sync"

	"usersync/internal/queue"
	"usersync/internal/usersync"
)

// places counts what is worked without a way over the queue. It has as many
// places as its server has slots, and of those one lane has at most an eighth,
// as the relay has it.
type places struct {
	mu     sync.Mutex
	closed bool
	taken  int
	lanes  map[string]int
	busy   sync.WaitGroup
}

func (s *places) take(lane string, slots int) bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.closed || s.taken >= slots || s.lanes[lane] >= max(slots/8, 1) {
		return false
	}
	if s.lanes == nil {
		s.lanes = map[string]int{}
	}
	s.taken++
	s.lanes[lane]++
	s.busy.Add(1)
	return true
}

func (s *places) free(lane string) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.taken--
	if s.lanes[lane]--; s.lanes[lane] == 0 {
		delete(s.lanes, lane)
	}
	s.busy.Done()
}

// close has no more places taken and waits until all are free.
func (s *places) close() {
	s.mu.Lock()
	s.closed = true
	s.mu.Unlock()
	s.busy.Wait()
}

// Place keeps a place for a task of a kind and lane; ok is false when there is
// none, or the pool is shutting down: then the task goes the usual way.
func (p *Pool) Place(kind, lane string) (place queue.Place, ok bool) {
	h, known := p.handlers[kind]
	if !known || !p.places.take(lane, max(p.Slots[h.Queue], 1)) {
		return queue.Place{}, false
	}
	return queue.Place{
		Free: func() { p.places.free(lane) },
		Work: func(c usersync.Claim) {
			go func() {
				defer p.places.free(lane)
				p.workClaimed(context.Background(), queue.Message{TaskID: c.TaskID, Generation: 1, Kind: kind, Queue: h.Queue}, c)
			}()
		},
	}, true
}
