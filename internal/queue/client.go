package queue

import (
	"context"
	"crypto/rand"
	"errors"
	"fmt"
	"log"
	"log/slog"
	"slices"
	"strconv"
	"strings"
	"sync"
	"sync/atomic"
	"time"

	"github.com/hibiken/asynq"
	"github.com/redis/go-redis/v9"
	"golang.org/x/sync/errgroup"

	"usersync/internal/telemetry"
	"usersync/internal/usersync"
)

// Options say which Redis to use.
type Options struct {
	// URL is redis://, rediss://, redis-sentinel:// or, for a cluster, a
	// comma-separated list of host:port.
	URL usersync.Secret
	// Namespace keeps installations on one Redis apart; "usersync" when empty.
	Namespace string
	Log       *slog.Logger
}

// Client is a connection to the queue.
type Client struct {
	redis     redis.UniversalClient
	asynq     *asynq.Client
	inspector *asynq.Inspector
	namespace string
	id        string // of this process
	log       *slog.Logger
	leads     bool // held the lease when it was last asked for
	full      atomic.Bool
	listener  listener

	slots struct {
		sync.Mutex
		read  time.Time
		by    map[string]int
		heard map[string]heard // by worker
	}
}

// Connect makes a client. It does not wait for Redis. The first call shows whether
// Redis answers.
func Connect(o Options) (*Client, error) {
	universal, err := dial(o.URL.Reveal())
	if err != nil {
		return nil, fmt.Errorf("read the address of Redis: %w", err)
	}
	if o.Log != nil {
		// go-redis has one logger for the whole process.
		redis.SetLogger(driverLog{telemetry.Foreign(o.Log, slog.LevelWarn, "go-redis")})
	}
	namespace := o.Namespace
	if namespace == "" {
		namespace = "usersync"
	}
	return &Client{
		redis: universal, asynq: asynq.NewClientFromRedisClient(universal),
		inspector: asynq.NewInspectorFromRedisClient(universal), namespace: namespace, id: rand.Text(), log: o.Log,
	}, nil
}

// driverLog writes what go-redis has to say into the log of the service.
type driverLog struct{ to *log.Logger }

// Printf implements the interface of redis.SetLogger.
func (l driverLog) Printf(_ context.Context, format string, v ...any) { l.to.Printf(format, v...) }

// callTimeout bounds one Redis call, so that a paused server is noticed.
const callTimeout = 3 * time.Second

func dial(url string) (redis.UniversalClient, error) {
	if !strings.Contains(url, "://") {
		return redis.NewClusterClient(&redis.ClusterOptions{Addrs: strings.Split(url, ","), ReadTimeout: callTimeout, WriteTimeout: callTimeout}), nil
	}
	option, err := asynq.ParseRedisURI(url)
	if err != nil {
		// The parser's error may quote the URL, and with it the password.
		return nil, usersync.Errorf(usersync.CodeInvalid, "REDIS_URL is not a Redis URL; expected redis://:password@host:6379/0")
	}
	switch o := option.(type) {
	case asynq.RedisClientOpt:
		o.DialTimeout, o.ReadTimeout, o.WriteTimeout = callTimeout, callTimeout, callTimeout
		option = o
	case asynq.RedisFailoverClientOpt:
		o.DialTimeout, o.ReadTimeout, o.WriteTimeout = callTimeout, callTimeout, callTimeout
		option = o
	}
	client, ok := option.MakeRedisClient().(redis.UniversalClient)
	if !ok {
		return nil, usersync.Errorf(usersync.CodeInvalid, "REDIS_URL has a form that cannot be used; expected redis://:password@host:6379/0")
	}
	return client, nil
}

// Close ends the connection.
func (c *Client) Close() error { return c.redis.Close() }

// Ping asks whether Redis answers.
func (c *Client) Ping(ctx context.Context) error { return unavailable(c.redis.Ping(ctx).Err()) }

// Time returns what the clock of Redis shows. It decides nothing: see store.Store.Now.
func (c *Client) Time(ctx context.Context) (time.Time, error) {
	told, err := c.redis.Time(ctx).Result()
	return told, unavailable(err)
}

// probeKept is how long the key lives that Accepts writes.
const probeKept = time.Minute

// Accepts asks whether Redis takes what is written. The error of a Redis that has
// reached its memory limit is ErrFull.
func (c *Client) Accepts(ctx context.Context) error {
	err := c.redis.Set(ctx, c.key("probe"), 1, probeKept).Err()
	c.note(err)
	return unavailable(err)
}

