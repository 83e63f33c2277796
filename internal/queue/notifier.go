package queue

import (
	"context"
	"errors"
	"time"

	"github.com/redis/go-redis/v9"
)

// A server of an empty queue waits until it is notified of a message. A notification
// may be lost, and Asynq puts messages back without one. So a server also looks by
// itself.
const (
	// lookEvery is how long an idle server waits to be notified.
	lookEvery = 250 * time.Millisecond
	// checkInterval is about how long Asynq waits after an empty answer, whether it
	// was notified or not. It bounds how often servers ask Redis while messages come
	// one by one.
	checkInterval = 4 * time.Millisecond
)

// notify tells the servers of queues, in all processes, that these have a message. A
// lost notification costs at most lookEvery. An error is ignored, because the next
// call shows that Redis is away.
func (c *Client) notify(ctx context.Context, queues []string) {
	pipe := c.redis.Pipeline()
	for _, q := range queues {
		pipe.Publish(ctx, c.key("notify:"+q), "")
	}
	_, _ = pipe.Exec(ctx)
}

// notifier stands between a server and Redis. Asynq asks Redis for one message at a
// time. After an answer without a message, the notifier holds back the next question
// until the queue is notified.
type notifier struct {
	redis.UniversalClient

	pending  string // the list that the question is about
	empty    bool   // the last answer had no message
	notified chan struct{}
	stopped  context.Context
	stop     context.CancelFunc
}

// newNotifier returns the notifier of a queue. It listens until stop.
func (c *Client) newNotifier(queue string) *notifier {
	n := &notifier{UniversalClient: c.redis, pending: "asynq:{" + c.queue(queue) + "}:pending", notified: make(chan struct{}, 1)}
	n.stopped, n.stop = context.WithCancel(context.Background())
	go n.listen(c.redis.Subscribe(n.stopped, c.key("notify:"+queue)))
	return n
}

// listen receives the notifications. A subscription that begins, or begins again
// after an outage, may have missed one. So its beginning counts as a notification.
func (n *notifier) listen(s *redis.PubSub) {
	defer func() { _ = s.Close() }()
	heard := s.ChannelWithSubscriptions()
	for {
		select {
		case <-n.stopped.Done():
			return
		case _, ok := <-heard:
			if !ok {
				return
			}
			select {
			case n.notified <- struct{}{}:
			default: // a notification waits already
			}
		}
	}
}

// EvalSha runs a script. The script that asks for a message is the one whose first
// key is the list of pending messages.
func (n *notifier) EvalSha(ctx context.Context, sha string, keys []string, args ...any) *redis.Cmd {
	if len(keys) == 0 || keys[0] != n.pending {
		return n.UniversalClient.EvalSha(ctx, sha, keys, args...)
	}
	if !n.await() {
		return redis.NewCmdResult(nil, redis.Nil)
	}
	answer := n.UniversalClient.EvalSha(ctx, sha, keys, args...)
	n.empty = errors.Is(answer.Err(), redis.Nil)
	return answer
}

// await waits until it is time to ask. It returns false when the server stops.
func (n *notifier) await() bool {
	if !n.empty {
		return n.stopped.Err() == nil
	}
	look := time.NewTimer(lookEvery)
	defer look.Stop()
	select {
	case <-n.stopped.Done():
		return false
	case <-n.notified:
	case <-look.C:
	}
	return true
}
