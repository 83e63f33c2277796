package queue_test

import (
	"context"
	"crypto/rand"
	"errors"
	"fmt"
	"log/slog"
	"os"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"golang.org/x/sync/errgroup"

	"usersync/internal/queue"
	"usersync/internal/queue/embedded"
	"usersync/internal/usersync"
)

// onEach runs a test with the limiters of two processes, on both kinds of Redis.
func onEach(t *testing.T, test func(t *testing.T, one, other *queue.Limiter)) {
	t.Helper()
	for _, engine := range []string{"embedded", "redis"} {
		t.Run(engine, func(t *testing.T) {
			t.Parallel()
			url := start(t, engine)
			namespace := "t" + rand.Text()
			test(t, connect(t, url, namespace), connect(t, url, namespace))
		})
	}
}

func start(t *testing.T, engine string) usersync.Secret {
	t.Helper()
	if engine == "redis" {
		url := os.Getenv("TEST_REDIS_URL")
		if url == "" {
			t.Fatal("TEST_REDIS_URL is not set: run the tests with `make test`, which starts a Redis server, or point it to one")
		}
		return usersync.NewSecret(url)
	}
	server, err := embedded.Start()
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(server.Close)
	return server.URL()
}

func connect(t *testing.T, url usersync.Secret, namespace string) *queue.Limiter {
	t.Helper()
	c, err := queue.Connect(queue.Options{URL: url, Namespace: namespace, Log: slog.New(slog.DiscardHandler)})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = c.Close() })
	return c.Limiter()
}

// a and b are two accounts.
var a, b = queue.KeyOf("org_1", "a"), queue.KeyOf("org_1", "b")

// long is a lease that does not run out during a test.
const long = time.Minute

func TestAnAccountHasSoManyCallsUnderWayOverAllProcesses(t *testing.T) {
	t.Parallel()
	onEach(t, func(t *testing.T, one, other *queue.Limiter) {
		limit := queue.Limit{Concurrent: 3}
		var now, most, done atomic.Int64
		var wg sync.WaitGroup
		for i := range 12 {
			l := []*queue.Limiter{one, other}[i%2]
			wg.Go(func() {
				for range 5 {
					release := must(t, l, a, limit, long)
					n := now.Add(1)
					for m := most.Load(); n > m && !most.CompareAndSwap(m, n); m = most.Load() {
					}
					done.Add(1)
					now.Add(-1)
					release()
				}
			})
		}
		wg.Wait()
		if most.Load() > 3 || done.Load() != 60 {
			t.Errorf("%d at once, %d done", most.Load(), done.Load())
		}
	})
}

// must waits for a call.
func must(t *testing.T, l *queue.Limiter, account queue.AccountKey, limit queue.Limit, ttl time.Duration) func() {
	t.Helper()
	release, err := l.Acquire(t.Context(), account, limit, ttl, 30*time.Second)
	if err != nil {
		t.Error(err)
		return func() {}
	}
	return release
}

func TestASlotIsGivenBackOnce(t *testing.T) {
	t.Parallel()
	onEach(t, func(t *testing.T, one, other *queue.Limiter) {
		limit := queue.Limit{Concurrent: 2}
		release := must(t, one, a, limit, long)
		must(t, one, a, limit, long)
		wantWait(t, other, a, limit)
		wantCall(t, other, b, limit) // another account
		release()
		release()
		wantCall(t, other, a, limit)
		wantWait(t, other, a, limit)
	})
}

// wantWait fails unless a caller without patience is held back. It returns for how long.
func wantWait(t *testing.T, l *queue.Limiter, account queue.AccountKey, limit queue.Limit) time.Duration {
	t.Helper()
	release, err := l.Acquire(t.Context(), account, limit, long, 0)
	var held *queue.HeldBackError
	if !errors.As(err, &held) || release != nil || held.Wait <= 0 {
		t.Errorf("got release %v, %v; want to wait", release != nil, err)
		return 0
	}
	return held.Wait
}

func wantCall(t *testing.T, l *queue.Limiter, account queue.AccountKey, limit queue.Limit) {
	t.Helper()
	if release, err := l.Acquire(t.Context(), account, limit, long, 0); err != nil || release == nil {
		t.Errorf("got release %v, %v; want a call", release != nil, err)
	}
}

