package queue

import (
	"context"
	"slices"
	"strings"
	"sync"
	"time"

	"github.com/redis/go-redis/v9"
)

// A server of an empty queue waits until it is notified of a message. A notification
// may be lost, and Asynq puts messages back without one. So the listener also looks by
// itself, once for all servers of the process.
const (
	// lookEvery is how often the listener looks at the queues of idle servers.
	lookEvery = time.Second
	// checkConnection is after how long without a message a subscription asks
	// whether its connection still stands.
	checkConnection = 10 * time.Second
)

// listener notifies the servers of this process, over one subscription.
type listener struct {
	mu      sync.Mutex
	servers map[*notifier]int // their slots
	stop    context.CancelFunc
}

// notify tells the servers of queues, in all processes, that these have a message. A
// lost notification costs at most lookEvery. An error is ignored, because the next
// call shows that Redis is away.
func (c *Client) notify(ctx context.Context, queues []string) {
	_ = c.redis.Publish(ctx, c.key("notify"), strings.Join(queues, ",")).Err()
}

// join adds a server to the listener. The first one begins the subscription.
func (c *Client) join(n *notifier, slots int) {
	c.listener.mu.Lock()
	defer c.listener.mu.Unlock()
	if len(c.listener.servers) == 0 {
		ctx, stop := context.WithCancel(context.Background())
		c.listener.servers, c.listener.stop = map[*notifier]int{}, stop
		go c.listen(ctx, c.redis.Subscribe(ctx, c.key("notify")))
	}
	c.listener.servers[n] = slots
}

// leave takes a server from the listener. The last one ends the subscription.
func (c *Client) leave(n *notifier) {
	n.stop()
	c.listener.mu.Lock()
	defer c.listener.mu.Unlock()
	if _, joined := c.listener.servers[n]; !joined {
		return
	}
	delete(c.listener.servers, n)
	if len(c.listener.servers) == 0 {
		c.listener.stop()
	}
}

// listen receives the notifications and looks by itself, until ctx ends. A
// subscription that begins, or begins again after an outage, may have missed a
// notification. So its beginning notifies all servers.
func (c *Client) listen(ctx context.Context, s *redis.PubSub) {
	defer func() { _ = s.Close() }()
	heard := s.ChannelWithSubscriptions(redis.WithChannelHealthCheckInterval(checkConnection))
	look, beat := time.NewTicker(lookEvery), time.NewTicker(presentEvery)
	defer look.Stop()
	defer beat.Stop()
	for {
		select {
		case <-ctx.Done():
			return
		case m, ok := <-heard:
			if !ok {
				return
			}
			c.tell(m)
		case <-look.C:
			c.look(ctx)
		case <-beat.C:
			c.present(ctx)
		}
	}
}

// tell notifies the servers of the queues that a message of the subscription names,
// and all servers when it is not a notification.
func (c *Client) tell(heard any) {
	var queues []string
	if m, ok := heard.(*redis.Message); ok {
		queues = strings.Split(m.Payload, ",")
	}
	c.listener.mu.Lock()
	defer c.listener.mu.Unlock()
	for n := range c.listener.servers {
		if queues == nil || slices.Contains(queues, n.queue) {
			n.notify()
		}
	}
}

// look notifies the idle servers when one of their queues has a message.
func (c *Client) look(ctx context.Context) {
	idle, lists := c.idle()
	if len(idle) == 0 || !c.anyExists(ctx, lists) {
		return
	}
	for _, n := range idle {
		n.notify()
	}
}

// idle returns the servers whose queue was empty, and the lists of pending messages
// that these wait for.
func (c *Client) idle() (idle []*notifier, lists []string) {
	c.listener.mu.Lock()
	defer c.listener.mu.Unlock()
	for n := range c.listener.servers {
		if n.empty.Load() {
			idle, lists = append(idle, n), append(lists, n.pending)
		}
	}
	return idle, lists
}

// anyExists reports whether one of the keys exists. It makes one round trip and, except
// in a cluster, which keeps the keys apart, one command. An error is ignored, because
// the next look shows the same.
func (c *Client) anyExists(ctx context.Context, keys []string) bool {
	if _, cluster := c.redis.(*redis.ClusterClient); !cluster {
		return c.redis.Exists(ctx, keys...).Val() > 0
	}
	pipe := c.redis.Pipeline()
	for _, key := range keys {
		pipe.Exists(ctx, key)
	}
	answers, _ := pipe.Exec(ctx)
	return slices.ContainsFunc(answers, func(a redis.Cmder) bool {
		n, ok := a.(*redis.IntCmd)
		return ok && n.Val() > 0
	})
}
