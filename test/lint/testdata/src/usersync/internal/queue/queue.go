// Package queue has the shape of the real one.
package queue

import (
	"context"

	"github.com/redis/go-redis/v9"
)

type Client struct{ redis redis.UniversalClient }

func (c *Client) Slots() (int, error) { return 0, nil }

func (c *Client) Close() error { return nil }

func (c *Client) Name() string { return "" }

func (c *Client) pulse(ctx context.Context, queues []string) {
	pipe := c.redis.Pipeline()
	for _, q := range queues {
		pipe.LLen(ctx, q) // only noted until Exec
	}
	pipe.Exec(ctx)
	for _, q := range queues { // want `with c.redis.LLen`
		c.redis.LLen(ctx, q)
	}
	for range queues { // want `with pipe.Exec`
		pipe.Exec(ctx)
	}
}
