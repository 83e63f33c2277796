package intake_test

import (
	"context"
	"crypto/rand"
	"database/sql"
	"fmt"
	"log/slog"
	"testing"
	"time"

	"usersync/internal/intake"
	"usersync/internal/queue"
	"usersync/internal/queue/embedded"
	"usersync/internal/request"
	"usersync/internal/roomtest"
	"usersync/internal/store"
)

// maxWaiters is how many calls of a process may wait.
const maxWaiters = 2000

// connect returns a client of a Redis.
func connect(t *testing.T, r *embedded.Redis, namespace string) *queue.Client {
	t.Helper()
	c, err := queue.Connect(queue.Options{URL: r.URL(), Namespace: namespace, Log: slog.New(slog.DiscardHandler)})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = c.Close() })
	return c
}

func startRedis(t *testing.T) *embedded.Redis {
	t.Helper()
	r, err := embedded.Start()
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(r.Close)
	return r
}

// runWaiters runs waiters until stop is called or the test ends.
func runWaiters(t *testing.T, w *intake.Waiters) (stop func()) {
	t.Helper()
	ctx, cancel := context.WithCancel(context.Background())
	ended := make(chan struct{})
	go func() {
		defer close(ended)
		w.Run(ctx)
	}()
	stop = func() {
		cancel()
		<-ended
	}
	t.Cleanup(stop)
	return stop
}

func register(t *testing.T, w *intake.Waiters, ref request.Ref) (finished <-chan struct{}, forget func()) {
	t.Helper()
	finished, forget, ok := w.Register(ref)
	if !ok {
		t.Fatal("too many wait")
	}
	return finished, forget
}

func isClosed(c <-chan struct{}) bool {
	select {
	case <-c:
		return true
	default:
		return false
	}
}

// The request is in no database: Redis alone can tell of it.
func TestRedisTellsWaitersOfFinishedRequests(t *testing.T) {
	t.Parallel()
	roomtest.Engines(t, func(t *testing.T, s *store.Store, _ *sql.DB) {
		redis, namespace := startRedis(t), "t"+rand.Text()
		w, worker := intake.NewWaiters(s, connect(t, redis, namespace), slog.New(slog.DiscardHandler)), connect(t, redis, namespace)
		first, forgetFirst := register(t, w, request.Ref{Organization: "org", ID: "req_1"})
		second, forgetSecond := register(t, w, request.Ref{Organization: "org", ID: "req_1"})
		other, forgetOther := register(t, w, request.Ref{Organization: "org", ID: "req_2"})
		defer forgetFirst()
		defer forgetSecond()
		defer forgetOther()
		runWaiters(t, w)
		eventually(t, "the waiters are told", func() bool {
			worker.PublishFinished(t.Context(), []string{"req_0", "req_1"})
			return isClosed(first) && isClosed(second)
		})
		if isClosed(other) {
			t.Error("a request that has not finished was told of")
		}
	})
}

func TestThePollTellsWaitersWhileRedisIsAway(t *testing.T) {
	t.Parallel()
	roomtest.Engines(t, func(t *testing.T, s *store.Store, db *sql.DB) {
		n := roomtest.New(t, s, 1)
		done, open := n.Acceptance("a@acme.example"), n.Acceptance("b@acme.example")
		n.Accept(t, n.Submission(done, open))
		redis := startRedis(t)
		w := intake.NewWaiters(s, connect(t, redis, "t"+rand.Text()), slog.New(slog.DiscardHandler))
		redis.Close()
		finished, forget := register(t, w, request.Ref{Organization: n.Organization.ID, ID: done.RequestID})
		other, forgetOther := register(t, w, request.Ref{Organization: n.Organization.ID, ID: open.RequestID})
		defer forget()
		defer forgetOther()
		runWaiters(t, w)
		roomtest.Execute(t, db, fmt.Sprintf(`UPDATE requests SET status = 'succeeded', finished_at = 1 WHERE id = '%s'`, done.RequestID))
		eventually(t, "the poll tells the waiter", func() bool { return isClosed(finished) })
		if isClosed(other) {
			t.Error("a request that has not finished was told of")
		}
	})
}

// room returns how many more calls of an organization may wait.
func room(w *intake.Waiters, organization string) (n int) {
	for {
		_, forget, ok := w.Register(request.Ref{Organization: organization, ID: fmt.Sprintf("room_%d", n%7)})
		if !ok {
			return n
		}
		defer forget()
		n++
	}
}

