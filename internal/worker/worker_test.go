package worker_test

import (
	"context"
	"crypto/rand"
	"database/sql"
	"errors"
	"fmt"
	"log/slog"
	"net/http/httptest"
	"slices"
	"strings"
	"testing"
	"time"

	"usersync/internal/fairness"
	"usersync/internal/outbox"
	"usersync/internal/queue"
	"usersync/internal/queue/embedded"
	"usersync/internal/roomtest"
	"usersync/internal/store"
	"usersync/internal/telemetry"
	"usersync/internal/usersync"
	"usersync/internal/worker"
)

// job is what the tasks of these tests name.
type job struct {
	Names []string `json:"names"`
}

func (j job) Items() []string    { return j.Names }
func (job) Only(item string) job { return job{Names: []string{item}} }

var (
	kind  = queue.Kind[job]{Name: "test.job", Queue: queue.Run, Timeout: time.Minute}
	child = queue.Kind[job]{Name: "test.child", Queue: queue.Deliver, Timeout: time.Minute}
)

// receive waits for a value.
func receive[T any](t *testing.T, what string, from <-chan T) (v T) {
	t.Helper()
	select {
	case v = <-from:
	case <-time.After(roomtest.Patience):
		t.Fatalf("it never came to this: %s", what)
	}
	return v
}

// plant is a pool of workers with its database and its Redis.
type plant struct {
	*worker.Pool
	db *sql.DB
}

// engines runs a test with a pool, not yet started, on both engines.
func engines(t *testing.T, test func(t *testing.T, p *plant)) {
	t.Helper()
	roomtest.Engines(t, func(t *testing.T, s *store.Store, db *sql.DB) {
		redis, err := embedded.Start()
		if err != nil {
			t.Fatal(err)
		}
		t.Cleanup(redis.Close)
		log := slog.New(slog.DiscardHandler)
		client, err := queue.Connect(queue.Options{URL: redis.URL(), Namespace: "t" + rand.Text(), Log: log})
		if err != nil {
			t.Fatal(err)
		}
		t.Cleanup(func() { _ = client.Close() })
		test(t, &plant{db: db, Pool: &worker.Pool{
			Presence: &fairness.Presence{}, Store: s, Queue: client, Metrics: telemetry.NewMetrics(), Log: log, Grace: roomtest.Patience,
		}})
	})
}

// start starts the pool with the given handlers. The returned function ends it; done is
// closed when it has ended.
func (p *plant) start(t *testing.T, handlers ...queue.Handler) (stop func(), done <-chan struct{}) {
	t.Helper()
	p.Handlers = handlers
	ctx, cancel := context.WithCancel(context.WithoutCancel(t.Context()))
	ended := make(chan struct{})
	go func() {
		defer close(ended)
		p.Run(ctx)
	}()
	t.Cleanup(func() {
		cancel()
		<-ended
	})
	return cancel, ended
}

// write puts a task that names something into the outbox.
func (p *plant) write(t *testing.T, k queue.Kind[job], names ...string) usersync.Task {
	t.Helper()
	task := k.Task(usersync.NewID(usersync.PrefixTask), "org_1", "key_"+rand.Text(), job{Names: names})
	err := p.Store.Tx(t.Context(), func(tx *store.Tx) error { return outbox.Enqueue(t.Context(), tx, task) })
	if err != nil {
		t.Fatal(err)
	}
	return task
}

// sendFailed puts a task on the queue that has failed before, so many times.
func (p *plant) sendFailed(t *testing.T, failures int, names ...string) usersync.Task {
	t.Helper()
	task := p.write(t, kind, names...)
	roomtest.Execute(t, p.db, `UPDATE outbox SET failures = $1 WHERE id = $2`, failures, task.ID)
	p.send(t, kind.Queue)
	return task
}

// send puts all ready tasks of a queue on it, as a relay does.
func (p *plant) send(t *testing.T, q string) {
	t.Helper()
	taken, err := outbox.TakeReady(t.Context(), p.Store, q, "", outbox.Shares{Slots: 1000, Key: 10}, 100)
	if err != nil {
		t.Fatal(err)
	}
	var messages []queue.Message
	for _, e := range taken {
		messages = append(messages, queue.Message{TaskID: e.ID, Generation: e.Generation, Kind: e.Kind, Queue: e.Queue})
	}
	if _, err := p.Queue.Send(t.Context(), messages); err != nil {
		t.Fatal(err)
	}
}

