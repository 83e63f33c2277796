package queue

import (
	"context"
	"crypto/rand"
	"time"

	"github.com/go-redis/redis_rate/v10"
	"github.com/redis/go-redis/v9"
)

// Limit bounds the calls to one account over all processes.
type Limit struct {
	// Concurrent calls; 0 is no bound.
	Concurrent int
	// PerSecond calls, Burst of them at once; 0 is no bound.
	PerSecond float64
	Burst     int
}

// Limiter keeps calls to accounts within their limits over all processes. It goes
// by the clock of Redis. A Redis that was wiped has forgotten who calls whom: for
// the length of one call, more of them may be under way than allowed.
type Limiter struct {
	client *Client
	rate   *redis_rate.Limiter
}

// Limiter returns the limiter of this process.
func (c *Client) Limiter() *Limiter { return &Limiter{client: c, rate: redis_rate.NewLimiter(c.redis)} }

// fullWait is when to ask again for a slot that may become free at any moment.
const fullWait = 50 * time.Millisecond

// Acquire asks for a call to an account. It returns release, to be called when the
// call has ended; without that, as when the process dies, the slot is free again
// after ttl. Or it returns how long to wait before asking again. A call that is
// refused counts for nothing.
func (l *Limiter) Acquire(ctx context.Context, account string, limit Limit, ttl time.Duration) (release func(), wait time.Duration, err error) {
	lease := rand.Text()
	answer, err := acquireScript.Run(ctx, l.client.redis, l.keys(account), lease, limit.Concurrent, ttl.Milliseconds()).Int64Slice()
	if err != nil {
		return nil, 0, unavailable(err)
	}
	if got, pause := answer[0] == 1, answer[1]; !got {
		return nil, max(time.Duration(pause)*time.Millisecond, fullWait), nil
	}
	release = func() { l.release(ctx, account, limit, lease) }
	if wait, err = l.take(ctx, account, limit); err != nil || wait > 0 {
		release()
		return nil, wait, err
	}
	return release, 0, nil
}

// take takes a call out of the account's rate.
func (l *Limiter) take(ctx context.Context, account string, limit Limit) (wait time.Duration, err error) {
	if limit.PerSecond <= 0 {
		return 0, nil
	}
	rate := redis_rate.Limit{Rate: 1, Period: time.Duration(float64(time.Second) / limit.PerSecond), Burst: max(limit.Burst, 1)}
	r, err := l.rate.Allow(ctx, l.name(account), rate)
	if err != nil {
		return 0, unavailable(err)
	}
	return max(r.RetryAfter, 0), nil
}

// release gives a slot back, also when ctx has ended. A slot that cannot be given
// back runs out by itself.
func (l *Limiter) release(ctx context.Context, account string, limit Limit, lease string) {
	if limit.Concurrent <= 0 {
		return
	}
	ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), callTimeout)
	defer cancel()
	_ = l.client.redis.ZRem(ctx, l.keys(account)[1], lease).Err()
}

// Pause has nobody call an account for d, or for as long as another pause of it
// still lasts.
func (l *Limiter) Pause(ctx context.Context, account string, d time.Duration) error {
	if d < time.Millisecond {
		return nil
	}
	return unavailable(pauseScript.Run(ctx, l.client.redis, l.keys(account)[:1], d.Milliseconds()).Err())
}

// name is in braces, so that a cluster keeps the keys of an account together.
func (l *Limiter) name(account string) string { return l.client.key("limit:{" + account + "}") }

// keys are those of the pause and of the leases.
func (l *Limiter) keys(account string) []string {
	name := l.name(account)
	return []string{name + ":pause", name + ":leases"}
}

// acquireScript takes a lease until now + ARGV[3] ms, unless the account is paused
// or ARGV[2] leases are held. It returns whether it did, and the ms of the pause.
var acquireScript = redis.NewScript(`
local paused = redis.call('PTTL', KEYS[1])
if paused > 0 then return {0, paused} end
local most = tonumber(ARGV[2])
if most <= 0 then return {1, 0} end
local time = redis.call('TIME')
local now = time[1] * 1000 + math.floor(time[2] / 1000)
redis.call('ZREMRANGEBYSCORE', KEYS[2], '-inf', string.format('%.0f', now))
if redis.call('ZCARD', KEYS[2]) >= most then return {0, 0} end
redis.call('ZADD', KEYS[2], string.format('%.0f', now + ARGV[3]), ARGV[1])
redis.call('PEXPIRE', KEYS[2], math.max(tonumber(ARGV[3]), redis.call('PTTL', KEYS[2])))
return {1, 0}`)

// pauseScript never shortens a pause.
var pauseScript = redis.NewScript(`
if redis.call('PTTL', KEYS[1]) < tonumber(ARGV[1]) then redis.call('SET', KEYS[1], 1, 'PX', ARGV[1]) end
return 1`)
