package queue

import (
	"context"
	"errors"
	"slices"
	"strings"
	"sync/atomic"
	"time"

	"github.com/redis/go-redis/v9"
)

const (
	// checkInterval is about how long Asynq waits after an empty answer, whether it
	// was notified or not. It bounds how often servers ask Redis while messages come
	// one by one.
	checkInterval = 4 * time.Millisecond
	// forwardEvery is how often Asynq wants to look for messages that are to be
	// retried.
	forwardEvery = 5 * time.Second
	// retriesFor is how long after a message was put back for a retry its server
	// looks for it. A message comes again after two seconds at most, and forwardEvery is added to that.
	retriesFor = 15 * time.Second
	// retriesOfOthers is how often a server looks for messages that another one has
	// put back, which has died since.
	retriesOfOthers = 30 * time.Second
	// janitorEvery is how often Asynq removes completed messages that it kept. It
	// keeps none of ours.
	janitorEvery = time.Hour
)

// The keys of the heartbeats of Asynq's servers: two sets, and a key for each server.
// They are read by nobody but Asynq's tools; workers tell their slots by themselves.
const (
	asynqServers = "asynq:servers"
	asynqWorkers = "asynq:workers"
)

// notifier stands between a server and Redis. Asynq asks Redis for one message at a
// time. After an answer without a message, the notifier holds back the next question
// until the queue is notified. It also holds back what Asynq does every few seconds
// and what has no use here: heartbeats, and looking for scheduled messages.
type notifier struct {
	redis.UniversalClient

	note      func(error)
	queue     string
	pending   string // the list of the messages to be worked
	scheduled string // the set of the messages that come at a time
	retry     string // the set of the messages that come again
	empty     atomic.Bool
	born      time.Time    // what the times below are counted from, by a clock that nobody sets
	retried   atomic.Int64 // when a message was last put into retry, as time.Duration
	forwarded atomic.Int64 // when retry was last looked at, as time.Duration
	notified  chan struct{}
	stopped   context.Context
	stop      context.CancelFunc
}

// newNotifier returns the notifier of a queue. It waits until stop.
func (c *Client) newNotifier(queue string) *notifier {
	prefix := "asynq:{" + c.queue(queue) + "}:"
	n := &notifier{
		UniversalClient: c.redis, note: c.note, queue: queue, notified: make(chan struct{}, 1),
		pending: prefix + "pending", scheduled: prefix + "scheduled", retry: prefix + "retry",
	}
	n.born = time.Now() //lint:clock it measures, and no clock that is set moves it
	n.retried.Store(int64(-retriesFor))
	n.forwarded.Store(int64(-retriesOfOthers))
	n.stopped, n.stop = context.WithCancel(context.Background())
	return n
}

// notify has the server ask for a message.
func (n *notifier) notify() {
	select {
	case n.notified <- struct{}{}:
	default: // a notification waits already
	}
}

// ZAdd adds to a set, unless it is a heartbeat.
func (n *notifier) ZAdd(ctx context.Context, key string, members ...redis.Z) *redis.IntCmd {
	if key == asynqServers || key == asynqWorkers {
		return redis.NewIntResult(0, nil)
	}
	return n.UniversalClient.ZAdd(ctx, key, members...)
}

// EvalSha runs a script. Its first key tells which one it is.
func (n *notifier) EvalSha(ctx context.Context, sha string, keys []string, args ...any) *redis.Cmd {
	switch {
	case len(keys) == 0:
	case keys[0] == n.pending:
		return n.take(ctx, sha, keys, args)
	case strings.HasPrefix(keys[0], asynqServers):
		return redis.NewCmdResult("OK", nil)
	case keys[0] == n.scheduled, keys[0] == n.retry && !n.looksForRetries(time.Since(n.born)):
		return redis.NewCmdResult(int64(0), nil)
	case slices.Contains(keys[1:], n.retry):
		n.retried.Store(int64(time.Since(n.born)))
	}
	return n.UniversalClient.EvalSha(ctx, sha, keys, args...)
}

// take asks for a message when it is time to. After an error it is time again when the
// queue is notified, because a Redis that is away is not asked all the time.
func (n *notifier) take(ctx context.Context, sha string, keys []string, args []any) *redis.Cmd {
	if !n.await() {
		return redis.NewCmdResult(nil, redis.Nil)
	}
	answer := n.UniversalClient.EvalSha(ctx, sha, keys, args...)
	err := answer.Err()
	n.empty.Store(err != nil && !redis.HasErrorPrefix(err, "NOSCRIPT")) // then Asynq sends the script
	if errors.Is(err, redis.Nil) {
		n.note(nil)
		return answer
	}
	if n.note(err); isFull(err) {
		return redis.NewCmdResult(nil, redis.Nil) // else Asynq logs it every few seconds
	}
	return answer
}

// await waits until it is time to ask. It returns false when the server stops.
func (n *notifier) await() bool {
	if !n.empty.Load() {
		return n.stopped.Err() == nil
	}
	select {
	case <-n.stopped.Done():
		return false
	case <-n.notified:
		return true
	}
}

// looksForRetries reports whether there may be messages to be retried, now after the
// notifier was made.
func (n *notifier) looksForRetries(now time.Duration) bool {
	if now-time.Duration(n.retried.Load()) > retriesFor && now-time.Duration(n.forwarded.Load()) < retriesOfOthers {
		return false
	}
	n.forwarded.Store(int64(now))
	return true
}
