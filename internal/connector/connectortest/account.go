package connectortest

import (
	"encoding/json"
	"io"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"net/netip"
	"testing"

	"usersync/internal/connector"
	"usersync/internal/connector/fakeplatform"
	"usersync/internal/outbound"
	"usersync/internal/queue"
	"usersync/internal/queue/embedded"
	"usersync/internal/usersync"
)

// Account is a fake that is served. The suite and a connector's own tests open their
// connections to it.
type Account struct {
	testing.TB
	Kind   connector.Platform
	Fake   fakeplatform.Platform
	Server *fakeplatform.Server
	url    string
	client *outbound.Client
	redis  *embedded.Redis
}

// Serve serves a fake until the test ends, behind what a test puts before it. The
// last of before meets a call first.
func (p Platform) Serve(t testing.TB, before ...func(next http.Handler) http.Handler) *Account {
	t.Helper()
	fake := p.new()
	redis, err := embedded.Start()
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(redis.Close)
	a := &Account{TB: t, Kind: p.Kind, Fake: fake, Server: fakeplatform.New(fake), client: NewClient(t), redis: redis}
	var handler http.Handler = a.Server
	for _, b := range before {
		handler = b(handler)
	}
	server := httptest.NewServer(handler)
	t.Cleanup(server.Close)
	a.url = server.URL + "/" + fake.Name()
	return a
}

// ServeHandler serves answers of the test's own in place of the fake's. The handler
// sees the paths of the platform.
func (p Platform) ServeHandler(t testing.TB, handler http.Handler) *Account {
	t.Helper()
	return p.Serve(t, func(http.Handler) http.Handler { return http.StripPrefix("/"+p.Kind.Name, handler) })
}

// Dial opens a connection to a platform whose answers are the test's own.
func (p Platform) Dial(t testing.TB, handler http.Handler, settings string) connector.Connector {
	t.Helper()
	return p.ServeHandler(t, handler).Dial(settings, connector.Facts{})
}

// Script answers calls by their method and path, such as "GET /v3/lists". It answers
// all others with 404.
type Script map[string]http.HandlerFunc

// ServeHTTP answers one call.
func (s Script) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	answer, ok := s[r.Method+" "+r.URL.Path]
	if !ok {
		http.NotFound(w, r)
		return
	}
	answer(w, r)
}

// Says answers every call in the same way.
func Says(status int, body string) http.HandlerFunc {
	return func(w http.ResponseWriter, _ *http.Request) {
		w.WriteHeader(status)
		_, _ = io.WriteString(w, body)
	}
}

// NewClient returns a client that may call the servers of tests.
func NewClient(t testing.TB) *outbound.Client {
	t.Helper()
	c := &outbound.Client{MaxResponse: connector.MaxResponse, Guard: &outbound.Guard{Allow: []netip.Prefix{
		netip.MustParsePrefix("127.0.0.0/8"), netip.MustParsePrefix("::1/128"),
	}}}
	t.Cleanup(c.Close)
	return c
}

// Config is the configuration of a connection with these settings, or with the fake's
// own settings if there are none.
func (a *Account) Config(settings string) connector.Config {
	a.Helper()
	cfg := a.Fake.Config()
	if settings != "" {
		cfg.Settings = json.RawMessage(settings)
	}
	values := fields(a, cfg.Settings)
	values["baseUrl"] = a.url
	cfg.Settings = json.RawMessage(JSON(a, values))
	return cfg
}

// fields are the members of an object.
func fields(t testing.TB, object json.RawMessage) map[string]any {
	t.Helper()
	values := map[string]any{}
	if err := json.Unmarshal(object, &values); err != nil {
		t.Fatal(err)
	}
	return values
}

// open opens a connection within the limits of its account. It has no breaker, because
// tests break a platform more often than a breaker allows.
func (a *Account) open(cfg connector.Config, client *outbound.Client) connector.Connector {
	a.Helper()
	hub := a.hub()
	hub.HTTP = client
	return a.openBy(cfg, hub.Client("org_1", ""))
}

// openBy opens a connection that makes its calls by a client.
func (a *Account) openBy(cfg connector.Config, client *connector.Client) connector.Connector {
	a.Helper()
	c, err := a.Kind.Open(cfg, client)
	if err != nil {
		a.Fatalf("open: %v %+v", err, usersync.AsError(err).Fields)
	}
	return c
}

// hub returns the hub of one more process. All of them keep the limits of accounts
// together.
func (a *Account) hub() *connector.Hub {
	a.Helper()
	q, err := queue.Connect(queue.Options{URL: a.redis.URL(), Log: slog.New(slog.DiscardHandler)})
	if err != nil {
		a.Fatal(err)
	}
	a.Cleanup(func() { _ = q.Close() })
	return &connector.Hub{HTTP: a.client, Limiter: q.Limiter()}
}

