package relay_test

import (
	"context"
	"crypto/rand"
	"database/sql"
	"errors"
	"fmt"
	"log/slog"
	mathrand "math/rand/v2"
	"slices"
	"strconv"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/alicebob/miniredis/v2"
	"github.com/hibiken/asynq"

	"usersync/internal/outbox"
	"usersync/internal/queue"
	"usersync/internal/relay"
	"usersync/internal/roomtest"
	"usersync/internal/store"
	"usersync/internal/telemetry"
	"usersync/internal/usersync"
)

// logged keeps what a relay logs.
type logged struct {
	mu   sync.Mutex
	text strings.Builder
}

func (l *logged) Write(p []byte) (int, error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.text.Write(p)
}

func (l *logged) count(what string) int {
	l.mu.Lock()
	defer l.mu.Unlock()
	return strings.Count(l.text.String(), what)
}

// station is a relay that does not run yet, with its database and its Redis.
type station struct {
	relay.Options
	db        *sql.DB
	redis     *miniredis.Miniredis
	namespace string
	log       *logged
}

// engines runs a test with a station on both engines.
func engines(t *testing.T, test func(t *testing.T, s *station)) {
	t.Helper()
	roomtest.Engines(t, func(t *testing.T, db *store.Store, beside *sql.DB) { test(t, newStation(t, db, beside)) })
}

func newStation(t *testing.T, db *store.Store, beside *sql.DB) *station {
	t.Helper()
	redis := miniredis.NewMiniRedis()
	redis.ClockTTL(true)
	if err := redis.Start(); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(redis.Close)
	s := &station{db: beside, redis: redis, namespace: "t" + rand.Text(), log: &logged{}}
	s.Options = relay.Options{Store: db, Queue: s.process(t), Metrics: telemetry.NewMetrics(), Log: slog.New(slog.NewTextHandler(s.log, nil))}
	return s
}

// process connects another process to the queue.
func (s *station) process(t *testing.T) *queue.Client {
	t.Helper()
	c, err := queue.Connect(queue.Options{
		URL: usersync.NewSecret("redis://" + s.redis.Addr() + "/0"), Namespace: s.namespace, Log: slog.New(slog.DiscardHandler),
	})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = c.Close() })
	return c
}

// start runs the relay until the test ends.
func (s *station) start(t *testing.T) {
	t.Helper()
	ctx, cancel := context.WithCancel(context.WithoutCancel(t.Context()))
	ended := make(chan struct{})
	go func() {
		defer close(ended)
		relay.New(s.Options).Run(ctx)
	}()
	t.Cleanup(func() {
		cancel()
		<-ended
	})
}

// commit writes a task to the outbox, under a fairness key of an organization of its own.
func (s *station) commit(t *testing.T, key string) usersync.Task {
	t.Helper()
	task := usersync.Task{ID: usersync.NewID(usersync.PrefixTask), Organization: "org_" + key, Kind: "test.job", Queue: queue.Run, FairnessKey: key, Args: []byte(`{}`)}
	err := s.Store.Tx(t.Context(), func(tx *store.Tx) error { return outbox.Enqueue(t.Context(), tx, task) })
	if err != nil {
		t.Fatal(err)
	}
	return task
}

// lastLife sends all ready tasks, as a relay that has ended since did.
func (s *station) lastLife(t *testing.T) {
	t.Helper()
	taken, err := outbox.TakeReady(t.Context(), s.Store, queue.Run, "", outbox.Shares{Slots: 1000, Key: 10}, 100)
	if err != nil {
		t.Fatal(err)
	}
	for _, e := range taken {
		if _, err := s.Queue.Send(t.Context(), []queue.Message{message(e.ID, e.Generation)}); err != nil {
			t.Fatal(err)
		}
	}
}

// claim claims a task, as a worker does.
func (s *station) claim(t *testing.T, task usersync.Task) usersync.Claim {
	t.Helper()
	c, ok, err := outbox.Claim(t.Context(), s.Store, task.ID, 1)
	if err != nil || !ok {
		t.Fatalf("claim: %v %v", ok, err)
	}
	return c
}

func message(id string, generation int64) queue.Message {
	return queue.Message{TaskID: id, Generation: generation, Kind: "test.job", Queue: queue.Run}
}

// condition is where the queue has a message: gone, alive, or dead, which keeps its id
// and will never run.
type condition string

const (
	gone  condition = "gone"
	alive condition = "alive"
	dead  condition = "dead"
)