func TestASlotThatIsNeverGivenBackRunsOut(t *testing.T) {
	t.Parallel()
	onEach(t, func(t *testing.T, one, other *queue.Limiter) {
		limit := queue.Limit{Concurrent: 1}
		began := time.Now()
		must(t, one, a, limit, time.Second) // and the process dies
		wantWait(t, other, a, limit)
		must(t, other, a, limit, long)
		if took := time.Since(began); took < 900*time.Millisecond {
			t.Errorf("was free after %v", took)
		}
		// The end of a short lease does not end the long one.
		both := queue.Limit{Concurrent: 2}
		must(t, one, a, both, 50*time.Millisecond)
		must(t, one, a, both, long)
		wantWait(t, other, a, both)
	})
}

func TestAnAccountIsCalledSoOftenOverAllProcesses(t *testing.T) {
	t.Parallel()
	onEach(t, func(t *testing.T, one, other *queue.Limiter) {
		limit := queue.Limit{PerSecond: 50, Burst: 5, Concurrent: 10}
		began := time.Now()
		var wg sync.WaitGroup
		for _, l := range []*queue.Limiter{one, other} {
			wg.Go(func() {
				for range 15 {
					must(t, l, a, limit, long)()
				}
			})
		}
		wg.Wait()
		// 30 calls, 5 of them at once: the other 25 take half a second.
		if took := time.Since(began); took < 450*time.Millisecond {
			t.Errorf("30 calls in %v", took)
		}
	})
}

func TestACallThatTheRateRefusesTakesNoSlot(t *testing.T) {
	t.Parallel()
	onEach(t, func(t *testing.T, one, other *queue.Limiter) {
		slow := queue.Limit{Concurrent: 1, PerSecond: 0.001}
		must(t, one, a, slow, long)()
		if wait := wantWait(t, other, a, slow); wait < 15*time.Minute {
			t.Errorf("waits %v for a call every 1000 s", wait)
		}
		wantCall(t, other, a, queue.Limit{Concurrent: 1})
	})
}

func TestAPauseHoldsForEverybody(t *testing.T) {
	t.Parallel()
	onEach(t, func(t *testing.T, one, other *queue.Limiter) {
		pause(t, one, 20*time.Second)
		pause(t, one, time.Millisecond) // does not shorten it
		for _, limit := range []queue.Limit{{}, {Concurrent: 1}, {PerSecond: 1}} {
			if wait := wantWait(t, other, a, limit); wait < 15*time.Second || wait > 20*time.Second {
				t.Errorf("waits %v", wait)
			}
		}
		wantCall(t, other, b, queue.Limit{})
	})
}

func TestAPauseEnds(t *testing.T) {
	t.Parallel()
	onEach(t, func(t *testing.T, one, other *queue.Limiter) {
		pause(t, one, 100*time.Millisecond)
		began := time.Now()
		must(t, other, a, queue.Limit{}, long)
		if took := time.Since(began); took < 50*time.Millisecond {
			t.Errorf("ended after %v", took)
		}
	})
}

func pause(t *testing.T, l *queue.Limiter, d time.Duration) {
	t.Helper()
	if err := l.Pause(t.Context(), a, d); err != nil {
		t.Fatal(err)
	}
}

func TestALimiterWithoutRedisIsUnavailable(t *testing.T) {
	t.Parallel()
	server, err := embedded.Start()
	if err != nil {
		t.Fatal(err)
	}
	l := connect(t, server.URL(), "t")
	server.Close()
	_, err = l.Acquire(t.Context(), a, queue.Limit{Concurrent: 1}, long, 0)
	if usersync.CodeOf(err) != usersync.CodeUnavailable {
		t.Errorf("got %v", err)
	}
}

