package queue

import (
	"context"
	"strings"
)

// PublishFinished tells every API process which requests are finished. Losing
// it costs waiters half a second, so its error is for the log only.
func (c *Client) PublishFinished(ctx context.Context, ids []string) error {
	if len(ids) == 0 {
		return nil
	}
	return unavailable(c.redis.Publish(ctx, c.key("finished"), strings.Join(ids, ",")).Err())
}

// Finished calls seen with the ids of requests as they finish, until ctx ends.
// The subscription heals by itself.
func (c *Client) Finished(ctx context.Context, seen func(ids []string)) {
	subscription := c.redis.Subscribe(ctx, c.key("finished"))
	defer func() { _ = subscription.Close() }()
	messages := subscription.Channel()
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
