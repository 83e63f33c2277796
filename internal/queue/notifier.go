package queue

import (
	"context"
	"errors"
	"time"

	"github.com/redis/go-redis/v9"
)

// A server of an empty queue waits until it is notified of a message. A notification
// may be lost, and Asynq moves messages back without one: a server also looks by itself.
const (
	// lookEvery is how long an idle server waits to be notified.
	lookEvery = 250 * time.Millisecond
	// breath is about how long Asynq waits after an empty answer, notified or not: it
	// bounds what servers ask of Redis while messages come one by one.
	breath = 4 * time.Millisecond
)

// notify tells the servers of queues, in all processes, that these have a message.
// Losing it costs lookEvery, and a Redis that is gone shows with the next call.
func (c *Client) notify(ctx context.Context, queues []string) {
	pipe := c.redis.Pipeline()
	for _, q := range queues {
		pipe.Publish(ctx, c.key("notify:"+q), "")
	}
	_, _ = pipe.Exec(ctx)
}

// notifier stands between a server and Redis. It holds back the question for a
// message after one that was answered with none, until the queue is notified. Asynq asks
// one question at a time.
type notifier struct {
	redis.UniversalClient

	pending  string // the list that the question is about
	empty    bool   // the last answer was none
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

// listen hears the notifications. A subscription that begins, or begins again after
// an outage, may have missed one: that counts as one.
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
			default: // rings already
			}
		}
	}
}

// EvalSha runs a script. Of all that a server runs, the question for a message is
// the one whose first key is the list of pending ones.
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

// await returns when it is time to ask, or false when the server stops.
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
