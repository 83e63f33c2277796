//go:build unix

package chaos

import (
	"context"
	"encoding/json"
	"fmt"
	"math/rand/v2"
	"net/http"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"usersync/test/system"
)

// tenant is one organization under load, and what its clients know.
type tenant struct {
	*system.Tenant
	name string
	// connection is that of the platform, "" for none.
	connection string
	// poor tenants run out of credits and are given some now and then.
	poor bool
	// again counts calls that were made once more, unanswered or refused for now.
	again *atomic.Int64

	mu       sync.Mutex
	accepted map[string]acceptance // by request
	known    map[string]*known     // by address
	broke    int                   // calls refused for want of credits
	repeated int                   // calls repeated on purpose
	faults   system.Faults
}

// acceptance is a 202 that a client saw.
type acceptance struct {
	email      string
	sent, seen time.Time
}

// known is what its client knows of a user. One client alone sends a user, so the
// last thing that was accepted is the newest.
type known struct {
	id, jobTitle string
	// erasure is the id of one that was accepted.
	erasure string
}

// senders is how many clients a tenant has.
const senders = 3

// run has all clients of the tenants send until the returned function is called,
// which waits for the calls under way.
func run(tenants []*tenant, tick <-chan time.Time) (stop func()) {
	ctx, cancel := context.WithCancel(context.Background())
	var wg sync.WaitGroup
	for i, n := range tenants {
		for j := range senders {
			number := i*senders + j
			s := &sender{tenant: n, number: number, rng: rand.New(rand.NewPCG(*seed, uint64(number+1)))}
			wg.Go(func() {
				for {
					select {
					case <-ctx.Done():
						return
					case <-tick:
						s.step()
					}
				}
			})
		}
	}
	return func() {
		cancel()
		wg.Wait()
	}
}

// sender is one client.
type sender struct {
	*tenant
	number int
	rng    *rand.Rand
	users  int // made so far
	keys   int // given out so far
	jobs   int // titles given out so far
	own    []string
	lone   []string // users without colleagues, who may be erased
	calls  []call   // accepted ones, to be repeated
}

// call is one that can be made again.
type call struct {
	system.Call
	emails   []string
	requests []string
}

func (s *sender) step() {
	switch n := s.rng.IntN(100); {
	case n < 45 || len(s.own) == 0:
		s.sync(s.newUser())
	case n < 60:
		s.sync(s.newUser(), s.newUser(), s.newUser(), s.newUser(), s.newUser())
	case n < 80:
		s.sync(s.own[s.rng.IntN(len(s.own))])
	case n < 90 && len(s.calls) > 0:
		s.repeat(s.calls[s.rng.IntN(len(s.calls))])
	case len(s.lone) > 1:
		s.erase(s.lone[0])
		s.lone = s.lone[1:]
	}
}

// newUser returns an address. Four users of a client share a company, which is
// enough for some requests to find colleagues and be billed; the next one is
// alone in hers and may be erased: what others found of her would go with her.
func (s *sender) newUser() string {
	n := s.users
	s.users++
	company := fmt.Sprintf("%s-%d-%d.example", s.name, s.number, n/5)
	if n%5 == 4 {
		company = "alone-" + company
	}
	email := fmt.Sprintf("person%d@%s", n, company)
	if n%5 == 4 {
		s.lone = append(s.lone, email)
	} else {
		s.own = append(s.own, email)
	}
	return email
}

