package queue

import (
	"context"
	"crypto/rand"
	"crypto/sha256"
	"encoding/binary"
	"encoding/hex"
	"time"

	"github.com/redis/go-redis/v9"
)

// Limit bounds the calls to one account over all processes.
type Limit struct {
	// Concurrent is how many calls may be under way at once. 0 is no bound.
	Concurrent int
	// PerSecond is how many calls may begin in a second in the long run; 0 is no bound.
	// Burst of them may begin at once. So a window of w seconds holds at most
	// Burst + w × PerSecond calls.
	PerSecond float64
	Burst     int
}

// period is the time between two calls in the long run, in microseconds; 0 for no bound.
func (l Limit) period() int64 {
	if l.PerSecond <= 0 {
		return 0
	}
	return int64(min(float64(time.Second.Microseconds())/l.PerSecond, float64(MaxPause.Microseconds())))
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

// Limiter keeps calls to accounts within their limits over all processes. Calls wait in
// the order in which they were asked for, whichever process asks. It uses the clock of
// Redis. A wiped Redis has lost all leases and the line, so for the length of one call
// more calls than allowed may be under way.
type Limiter struct{ client *Client }

// Limiter returns the limiter of this process.
func (c *Client) Limiter() *Limiter { return &Limiter{client: c} }

// HeldBackError says that a call may not be made yet, because it would have to wait for
// longer than its caller can.
type HeldBackError struct {
	// Wait is when to ask again.
	Wait time.Duration
	// Paused says that somebody asked for the account to be left alone. Otherwise the
	// account's own limit holds the call back.
	Paused bool
}

// Error returns a text for the log.
func (e *HeldBackError) Error() string {
	if e.Paused {
		return "the account is paused for " + e.Wait.String()
	}
	return "the account's limit holds calls back for " + e.Wait.String()
}

const (
	// fullWait is when to ask again for a slot that may become free at any moment.
	fullWait = 50 * time.Millisecond
	// inLine is how long a caller who asks no more keeps its place in the line.
	inLine = 2 * time.Second
	// pausePatience is the longest pause that a call waits for. After a longer one the
	// caller comes again.
	pausePatience = 2 * time.Second
	// lateBy is how late a call may begin after the time that was reserved for it. One
	// that comes later, because its process had no time for it, would meet calls whose
	// time it is, so it reserves another time.
	lateBy = 50 * time.Millisecond
	// reserves bounds how often a call reserves a time.
	reserves = 5
)

// Acquire waits until a call to an account may be made, for patience at most. Its release
// must be called when the call has ended. Without that, for example when the process
// dies, the slot is free again ttl after the call was allowed to begin.
//
// A call that would have to wait for longer than patience is refused with a
// HeldBackError, at once where that is known at once. A refused call does not count.
func (l *Limiter) Acquire(ctx context.Context, account AccountKey, limit Limit, ttl, patience time.Duration) (release func(), err error) {
	lease := rand.Text()
	until := time.Now().Add(patience) //lint:clock it measures patience
	for try := 1; ; try++ {           //lint:loop reserves again only if its process came late
		release, wait, err := l.reserve(ctx, account, limit, lease, ttl, until)
		if err != nil {
			return nil, err
		}
		asked := time.Now() //lint:clock it measures how late the process comes
		if err := sleep(ctx, wait); err != nil {
			release()
			return nil, err
		}
		if wait == 0 || time.Since(asked) < wait+lateBy || try == reserves {
			return release, nil
		}
		release()
	}
}

// reserve waits in line for a slot and reserves the next time that the rate allows.
// The call may be made after wait.
func (l *Limiter) reserve(ctx context.Context, account AccountKey, limit Limit, lease string, ttl time.Duration, until time.Time) (release func(), wait time.Duration, err error) {
	for { //lint:loop waits for its turn
		left := time.Until(until) //lint:clock as above, of what Acquire allowed
		answer, wait, err := l.ask(ctx, account, limit, lease, ttl, left)
		if err != nil { // Redis may have had the question all the same
			l.forget(ctx, limit, l.keys(account)[1], lease)
			l.forget(ctx, limit, l.keys(account)[2], lease)
			return nil, 0, err
		}
		if answer == granted {
			return func() { l.forget(ctx, limit, l.keys(account)[1], lease) }, wait, nil
		}
		wait = max(wait, fullWait)
		if !worthwhile(answer, wait, left) {
			err = &HeldBackError{Wait: wait, Paused: answer == paused}
		} else {
			err = sleep(ctx, wait)
		}
		if err != nil {
			l.forget(ctx, limit, l.keys(account)[2], lease)
			return nil, 0, err
		}
	}
}

// worthwhile reports whether a caller who has left to wait asks again after wait.
func worthwhile(a answer, wait, left time.Duration) bool {
	if a == paused {
		return wait <= min(left, pausePatience)
	}
	return a == full && wait <= left
}

// sleep waits for d, or for the end of ctx, whose error it returns.
func sleep(ctx context.Context, d time.Duration) error {
	if d <= 0 {
		return ctx.Err()
	}
	timer := time.NewTimer(d)
	defer timer.Stop()
	select {
	case <-timer.C:
		return nil
	case <-ctx.Done():
		return ctx.Err()
	}
}

// ask asks once. A caller that has no slot yet has a place in the line afterwards. The end
// of ctx does not cut the question short: what Redis has answered would not be known, and
// a place that nobody gives up holds up all others.
func (l *Limiter) ask(ctx context.Context, account AccountKey, limit Limit, lease string, ttl, patience time.Duration) (answer, time.Duration, error) {
	if err := ctx.Err(); err != nil {
		return 0, 0, err
	}
	asking, cancel := context.WithTimeout(context.WithoutCancel(ctx), askTimeout)
	defer cancel()
	got, err := acquireScript.Run(asking, l.client.redis, l.keys(account), lease, limit.Concurrent, ttl.Microseconds(),
		limit.period(), max(limit.Burst, 1), max(patience, 0).Microseconds(), inLine.Microseconds()).Int64Slice()
	if err != nil {
		return 0, 0, unavailable(err)
	}
	return answer(got[0]), time.Duration(got[1]) * time.Microsecond, nil
}

// askTimeout bounds one question to Redis.
const askTimeout = time.Second

// forget takes a lease out of the leases, or a ticket out of the line, even when ctx has
// ended. One that stays there runs out by itself. Without a bound on concurrent calls
// there is neither.
func (l *Limiter) forget(ctx context.Context, limit Limit, key, lease string) {
	if limit.Concurrent <= 0 {
		return
	}
	ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), callTimeout)
	defer cancel()
	_ = l.client.redis.ZRem(ctx, key, lease).Err()
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
	keys := l.keys(account)
	return unavailable(l.client.redis.Del(ctx, keys[0], keys[4]).Err())
}

