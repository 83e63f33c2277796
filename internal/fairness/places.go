// Package fairness shares what there is a bounded number of between organizations, so
// that none of them takes all of it.
package fairness

import "sync"

// Places are a number of places that organizations take. An organization may hold as
// many as are then left free, so that however many it asks for, others find places: one
// that asks for all gets half, two get a third each. That is the dynamic threshold of
// Choudhury and Hahne (IEEE/ACM Transactions on Networking 6, 1998) with α = 1. What an
// organization that holds nothing asks for, it gets as long as it fits, up to half.
//
// Places may be used concurrently.
type Places struct {
	all int

	mu    sync.Mutex
	taken int
	held  map[string]int // by organization
}

// NewPlaces returns that many places, all free.
func NewPlaces(all int) *Places { return &Places{all: all, held: map[string]int{}} }

// Take takes n places for an organization, or none. It reports whether it did.
func (p *Places) Take(organization string, n int) bool {
	p.mu.Lock()
	defer p.mu.Unlock()
	free, held := p.all-p.taken-n, p.held[organization]
	if free < 0 || held+n > (p.all+1)/2 || held > 0 && held+n > free {
		return false
	}
	p.taken += n
	p.held[organization] += n
	return true
}

// Free gives back n places that an organization holds.
func (p *Places) Free(organization string, n int) {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.taken -= n
	if p.held[organization] -= n; p.held[organization] == 0 {
		delete(p.held, organization)
	}
}

// Taken returns how many places are taken.
func (p *Places) Taken() int {
	p.mu.Lock()
	defer p.mu.Unlock()
	return p.taken
}
