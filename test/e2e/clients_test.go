//go:build unix

package e2e

import (
	"context"
	"fmt"
	"net/http"
	"strconv"
	"sync"
	"sync/atomic"
	"time"

	"usersync/test/system"
)

// clients send users from many goroutines and note what was accepted.
type clients struct {
	client *system.Client
	// insist repeats a call, with an Idempotency-Key and at the next process,
	// until it is accepted. Else a call whose answer is lost is given up.
	insist bool
	// tick, when set, paces the calls.
	tick <-chan time.Time
	// batch is how many users every other call carries.
	batch int

	user  atomic.Int64 // the next one's number
	calls atomic.Int64
	// underway counts the calls that are being made, repetitions included.
	underway atomic.Int64

	mu       sync.Mutex
	accepted map[string]acceptance
	lost     int // users whose call ended without an answer
	failures int // calls without an answer, or with one that says try again
	faults   system.Faults
}

// acceptance is a 202 that a client saw.
type acceptance struct {
	user       int
	sent, seen time.Time
}

// newTenant returns a tenant whose clients send to these API processes.
func newTenant(n *system.Tenant) *customer {
	return &customer{Tenant: n, clients: &clients{client: n.Client, batch: 25, accepted: map[string]acceptance{}}}
}

// run sends from n goroutines until the returned function is called, which
// waits for the calls under way.
func (c *clients) run(n int) (stop func()) {
	ctx, cancel := context.WithCancel(context.Background())
	var wg sync.WaitGroup
	for i := range n {
		size := 1
		if i%2 == 1 {
			size = c.batch
		}
		wg.Go(func() {
			for c.paced(ctx) {
				c.send(ctx, size)
			}
		})
	}
	return func() {
		cancel()
		wg.Wait()
	}
}

func (c *clients) paced(ctx context.Context) bool {
	if c.tick == nil {
		return ctx.Err() == nil
	}
	select {
	case <-ctx.Done():
		return false
	case <-c.tick:
		return true
	}
}

var (
	countries = []string{"US", "Germany", "PT", "JPN", "Brazil"}
	titles    = []string{"Software Engineer", "Head of Marketing", "Data Analyst", "Sales Manager"}
)

// companyOf spreads the users over companies of 3 and 4 in turn, which is
// enough for some requests to find more than one colleague and be billed.
func companyOf(n int) int {
	group, place := n/7, n%7
	if place < 3 {
		return 2 * group
	}
	return 2*group + 1
}

func sizeOf(company int) int { return 3 + company%2 }

func emailOf(n int) string { return fmt.Sprintf("person%d@company%d.example", n, companyOf(n)) }

func userOf(n int) system.User {
	return system.User{Email: emailOf(n), Country: countries[n%len(countries)], Name: fmt.Sprintf("Given%d Family%d", n, n), JobTitle: titles[n%len(titles)]}
}

// patience is how long a client insists.
const patience = 3 * time.Minute

// send makes one call for new users.
func (c *clients) send(ctx context.Context, size int) {
	c.underway.Add(1)
	defer c.underway.Add(-1)
	first := int(c.user.Add(int64(size))) - size
	users := make([]system.User, size)
	for i := range users {
		users[i] = userOf(first + i)
	}
	call := system.SyncCall(users...)
	if c.insist {
		call.Key = strconv.FormatInt(c.calls.Add(1), 10)
	}
	// The end of ctx does not cut the call off, because its answer counts.
	answer, accepted, err := c.client.Insist(context.Background(), patience, call, c.again(ctx, call.Path, size))
	if err != nil {
		c.fault("call never accepted", "%v", err)
	}
	if accepted {
		c.note(first, size, answer)
	}
}

// again notes what came of a call for so many users that was not accepted, and
// says whether it is repeated.
func (c *clients) again(ctx context.Context, path string, size int) system.Again {
	return func(answer system.Answer, err error) (time.Duration, bool) {
		if answer.Status == http.StatusInternalServerError {
			c.fault("a part that is away was answered with 500", "%s: %s", path, answer.Body)
		}
		busy := answer.Status == http.StatusTooManyRequests || answer.Status == http.StatusServiceUnavailable
		if !busy && err == nil && !c.insistOn(answer.Status) {
			c.fault("call refused", "%s: %d %s", path, answer.Status, answer.Body)
			return 0, false
		}
		c.failed()
		if !c.insist && (err != nil || ctx.Err() != nil) {
			c.lose(size, err != nil)
			return 0, false
		}
		return system.Unrelenting, true
	}
}

// insistOn reports whether an answer may be different the next time: a fault
// of the server, or the race of a call with its own repetition.
func (c *clients) insistOn(status int) bool {
	return c.insist && (status >= 500 || status == http.StatusConflict)
}

// note keeps the ids of a 202.
func (c *clients) note(first, size int, answer system.Answer) {
	results, err := answer.Results(size)
	if err != nil {
		c.fault("answer has not one result per user", "%v", err)
		return
	}
	c.mu.Lock()
	defer c.mu.Unlock()
	for i, r := range results {
		if _, twice := c.accepted[r.RequestID]; twice {
			c.faults.Add("result without an id of its own", "%+v", r)
			continue
		}
		c.accepted[r.RequestID] = acceptance{user: first + i, sent: answer.Sent, seen: time.Now()}
	}
}

func (c *clients) fault(kind, format string, args ...any) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.faults.Add(kind, format, args...)
}

func (c *clients) failed() {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.failures++
}

// lose counts users of a call that was given up; unanswered ones may have been
// accepted.
func (c *clients) lose(users int, unanswered bool) {
	if !unanswered {
		return
	}
	c.mu.Lock()
	defer c.mu.Unlock()
	c.lost += users
}

// count returns how many requests were accepted.
func (c *clients) count() int {
	c.mu.Lock()
	defer c.mu.Unlock()
	return len(c.accepted)
}

func (c *clients) failureCount() int {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.failures
}

// all returns what was accepted.
func (c *clients) all() map[string]acceptance {
	c.mu.Lock()
	defer c.mu.Unlock()
	out := make(map[string]acceptance, len(c.accepted))
	for id, a := range c.accepted {
		out[id] = a
	}
	return out
}

// between counts the requests that were sent after one time and whose 202 was
// seen before another.
func (c *clients) between(from, to time.Time) int {
	n := 0
	for _, a := range c.all() {
		if a.sent.After(from) && a.seen.Before(to) {
			n++
		}
	}
	return n
}
