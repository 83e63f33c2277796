package fake

import "time"

// Takes has every job from now on take so long.
func (f *Fake) Takes(d time.Duration) {
	f.mu.Lock()
	defer f.mu.Unlock()
	f.work.Takes(d)
}

// Stages is how many jobs follow each other until somebody has arrived.
func (*Fake) Stages() int { return 1 }