// work writes a task and sends it.
func (p *plant) work(t *testing.T, names ...string) usersync.Task {
	t.Helper()
	task := p.write(t, kind, names...)
	p.send(t, kind.Queue)
	return task
}

// finish ends a task in its own transaction.
func (p *plant) finish(ctx context.Context, c usersync.Claim) error {
	return p.Store.Tx(ctx, func(tx *store.Tx) error { return outbox.Finish(ctx, tx, c) })
}

// row is what the tests look at of a row of the outbox.
type row struct {
	State, Token         string
	Generation, Failures int
}

// row returns the row of a task; false when there is none.
func (p *plant) row(t *testing.T, id string) (r row, ok bool) {
	t.Helper()
	err := p.db.QueryRowContext(context.WithoutCancel(t.Context()), `SELECT state, claim_token, generation, failures FROM outbox WHERE id = $1`, id).
		Scan(&r.State, &r.Token, &r.Generation, &r.Failures)
	if err != nil && !errors.Is(err, sql.ErrNoRows) {
		t.Fatal(err)
	}
	return r, err == nil
}

// hasRow fails the test unless the row of a task is as given.
func (p *plant) hasRow(t *testing.T, id string, want row) {
	t.Helper()
	if got, ok := p.row(t, id); !ok || got != want {
		t.Errorf("the row is %+v (%v), want %+v", got, ok, want)
	}
}

func (p *plant) gone(t *testing.T, id string) {
	t.Helper()
	if r, ok := p.row(t, id); ok {
		t.Errorf("the task is still there: %+v", r)
	}
}

// wait returns the time that is left until a task runs again.
func (p *plant) wait(t *testing.T, id string) time.Duration {
	t.Helper()
	var at int64
	if err := p.db.QueryRowContext(t.Context(), `SELECT look_at FROM outbox WHERE id = $1`, id).Scan(&at); err != nil {
		t.Fatal(err)
	}
	return time.Until(store.At(at))
}

// ends waits until a task of a kind has ended in an outcome.
func (p *plant) ends(t *testing.T, kind, outcome string) {
	t.Helper()
	line := fmt.Sprintf("usersync_tasks_total{kind=%q,outcome=%q} 1\n", kind, outcome)
	roomtest.Eventually(t, "a task of "+kind+" ends as "+outcome, func() bool { return strings.Contains(p.metrics(t), line) })
}

// claimsLost waits until so many runs are counted as having lost their claim.
func (p *plant) claimsLost(t *testing.T, n int) {
	t.Helper()
	line := fmt.Sprintf("\nusersync_claims_lost_total %d\n", n)
	roomtest.Eventually(t, fmt.Sprintf("%d claims are counted as lost", n), func() bool { return strings.Contains(p.metrics(t), line) })
}

// metrics returns the answer of GET /metrics.
func (p *plant) metrics(t *testing.T) string {
	t.Helper()
	w := httptest.NewRecorder()
	p.Metrics.Handler().ServeHTTP(w, httptest.NewRequestWithContext(t.Context(), "GET", "/metrics", nil))
	return w.Body.String()
}

// noGiveUp fails the test when a task is given up.
func noGiveUp(t *testing.T) func(context.Context, usersync.Claim, job, error) error {
	return func(_ context.Context, _ usersync.Claim, _ job, cause error) error {
		t.Errorf("the task was given up: %v", cause)
		return nil
	}
}

// failing returns a handler whose every run fails.
func failing(t *testing.T, err error) queue.Handler {
	return kind.Work(func(context.Context, usersync.Claim, job) error { return err }, noGiveUp(t))
}

var errBoom = errors.New("boom")

func TestATaskThatItsHandlerFinishesIsGone(t *testing.T) {
	t.Parallel()
	engines(t, func(t *testing.T, p *plant) {
		got := make(chan job, 1)
		p.start(t, kind.Work(func(ctx context.Context, c usersync.Claim, args job) error {
			got <- args
			return p.finish(ctx, c)
		}, noGiveUp(t)))
		task := p.work(t, "a")
		if args := receive(t, "the handler runs", got); !slices.Equal(args.Names, []string{"a"}) {
			t.Errorf("the handler got %v", args)
		}
		p.ends(t, kind.Name, "done")
		p.gone(t, task.ID)
	})
}

