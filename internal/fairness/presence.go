package fairness

import (
	"sync"
	"time"
)

// Presence knows which organizations had something to do just now. The zero Presence is
// ready, and may be used concurrently.
type Presence struct {
	mu sync.Mutex
	// last came last, and other is the last of the others.
	last, other seen
}

type seen struct {
	organization string
	at           time.Time
}

// Note notes that an organization has something to do.
func (p *Presence) Note(organization string) {
	p.mu.Lock()
	defer p.mu.Unlock()
	if organization != p.last.organization {
		p.other = p.last
	}
	p.last = seen{organization, time.Now()}
}

// Others reports whether any but one organization had something to do within a time.
func (p *Presence) Others(organization string, within time.Duration) bool {
	p.mu.Lock()
	defer p.mu.Unlock()
	one := p.last
	if one.organization == organization {
		one = p.other
	}
	return one.organization != "" && time.Since(one.at) < within
}