func TestKeysOfAccountsTellApartAndAreShort(t *testing.T) {
	t.Parallel()
	huge := strings.Repeat("x", 4<<20)
	seen := map[queue.AccountKey]string{}
	for name, key := range map[string]queue.AccountKey{
		"plain":                 {},
		"a":                     queue.KeyOf("org_1", "p", "", "a"),
		"a of another tenant":   queue.KeyOf("org_2", "p", "", "a"),
		"b":                     queue.KeyOf("org_1", "p", "", "b"),
		"a elsewhere":           queue.KeyOf("org_1", "p", "https://a.example", "a"),
		"parts run together":    queue.KeyOf("org_1", "p", "a", ""),
		"parts are one":         queue.KeyOf("org_1", "p"+"\x00"+"a"),
		"huge":                  queue.KeyOf("org_1", huge),
		"huge, with one letter": queue.KeyOf("org_1", huge+"y"),
	} {
		if other, taken := seen[key]; taken {
			t.Errorf("%s and %s have one key", name, other)
		}
		seen[key] = name
		if n := len(fmt.Sprint(key)); n > 64 {
			t.Errorf("%s: %d bytes", name, n)
		}
	}
	if again := queue.KeyOf("org_1", "p", "", "a"); seen[again] != "a" {
		t.Error("a key is another one the next time")
	}
}

func TestNoPauseAndNoRateHoldsLongerThanAnHour(t *testing.T) {
	t.Parallel()
	onEach(t, func(t *testing.T, one, other *queue.Limiter) {
		pause(t, one, 24*time.Hour)
		if wait := wantWait(t, other, a, queue.Limit{}); wait > queue.MaxPause || wait < queue.MaxPause-time.Minute {
			t.Errorf("waits %v", wait)
		}
		for _, perSecond := range []float64{1e-6, 1e-300} {
			rare, account := queue.Limit{PerSecond: perSecond}, queue.KeyOf("org_1", fmt.Sprint(perSecond))
			wantCall(t, one, account, rare)
			if wait := wantWait(t, other, account, rare); wait > queue.MaxPause {
				t.Errorf("%v calls a second: waits %v", perSecond, wait)
			}
		}
	})
}

func TestAPauseIsLiftedForEverybody(t *testing.T) {
	t.Parallel()
	onEach(t, func(t *testing.T, one, other *queue.Limiter) {
		slow := queue.Limit{PerSecond: 0.001}
		wantCall(t, one, a, slow)
		pause(t, one, time.Hour)
		if err := other.Lift(t.Context(), b); err != nil {
			t.Error(err)
		}
		wantWait(t, one, a, queue.Limit{})
		if err := other.Lift(t.Context(), a); err != nil {
			t.Error(err)
		}
		wantCall(t, one, a, slow)
	})
}

func TestEveryRateIsOneThatRedisCountsBy(t *testing.T) {
	t.Parallel()
	onEach(t, func(t *testing.T, one, _ *queue.Limiter) {
		for _, perSecond := range []float64{1e-300, 1e-9, 1, 1e6, 1e9, 1e12, 1e300} {
			for range 20 {
				_, err := one.Acquire(t.Context(), queue.KeyOf("org_1", fmt.Sprint(perSecond)), queue.Limit{PerSecond: perSecond}, long, 0)
				if held := (*queue.HeldBackError)(nil); err != nil && !errors.As(err, &held) {
					t.Errorf("%v calls a second: %v", perSecond, err)
				}
			}
		}
	})
}

// times counts calls that begin.
type times struct {
	mu  sync.Mutex
	all []time.Time
}

func (c *times) add() {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.all = append(c.all, time.Now())
}

// most returns the most calls in any window of a length.
func (c *times) most(window time.Duration) (most int) {
	slices.SortFunc(c.all, time.Time.Compare)
	for i, from := range c.all {
		n := 0
		for _, at := range c.all[i:] {
			if at.Sub(from) < window {
				n++
			}
		}
		most = max(most, n)
	}
	return most
}

// A bucket that holds a second's calls would let nearly twice as many through in the
// first second.
func TestNoWindowHoldsMoreCallsThanBurstAndRateTogether(t *testing.T) {
	t.Parallel()
	onEach(t, func(t *testing.T, one, other *queue.Limiter) {
		limit := queue.Limit{PerSecond: 45, Burst: 5}
		var began times
		var wg sync.WaitGroup
		for i := range 8 {
			wg.Go(func() {
				for range 8 {
					must(t, []*queue.Limiter{one, other}[i%2], a, limit, long)()
					began.add()
				}
			})
		}
		wg.Wait()
		// 5 + 45 × 0.5, and what may come late.
		if most := began.most(500 * time.Millisecond); most > 30 {
			t.Errorf("%d calls in half a second", most)
		}
	})
}