// condition returns where the queue has a task.
func (s *station) condition(t *testing.T, id string, generation int64) condition {
	t.Helper()
	switch s.redis.HGet(fmt.Sprintf("asynq:{%s-%s}:t:%s.%d", s.namespace, queue.Run, id, generation), "state") {
	case "":
		return gone
	case "archived", "completed":
		return dead
	}
	return alive
}

// arrives waits until a task is on the queue.
func (s *station) arrives(t *testing.T, task usersync.Task, generation int64) {
	t.Helper()
	roomtest.Eventually(t, "the task is on the queue", func() bool { return s.condition(t, task.ID, generation) == alive })
}

// state returns the state of a task's row, and whether a claim is on it.
func (s *station) state(t *testing.T, task usersync.Task) (state string, claimed bool) {
	t.Helper()
	err := s.db.QueryRowContext(t.Context(), `SELECT state, claim_token <> '' FROM outbox WHERE id = $1`, task.ID).Scan(&state, &claimed)
	if err != nil && !errors.Is(err, sql.ErrNoRows) {
		t.Fatal(err)
	}
	return state, claimed
}

// Another process leads: this one never sweeps, as if the sweep were far away.
func TestACommitIsOnTheQueueWithoutASweep(t *testing.T) {
	t.Parallel()
	engines(t, func(t *testing.T, s *station) {
		if ok, _, err := s.process(t).Lead(t.Context(), time.Hour); err != nil || !ok {
			t.Fatal(ok, err)
		}
		s.start(t)
		for n := range 10 { // the relay's first look at everything explains one of them at most
			s.arrives(t, s.commit(t, "key_"+strconv.Itoa(n)), 1)
		}
	})
}

func TestWhatIsCommittedWhileRedisIsAwayIsSentWhenItAnswers(t *testing.T) {
	t.Parallel()
	engines(t, func(t *testing.T, s *station) {
		s.start(t)
		s.arrives(t, s.commit(t, "before"), 1)
		s.redis.Close()
		away := s.commit(t, "away")
		const noticed = "the queue does not answer; accepted work waits"
		roomtest.Eventually(t, "the relay notices", func() bool { return s.log.count(noticed) > 0 })
		if state, _ := s.state(t, away); state != "ready" {
			t.Errorf("the task is %s, want ready", state)
		}
		if err := s.redis.Restart(); err != nil {
			t.Fatal(err)
		}
		s.arrives(t, away, 1)
		if n := s.log.count(noticed); n != 1 {
			t.Errorf("the outage was logged %d times", n)
		}
	})
}

func TestAWipedRedisGetsEverythingAnewButWhatAWorkerHolds(t *testing.T) {
	t.Parallel()
	engines(t, func(t *testing.T, s *station) {
		s.start(t)
		waiting, held := s.commit(t, "waiting"), s.commit(t, "held")
		s.arrives(t, waiting, 1)
		s.arrives(t, held, 1)
		s.claim(t, held)
		s.redis.FlushAll()
		s.arrives(t, waiting, 2)
		if state, claimed := s.state(t, held); state != "sent" || !claimed || s.condition(t, held.ID, 2) != gone {
			t.Errorf("the task that a worker holds is %s (claimed: %v), and the queue has it", state, claimed)
		}
		depths, err := s.Queue.Depths()
		must(t, err)
		if n := depths[slices.IndexFunc(depths, func(d queue.Depth) bool { return d.Queue == queue.Run })].Pending; n != 1 {
			t.Errorf("operators are told of %d messages that wait, want 1", n)
		}
	})
}

// damage leaves any part of a message in Redis, in any state.
func (s *station) damage(t *testing.T, task usersync.Task) {
	t.Helper()
	queueKey := "asynq:{" + s.namespace + "-" + queue.Run + "}:"
	id := task.ID + ".1"
	hash := queueKey + "t:" + id
	switch states := []string{"pending", "active", "scheduled", "retry", "archived", "completed"}; mathrand.IntN(3) {
	case 0:
		s.redis.Del(hash)
	case 1:
		s.redis.HSet(hash, "state", states[mathrand.IntN(len(states))])
	}
	if mathrand.IntN(2) == 0 {
		_, err := s.redis.Lpush(queueKey+"active", id)
		must(t, err)
	}
	if mathrand.IntN(2) == 0 {
		_, err := s.redis.ZAdd(queueKey+"lease", float64(time.Now().Unix()+mathrand.Int64N(7200)-3600), id)
		must(t, err)
	}
	if mathrand.IntN(2) == 0 {
		s.removePending(t, queueKey+"pending", id)
	}
}

