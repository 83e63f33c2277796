package queue

import (
	"testing"

	"github.com/hibiken/asynq"
)

// isPending reports whether the queue has a message that waits for a worker.
func isPending(t *testing.T, c *Client, m Message) bool {
	t.Helper()
	info, err := c.inspector.GetTaskInfo(c.queue(m.Queue), m.redisID())
	return err == nil && info.State == asynq.TaskStatePending
}
