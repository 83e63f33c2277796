package queue

import (
	"context"
	"fmt"
	"log/slog"
	"math/rand/v2"
	"time"

	"github.com/hibiken/asynq"
)

// Server takes messages of one queue and has them worked.
type Server struct {
	client   *Client
	server   *asynq.Server
	notifier *notifier
}

// ServerOptions say what a server works and how much of it at once.
type ServerOptions struct {
	Queue string
	// Slots is how many messages are worked at once.
	Slots int
	// Work handles a message. An error means that the database could not be asked.
	// Then the message comes again.
	Work func(ctx context.Context, m Message) error
	// Grace is how long Shutdown waits for what is being worked.
	Grace time.Duration
}

// Serve starts a server. It stops with Shutdown.
func (c *Client) Serve(o ServerOptions) (*Server, error) {
	// A worker may be up before its Redis. The caller tries again.
	if err := c.Ping(context.Background()); err != nil {
		return nil, fmt.Errorf("ping Redis: %w", err)
	}
	notified := c.newNotifier(o.Queue)
	server := asynq.NewServerFromRedisClient(notified, asynq.Config{
		Concurrency:              o.Slots,
		Queues:                   map[string]int{c.queue(o.Queue): 1},
		TaskCheckInterval:        checkInterval,
		DelayedTaskCheckInterval: forwardEvery,
		JanitorInterval:          janitorEvery,
		RetryDelayFunc: func(int, error, *asynq.Task) time.Duration {
			return time.Second + rand.N(time.Second)
		},
		IsFailure:       func(error) bool { return false },
		ShutdownTimeout: o.Grace,
		Logger:          asynqLog{c.log},
		LogLevel:        asynq.WarnLevel,
	})
	handle := asynq.HandlerFunc(func(ctx context.Context, t *asynq.Task) error {
		redisID, _ := asynq.GetTaskID(ctx)
		id, generation, err := parseID(redisID)
		if err != nil {
			return fmt.Errorf("%w: %w", err, asynq.SkipRetry)
		}
		return o.Work(ctx, Message{TaskID: id, Generation: generation, Kind: t.Type(), Queue: o.Queue})
	})
	c.join(notified, o.Slots)
	if err := server.Start(handle); err != nil {
		c.leave(notified)
		return nil, unavailable(err)
	}
	c.present(context.Background())
	return &Server{c, server, notified}, nil
}

// Shutdown takes no more messages and waits for the running ones, at most for the
// server's grace. Messages that are not done by then go back to the queue.
func (s *Server) Shutdown() {
	s.client.leave(s.notifier)
	go s.client.present(context.Background()) // what is not told in time ends by itself
	s.server.Shutdown()
}

// asynqLog writes the log lines of Asynq into the log of the service.
type asynqLog struct{ log *slog.Logger }

func (l asynqLog) Debug(args ...any) { l.log.Debug(fmt.Sprint(args...), "from", "asynq") }
func (l asynqLog) Info(args ...any)  { l.log.Info(fmt.Sprint(args...), "from", "asynq") }
func (l asynqLog) Warn(args ...any)  { l.log.Warn(fmt.Sprint(args...), "from", "asynq") }
func (l asynqLog) Error(args ...any) { l.log.Error(fmt.Sprint(args...), "from", "asynq") }
func (l asynqLog) Fatal(args ...any) {
	l.log.Error(fmt.Sprint(args...), "from", "asynq", "fatal", true)
}
