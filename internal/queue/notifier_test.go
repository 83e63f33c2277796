package queue

import (
	"context"
	"crypto/rand"
	"errors"
	"log/slog"
	"net"
	"os"
	"slices"
	"strconv"
	"sync/atomic"
	"testing"
	"time"

	"github.com/redis/go-redis/v9"

	"usersync/internal/queue/embedded"
	"usersync/internal/usersync"
)

// serving is a server of the queue Run in one process and a sender in another.
type serving struct {
	server *Server
	sender *Client
	worked chan string // ids of tasks
	asked  *scripts
}

// scripts counts the scripts that a client runs.
type scripts struct{ n atomic.Int64 }

func (s *scripts) DialHook(next redis.DialHook) redis.DialHook {
	return func(ctx context.Context, network, addr string) (net.Conn, error) { return next(ctx, network, addr) }
}

func (s *scripts) ProcessHook(next redis.ProcessHook) redis.ProcessHook {
	return func(ctx context.Context, c redis.Cmder) error {
		if c.Name() == "evalsha" {
			s.n.Add(1)
		}
		return next(ctx, c)
	}
}

func (s *scripts) ProcessPipelineHook(next redis.ProcessPipelineHook) redis.ProcessPipelineHook {
	return next
}

// onServers runs a test on both kinds of Redis.
func onServers(t *testing.T, test func(t *testing.T, s *serving)) {
	t.Helper()
	for _, engine := range []string{"embedded", "redis"} {
		t.Run(engine, func(t *testing.T) {
			t.Parallel()
			url, namespace := serverURL(t, engine), "t"+rand.Text()
			s := &serving{sender: process(t, url, namespace), worked: make(chan string, 100), asked: &scripts{}}
			worker := process(t, url, namespace)
			worker.redis.AddHook(s.asked)
			var err error
			s.server, err = worker.Serve(ServerOptions{Queue: Run, Slots: 2, Grace: time.Second, Work: func(_ context.Context, m Message) error {
				s.worked <- m.TaskID
				return nil
			}})
			if err != nil {
				t.Fatal(err)
			}
			t.Cleanup(s.server.Shutdown)
			test(t, s)
		})
	}
}

func serverURL(t *testing.T, engine string) usersync.Secret {
	t.Helper()
	if engine == "embedded" {
		server, err := embedded.Start()
		if err != nil {
			t.Fatal(err)
		}
		t.Cleanup(server.Close)
		return server.URL()
	}
	url := os.Getenv("TEST_REDIS_URL")
	if url == "" {
		t.Fatal("TEST_REDIS_URL is not set: run the tests with `make test`, which starts a Redis server, or point it to one")
	}
	return usersync.NewSecret(url)
}

func process(t *testing.T, url usersync.Secret, namespace string) *Client {
	t.Helper()
	c, err := Connect(Options{URL: url, Namespace: namespace, Log: slog.New(slog.DiscardHandler)})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = c.Close() })
	return c
}

func message() Message { return Message{TaskID: rand.Text(), Generation: 1, Kind: "k", Queue: Run} }

// await waits for the message to be worked and returns how long it took.
func (s *serving) await(t *testing.T, m Message, sent time.Time) time.Duration {
	t.Helper()
	select {
	case id := <-s.worked:
		if id != m.TaskID {
			t.Errorf("%s was worked, not %s", id, m.TaskID)
		}
	case <-time.After(30 * time.Second):
		t.Fatal("a message was not worked in 30 s")
	}
	return time.Since(sent)
}

func TestAnIdleServerIsToldOfAMessage(t *testing.T) {
	t.Parallel()
	onServers(t, func(t *testing.T, s *serving) {
		var took []time.Duration
		for range 11 {
			m, sent := message(), time.Now()
			if _, err := s.sender.Send(t.Context(), []Message{m}); err != nil {
				t.Fatal(err)
			}
			took = append(took, s.await(t, m, sent))
		}
		// A server without notifications needs about lookEvery for each message.
		slices.Sort(took)
		if median := took[len(took)/2]; median > lookEvery/2 {
			t.Errorf("took %v", took)
		}
	})
}

func TestAMessageWithoutWordIsFound(t *testing.T) {
	t.Parallel()
	onServers(t, func(t *testing.T, s *serving) {
		for range 2 {
			m, sent := message(), time.Now()
			if err := s.sender.send(t.Context(), m); err != nil {
				t.Fatal(err)
			}
			s.await(t, m, sent)
		}
	})
}

