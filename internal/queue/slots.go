package queue

import (
	"context"
	"encoding/json"
	"time"
)

const (
	// presentEvery is how often a worker tells that it runs.
	presentEvery = 5 * time.Second
	// presentFor is how long that counts.
	presentFor = 3 * presentEvery
	// slotsFresh is how long a number of slots is used before it is read again.
	slotsFresh = 2 * time.Second
)

// presence is what a worker tells of itself.
type presence struct {
	// Until is what changes each time: the worker's own clock, in milliseconds since 1970.
	// Nobody compares it with another clock.
	Until int64          `json:"until"`
	Slots map[string]int `json:"slots"` // by queue
}

// workersKey is the key of the hash that holds the presence of each worker.
func (c *Client) workersKey() string { return c.key("workers") }

// present tells how many tasks of each queue this process can work at once. An error is
// ignored: it is told again soon.
func (c *Client) present(ctx context.Context) {
	p := presence{Until: time.Now().Add(presentFor).UnixMilli(), Slots: map[string]int{}} //lint:clock it only has to change
	c.listener.mu.Lock()
	for n, slots := range c.listener.servers {
		p.Slots[n.queue] += slots
	}
	c.listener.mu.Unlock()
	if len(p.Slots) == 0 {
		_ = c.redis.HDel(ctx, c.workersKey(), c.id).Err()
		return
	}
	text, err := json.Marshal(p)
	if err != nil {
		return // cannot be: numbers by name
	}
	_ = c.redis.HSet(ctx, c.workersKey(), c.id, text).Err()
}

// Slots returns how many tasks of each queue the running workers can work at
// once.
func (c *Client) Slots(ctx context.Context) (map[string]int, error) {
	c.slots.Lock()
	defer c.slots.Unlock()
	now := time.Now() //lint:clock it measures since what this process read before, and is compared with no other clock
	if now.Sub(c.slots.read) < slotsFresh {
		return c.slots.by, nil
	}
	workers, err := c.redis.HGetAll(ctx, c.workersKey()).Result()
	if err != nil {
		return nil, unavailable(err)
	}
	by, gone := c.running(workers, now)
	if len(gone) > 0 {
		// Of workers that died. The next one who reads tries again.
		_ = c.redis.HDel(ctx, c.workersKey(), gone...).Err()
	}
	c.slots.by, c.slots.read = by, now
	return by, nil
}

// heard is what a worker told last, and when this process first read that.
type heard struct {
	told string
	at   time.Time
}

// running adds up the slots of the workers that run: whatever the clocks of their machines
// say, they have told something new within presentFor, or are read of for the first time.
// It returns which ones have not been heard of for so long that they are gone.
func (c *Client) running(workers map[string]string, now time.Time) (by map[string]int, gone []string) {
	by = map[string]int{}
	before := c.slots.heard
	c.slots.heard = make(map[string]heard, len(workers))
	for id, text := range workers {
		last, known := before[id]
		if !known || last.told != text {
			last = heard{text, now}
		}
		c.slots.heard[id] = last
		var p presence
		if err := json.Unmarshal([]byte(text), &p); err != nil || now.Sub(last.at) > time.Hour {
			gone = append(gone, id)
			continue
		}
		if now.Sub(last.at) > presentFor {
			continue
		}
		for queue, slots := range p.Slots {
			by[queue] += slots
		}
	}
	return by, gone
}
