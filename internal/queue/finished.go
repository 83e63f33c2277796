package queue

import (
	"context"
	"strings"

	"github.com/redis/go-redis/v9"
)

// PublishFinished tells every API process which requests are finished, or may rest at
// connections to which nothing is pushed now. If Redis does
// not answer, that is no error, because waiting calls ask the database within half a
// second.
func (c *Client) PublishFinished(ctx context.Context, ids []string) {
	if len(ids) == 0 {
		return
	}
	if err := c.redis.Publish(ctx, c.key("finished"), strings.Join(ids, ",")).Err(); err != nil {
		c.log.DebugContext(ctx, "could not publish finished requests; waiting calls will poll", "error", err)
	}
}

// Finished calls seen with the ids of requests as they finish, until ctx ends. The
// subscription begins again by itself after an outage.
func (c *Client) Finished(ctx context.Context, seen func(ids []string)) {
	subscription := c.redis.Subscribe(ctx, c.key("finished"))
	defer func() { _ = subscription.Close() }()
	messages := subscription.Channel(redis.WithChannelHealthCheckInterval(checkConnection))
	for {
		select {
		case <-ctx.Done():
			return
		case m, ok := <-messages:
			if !ok {
				return
			}
			seen(strings.Split(m.Payload, ","))
		}
	}
}