func TestOneWaiterTooManyIsAnsweredAtOnce(t *testing.T) {
	t.Parallel()
	w := intake.NewWaiters(nil, nil, slog.New(slog.DiscardHandler))
	_, forget := register(t, w, request.Ref{Organization: "org", ID: "req_1"})
	if n := room(w, "org"); n != maxWaiters/2-1 {
		t.Errorf("%d more of an organization may wait beside one, want %d", n, maxWaiters/2-1)
	}
	forget()
	if n := room(w, "org"); n != maxWaiters/2 {
		t.Errorf("%d may wait once it is forgotten, want %d", n, maxWaiters/2)
	}
}

func TestAnOrganizationThatWaitsMuchLeavesRoomForOthers(t *testing.T) {
	t.Parallel()
	w := intake.NewWaiters(nil, nil, slog.New(slog.DiscardHandler))
	for n := range maxWaiters / 2 {
		_, forget := register(t, w, request.Ref{Organization: "org", ID: fmt.Sprintf("req_%d", n)})
		defer forget()
	}
	if n := room(w, "other"); n != maxWaiters/4 {
		t.Errorf("%d calls of another may wait, want %d", n, maxWaiters/4)
	}
}

func TestACallThatMayNotWaitCannotBlock(t *testing.T) {
	t.Parallel()
	w := intake.NewWaiters(nil, nil, slog.New(slog.DiscardHandler))
	for n := range maxWaiters / 2 {
		_, forget := register(t, w, request.Ref{Organization: "org", ID: fmt.Sprintf("req_%d", n)})
		defer forget()
	}
	finished, forget, ok := w.Register(request.Ref{Organization: "org", ID: "req_more"})
	if ok || !isClosed(finished) {
		t.Fatalf("one call too many: ok %v, closed %v; want a closed channel and no place", ok, isClosed(finished))
	}
	forget()
	began := time.Now()
	w.Wait(t.Context(), finished, time.Hour)
	if took := time.Since(began); took > patience {
		t.Errorf("the call waited for %v", took)
	}
}

func TestForgetLeavesNothingBehind(t *testing.T) {
	t.Parallel()
	roomtest.Engines(t, func(t *testing.T, s *store.Store, _ *sql.DB) {
		redis, namespace := startRedis(t), "t"+rand.Text()
		w, worker := intake.NewWaiters(s, connect(t, redis, namespace), slog.New(slog.DiscardHandler)), connect(t, redis, namespace)
		ref := request.Ref{Organization: "org", ID: "req_1"}
		told, forgetTold := register(t, w, ref)
		runWaiters(t, w)
		eventually(t, "the waiter is told", func() bool {
			worker.PublishFinished(t.Context(), []string{ref.ID})
			return isClosed(told)
		})
		// Others wait for the same request by now: they stay, and count.
		_, forgetNext := register(t, w, request.Ref{Organization: "org", ID: "req_2"})
		_, forgetAgain := register(t, w, request.Ref{Organization: "org", ID: "req_2"})
		forgetTold()
		forgetTold()
		forgetNext()
		forgetNext()
		if n := room(w, "org"); n != maxWaiters/2-1 {
			t.Errorf("%d more may wait beside one, want %d", n, maxWaiters/2-1)
		}
		forgetAgain()
		if n := room(w, "org"); n != maxWaiters/2 {
			t.Errorf("%d may wait when all are forgotten, want %d", n, maxWaiters/2)
		}
	})
}

func TestWaitEndsWithTheCallerTheTimeAndTheProcess(t *testing.T) {
	t.Parallel()
	roomtest.Engines(t, func(t *testing.T, s *store.Store, _ *sql.DB) {
		w := intake.NewWaiters(s, connect(t, startRedis(t), "t"+rand.Text()), slog.New(slog.DiscardHandler))
		stop := runWaiters(t, w)
		finished, forget := register(t, w, request.Ref{Organization: "org", ID: "req_1"})
		defer forget()
		gone, cancel := context.WithCancel(t.Context())
		cancel()
		began := time.Now()
		w.Wait(gone, finished, time.Hour)
		w.Wait(t.Context(), finished, time.Millisecond)
		stop()
		w.Wait(t.Context(), finished, time.Hour)
		if took := time.Since(began); took > patience || isClosed(finished) {
			t.Errorf("took %v, finished %v", took, isClosed(finished))
		}
	})
}