func TestAnIdleServerHardlyAsks(t *testing.T) {
	t.Parallel()
	onServers(t, func(t *testing.T, s *serving) {
		m, sent := message(), time.Now()
		if _, err := s.sender.Send(t.Context(), []Message{m}); err != nil {
			t.Fatal(err)
		}
		s.await(t, m, sent)
		before := s.asked.n.Load()
		time.Sleep(4 * lookEvery) // what is measured is time
		// The listener looks without a script, and what is left of Asynq's own maintenance
		// comes each minute.
		if n := s.asked.n.Load() - before; n > 4 {
			t.Errorf("ran %d scripts in %s", n, 4*lookEvery)
		}
	})
}

func TestAServerThatStopsTakesNoMessage(t *testing.T) {
	t.Parallel()
	onServers(t, func(t *testing.T, s *serving) {
		s.server.Shutdown()
		m := message()
		if _, err := s.sender.Send(t.Context(), []Message{m}); err != nil {
			t.Fatal(err)
		}
		if waits := isPending(t, s.sender, m); !waits || len(s.worked) > 0 {
			t.Errorf("the message waits: %v, %d worked", waits, len(s.worked))
		}
	})
}

func TestAMessageThatCouldNotBeWorkedComesAgain(t *testing.T) {
	t.Parallel()
	for _, engine := range []string{"embedded", "redis"} {
		t.Run(engine, func(t *testing.T) {
			t.Parallel()
			c := process(t, serverURL(t, engine), "t"+rand.Text())
			var tries atomic.Int64
			worked := make(chan string, 1)
			server, err := c.Serve(ServerOptions{Queue: Run, Slots: 2, Grace: time.Second, Work: func(_ context.Context, m Message) error {
				if tries.Add(1) == 1 {
					return errors.New("the database is away")
				}
				worked <- m.TaskID
				return nil
			}})
			if err != nil {
				t.Fatal(err)
			}
			t.Cleanup(server.Shutdown)
			s, m := &serving{worked: worked}, message()
			sent := time.Now()
			if _, err := c.Send(t.Context(), []Message{m}); err != nil {
				t.Fatal(err)
			}
			// It is put back for 2 s at most, and Asynq looks every forwardEvery.
			if took := s.await(t, m, sent); took > retriesFor {
				t.Errorf("came again after %s", took)
			}
		})
	}
}

func TestRetriesAreLookedForAtOnceAndThenAsLongAsThereMayBeSome(t *testing.T) {
	t.Parallel()
	n := (&Client{}).newNotifier("run")
	t.Cleanup(n.stop)
	for _, step := range []struct {
		now  time.Duration
		want bool
	}{{0, true}, {time.Second, false}, {retriesOfOthers - 1, false}, {retriesOfOthers, true}, {retriesOfOthers + time.Second, false}} {
		if got := n.looksForRetries(step.now); got != step.want {
			t.Errorf("after %s: %v", step.now, got)
		}
	}
	n.retried.Store(int64(time.Minute))
	if !n.looksForRetries(time.Minute+retriesFor) || n.looksForRetries(time.Minute+retriesFor+1) {
		t.Error("after a retry it does not look for it, or for longer")
	}
}

func TestSlotsAreThoseOfTheWorkersThatRun(t *testing.T) {
	t.Parallel()
	c, now := &Client{}, time.Now()
	told := func(clock time.Duration) string {
		return `{"until":` + strconv.FormatInt(now.Add(clock).UnixMilli(), 10) + `,"slots":{"run":2,"deliver":8}}`
	}
	check := func(after time.Duration, workers map[string]string, run int, wantGone ...string) {
		t.Helper()
		by, gone := c.running(workers, now.Add(after))
		slices.Sort(gone)
		if by[Run] != run || by[Deliver] != 4*run || !slices.Equal(gone, wantGone) {
			t.Errorf("after %s: %v, gone %v; want %d slots for runs, gone %v", after, by, gone, run, wantGone)
		}
	}
	const beat = presentFor / 3
	behind, ahead := -24*time.Hour, 24*time.Hour // Nobody compares the clocks of workers.
	check(0, map[string]string{"behind": told(behind), "ahead": told(ahead), "odd": "?"}, 4, "odd")
	check(presentFor, map[string]string{"behind": told(behind + beat), "ahead": told(ahead)}, 4)
	check(presentFor+beat, map[string]string{"behind": told(behind + 2*beat), "ahead": told(ahead)}, 2)
	check(2*time.Hour, map[string]string{"behind": told(behind + 3*beat), "ahead": told(ahead)}, 2, "ahead")
	onServers(t, func(t *testing.T, s *serving) {
		by, err := s.sender.Slots(t.Context())
		if err != nil || by[Run] != 2 || len(by) != 1 {
			t.Errorf("%v, %v; want the 2 slots of the server", by, err)
		}
	})
}
