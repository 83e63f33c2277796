package relay

import (
	"sync"
	"time"
)

// crowdFor is how long a lane counts after a task of it was last seen: longer
// than a caller that sends now and then leaves between two requests.
const crowdFor = 2 * time.Second

// crowd knows whether tasks of more than one lane of a queue have been about
// lately. The zero value is ready for use.
type crowd struct {
	mu   sync.Mutex
	last map[string][2]sighting // by queue: those of the two lanes seen last
}

type sighting struct {
	lane string
	at   time.Time
}

func (c *crowd) note(queue, lane string, now time.Time) {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.last == nil {
		c.last = map[string][2]sighting{}
	}
	two := c.last[queue]
	if two[0].lane != lane {
		two[1] = two[0]
	}
	two[0] = sighting{lane, now}
	c.last[queue] = two
}

// many reports whether there were several lanes.
func (c *crowd) many(queue string, now time.Time) bool {
	c.mu.Lock()
	defer c.mu.Unlock()
	other := c.last[queue][1]
	return other.lane != "" && now.Sub(other.at) < crowdFor
}