func TestATaskThatFailsIsPostponedWithOneFailureMore(t *testing.T) {
	t.Parallel()
	engines(t, func(t *testing.T, p *plant) {
		task := p.sendFailed(t, 3, "a")
		p.start(t, failing(t, errBoom))
		p.ends(t, kind.Name, "retried")
		p.hasRow(t, task.ID, row{State: "scheduled", Generation: 2, Failures: 4})
		if wait := p.wait(t, task.ID); wait > 10*time.Second {
			t.Errorf("the fourth failure has the task wait for %v, want 8 s, 20 %% more or less", wait)
		}
	})
}

func TestAHandlerThatPanicsHasFailed(t *testing.T) {
	t.Parallel()
	engines(t, func(t *testing.T, p *plant) {
		task := p.work(t, "a")
		p.start(t, kind.Work(func(context.Context, usersync.Claim, job) error { panic("boom") }, noGiveUp(t)))
		p.ends(t, kind.Name, "retried")
		p.hasRow(t, task.ID, row{State: "scheduled", Generation: 2, Failures: 1})
	})
}

func TestWhatTheTaskIsNotToBlameForIsNoFailure(t *testing.T) {
	t.Parallel()
	limited := usersync.Errorf(usersync.CodeRateLimited, "Later.")
	limited.RetryAfter = time.Hour
	for name, c := range map[string]struct {
		err      error
		min, max time.Duration
	}{
		"rate limited": {limited, 59 * time.Minute, time.Hour},
		"unavailable":  {usersync.Errorf(usersync.CodeUnavailable, "Away."), -roomtest.Patience, 2 * time.Second},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			engines(t, func(t *testing.T, p *plant) {
				task := p.sendFailed(t, 9, "a", "b") // and a batch is not split
				p.start(t, failing(t, c.err))
				p.ends(t, kind.Name, "postponed")
				p.hasRow(t, task.ID, row{State: "scheduled", Generation: 2, Failures: 9})
				if wait := p.wait(t, task.ID); wait < c.min || wait > c.max {
					t.Errorf("the task waits for %v, want between %v and %v", wait, c.min, c.max)
				}
			})
		})
	}
}

func TestABatchThatFailsIsSplitIntoTasksOfOne(t *testing.T) {
	t.Parallel()
	engines(t, func(t *testing.T, p *plant) {
		task := p.work(t, "b", "a", "c")
		p.start(t, failing(t, errBoom))
		p.ends(t, kind.Name, "split")
		p.gone(t, task.ID)
		for _, item := range []string{"a", "b", "c"} {
			id := usersync.DeriveID(usersync.PrefixTask, task.ID, item)
			p.hasRow(t, id, row{State: "ready", Generation: 1})
			var args string
			if err := p.db.QueryRowContext(t.Context(), `SELECT args FROM outbox WHERE id = $1 AND fairness_key = $2 AND queue = $3`, id, task.FairnessKey, task.Queue).
				Scan(&args); err != nil || args != `{"names":["`+item+`"]}` {
				t.Errorf("the task of %s has the arguments %s: %v", item, args, err)
			}
		}
	})
}

func TestATaskOfOneIsGivenUpAfterItsLastFailure(t *testing.T) {
	t.Parallel()
	engines(t, func(t *testing.T, p *plant) {
		task := p.sendFailed(t, 9, "a")
		causes := make(chan error, 1)
		p.start(t, kind.Work(func(context.Context, usersync.Claim, job) error { return errBoom }, func(ctx context.Context, c usersync.Claim, _ job, cause error) error {
			causes <- cause
			return p.finish(ctx, c)
		}))
		p.ends(t, kind.Name, "gave_up")
		if cause := receive(t, "the task is given up", causes); !errors.Is(cause, errBoom) {
			t.Errorf("it was given up because of %v", cause)
		}
		p.gone(t, task.ID)
	})
}

func TestATaskThatCannotBeGivenUpIsPostponed(t *testing.T) {
	t.Parallel()
	engines(t, func(t *testing.T, p *plant) {
		task := p.sendFailed(t, 9, "a")
		p.start(t, kind.Work(func(context.Context, usersync.Claim, job) error { return errBoom },
			func(context.Context, usersync.Claim, job, error) error { return errBoom }))
		p.ends(t, kind.Name, "retried")
		p.hasRow(t, task.ID, row{State: "scheduled", Generation: 2, Failures: 10})
	})
}