func (s *station) removePending(t *testing.T, list, id string) {
	t.Helper()
	ids, err := s.redis.List(list)
	must(t, err)
	s.redis.Del(list)
	for _, other := range ids {
		if other != id {
			_, err := s.redis.Push(list, other)
			must(t, err)
		}
	}
}

func must(t *testing.T, err error) {
	t.Helper()
	if err != nil {
		t.Fatal(err)
	}
}

// What Redis says is not believed: it may have lost any part of a message, as under an
// eviction policy, and then holds the rest for ever.
func TestWhateverIsLeftOfAMessageInRedisItsTaskComesBack(t *testing.T) {
	t.Parallel()
	engines(t, func(t *testing.T, s *station) {
		var tasks []usersync.Task
		for n := range 6 {
			tasks = append(tasks, s.commit(t, fmt.Sprintf("key_%02d", n)))
		}
		s.lastLife(t)
		for _, task := range tasks {
			s.damage(t, task)
		}
		abandoned, held := s.commit(t, "abandoned"), s.commit(t, "held")
		s.lastLife(t)
		s.claim(t, abandoned)
		roomtest.Execute(t, s.db, `UPDATE outbox SET look_at = 1, claimed_until = CASE WHEN claimed_until > 0 THEN 1 ELSE 0 END`)
		s.claim(t, held)
		must(t, s.Queue.Mark(t.Context()))
		s.start(t)
		for _, task := range append(tasks, abandoned) {
			s.arrives(t, task, 2)
		}
		if state, claimed := s.state(t, held); state != "sent" || !claimed || s.condition(t, held.ID, 2) != gone {
			t.Errorf("the task that a worker holds is %s (claimed: %v), or was sent again", state, claimed)
		}
		if died := roomtest.Count(t, s.db, `SELECT sum(deaths) FROM outbox WHERE id = '`+abandoned.ID+`'`); died != 1 || roomtest.Count(t, s.db, `SELECT sum(deaths) FROM outbox`) != 1 {
			t.Errorf("%d workers are said to have died with the task that was abandoned, want one, and none with the others", died)
		}
	})
}

func TestATaskThatRedisHoldsAsDeadComesBack(t *testing.T) {
	t.Parallel()
	engines(t, func(t *testing.T, s *station) {
		task := s.commit(t, "dead")
		s.lastLife(t)
		s.archive(t, task)
		roomtest.Execute(t, s.db, `UPDATE outbox SET look_at = 1`)
		must(t, s.Queue.Mark(t.Context()))
		s.start(t)
		s.arrives(t, task, 2)
	})
}

// archive has Redis hold a task as dead.
func (s *station) archive(t *testing.T, task usersync.Task) {
	t.Helper()
	inspector := asynq.NewInspector(asynq.RedisClientOpt{Addr: s.redis.Addr()})
	defer func() { _ = inspector.Close() }()
	if err := inspector.ArchiveTask(s.namespace+"-"+queue.Run, task.ID+".1"); err != nil {
		t.Fatal(err)
	}
	if s.condition(t, task.ID, 1) != dead {
		t.Fatal("an archived task is not dead")
	}
}

// sent returns how many tasks of a fairness key are in flight.
func (s *station) sent(t *testing.T, key string) int {
	t.Helper()
	return roomtest.Count(t, s.db, `SELECT count(*) FROM outbox WHERE state = 'sent' AND fairness_key = '`+key+`'`)
}

// Another process leads: no sweep helps, and nobody ends a task.
func TestAFullQueueIsFilledAgainWhenWorkersHaveTakenOfIt(t *testing.T) {
	t.Parallel()
	engines(t, func(t *testing.T, s *station) {
		if ok, _, err := s.process(t).Lead(t.Context(), time.Hour); err != nil || !ok {
			t.Fatal(ok, err)
		}
		const room = 16 // of a queue without workers, see unknownSlots
		for n := range 2 * room {
			s.commit(t, fmt.Sprintf("key_%02d", n))
		}
		sent := func() int {
			return roomtest.Count(t, s.db, `SELECT count(*) FROM outbox WHERE state = 'sent'`)
		}
		s.start(t)
		pending := "asynq:{" + s.namespace + "-" + queue.Run + "}:pending"
		roomtest.Eventually(t, "the queue is full", func() bool {
			list, _ := s.redis.List(pending) // an error: there is none yet
			return len(list) == room
		})
		s.redis.Del(pending)
		roomtest.Eventually(t, "the rest is sent", func() bool { return sent() == 2*room })
	})
}