// sync sends users, each with a new title, and notes what was accepted.
func (s *sender) sync(emails ...string) {
	users := make([]system.User, len(emails))
	for i, email := range emails {
		s.jobs++
		name, _, _ := strings.Cut(email, "@")
		users[i] = system.User{Email: email, Country: "PT", Name: "Given " + name, JobTitle: fmt.Sprintf("Engineer %d", s.jobs)}
	}
	c := call{Call: system.SyncCall(users...), emails: emails}
	c.Key = s.newKey()
	sent := time.Now()
	answer, ok := s.insist(c.Call)
	if !ok {
		return
	}
	results := s.results(c, answer)
	if results == nil {
		return
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	for i, r := range results {
		if _, twice := s.accepted[r.RequestID]; twice {
			s.faults.Add("a request id was given out twice", "%s", r.RequestID)
		}
		s.accepted[r.RequestID] = acceptance{email: emails[i], sent: sent, seen: time.Now()}
		k := s.known[emails[i]]
		if k == nil {
			k = &known{id: r.UserID}
			s.known[emails[i]] = k
		}
		if k.id != r.UserID {
			s.faults.Add("the id of a user changed", "%s: %s, was %s", emails[i], r.UserID, k.id)
		}
		k.jobTitle = users[i].JobTitle
		c.requests = append(c.requests, r.RequestID)
	}
	s.calls = append(s.calls, c)
}

// newKey returns an Idempotency-Key.
func (s *sender) newKey() string {
	s.keys++
	return fmt.Sprintf("%d-%d-%d", *seed, s.number, s.keys)
}

// results reads an answer; nil when it has not one result for each user.
func (s *sender) results(c call, answer system.Answer) []system.Result {
	results, err := answer.Results(len(c.emails))
	if err != nil {
		s.faults.Add("an answer has not one request for each user", "%s: %v", c.Path, err)
	}
	return results
}

// repeat makes a call again that was accepted before: the answer must be the
// same.
func (s *sender) repeat(c call) {
	answer, ok := s.insist(c.Call)
	if !ok {
		return
	}
	s.mu.Lock()
	s.repeated++
	s.mu.Unlock()
	for i, r := range s.results(c, answer) {
		if r.RequestID != c.requests[i] {
			s.faults.Add("a repeated call was worked again", "%s, was %s", r.RequestID, c.requests[i])
		}
	}
}

func (s *sender) erase(email string) {
	body, err := json.Marshal(map[string]string{"email": email})
	if err != nil {
		panic(err)
	}
	answer, ok := s.insist(system.Call{Method: http.MethodPost, Path: "/v1/erasures", Key: s.newKey(), Body: body})
	if !ok {
		return
	}
	var made struct {
		ID string `json:"id"`
	}
	if err := json.Unmarshal(answer.Body, &made); err != nil || made.ID == "" {
		s.faults.Add("an erasure was accepted without an id", "%s", answer.Body)
		return
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	if k := s.known[email]; k != nil {
		k.erasure = made.ID
	} else { // whose own call was refused for want of credits
		s.known[email] = &known{erasure: made.ID}
	}
}

// patience is how long a client insists.
const patience = 4 * time.Minute

// insist makes a call, at one API process after the other, until it is accepted.
func (s *sender) insist(call system.Call) (answer system.Answer, ok bool) {
	answer, ok, err := s.Insist(context.Background(), patience, call, func(answer system.Answer, err error) (time.Duration, bool) {
		return system.Unrelenting, s.goOn(call, answer, err)
	})
	if err != nil {
		s.faults.Add("a call was never accepted", "%v", err)
	}
	return answer, ok
}

// goOn notes what came of a call that was not accepted, and says whether it is
// repeated.
func (s *sender) goOn(call system.Call, answer system.Answer, err error) bool {
	switch {
	case answer.Status == http.StatusPaymentRequired && s.poor:
		s.mu.Lock()
		s.broke++
		s.mu.Unlock()
		return false
	case answer.Status == http.StatusInternalServerError:
		s.faults.Add("a part that is away was answered with 500", "%s: %s", call.Path, answer.Body)
	case err == nil && answer.Status != http.StatusServiceUnavailable && answer.Status != http.StatusTooManyRequests && answer.Status != http.StatusConflict:
		s.faults.Add("a call was refused", "%s: %d %s", call.Path, answer.Status, answer.Body)
		return false
	}
	s.again.Add(1)
	return true
}

// neighbour is a tenant who sends a user now and then.
func (w *world) neighbour() *tenant { return w.tenants[len(w.tenants)-1] }

// nowAndThen is how often the neighbour sends.
const nowAndThen = 200 * time.Millisecond

// trickle has one new user after the other be sent until the returned function is
// called.
func (n *tenant) trickle() (stop func()) {
	ctx, cancel := context.WithCancel(context.Background())
	var sending sync.WaitGroup
	s := &sender{tenant: n, rng: rand.New(rand.NewPCG(*seed, 0))}
	sending.Go(func() { each(ctx, nowAndThen, func(context.Context, int) { s.sync(s.newUser()) }) })
	return func() {
		cancel()
		sending.Wait()
	}
}

// waits returns, for each fault, the 99th percentile of how long it was from the 202 to
// the webhook, of the requests that were accepted from the fault's beginning until the
// next began.
func (n *tenant) waits(list []*outcome) []time.Duration {
	ends := n.Endings()
	n.mu.Lock()
	defer n.mu.Unlock()
	out := make([]time.Duration, len(list))
	for i, x := range list {
		var all []time.Duration
		for id, a := range n.accepted {
			if end, told := ends[id]; told && a.seen.After(x.struck) && (i == len(list)-1 || a.seen.Before(list[i+1].struck)) {
				all = append(all, end.Sub(a.seen))
			}
		}
		if slices.Sort(all); len(all) > 0 {
			out[i] = all[(len(all)*99+99)/100-1]
		}
	}
	return out
}

// between counts the requests that were sent after one time and whose 202 was
// seen before another.
func between(tenants []*tenant, from, to time.Time) (count int) {
	for _, n := range tenants {
		n.mu.Lock()
		for _, a := range n.accepted {
			if a.sent.After(from) && a.seen.Before(to) {
				count++
			}
		}
		n.mu.Unlock()
	}
	return count
}

// canary sends one user and waits until the request's end was told by webhook. It
// returns when.
func (n *tenant) canary(t *testing.T, number int) time.Time {
	t.Helper()
	s := &sender{tenant: n, number: 1000 + number, rng: rand.New(rand.NewPCG(*seed, 0))}
	email := fmt.Sprintf("canary%d@canary%d.example", number, number)
	s.sync(email)
	if len(s.calls) == 0 {
		t.Fatal("the canary was not accepted")
	}
	id := s.calls[0].requests[0]
	var at time.Time
	system.Await(t, progressWithin, "a request that was accepted after the fault is done", func() bool {
		at = n.Endings()[id]
		return !at.IsZero()
	}, func() string { return n.show(t, id) })
	return at
}

// show returns a request as the API shows it.
func (n *tenant) show(t *testing.T, id string) string {
	t.Helper()
	var report json.RawMessage
	n.Call(t, http.MethodGet, "/v1/requests/"+id, nil, &report)
	return string(report)
}