// URL is the address of the platform.
func (a *Account) URL() string { return a.url }

// Dial opens a connection with these settings and with what a check has told.
func (a *Account) Dial(settings string, facts connector.Facts) connector.Connector {
	a.Helper()
	cfg := a.Config(settings)
	cfg.Facts = facts
	return a.open(cfg, a.client)
}

// DialAs opens a connection with a configuration, as with other credentials.
func (a *Account) DialAs(cfg connector.Config) connector.Connector { return a.open(cfg, a.client) }

// Open opens a connection, checks it, and opens it again with what the check told.
func (a *Account) Open(settings string) connector.Connector {
	a.Helper()
	return a.Dial(settings, a.Check(settings))
}

// Check checks a connection with these settings.
func (a *Account) Check(settings string) connector.Facts {
	a.Helper()
	facts, err := a.Dial(settings, connector.Facts{}).Check(a.Context())
	if err != nil {
		a.Fatalf("check: %v %+v", err, usersync.AsError(err).Fields)
	}
	return facts
}

// Push pushes people and fails the test on an error.
func (a *Account) Push(c connector.Connector, people ...connector.Profile) []connector.Result {
	a.Helper()
	results, err := c.Push(a.Context(), people)
	if err != nil {
		a.Fatalf("push: %v", err)
	}
	return results
}

// mostStages bounds how many jobs a platform makes of one push, one after the other.
const mostStages = 5

// Confirm asks for the jobs among the results of a push, and for those that follow them,
// and puts the answers in the places of those results.
func (a *Account) Confirm(c connector.Connector, people []connector.Profile, results []connector.Result) []connector.Result {
	a.Helper()
	for range mostStages {
		for job, places := range pendingJobs(results) {
			answers, err := c.(connector.Confirmer).Confirm(a.Context(), job, at(people, places))
			if err != nil {
				a.Fatalf("confirm: %v", err)
			}
			for k, i := range places {
				if answers[k].Remote == "" {
					answers[k].Remote = results[i].Remote
				}
				results[i] = answers[k]
			}
		}
	}
	return results
}

// pendingJobs are the places of the results of each job.
func pendingJobs(results []connector.Result) map[string][]int {
	jobs := map[string][]int{}
	for i, r := range results {
		if r.Status == connector.Pending {
			jobs[r.Job] = append(jobs[r.Job], i)
		}
	}
	return jobs
}

func at(people []connector.Profile, places []int) []connector.Profile {
	var out []connector.Profile
	for _, i := range places {
		out = append(out, people[i])
	}
	return out
}

// Bring pushes people and asks for their jobs. The people keep the Remote of their
// results.
func (a *Account) Bring(c connector.Connector, people ...*connector.Profile) []connector.Result {
	a.Helper()
	list := Values(people)
	results := a.Confirm(c, list, a.Push(c, list...))
	for i, r := range results {
		people[i].Remote = r.Remote
	}
	return results
}

// Routes counts the calls by route.
func (a *Account) Routes() map[string]int { return a.Server.State(a.Fake.Name()).ByRoute }

func (a *Account) calls() int { return a.Server.State(a.Fake.Name()).Calls }

// Costs fails unless do makes that many calls.
func (a *Account) Costs(want int, what string, do func()) {
	a.Helper()
	before := a.calls()
	do()
	if got := a.calls() - before; got != want {
		a.Errorf("%s: %d calls, want %d: %v", what, got, want, a.Routes())
	}
}

// Break makes the fake misbehave in the calls to come.
func (a *Account) Break(faults ...fakeplatform.Fault) { a.Server.Break(a.Fake.Name(), faults...) }

// Held returns the person whom the fake holds.
func (a *Account) Held(p connector.Profile) fakeplatform.Person {
	a.Helper()
	one, ok := a.Fake.People().Get(p.Email.Display())
	if !ok {
		a.Fatalf("the platform does not have %s, only %v", p.Email.Display(), a.Fake.People().Emails())
	}
	return one
}

// Put changes the person whom the fake holds, or makes one.
func (a *Account) Put(p connector.Profile, change func(one *fakeplatform.Person)) {
	a.Fake.People().Put(p.Email.Display(), func(one *fakeplatform.Person, _ bool) { change(one) })
}

// Refuse makes the platform refuse a person.
func (a *Account) Refuse(p connector.Profile) {
	a.Put(p, func(one *fakeplatform.Person) { one.Refused = true })
}

// Unsubscribe makes a person leave, from the platform's point of view.
func (a *Account) Unsubscribe(p connector.Profile) {
	a.Put(p, func(one *fakeplatform.Person) { one.Unsubscribed = true })
}