func TestAFairnessKeyKeepsToItsShareAndTheNextIsSentWhenOneEnds(t *testing.T) {
	t.Parallel()
	engines(t, func(t *testing.T, s *station) {
		busy := []usersync.Task{s.commit(t, "busy"), s.commit(t, "busy"), s.commit(t, "busy")}
		quiet := s.commit(t, "quiet")
		s.start(t)
		s.arrives(t, quiet, 1)
		for left := len(busy); left > 0; left-- {
			roomtest.Eventually(t, "one task of the busy key is sent", func() bool { return s.sent(t, "busy") > 0 })
			if n := s.sent(t, "busy"); n != 1 {
				t.Errorf("%d tasks of one key are in flight, want its share, 1", n)
			}
			s.finishSent(t, "busy")
		}
		if n := roomtest.Count(t, s.db, `SELECT count(*) FROM outbox WHERE fairness_key = 'busy'`); n != 0 {
			t.Errorf("%d tasks are left", n)
		}
	})
}

// finishSent works a task of a fairness key that is in flight.
func (s *station) finishSent(t *testing.T, key string) {
	t.Helper()
	var id string
	if err := s.db.QueryRowContext(t.Context(), `SELECT id FROM outbox WHERE state = 'sent' AND fairness_key = $1`, key).Scan(&id); err != nil {
		t.Fatal(err)
	}
	c := s.claim(t, usersync.Task{ID: id})
	if err := s.Store.Tx(t.Context(), func(tx *store.Tx) error { return outbox.Finish(t.Context(), tx, c) }); err != nil {
		t.Fatal(err)
	}
}

func TestAProcessAloneTakesUpWhatItsLastLifeHadSentOrClaimed(t *testing.T) {
	t.Parallel()
	engines(t, func(t *testing.T, s *station) {
		waiting, claimed := s.commit(t, "waiting"), s.commit(t, "claimed")
		s.lastLife(t)
		s.claim(t, claimed)
		s.redis.FlushAll() // its queue died with it
		s.Alone = true
		s.start(t)
		s.arrives(t, waiting, 2)
		s.arrives(t, claimed, 2)
		if _, held := s.state(t, claimed); held {
			t.Error("the claim of a process that is gone still holds")
		}
	})
}

func TestADueTaskIsSentWithoutWaitingForTheNextSweep(t *testing.T) {
	t.Parallel()
	engines(t, func(t *testing.T, s *station) {
		s.start(t)
		due := time.Now().Add(2500 * time.Millisecond)
		task := usersync.Task{ID: usersync.NewID(usersync.PrefixTask), Organization: "org_1", Kind: "test.job", Queue: queue.Run, FairnessKey: "later", Args: []byte(`{}`), DueAt: due}
		if err := s.Store.Tx(t.Context(), func(tx *store.Tx) error { return outbox.Enqueue(t.Context(), tx, task) }); err != nil {
			t.Fatal(err)
		}
		s.arrives(t, task, 1)
		if late := time.Since(due); late < 0 || late > 5*time.Second {
			t.Errorf("the task was sent %s after its time", late)
		}
	})
}

func TestAnotherProcessLeadsWhenTheLeaderEndsOrIsKilled(t *testing.T) {
	t.Parallel()
	engines(t, func(t *testing.T, s *station) {
		first, second := s.process(t), s.process(t)
		lead := func(c *queue.Client, lease time.Duration, wantLeads, wantAnew bool) {
			t.Helper()
			leads, anew, err := c.Lead(t.Context(), lease)
			if err != nil || leads != wantLeads || anew != wantAnew {
				t.Fatalf("leads %v, anew %v (%v), want %v and %v", leads, anew, err, wantLeads, wantAnew)
			}
		}
		lead(first, time.Hour, true, true)
		lead(first, time.Hour, true, false)
		lead(second, time.Hour, false, false)
		if err := second.Resign(t.Context()); err != nil {
			t.Fatal(err)
		}
		lead(first, time.Hour, true, false)
		if err := first.Resign(t.Context()); err != nil {
			t.Fatal(err)
		}
		lead(second, time.Millisecond, true, true)
		roomtest.Eventually(t, "the lease of a killed leader has ended", func() bool {
			leads, _, err := first.Lead(t.Context(), time.Hour)
			return err == nil && leads
		})
		lead(second, time.Hour, false, false) // it has led, and sees that it does no more
		lead(first, time.Hour, true, false)
		s.redis.FlushAll()
		lead(first, time.Hour, true, true)
	})
}
