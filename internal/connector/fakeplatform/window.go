package fakeplatform

import (
	"time"

	"usersync/internal/connector"
)

// windows count the calls of a fake as its platform counts them: in any window of time
// that has the length of a limit.
type windows struct {
	limits   []connector.Window
	arrivals []time.Time // those that a limit may still count, oldest first
}

// take counts a call that arrives now, and reports whether the limits take it. Calls that
// are refused count too, as they do at most platforms.
func (w *windows) take(now time.Time) bool {
	w.arrivals = append(w.arrivals, now)
	fits := true
	longest := 0
	for _, l := range w.limits {
		if l.Calls < len(w.arrivals) && now.Sub(w.arrivals[len(w.arrivals)-1-l.Calls]) < l.In {
			fits = false
		}
		longest = max(longest, l.Calls)
	}
	w.arrivals = w.arrivals[max(len(w.arrivals)-longest, 0):]
	return fits
}

// Limit makes a fake refuse with 429 what exceeds the limits of its platform. Without a
// limit it takes every call.
func (s *Server) Limit(name string, limits ...connector.Window) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.fakes[name].windows = windows{limits: limits}
}
