//go:build unix

package e2e

import (
	"context"
	"encoding/json"
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
	// post makes one call.
	post func(path, key string, body []byte) (status int, answer []byte, err error)
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
func newTenant(n *system.Tenant) *tenant {
	return &tenant{Tenant: n, clients: &clients{post: n.Post, batch: 25, accepted: map[string]acceptance{}}}
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

// user is what the native dialect takes.
type user struct {
	Email    string `json:"email"`
	Country  string `json:"country"`
	Name     string `json:"name"`
	JobTitle string `json:"jobTitle"`
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

func userOf(n int) user {
	return user{Email: emailOf(n), Country: countries[n%len(countries)], Name: fmt.Sprintf("Given%d Family%d", n, n), JobTitle: titles[n%len(titles)]}
}

// patience is how long a client insists.
const patience = 3 * time.Minute

// send makes one call for new users.
func (c *clients) send(ctx context.Context, size int) {
	c.underway.Add(1)
	defer c.underway.Add(-1)
	first := int(c.user.Add(int64(size))) - size
	path, body := "/v1/user-sync", any(map[string]any{"user": userOf(first)})
	if size > 1 {
		users := make([]user, size)
		for i := range users {
			users[i] = userOf(first + i)
		}
		path, body = "/v1/user-sync/batch", map[string]any{"users": users}
	}
	encoded, err := json.Marshal(body)
	if err != nil {
		panic(err)
	}
	key := ""
	if c.insist {
		key = strconv.FormatInt(c.calls.Add(1), 10)
	}
	deadline := time.Now().Add(patience)
	for {
		sent := time.Now()
		status, answer, err := c.post(path, key, encoded)
		if status == http.StatusAccepted {
			c.note(first, size, sent, answer)
			return
		}
		if status == http.StatusInternalServerError {
			c.fault("a part that is away was answered with 500", "%s: %s", path, answer)
		}
		again := status == http.StatusTooManyRequests || status == http.StatusServiceUnavailable
		if !again && err == nil && !c.insistOn(status) {
			c.fault("call refused", "%s: %d %s", path, status, answer)
			return
		}
		c.failed()
		if (err != nil && !c.insist) || (!c.insist && ctx.Err() != nil) {
			c.lose(size, err != nil)
			return
		}
		if time.Now().After(deadline) {
			c.fault("call never accepted", "%s: last %d %s %v", path, status, answer, err)
			return
		}
		time.Sleep(50 * time.Millisecond)
	}
}

// insistOn reports whether an answer may be different the next time: a fault
// of the server, or the race of a call with its own repetition.
func (c *clients) insistOn(status int) bool {
	return c.insist && (status >= 500 || status == http.StatusConflict)
}

// note keeps the ids of a 202.
func (c *clients) note(first, size int, sent time.Time, answer []byte) {
	type result struct {
		RequestID string `json:"requestId"`
		Error     string `json:"error"`
	}
	var got struct {
		result
		Results []result `json:"results"`
	}
	if err := json.Unmarshal(answer, &got); err != nil {
		c.fault("answer is no JSON", "%s", answer)
		return
	}
	results := got.Results
	if size == 1 {
		results = []result{got.result}
	}
	if len(results) != size {
		c.fault("answer has not one result per user", "%d users: %s", size, answer)
		return
	}
	c.mu.Lock()
	defer c.mu.Unlock()
	for i, r := range results {
		if _, twice := c.accepted[r.RequestID]; twice || r.RequestID == "" {
			c.faults.Add("result without an id of its own", "%+v", r)
			continue
		}
		c.accepted[r.RequestID] = acceptance{user: first + i, sent: sent, seen: time.Now()}
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
