package queue

import (
	"context"
	"crypto/rand"
	"slices"
	"sync/atomic"
	"testing"

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

func TestLookAsksOnceForAllMessages(t *testing.T) {
	t.Parallel()
	for _, engine := range []string{"embedded", "redis"} {
		t.Run(engine, func(t *testing.T) {
			t.Parallel()
			c := process(t, serverURL(t, engine), "t"+rand.Text())
			pending, archived, elsewhere, unsent := message(), message(), message(), message()
			elsewhere.Queue = Bulk
			noQueue := message()
			noQueue.Queue = Push
			if _, err := c.Send(t.Context(), []Message{pending, archived, elsewhere}); err != nil {
				t.Fatal(err)
			}
			if err := c.inspector.ArchiveTask(c.queue(Run), archived.redisID()); err != nil {
				t.Fatal(err)
			}
			asked := []Message{pending, archived, unsent, elsewhere, noQueue}
			want := []Condition{Alive, Dead, Gone, Alive, Gone}
			for range 1000 {
				asked, want = append(asked, message()), append(want, Gone)
			}
			counted := &trips{}
			c.redis.AddHook(counted)
			got, err := c.Look(t.Context(), asked)
			if err != nil || !slices.Equal(got, want) {
				t.Errorf("got %v (%v), want %v", got[:min(len(got), 8)], err, want[:8])
			}
			if n := counted.n.Load(); n != 1 {
				t.Errorf("asked Redis %d times for %d messages", n, len(asked))
			}
		})
	}
}

func TestLookTellsOutageFromLoss(t *testing.T) {
	t.Parallel()
	c := process(t, serverURL(t, "embedded"), "t"+rand.Text())
	if err := c.Close(); err != nil {
		t.Fatal(err)
	}
	if got, err := c.Look(t.Context(), []Message{message()}); err == nil {
		t.Errorf("a queue that does not answer has lost its message: %v", got)
	}
}
