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

// counts are the windows of a fake: those of each part of the API that its platform counts
// by itself, and those of everything else.
type counts struct {
	platform connector.Platform
	rest     windows
	lanes    map[string]*windows
}

// take counts a call with a path below the address of the API.
func (c *counts) take(path string, now time.Time) (lane string, fits bool) {
	if l, ok := c.platform.LaneOf(path); ok {
		return l.Name, c.lanes[l.Name].take(now)
	}
	return "", c.rest.take(now)
}

// Limit makes the fake of a platform refuse with 429 what exceeds the limits that are
// published. Without it, it takes every call.
func (s *Server) Limit(k connector.Platform) {
	c := counts{platform: k, rest: windows{limits: k.Limits.Published}, lanes: map[string]*windows{}}
	for _, l := range k.Lanes {
		c.lanes[l.Name] = &windows{limits: l.Published}
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	s.fakes[k.Name].counts, s.fakes[k.Name].state.First = c, time.Time{}
}