// KeepsAll asks whether Redis keeps what it was given. Its error names a policy under
// which it removes keys at its memory limit: nothing accepted is lost by that, but tasks
// wait until they count as lost. A Redis that tells no policy passes.
func (c *Client) KeepsAll(ctx context.Context) error {
	facts, err := c.redis.Info(ctx, "memory").Result()
	if _, refused := errors.AsType[redis.Error](err); refused {
		return nil
	}
	if err != nil {
		return unavailable(err)
	}
	const name = "maxmemory_policy:"
	for line := range strings.Lines(facts) {
		policy, told := strings.CutPrefix(strings.TrimSpace(line), name)
		if told && policy != "noeviction" {
			return fmt.Errorf("redis removes keys at its memory limit: maxmemory-policy is %q, set it to noeviction", policy)
		}
	}
	return nil
}

// ErrFull says that Redis has reached its memory limit (maxmemory). It still answers,
// but takes no message, and gives out none. Nothing is lost by that: the outbox keeps
// everything, and Redis what it has.
var ErrFull = errors.New("redis has reached its memory limit (maxmemory)")

// isFull recognizes the refusal. It goes by the words, because Asynq passes on nothing
// else, and because Redis 6 puts others before them when a script was refused.
func isFull(err error) bool {
	return err != nil && strings.Contains(err.Error(), "OOM command not allowed")
}

// note logs, once each, that Redis is full and that it has room again. err is what came
// of a command that needs room.
func (c *Client) note(err error) {
	full := isFull(err)
	if err != nil && !full || c.full.Swap(full) == full {
		return
	}
	if full {
		c.log.Error("Redis has reached its memory limit; accepted work waits in the database until there is room", "error", err)
		return
	}
	c.log.Info("Redis has room again")
}

func unavailable(err error) error {
	switch {
	case err == nil || errors.Is(err, context.Canceled):
		return err
	case isFull(err):
		return usersync.Errorf(usersync.CodeUnavailable, "The queue is full.").Because(fmt.Errorf("%w: %w", ErrFull, err))
	}
	return usersync.Errorf(usersync.CodeUnavailable, "The queue cannot be reached.").Because(err)
}

// Message is a task on its way through Redis. It says which task it is, and of what
// kind. The worker reads everything else from the database.
type Message struct {
	TaskID     string
	Generation int64
	Kind       string
	Queue      string
}

func (m Message) redisID() string { return m.TaskID + "." + strconv.FormatInt(m.Generation, 10) }

func parseID(redisID string) (task string, generation int64, err error) {
	task, number, ok := strings.Cut(redisID, ".")
	if !ok {
		return "", 0, fmt.Errorf("queue: %q is not a task id", redisID)
	}
	if generation, err = strconv.ParseInt(number, 10, 64); err != nil {
		return "", 0, fmt.Errorf("read the generation of the task id %q: %w", redisID, err)
	}
	return task, generation, nil
}

// asynqRetries bounds only the retries while the database is away. The database
// counts the failures of the work itself.
const asynqRetries = 10000

// asynqTimeout is longer than the timeout of any kind.
const asynqTimeout = 10 * time.Minute

// senders bounds how many enqueue calls are under way at once.
const senders = 8

// Send puts messages on the queue. It returns the places of the messages that it
// could not put there. A message that is there already counts as sent.
func (c *Client) Send(ctx context.Context, messages []Message) (unsent []int, err error) {
	errs := make([]error, len(messages))
	var group errgroup.Group
	group.SetLimit(senders)
	for i, m := range messages { //lint:loop Asynq takes one task at a time, and eight are under way at once
		group.Go(func() error {
			errs[i] = c.send(ctx, m)
			return nil
		})
	}
	_ = group.Wait() // Each message's error is in errs.
	for i, e := range errs {
		if e != nil && !errors.Is(e, asynq.ErrTaskIDConflict) {
			unsent, err = append(unsent, i), e
		}
	}
	c.notify(ctx, queuesOf(messages))
	return unsent, unavailable(err)
}

func queuesOf(messages []Message) []string {
	var queues []string
	for _, m := range messages {
		if !slices.Contains(queues, m.Queue) {
			queues = append(queues, m.Queue)
		}
	}
	return queues
}

func (c *Client) send(ctx context.Context, m Message) error {
	_, err := c.asynq.EnqueueContext(ctx, asynq.NewTask(m.Kind, nil), asynq.TaskID(m.redisID()), asynq.Queue(c.queue(m.Queue)),
		asynq.MaxRetry(asynqRetries), asynq.Timeout(asynqTimeout))
	if err != nil {
		return fmt.Errorf("enqueue the task %s: %w", m.TaskID, err)
	}
	return nil
}

func (c *Client) queue(name string) string { return c.namespace + "-" + name }

// Pulse is what the relay needs to know of the queue before it sends.
type Pulse struct {
	// Marked is false when the queue has lost its contents since Mark.
	Marked bool
	// Pending counts the waiting messages of each queue.
	Pending map[string]int64
}

