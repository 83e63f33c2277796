package queue

import (
	"sync"

	"usersync/internal/usersync"
)

// LocalTask is a task that this process wrote together with a claim of its own. The
// worker of this process works it at once, without Redis.
type LocalTask struct {
	Kind  string
	Claim usersync.Claim
}

// LocalSlots are the slots of a worker for local tasks. There are as many as its
// server has, and one fairness key holds at most an eighth of them, as in the relay.
// A nil *LocalSlots has no slots.
type LocalSlots struct {
	slots int

	mu     sync.Mutex
	closed bool
	taken  int
	byKey  map[string]int
	busy   sync.WaitGroup
}

// NewLocalSlots returns that many slots, all free.
func NewLocalSlots(slots int) *LocalSlots {
	return &LocalSlots{slots: slots, byKey: map[string]int{}}
}

// Reserve begins a reservation for one transaction.
func (s *LocalSlots) Reserve() *Reservation {
	return &Reservation{slots: s, keys: map[string]string{}}
}

func (s *LocalSlots) take(key string) bool {
	if s == nil {
		return false
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.closed || s.taken >= s.slots || s.byKey[key] >= max(s.slots/8, 1) {
		return false
	}
	s.taken++
	s.byKey[key]++
	s.busy.Add(1)
	return true
}

// Free frees the slot of a task of this fairness key.
func (s *LocalSlots) Free(key string) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.taken--
	if s.byKey[key]--; s.byKey[key] == 0 {
		delete(s.byKey, key)
	}
	s.busy.Done()
}

// Close refuses further reservations and waits until all slots are free.
func (s *LocalSlots) Close() {
	if s == nil {
		return
	}
	s.mu.Lock()
	s.closed = true
	s.mu.Unlock()
	s.busy.Wait()
}

// Reservation holds slots for the tasks that one transaction writes.
type Reservation struct {
	slots *LocalSlots
	keys  map[string]string // fairness key by task
}

// Take reserves a slot for a task. It returns false when there is no free slot or the
// worker is shutting down. Then the task goes over the queue.
func (r *Reservation) Take(t usersync.Task) bool {
	if !r.slots.take(t.FairnessKey) {
		return false
	}
	r.keys[t.ID] = t.FairnessKey
	return true
}

// Use takes the slot of a task out of the reservation. The worker that works the task
// frees the slot.
func (r *Reservation) Use(taskID string) { delete(r.keys, taskID) }

// Release frees the slots that no task uses.
func (r *Reservation) Release() {
	for _, key := range r.keys {
		r.slots.Free(key)
	}
	clear(r.keys)
}
