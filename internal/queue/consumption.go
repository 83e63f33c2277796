package queue

import (
	"context"
	"sync"
	"time"

	"github.com/redis/go-redis/v9"
)

// Consumption tells each API process how many calls the others let through. So a rate
// limit holds across all of them without a Redis call for each request.
type Consumption struct {
	client *Client

	mu   sync.Mutex
	seen map[string]int64 // the total after the last exchange, by key
}

// Consumption returns a new exchange for this process.
func (c *Client) Consumption() *Consumption {
	return &Consumption{client: c, seen: map[string]int64{}}
}

// consumptionKept is how long a total lives after its last use.
const consumptionKept = time.Minute

// Exchange adds the calls that this process let through, by key. It returns the calls
// that other processes let through since the last exchange.
func (x *Consumption) Exchange(ctx context.Context, mine map[string]int64) (others map[string]int64, err error) {
	if len(mine) == 0 {
		return nil, nil
	}
	pipe := x.client.redis.Pipeline()
	totals := make(map[string]*redis.IntCmd, len(mine))
	for key, n := range mine {
		name := x.client.key("rate:" + key)
		totals[key] = pipe.IncrBy(ctx, name, n)
		pipe.Expire(ctx, name, consumptionKept)
	}
	if _, err := pipe.Exec(ctx); err != nil {
		return nil, unavailable(err)
	}
	x.mu.Lock()
	defer x.mu.Unlock()
	others = map[string]int64{}
	for key, total := range totals {
		now := total.Val()
		if before, known := x.seen[key]; known && now-before > mine[key] {
			others[key] = now - before - mine[key]
		}
		x.seen[key] = now
	}
	// Keys that were not used this time have no total to compare with later.
	for key := range x.seen {
		if _, used := mine[key]; !used {
			delete(x.seen, key)
		}
	}
	return others, nil
}
