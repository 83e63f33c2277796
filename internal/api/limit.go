package api

import (
	"context"
	"fmt"
	"log/slog"
	"math"
	"net/http"
	"strconv"
	"sync"
	"time"

	"golang.org/x/time/rate"

	"usersync/internal/tenant"
	"usersync/internal/usersync"
)

// Exchange tells the other API processes what this one took, by bucket, since
// the last call, and returns what they took of the same buckets since this
// process last asked (at most the last second's worth). It makes one round trip.
type Exchange func(ctx context.Context, took map[string]int64) (others map[string]int64, err error)

const (
	// exchangeEvery is how far the limit of one process may lag behind what
	// the others took.
	exchangeEvery = 250 * time.Millisecond
	// exchangeWithin bounds one exchange. When one fails, the limits stay local.
	exchangeWithin = time.Second
	// sweepEvery is how often full buckets are dropped. A new bucket is full too.
	sweepEvery = 10 * time.Second
	// maxBuckets bounds the buckets. Only keys that exist get one.
	maxBuckets = 100_000
)

// A key has two buckets, so that polling does not use up what accepting needs.
const (
	bucketRead  = "read"
	bucketWrite = "write"
)

// limits holds the token buckets of this process.
type limits struct {
	exchange Exchange

	mu      sync.Mutex
	buckets map[string]*bucket
}

type bucket struct {
	limiter *rate.Limiter
	limit   tenant.RateLimit
	took    int64 // took counts the tokens taken since the last exchange.
}

func newLimits(exchange Exchange) *limits {
	return &limits{exchange: exchange, buckets: map[string]*bucket{}}
}

// limit takes one token of the caller's bucket, or refuses with 429.
func (c *Call) limit() error {
	name := bucketWrite
	if m := c.Request().Method; m == http.MethodGet || m == http.MethodHead {
		name = bucketRead
	}
	return c.limitOf(c.Caller.Key.ID, name, "with this API Key")
}

// limitOf takes one token of a bucket of whoever calls, or refuses with 429.
func (c *Call) limitOf(who, name, whose string) error {
	limit := c.Caller.Organization.Settings.RateLimit.OrDefault()
	tokens, ok := c.edge.limits.take(who+":"+name, limit, time.Now())
	if ok {
		return nil
	}
	wait := time.Duration((1 - tokens) / limit.Rate * float64(time.Second))
	setLimitHeaders(c.Header(), name, limit, wait)
	return &usersync.Error{Code: usersync.CodeRateLimited, RetryAfter: wait,
		Message: fmt.Sprintf("Too many requests %s. Try again in %d s.", whose, seconds(wait))}
}

// setLimitHeaders describes the bucket as draft-ietf-httpapi-ratelimit-headers
// has it: the quota and the seconds that fill it, what is left, and when there is
// more.
func setLimitHeaders(h http.Header, name string, limit tenant.RateLimit, wait time.Duration) {
	window := seconds(time.Duration(float64(limit.Burst) / limit.Rate * float64(time.Second)))
	h.Set("RateLimit-Policy", fmt.Sprintf(`"%s";q=%d;w=%d`, name, limit.Burst, window))
	h.Set("RateLimit", fmt.Sprintf(`"%s";r=0;t=%d`, name, seconds(wait)))
	h.Set("Retry-After", strconv.Itoa(seconds(wait)))
}

// seconds returns d in whole seconds, rounded up, and at least 1.
func seconds(d time.Duration) int { return max(int(math.Ceil(d.Seconds())), 1) }

// take takes a token. When there is none, ok is false and tokens says what is left.
func (l *limits) take(id string, limit tenant.RateLimit, now time.Time) (tokens float64, ok bool) {
	l.mu.Lock()
	defer l.mu.Unlock()
	b := l.buckets[id]
	if b == nil {
		if len(l.buckets) >= maxBuckets {
			l.shrink(now)
		}
		b = &bucket{limiter: rate.NewLimiter(rate.Limit(limit.Rate), limit.Burst), limit: limit}
		l.buckets[id] = b
	}
	if b.limit != limit {
		b.limiter.SetLimitAt(now, rate.Limit(limit.Rate))
		b.limiter.SetBurstAt(now, limit.Burst)
		b.limit = limit
	}
	if !b.limiter.AllowN(now, 1) {
		return b.limiter.TokensAt(now), false
	}
	b.took++
	return 0, true
}

// deduct takes from a bucket what other processes took of it. The bucket goes at
// most one burst below zero, so that one that many processes emptied at once is
// not closed for long.
func (b *bucket) deduct(n int64, now time.Time) {
	spare := int64(b.limiter.TokensAt(now)) + int64(b.limit.Burst)
	for n = min(n, spare); n > 0; n -= int64(b.limit.Burst) {
		b.limiter.ReserveN(now, int(min(n, int64(b.limit.Burst))))
	}
}

func (l *limits) run(ctx context.Context, log *slog.Logger) {
	exchange, sweep := time.NewTicker(exchangeEvery), time.NewTicker(sweepEvery)
	defer exchange.Stop()
	defer sweep.Stop()
	failing := false
	for {
		select {
		case <-ctx.Done():
			return
		case <-sweep.C:
			l.sweep(time.Now())
		case <-exchange.C:
			err := l.exchangeOnce(ctx)
			if err != nil && !failing && ctx.Err() == nil {
				log.WarnContext(ctx, "rate limits hold for this process alone", "error", err)
			}
			failing = err != nil
		}
	}
}

// exchangeOnce makes one exchange, when anything was taken. What a failed exchange
// would have told is dropped, since it is out of date by the next one.
func (l *limits) exchangeOnce(ctx context.Context) error {
	if l.exchange == nil {
		return nil
	}
	took := l.drain()
	if len(took) == 0 {
		return nil
	}
	ctx, cancel := context.WithTimeout(ctx, exchangeWithin)
	defer cancel()
	others, err := l.exchange(ctx, took)
	if err != nil {
		return fmt.Errorf("exchange what was taken: %w", err)
	}
	now := time.Now()
	l.mu.Lock()
	defer l.mu.Unlock()
	for id, n := range others {
		if b := l.buckets[id]; b != nil {
			b.deduct(n, now)
		}
	}
	return nil
}

// drain returns what was taken since the last time.
func (l *limits) drain() map[string]int64 {
	l.mu.Lock()
	defer l.mu.Unlock()
	took := map[string]int64{}
	for id, b := range l.buckets {
		if b.took > 0 {
			took[id], b.took = b.took, 0
		}
	}
	return took
}

func (l *limits) sweep(now time.Time) {
	l.mu.Lock()
	defer l.mu.Unlock()
	for id, b := range l.buckets {
		if b.took == 0 && b.limiter.TokensAt(now) >= float64(b.limit.Burst) {
			delete(l.buckets, id)
		}
	}
}

// shrink makes room: full buckets go first, then a tenth at random. It is
// called with the lock held.
func (l *limits) shrink(now time.Time) {
	for id, b := range l.buckets {
		if b.limiter.TokensAt(now) >= float64(b.limit.Burst) {
			delete(l.buckets, id)
		}
	}
	spare := len(l.buckets) - maxBuckets*9/10
	for id := range l.buckets {
		if spare <= 0 {
			return
		}
		delete(l.buckets, id)
		spare--
	}
}