func TestTasksThatFailTogetherComeAgainEachAlone(t *testing.T) {
	t.Parallel()
	together := kind
	together.Coalesce = 1 << 10
	engines(t, func(t *testing.T, p *plant) {
		first, second := p.write(t, together, "a"), p.write(t, together, "b")
		roomtest.Execute(t, p.db, `UPDATE outbox SET fairness_key = 'one'`)
		taken, err := outbox.TakeReady(t.Context(), p.Store, kind.Queue, "", outbox.Shares{Slots: 1000, Key: 1}, 1)
		if err != nil || len(taken) != 1 {
			t.Fatal(taken, err)
		}
		if _, err := p.Queue.Send(t.Context(), []queue.Message{{TaskID: taken[0].ID, Generation: 1, Kind: kind.Name, Queue: kind.Queue}}); err != nil {
			t.Fatal(err)
		}
		sizes := make(chan int, 1)
		p.start(t, together.Work(func(_ context.Context, c usersync.Claim, _ job) error {
			sizes <- len(c.All())
			return errBoom
		}, noGiveUp(t)))
		if n := receive(t, "the handler runs", sizes); n != 2 {
			t.Errorf("the handler got %d tasks, want 2", n)
		}
		p.ends(t, kind.Name, "split")
		for _, task := range []usersync.Task{first, second} {
			p.hasRow(t, task.ID, row{State: "ready", Generation: 2, Failures: 1})
		}
	})
}

func TestAKindThatNoHandlerKnowsIsPostponedByAMinute(t *testing.T) {
	t.Parallel()
	engines(t, func(t *testing.T, p *plant) {
		task := p.work(t, "a")
		p.start(t)
		p.ends(t, kind.Name, "postponed")
		p.hasRow(t, task.ID, row{State: "scheduled", Generation: 2})
		if wait := p.wait(t, task.ID); wait < time.Minute-roomtest.Patience || wait > time.Minute {
			t.Errorf("the task waits for %v, want a minute", wait)
		}
	})
}

func TestAWorkerThatLostItsClaimWritesNothing(t *testing.T) {
	t.Parallel()
	for name, outcome := range map[string]func(*plant, context.Context, usersync.Claim) error{
		"finished": (*plant).finish,
		"failed":   func(*plant, context.Context, usersync.Claim) error { return errBoom },
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			engines(t, func(t *testing.T, p *plant) {
				task := p.work(t, "a")
				p.start(t, kind.Work(func(ctx context.Context, c usersync.Claim, _ job) error {
					if _, err := p.db.ExecContext(ctx, `UPDATE outbox SET claim_token = 'clm_other' WHERE id = $1`, c.TaskID); err != nil {
						t.Error(err)
					}
					return outcome(p, ctx, c)
				}, noGiveUp(t)))
				p.ends(t, kind.Name, "claim_lost")
				p.claimsLost(t, 1)
				p.hasRow(t, task.ID, row{State: "sent", Token: "clm_other", Generation: 1})
			})
		})
	}
}

func TestATaskWhoseClaimWasUndoneIsRetaken(t *testing.T) {
	t.Parallel()
	engines(t, func(t *testing.T, p *plant) {
		task := p.work(t, "a")
		p.start(t, kind.Work(func(ctx context.Context, c usersync.Claim, _ job) error {
			if _, err := p.db.ExecContext(ctx, `UPDATE outbox SET claim_token = '', claimed_until = 0 WHERE id = $1`, c.TaskID); err != nil {
				t.Error(err)
			}
			return p.finish(ctx, c)
		}, noGiveUp(t)))
		p.ends(t, kind.Name, "claim_lost")
		p.hasRow(t, task.ID, row{State: "ready", Generation: 2})
	})
}

// The worker of a pool that shuts down lets no more local slots be taken: that shows
// that the shutdown has begun.
func (p *plant) untilShuttingDown(t *testing.T) {
	t.Helper()
	roomtest.Eventually(t, "the pool shuts down", func() bool {
		r := p.Local.Reserve()
		defer r.Release()
		return !r.Take(usersync.Task{ID: "t", FairnessKey: "k"})
	})
}

func TestAShutdownAwaitsAHandlerThatRuns(t *testing.T) {
	t.Parallel()
	engines(t, func(t *testing.T, p *plant) {
		p.Local = queue.NewLocalSlots(1)
		running, goOn := make(chan struct{}), make(chan struct{})
		stop, done := p.start(t, kind.Work(func(ctx context.Context, c usersync.Claim, _ job) error {
			close(running)
			select {
			case <-goOn:
			case <-ctx.Done():
				t.Error("the handler was told to stop within the grace")
			}
			return p.finish(ctx, c)
		}, noGiveUp(t)))
		task := p.work(t, "a")
		receive(t, "the handler runs", running)
		stop()
		p.untilShuttingDown(t)
		select {
		case <-done:
			t.Error("the pool has ended before its handler")
		default:
		}
		close(goOn)
		receive(t, "the pool ends", done)
		p.gone(t, task.ID)
	})
}

