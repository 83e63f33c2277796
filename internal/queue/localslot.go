package queue

import (
	"sync"

	"usersync/internal/fairness"
	"usersync/internal/usersync"
)

// LocalTask is a task that this process wrote together with a claim of its own. The
// worker of this process works it at once, without Redis.
type LocalTask struct {
	Kind  string
	Claim usersync.Claim
}

// LocalSlots are the slots of a worker for local tasks. An organization may take as many
// as its server has, and one fairness key an eighth of them, as in the relay. There are
// twice as many, so that others find slots beside it. A nil *LocalSlots has no slots.
type LocalSlots struct {
	ofKey  int
	places *fairness.Places

	mu     sync.Mutex
	closed bool
	byKey  map[string]int
	busy   sync.WaitGroup
}

// NewLocalSlots returns the slots of a worker whose server has that many.
func NewLocalSlots(slots int) *LocalSlots {
	return &LocalSlots{ofKey: max(slots/8, 1), places: fairness.NewPlaces(2 * slots), byKey: map[string]int{}}
}

// Reserve begins a reservation for one transaction.
func (s *LocalSlots) Reserve() *Reservation {
	return &Reservation{slots: s, held: map[string]held{}}
}

// held is what a task holds a slot for.
type held struct{ organization, key string }

func (s *LocalSlots) take(t usersync.Task) bool {
	if s == nil {
		return false
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.closed || s.byKey[t.FairnessKey] >= s.ofKey || !s.places.Take(t.Organization, 1) {
		return false
	}
	s.byKey[t.FairnessKey]++
	s.busy.Add(1)
	return true
}

// Free frees the slot of a task of this organization and fairness key.
func (s *LocalSlots) Free(organization, key string) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.places.Free(organization, 1)
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
	held  map[string]held // by task
}

// Take reserves a slot for a task. It returns false when there is no free slot or the
// worker is shutting down. Then the task goes over the queue.
func (r *Reservation) Take(t usersync.Task) bool {
	if !r.slots.take(t) {
		return false
	}
	r.held[t.ID] = held{t.Organization, t.FairnessKey}
	return true
}

// Use takes the slot of a task out of the reservation. The worker that works the task
// frees the slot.
func (r *Reservation) Use(taskID string) { delete(r.held, taskID) }

// Release frees the slots that no task uses.
func (r *Reservation) Release() {
	for _, h := range r.held {
		r.slots.Free(h.organization, h.key)
	}
	clear(r.held)
}
