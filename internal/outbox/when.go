package outbox

import "time"

// When is when a task runs again, by the database's clock: that of a process may be wrong,
// and decides nothing. The zero value is at once.
type When struct {
	// at is a time that the database has told; in counts from when the task is written.
	// Zero is none, and of both the earlier one counts.
	at time.Time
	in time.Duration
}

// At is at a time that the database has told, or that follows from one. The zero time is
// at once.
func At(t time.Time) When { return When{at: t} }

// In is after a while, counted from when the task is written.
func In(d time.Duration) When { return When{in: max(d, 0)} }

// Or returns the earlier of the two. Which that is of a time and a while, the database
// tells.
func (w When) Or(other When) When {
	if w.now() || other.now() {
		return When{}
	}
	if w.at.IsZero() || !other.at.IsZero() && other.at.Before(w.at) {
		w.at = other.at
	}
	if w.in == 0 || other.in > 0 && other.in < w.in {
		w.in = other.in
	}
	return w
}

// now reports whether it is at once.
func (w When) now() bool { return w.at.IsZero() && w.in == 0 }
