package fake

import "time"

// Takes has every import from now on take so long.
func (f *Fake) Takes(d time.Duration) {
	f.mu.Lock()
	defer f.mu.Unlock()
	f.takes = d
}

// Stages is how many imports follow each other until somebody has arrived.
func (*Fake) Stages() int { return 1 }