// keys returns the keys of the pause, the leases, the line, the signs of life of those in
// the line, and the pace. The account stands in braces, so that a cluster keeps them
// together.
func (l *Limiter) keys(account AccountKey) []string {
	name := l.client.key("limit:{" + account.text + "}")
	return []string{name + ":pause", name + ":leases", name + ":line", name + ":alive", name + ":pace"}
}

// answer is what Redis says to a question.
type answer int64

// The answers. The time beside them is how long to wait: before the call where it is
// granted, and before the next question otherwise.
const (
	full    answer = iota // others are before, or all slots are taken
	paused                // the account is to be left alone
	tooSlow               // the rate allows the call only after the caller's patience has ended
	granted
)

// acquireScript answers a caller, whose lease is ARGV[1], and whose ticket in the line
// it is as well. ARGV[2] leases may be held, each for ARGV[3] after the call's time. At
// most ARGV[5] calls begin at once, and one in every ARGV[4] in the long run. The caller
// waits for ARGV[6] at most, and is taken out of the line when nothing was heard of it
// for ARGV[7]. All times are in microseconds.
//
// The pace is kept as GCRA does: the key holds the time at which the account would have
// no call to its credit. A granted call moves it on, so whoever asks next gets a later
// time. Burst calls fit before it.
var acquireScript = redis.NewScript(`
local pause = redis.call('PTTL', KEYS[1])
if pause > 0 then return {1, pause * 1000} end
local text = function(number) return string.format('%.0f', number) end
local time = redis.call('TIME')
local now = time[1] * 1000000 + time[2]
local most, ttl, period, burst, patience, heard = tonumber(ARGV[2]), tonumber(ARGV[3]), tonumber(ARGV[4]), tonumber(ARGV[5]), tonumber(ARGV[6]), tonumber(ARGV[7])
if most > 0 then
  redis.call('ZREMRANGEBYSCORE', KEYS[2], '-inf', text(now))
  for _, gone in ipairs(redis.call('ZRANGEBYSCORE', KEYS[4], '-inf', text(now))) do redis.call('ZREM', KEYS[3], gone) end
  redis.call('ZREMRANGEBYSCORE', KEYS[4], '-inf', text(now))
  redis.call('ZADD', KEYS[3], 'NX', text(now), ARGV[1])
  redis.call('ZADD', KEYS[4], text(now + heard), ARGV[1])
  redis.call('PEXPIRE', KEYS[3], text(heard / 1000))
  redis.call('PEXPIRE', KEYS[4], text(heard / 1000))
  if redis.call('ZCARD', KEYS[2]) + redis.call('ZRANK', KEYS[3], ARGV[1]) >= most then return {0, 0} end
end
local wait = 0
if period > 0 then
  local reached = math.max(tonumber(redis.call('GET', KEYS[5]) or '0'), now)
  wait = math.max(reached - (burst - 1) * period - now, 0)
  if wait > patience then return {2, wait} end
  redis.call('SET', KEYS[5], text(reached + period), 'PX', text((reached + period - now) / 1000 + 1))
end
if most > 0 then
  redis.call('ZREM', KEYS[3], ARGV[1])
  redis.call('ZREM', KEYS[4], ARGV[1])
  redis.call('ZADD', KEYS[2], text(now + wait + ttl), ARGV[1])
  redis.call('PEXPIRE', KEYS[2], text(math.max((wait + ttl) / 1000, redis.call('PTTL', KEYS[2]))))
end
return {3, wait}`)

// pauseScript never shortens a pause.
var pauseScript = redis.NewScript(`
if redis.call('PTTL', KEYS[1]) < tonumber(ARGV[1]) then redis.call('SET', KEYS[1], 1, 'PX', ARGV[1]) end
return 1`)
