package queue

import (
	"context"
	"crypto/rand"
	"crypto/sha256"
	"encoding/binary"
	"encoding/hex"
	"time"

	"github.com/go-redis/redis_rate/v10"
	"github.com/redis/go-redis/v9"
)

// Limit bounds the calls to one account over all processes.
type Limit struct {
	// Concurrent is how many calls may be under way at once. 0 is no bound.
	Concurrent int
	// PerSecond is how many calls may begin in a second, and Burst of them at once.
	// 0 is no bound.
	PerSecond float64
	Burst     int
}

// MaxPause is the longest pause of an account, whoever asks for it. It is also the
// longest time between two calls that a rate can ask for. So no key of the limiter
// lives longer than that.
const MaxPause = time.Hour

// AccountKey names an account, for the limiter. Only KeyOf makes one, so there is
// no key without an organization, and none that is long or holds foreign text.
type AccountKey struct{ text string }

// KeyOf returns the key of an account that belongs to an organization. parts say
// which account it is. They may be of any length and come from anywhere, because
// they are hashed.
func KeyOf(organization string, parts ...string) AccountKey {
	h := sha256.New()
	for _, part := range parts {
		_ = binary.Write(h, binary.BigEndian, uint64(len(part))) // a hash takes everything
		_, _ = h.Write([]byte(part))
	}
	return AccountKey{organization + ":" + hex.EncodeToString(h.Sum(nil)[:16])}
}

// Limiter keeps calls to accounts within their limits over all processes. It uses the
// clock of Redis. A wiped Redis has lost all leases, so for the length of one call
// more calls than allowed may be under way.
type Limiter struct {
	client *Client
	rate   *redis_rate.Limiter
}

// Limiter returns the limiter of this process.
func (c *Client) Limiter() *Limiter { return &Limiter{client: c, rate: redis_rate.NewLimiter(c.redis)} }

// fullWait is when to ask again for a slot that may become free at any moment.
const fullWait = 50 * time.Millisecond

// Acquire asks for a call to an account. If the call may be made, it returns release,
// which the caller must call when the call has ended. Without that, for example when
// the process dies, the slot is free again after ttl. If the call may not be made,
// release is nil and wait says how long to wait before asking again. A refused call
// does not count.
func (l *Limiter) Acquire(ctx context.Context, account AccountKey, limit Limit, ttl time.Duration) (release func(), wait time.Duration, err error) {
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

// take counts a call against the account's rate. wait is how long to wait when the
// rate does not allow the call.
func (l *Limiter) take(ctx context.Context, account AccountKey, limit Limit) (wait time.Duration, err error) {
	if limit.PerSecond <= 0 {
		return 0, nil
	}
	period := time.Duration(min(float64(time.Second)/limit.PerSecond, float64(MaxPause)))
	rate := redis_rate.Limit{Rate: 1, Period: period, Burst: max(limit.Burst, 1)}
	r, err := l.rate.Allow(ctx, l.name(account), rate)
	if err != nil {
		return 0, unavailable(err)
	}
	return max(r.RetryAfter, 0), nil
}

// release frees a slot, even when ctx has ended. A slot that cannot be freed expires
// after its ttl.
func (l *Limiter) release(ctx context.Context, account AccountKey, limit Limit, lease string) {
	if limit.Concurrent <= 0 {
		return
	}
	ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), callTimeout)
	defer cancel()
	_ = l.client.redis.ZRem(ctx, l.keys(account)[1], lease).Err()
}

// Pause stops all calls to an account for d, and at most for MaxPause. If an earlier
// pause lasts longer, that one stays.
func (l *Limiter) Pause(ctx context.Context, account AccountKey, d time.Duration) error {
	if d < time.Millisecond {
		return nil
	}
	return unavailable(pauseScript.Run(ctx, l.client.redis, l.keys(account)[:1], min(d, MaxPause).Milliseconds()).Err())
}

// Lift ends the pause of an account, and forgets how often it was called lately. Calls
// that are under way keep their slots.
func (l *Limiter) Lift(ctx context.Context, account AccountKey) error {
	if err := l.client.redis.Del(ctx, l.keys(account)[0]).Err(); err != nil {
		return unavailable(err)
	}
	return unavailable(l.rate.Reset(ctx, l.name(account)))
}

// name puts the account in braces, so that a cluster keeps the keys of an account
// together.
func (l *Limiter) name(account AccountKey) string {
	return l.client.key("limit:{" + account.text + "}")
}

// keys returns the key of the pause and the key of the leases.
func (l *Limiter) keys(account AccountKey) []string {
	name := l.name(account)
	return []string{name + ":pause", name + ":leases"}
}

// acquireScript takes a lease until now + ARGV[3] ms, unless the account is paused or
// ARGV[2] leases are held. It returns 1 when it took the lease, else 0, and the
// remaining ms of the pause.
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