// Calls begin in the order in which they were asked for, whichever process asks. On a busy
// machine the test itself may ask, or see, in another order, so that it has several tries;
// without a line, one in 720 would have this order.
func TestCallsWaitInLineOverAllProcesses(t *testing.T) {
	t.Parallel()
	onEach(t, func(t *testing.T, one, other *queue.Limiter) {
		for name, limit := range map[string]queue.Limit{"a rate": {PerSecond: 20}, "slots": {Concurrent: 1}} {
			var order []int
			for try := 0; try < 4 && (try == 0 || !slices.IsSorted(order)); try++ {
				order = orderInLine(t, []*queue.Limiter{one, other}, queue.KeyOf("org_1", fmt.Sprint(name, try)), limit)
			}
			if !slices.IsSorted(order) {
				t.Errorf("%s: calls began in the order %v", name, order)
			}
		}
	})
}

// orderInLine returns in which order six calls begin that ask one after the other.
func orderInLine(t *testing.T, limiters []*queue.Limiter, account queue.AccountKey, limit queue.Limit) (order []int) {
	t.Helper()
	first := must(t, limiters[0], account, limit, long)
	began := make(chan int, 6)
	var wg sync.WaitGroup
	for i := range cap(began) {
		wg.Go(func() {
			release := must(t, limiters[i%2], account, limit, long)
			began <- i
			release()
		})
		time.Sleep(20 * time.Millisecond) // shapes the order in which they ask
	}
	first()
	wg.Wait()
	close(began)
	for i := range began {
		order = append(order, i)
	}
	return order
}

func TestACallThatCannotBeginInTimeTakesNoTurn(t *testing.T) {
	t.Parallel()
	onEach(t, func(t *testing.T, one, other *queue.Limiter) {
		slow := queue.Limit{PerSecond: 0.5}
		wantCall(t, one, a, slow)
		began := time.Now()
		for range 5 {
			if wait := wantWait(t, other, a, slow); wait > 2*time.Second {
				t.Errorf("waits %v: those who were refused count", wait)
			}
		}
		must(t, one, a, slow, long)
		if took := time.Since(began); took < 1900*time.Millisecond || took > 3*time.Second {
			t.Errorf("the next call began after %v", took)
		}
	})
}

// Who gives up, or dies, while it waits in line does not hold up those behind it.
// A caller may be gone just when its question is under way.
func TestWhoLeavesTheLineWhileItAsksHoldsNobodyUp(t *testing.T) {
	t.Parallel()
	onEach(t, func(t *testing.T, one, other *queue.Limiter) {
		limit := queue.Limit{Concurrent: 1}
		var all errgroup.Group
		all.SetLimit(8) // a question may take a second, which a hundred at once may need
		for i := range 100 {
			all.Go(func() error {
				account := queue.KeyOf("leaves", fmt.Sprint(i))
				release, err := one.Acquire(t.Context(), account, limit, long, 0)
				if err != nil {
					return err
				}
				ctx, cancel := context.WithTimeout(t.Context(), time.Duration(i)*50*time.Microsecond)
				defer cancel()
				if gained, err := one.Acquire(ctx, account, limit, long, time.Minute); err == nil {
					gained()
					t.Error("the slot was given twice")
				}
				release()
				wantCall(t, other, account, limit)
				return nil
			})
		}
		if err := all.Wait(); err != nil {
			t.Error(err)
		}
	})
}

func TestWhoLeavesTheLineHoldsNobodyUp(t *testing.T) {
	t.Parallel()
	onEach(t, func(t *testing.T, one, other *queue.Limiter) {
		limit := queue.Limit{Concurrent: 1}
		release := must(t, one, a, limit, long)
		ctx, cancel := context.WithTimeout(t.Context(), 100*time.Millisecond)
		defer cancel()
		if _, err := one.Acquire(ctx, a, limit, long, time.Minute); !errors.Is(err, context.DeadlineExceeded) {
			t.Errorf("got %v", err)
		}
		release()
		wantCall(t, other, a, limit)
	})
}