func TestWhatOutlivesTheGraceIsHandedBackAndNothingNewIsTaken(t *testing.T) {
	t.Parallel()
	engines(t, func(t *testing.T, p *plant) {
		p.Grace = time.Second
		started := make(chan string, 2)
		stop, done := p.start(t, kind.Work(func(ctx context.Context, c usersync.Claim, _ job) error {
			started <- c.TaskID
			<-ctx.Done()
			return ctx.Err()
		}, noGiveUp(t)))
		first := p.work(t, "a")
		receive(t, "the handler runs", started)
		second := p.work(t, "b") // the queue has one slot: it waits
		stop()
		receive(t, "the pool ends", done)
		p.hasRow(t, first.ID, row{State: "ready", Generation: 2})
		p.hasRow(t, second.ID, row{State: "sent", Generation: 1})
		if len(started) > 0 {
			t.Error("a task was taken after the shutdown began")
		}
	})
}

func TestLocalTasksAreWorkedAndTheirSlotsFreed(t *testing.T) {
	t.Parallel()
	engines(t, func(t *testing.T, p *plant) {
		p.Local = queue.NewLocalSlots(1)
		running, goOn := make(chan usersync.Claim, 1), make(chan struct{})
		part := child.Task(usersync.NewID(usersync.PrefixTask), "org_1", "endpoint", job{Names: []string{"b"}})
		p.start(t, kind.WorkLocal(func(ctx context.Context, c usersync.Claim, _ job) ([]queue.LocalTask, error) {
			return p.handBack(ctx, c, part)
		}, noGiveUp(t)), child.Work(func(ctx context.Context, c usersync.Claim, _ job) error {
			running <- c
			select {
			case <-goOn:
			case <-ctx.Done():
			}
			return p.finish(ctx, c)
		}, noGiveUp(t)))
		p.work(t, "a")
		if c := receive(t, "the local task is worked", running); c.TaskID != part.ID {
			t.Errorf("%s was worked, want %s", c.TaskID, part.ID)
		}
		r := p.Local.Reserve()
		defer r.Release()
		if r.Take(part) {
			t.Error("the slot of a local task is free while it is worked")
		}
		close(goOn)
		p.ends(t, child.Name, "done")
		p.gone(t, part.ID)
		roomtest.Eventually(t, "the slot is free", func() bool { return r.Take(part) })
	})
}

// handBack finishes a task and writes another for this process to work.
func (p *plant) handBack(ctx context.Context, c usersync.Claim, part usersync.Task) (local []queue.LocalTask, err error) {
	slots := p.Local.Reserve()
	defer slots.Release()
	if !slots.Take(part) {
		return nil, errors.New("there is no slot for a local task")
	}
	err = p.Store.Tx(ctx, func(tx *store.Tx) error {
		if err := outbox.Finish(ctx, tx, c); err != nil {
			return err
		}
		claims, err := outbox.EnqueueClaimed(ctx, tx, part)
		for _, c := range claims {
			local = append(local, queue.LocalTask{Kind: child.Name, Claim: c})
		}
		return err
	})
	if err != nil {
		return nil, err
	}
	slots.Use(part.ID)
	return local, nil
}

func TestAKindMayClaimItsTasksItself(t *testing.T) {
	t.Parallel()
	engines(t, func(t *testing.T, p *plant) {
		task := p.write(t, kind, "a")
		known := make(chan any, 1)
		h := kind.Work(func(ctx context.Context, c usersync.Claim, _ job) error {
			known <- c.Known
			return p.finish(ctx, c)
		}, nil)
		h.Claim = func(ctx context.Context, taskID string, generation int64) (usersync.Claim, bool, error) {
			c, ok, err := outbox.Claim(ctx, p.Store, taskID, generation)
			c.Known = "known of " + taskID
			return c, ok, err
		}
		p.start(t, h)
		p.send(t, kind.Queue)
		if got := receive(t, "a run", known); got != "known of "+task.ID {
			t.Errorf("the run knows %v", got)
		}
		p.ends(t, kind.Name, "done")
		p.gone(t, task.ID)
	})
}
