package queue

import (
	"context"
	"sync/atomic"
	"testing"

	"github.com/hibiken/asynq"
	"github.com/redis/go-redis/v9"
)

// trips counts the round trips of a client to Redis, without those that set up a new
// connection.
type trips struct{ n atomic.Int64 }

func (s *trips) count(first redis.Cmder) {
	if name := first.Name(); name != "hello" && name != "client" {
		s.n.Add(1)
	}
}

func (s *trips) DialHook(next redis.DialHook) redis.DialHook { return next }

func (s *trips) ProcessHook(next redis.ProcessHook) redis.ProcessHook {
	return func(ctx context.Context, c redis.Cmder) error {
		s.count(c)
		return next(ctx, c)
	}
}

func (s *trips) ProcessPipelineHook(next redis.ProcessPipelineHook) redis.ProcessPipelineHook {
	return func(ctx context.Context, all []redis.Cmder) error {
		s.count(all[0])
		return next(ctx, all)
	}
}

// isPending reports whether the queue has a message that waits for a worker.
func isPending(t *testing.T, c *Client, m Message) bool {
	t.Helper()
	info, err := c.inspector.GetTaskInfo(c.queue(m.Queue), m.redisID())
	return err == nil && info.State == asynq.TaskStatePending
}