// Pulse reads the pulse of the queue in one round trip.
func (c *Client) Pulse(ctx context.Context) (Pulse, error) {
	pipe := c.redis.Pipeline()
	marked := pipe.Exists(ctx, c.key("marker"))
	pending := map[string]*redis.IntCmd{}
	for _, q := range Queues {
		pending[q] = pipe.LLen(ctx, "asynq:{"+c.queue(q)+"}:pending")
	}
	if _, err := pipe.Exec(ctx); err != nil {
		return Pulse{}, unavailable(err)
	}
	p := Pulse{Marked: marked.Val() == 1, Pending: map[string]int64{}}
	for q, n := range pending {
		p.Pending[q] = n.Val()
	}
	return p, nil
}

// Mark sets the marker. When it is missing, the queue was wiped. Mark also writes down
// which queues there are, which Asynq does once in a process, and asks before it tells
// how full they are.
func (c *Client) Mark(ctx context.Context) error {
	pipe := c.redis.Pipeline()
	for _, q := range Queues {
		pipe.SAdd(ctx, "asynq:queues", c.queue(q))
	}
	pipe.Set(ctx, c.key("marker"), 1, 0)
	_, err := pipe.Exec(ctx)
	return unavailable(err)
}

func (c *Client) key(name string) string { return c.namespace + ":" + name }

// Depth is how full one queue is.
type Depth struct {
	Queue                                     string
	Pending, Active, Scheduled, Retry, Failed int64
	Latency                                   time.Duration
	Paused                                    bool
}

// Depths returns how full every queue is.
func (c *Client) Depths() ([]Depth, error) {
	var out []Depth
	for _, q := range Queues { //lint:loop Asynq tells of one queue at a time, and there are four
		info, err := c.inspector.GetQueueInfo(c.queue(q))
		if errors.Is(err, asynq.ErrQueueNotFound) || (err != nil && strings.Contains(err.Error(), "NOT_FOUND")) {
			out = append(out, Depth{Queue: q})
			continue
		}
		if err != nil {
			return nil, unavailable(err)
		}
		out = append(out, Depth{Queue: q, Pending: int64(info.Pending), Active: int64(info.Active), Scheduled: int64(info.Scheduled),
			Retry: int64(info.Retry), Failed: int64(info.Failed), Latency: info.Latency, Paused: info.Paused})
	}
	return out, nil
}

// ErrNoQueue is the refusal of a name that no queue has.
var ErrNoQueue = usersync.Errorf(usersync.CodeNotFound, "Queue not found")

// Pause stops all workers from taking tasks of a queue until Resume. Tasks that are
// being worked go on. Redis keeps the pause, so a wiped Redis has lost it.
func (c *Client) Pause(queue string) error {
	return c.steer(queue, c.inspector.PauseQueue, "already paused")
}

// Resume ends Pause.
func (c *Client) Resume(queue string) error {
	return c.steer(queue, c.inspector.UnpauseQueue, "not paused")
}

// steer makes a call about a queue. It is no error if the queue is in that state
// already.
func (c *Client) steer(queue string, call func(string) error, already string) error {
	if !slices.Contains(Queues, queue) {
		return ErrNoQueue
	}
	err := call(c.queue(queue))
	if err == nil || strings.Contains(err.Error(), already) {
		return nil
	}
	return unavailable(err)
}

// Lead makes this process the leader for d, or prolongs its lease. leads is false while
// another process leads. anew says that this call took the lease, which nobody had. Lead
// is not to be called concurrently.
//
// Each way is one command. A leader that has lost its lease prolongs that of the new
// one, once, and sees it.
func (c *Client) Lead(ctx context.Context, d time.Duration) (leads, anew bool, err error) {
	if c.leads {
		holder, err := c.redis.GetEx(ctx, c.key("leader"), d).Result()
		if err != nil && !errors.Is(err, redis.Nil) {
			return false, false, unavailable(err)
		}
		if c.leads = holder == c.id; c.leads {
			return true, false, nil
		}
	}
	c.leads, err = c.redis.SetNX(ctx, c.key("leader"), c.id, d).Result()
	return c.leads, c.leads, unavailable(err)
}

// Resign ends the lease of this process, if it leads, so that another one need not wait
// for its end.
func (c *Client) Resign(ctx context.Context) error {
	if !c.leads {
		return nil
	}
	c.leads = false
	return unavailable(resignScript.Run(ctx, c.redis, []string{c.key("leader")}, c.id).Err())
}

// resignScript ends the lease if this process holds it.
var resignScript = redis.NewScript(`
if redis.call('GET', KEYS[1]) == ARGV[1] then redis.call('DEL', KEYS[1]) end
return 1`)
