package connector_test

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"net/netip"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"usersync/internal/connector"
	"usersync/internal/outbound"
	"usersync/internal/queue"
	"usersync/internal/queue/embedded"
	"usersync/internal/telemetry"
	"usersync/internal/usersync"
)

// plain is a connector that has one call to make.
type plain struct {
	connector.Connector
	client *connector.Client
}

func (p plain) call(ctx context.Context) (*outbound.Response, error) {
	return p.client.JSON(ctx, http.MethodPost, p.client.URL("https://platform.example", "/people"), nil, map[string]string{"a": "b"})
}

type credentials struct {
	Key usersync.Secret `json:"key" help:"The key."`
}

type settings struct {
	List string   `json:"list,omitempty" help:"The list." role:"list"`
	Tags []string `json:"tags,omitempty" help:"The tags." role:"tags"`
	Mode string   `json:"mode,omitempty" help:"The mode." options:"fast|slow"`
}

// kind is a platform with these limits.
func kind(limits connector.Limits) connector.Platform {
	return connector.Define(connector.Platform{Name: "plain", Title: "Plain", Batch: 1, Limits: limits},
		func(_ credentials, _ settings, _ connector.Facts, client *connector.Client) (connector.Connector, error) {
			return plain{client: client}, nil
		})
}

const key = "secret-key-of-the-suite"

// open opens a connection to the account of a platform at url.
func open(t *testing.T, h *connector.Hub, limits connector.Limits, id, account, url string) plain {
	t.Helper()
	return openFor(t, h, "org_1", limits, id, account, url)
}

// openFor opens a connection of an organization.
func openFor(t *testing.T, h *connector.Hub, organization string, limits connector.Limits, id, account, url string) plain {
	t.Helper()
	return opened(t, kind(limits), configOf(account, url), h.Client(organization, id))
}

func configOf(account, url string) connector.Config {
	return connector.Config{
		Credentials: json.RawMessage(`{"key":"` + key + `"}`), Settings: json.RawMessage(`{"baseUrl":"` + url + `"}`),
		Facts: connector.Facts{Account: account},
	}
}

// opened opens a connection and returns its connector without what Open puts around it.
func opened(t *testing.T, k connector.Platform, cfg connector.Config, client *connector.Client) (inner plain) {
	t.Helper()
	k = connector.Define(k, func(_ credentials, _ settings, _ connector.Facts, client *connector.Client) (connector.Connector, error) {
		inner = plain{client: client}
		return inner, nil
	})
	if _, err := k.Open(cfg, client); err != nil {
		t.Fatal(err)
	}
	return inner
}

// hubs are those of two processes on one Redis.
func hubs(t *testing.T) (one, other *connector.Hub, redis *embedded.Redis) {
	t.Helper()
	redis, err := embedded.Start()
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(redis.Close)
	return hub(t, redis), hub(t, redis), redis
}

func hub(t *testing.T, redis *embedded.Redis) *connector.Hub {
	t.Helper()
	h := &connector.Hub{HTTP: client(t), Metrics: telemetry.NewMetrics()}
	if redis == nil {
		return h
	}
	q, err := queue.Connect(queue.Options{URL: redis.URL(), Log: slog.New(slog.DiscardHandler)})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = q.Close() })
	h.Limiter = q.Limiter()
	return h
}

func client(t *testing.T) *outbound.Client {
	t.Helper()
	c := &outbound.Client{Guard: &outbound.Guard{Allow: []netip.Prefix{netip.MustParsePrefix("127.0.0.0/8"), netip.MustParsePrefix("::1/128")}}}
	t.Cleanup(c.Close)
	return c
}

// platform answers with what it is told to, and counts.
type platform struct {
	url    string
	answer atomic.Value // http.HandlerFunc
	calls  atomic.Int64
	now    atomic.Int64
	most   atomic.Int64
}

func newPlatform(t *testing.T, answer http.HandlerFunc) *platform {
	t.Helper()
	p := &platform{}
	p.answer.Store(answer)
	server := httptest.NewServer(p)
	t.Cleanup(server.Close)
	p.url = server.URL
	return p
}

func (p *platform) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	p.calls.Add(1)
	n := p.now.Add(1)
	defer p.now.Add(-1)
	for m := p.most.Load(); n > m && !p.most.CompareAndSwap(m, n); m = p.most.Load() {
	}
	_, _ = io.Copy(io.Discard, r.Body) // else the server does not notice a caller that goes
	p.answer.Load().(http.HandlerFunc)(w, r)
}

func ok(http.ResponseWriter, *http.Request) {}

func status(code int, header ...string) http.HandlerFunc {
	return func(w http.ResponseWriter, _ *http.Request) {
		for i := 0; i < len(header); i += 2 {
			w.Header().Set(header[i], header[i+1])
		}
		w.WriteHeader(code)
	}
}

func TestCallsToAnAccountKeepItsLimitOverAllProcesses(t *testing.T) {
	t.Parallel()
	p := newPlatform(t, func(http.ResponseWriter, *http.Request) { time.Sleep(time.Millisecond) })
	one, other, _ := hubs(t)
	limits := connector.Limits{Concurrent: 2, Timeout: time.Minute}
	var wg sync.WaitGroup
	for i := range 8 {
		h := []*connector.Hub{one, other}[i%2]
		c := open(t, h, limits, fmt.Sprint("con_", i), "shared", p.url)
		wg.Go(func() {
			for range 5 {
				if _, err := c.call(t.Context()); err != nil {
					t.Error(err)
				}
			}
		})
	}
	wg.Wait()
	if most, calls := p.most.Load(), p.calls.Load(); most > 2 || calls != 40 {
		t.Errorf("%d at once, %d calls", most, calls)
	}
}

func TestACallWaitsForASlotAsLongAsItsCallerHasTime(t *testing.T) {
	t.Parallel()
	held := make(chan struct{})
	p := newPlatform(t, func(http.ResponseWriter, *http.Request) { <-held })
	one, other, _ := hubs(t)
	limits := connector.Limits{Concurrent: 1, Timeout: time.Minute}
	var wg sync.WaitGroup
	defer wg.Wait()
	defer close(held)
	wg.Go(func() { _, _ = open(t, one, limits, "con_1", "a", p.url).call(t.Context()) })
	for p.now.Load() == 0 {
		time.Sleep(time.Millisecond) // until the call is under way
	}
	waiting := open(t, other, limits, "con_2", "a", p.url)
	ctx, cancel := context.WithTimeout(t.Context(), 500*time.Millisecond)
	defer cancel()
	_, err := waiting.call(ctx)
	wantWait(t, err, time.Second, 2*time.Second)
	if !errors.Is(err, connector.ErrHeldBack) {
		t.Errorf("our own limit is not told apart from the platform's: %v", err)
	}
	ctx, cancel = context.WithCancel(t.Context())
	cancel()
	if _, err := waiting.call(ctx); err != context.Canceled { //nolint:errorlint // it is to be this very error
		t.Errorf("got %v", err)
	}
	if n := p.calls.Load(); n != 1 {
		t.Errorf("%d calls were made", n)
	}
	wantMetric(t, other, `usersync_platform_calls_total{outcome="throttled",platform="plain"}`)
}

func wantWait(t *testing.T, err error, least, most time.Duration) {
	t.Helper()
	e := usersync.AsError(err)
	if e == nil || e.Code != usersync.CodeRateLimited || e.RetryAfter < least || e.RetryAfter > most {
		t.Errorf("got %v, want rate_limited for %v to %v: %+v", err, least, most, e)
	}
}

func wantMetric(t *testing.T, h *connector.Hub, sample string) {
	t.Helper()
	page := httptest.NewRecorder()
	h.Metrics.Handler().ServeHTTP(page, httptest.NewRequestWithContext(t.Context(), http.MethodGet, "/metrics", nil))
	if !strings.Contains(page.Body.String(), "\n"+sample+" ") {
		t.Errorf("%s is missing", sample)
	}
}

func TestAPlatformThatAsksForRestGetsItFromEverybody(t *testing.T) {
	t.Parallel()
	for _, c := range []struct {
		name   string
		answer http.HandlerFunc
		code   usersync.Code // of the call that learns it
		wait   time.Duration
	}{
		{"429 with Retry-After", status(429, "Retry-After", "30"), usersync.CodeRateLimited, 30 * time.Second},
		{"429 that does not say", status(429), usersync.CodeRateLimited, 10 * time.Second},
		{"503 with Retry-After", status(503, "Retry-After", "30"), usersync.CodeUnavailable, 30 * time.Second},
		{"the last call of a window", status(200, "X-RateLimit-Remaining", "0", "X-RateLimit-Reset", "20"), "", 20 * time.Second},
		{"the last call of HubSpot's", status(200, "X-HubSpot-RateLimit-Remaining", "0", "X-HubSpot-RateLimit-Interval-Milliseconds", "10000"), "", 10 * time.Second},
	} {
		t.Run(c.name, func(t *testing.T) {
			t.Parallel()
			p := newPlatform(t, c.answer)
			one, other, _ := hubs(t)
			limits := connector.Limits{Timeout: time.Minute}
			_, err := open(t, one, limits, "con_1", "a", p.url).call(t.Context())
			if usersync.CodeOf(err) != c.code {
				t.Errorf("got %v", err)
			}
			p.answer.Store(http.HandlerFunc(ok))
			_, err = open(t, other, limits, "con_2", "a", p.url).call(t.Context())
			wantWait(t, err, c.wait-8*time.Second, c.wait)
			if n := p.calls.Load(); n != 1 {
				t.Errorf("%d calls were made", n)
			}
			if _, err := open(t, other, limits, "con_3", "b", p.url).call(t.Context()); err != nil {
				t.Errorf("another account: %v", err)
			}
		})
	}
}

func TestACallWorksWithoutRedis(t *testing.T) {
	t.Parallel()
	p := newPlatform(t, ok)
	limits := connector.Limits{Concurrent: 1, PerSecond: 1, Timeout: time.Minute}
	h, _, redis := hubs(t)
	redis.Close()
	for range 3 {
		if _, err := open(t, h, limits, "con_1", "a", p.url).call(t.Context()); err != nil {
			t.Error(err)
		}
	}
	if _, err := open(t, hub(t, nil), limits, "con_1", "a", p.url).call(t.Context()); err != nil {
		t.Errorf("without a limiter: %v", err)
	}
	wantMetric(t, h, `usersync_platform_calls_total{outcome="ok",platform="plain"}`)
}

func TestABrokenConnectionIsLeftAloneAndOthersAreNot(t *testing.T) {
	t.Parallel()
	broken, whole := newPlatform(t, status(500)), newPlatform(t, ok)
	h := hub(t, nil)
	limits := connector.Limits{Timeout: time.Minute}
	for range 8 {
		// The pipeline opens the connection anew for each turn.
		_, err := open(t, h, limits, "con_1", "a", broken.url).call(t.Context())
		if usersync.CodeOf(err) != usersync.CodeUnavailable {
			t.Errorf("got %v", err)
		}
	}
	if n := broken.calls.Load(); n != 5 {
		t.Errorf("%d calls were made to the broken one", n)
	}
	_, err := open(t, h, limits, "con_1", "a", broken.url).call(t.Context())
	if wait := usersync.AsError(err).RetryAfter; wait < 20*time.Second || wait > 30*time.Second {
		t.Errorf("waits %v", wait)
	}
	if _, err := open(t, h, limits, "con_2", "a", whole.url).call(t.Context()); err != nil {
		t.Errorf("the other: %v", err)
	}
	wantMetric(t, h, `usersync_platform_calls_total{outcome="open",platform="plain"}`)
	h.Forget("con_1") // it was changed
	if _, err := open(t, h, limits, "con_1", "a", whole.url).call(t.Context()); err != nil {
		t.Errorf("after it was changed: %v", err)
	}
}

func TestACallEndsInTheTimeOfItsPlatform(t *testing.T) {
	t.Parallel()
	p := newPlatform(t, func(_ http.ResponseWriter, r *http.Request) { <-r.Context().Done() })
	_, err := open(t, hub(t, nil), connector.Limits{Timeout: 50 * time.Millisecond}, "con_1", "a", p.url).call(t.Context())
	if usersync.CodeOf(err) != usersync.CodeUnavailable {
		t.Errorf("got %v", err)
	}
}

func TestEachEndsWithTheFirstErrorAndKeepsWhatIsDone(t *testing.T) {
	t.Parallel()
	c := open(t, hub(t, nil), connector.Limits{Concurrent: 1}, "con_1", "a", "http://127.0.0.1:1").client
	people := make([]connector.Profile, 5)
	for i := range people {
		people[i].UserID = fmt.Sprint(i)
	}
	calls := 0
	results, err := c.Each(t.Context(), people, func(_ context.Context, p connector.Profile) (connector.Result, error) {
		calls++
		switch p.UserID {
		case "1":
			return connector.Result{}, usersync.Errorf(usersync.CodeRejected, "not this one")
		case "3":
			return connector.Result{}, usersync.Errorf(usersync.CodeUnavailable, "away")
		}
		return connector.Result{Status: connector.Added}, nil
	})
	var got []string
	for _, r := range results {
		got = append(got, string(r.Status))
	}
	if usersync.CodeOf(err) != usersync.CodeUnavailable || strings.Join(got, " ") != "added failed added  " || calls != 4 {
		t.Errorf("got %v, %v, %d calls", got, err, calls)
	}
}

func TestTenantsShareNoPauseAndNoLimit(t *testing.T) {
	t.Parallel()
	p := newPlatform(t, status(429, "Retry-After", "86400"))
	one, other, _ := hubs(t)
	limits := connector.Limits{Concurrent: 1, PerSecond: 1, Burst: 1, Timeout: time.Minute}
	// One tenant's own server, at which the account is called as it is elsewhere.
	_, err := openFor(t, one, "org_1", limits, "con_1", "shared", p.url).call(t.Context())
	wantWait(t, err, queue.MaxPause, queue.MaxPause)
	quiet := newPlatform(t, ok)
	for organization, url := range map[string]string{"org_2": p.url, "org_1": quiet.url} {
		p.answer.Store(http.HandlerFunc(ok))
		if _, err := openFor(t, other, organization, limits, "con_2", "shared", url).call(t.Context()); err != nil {
			t.Errorf("%s at %s: %v", organization, url, err)
		}
	}
	_, err = openFor(t, other, "org_1", limits, "con_3", "shared", p.url).call(t.Context())
	wantWait(t, err, queue.MaxPause-time.Minute, queue.MaxPause)
}

func TestAPauseIsLiftedWithWhatAConnectionIsOpenedWith(t *testing.T) {
	t.Parallel()
	p := newPlatform(t, status(429, "Retry-After", "600"))
	one, other, redis := hubs(t)
	_, err := open(t, one, connector.Limits{}, "con_1", "a", p.url).call(t.Context())
	wantWait(t, err, 10*time.Minute, 10*time.Minute)
	p.answer.Store(http.HandlerFunc(ok))
	if err := other.Lift(t.Context(), "org_2", kind(connector.Limits{}), configOf("a", p.url)); err != nil {
		t.Error(err)
	}
	_, err = open(t, one, connector.Limits{}, "con_1", "a", p.url).call(t.Context())
	wantWait(t, err, 9*time.Minute, 10*time.Minute)
	if err := other.Lift(t.Context(), "org_1", kind(connector.Limits{}), configOf("a", p.url)); err != nil {
		t.Error(err)
	}
	if _, err := open(t, one, connector.Limits{}, "con_1", "a", p.url).call(t.Context()); err != nil {
		t.Errorf("lifted, but: %v", err)
	}
	redis.Close()
	if err := other.Lift(t.Context(), "org_1", kind(connector.Limits{}), configOf("a", p.url)); usersync.CodeOf(err) != usersync.CodeUnavailable {
		t.Errorf("without Redis: %v", err)
	}
}

// What waits for its turn comes in time, however many wait: nothing is thrown away and
// made again.
func TestWaitingForTheRateLosesNoCall(t *testing.T) {
	t.Parallel()
	p := newPlatform(t, ok)
	one, other, _ := hubs(t)
	limits := connector.Limits{PerSecond: 20, Burst: 1, Timeout: time.Minute}
	began := time.Now()
	var wg sync.WaitGroup
	for i := range 40 {
		c := open(t, []*connector.Hub{one, other}[i%2], limits, fmt.Sprint("con_", i), "a", p.url)
		wg.Go(func() {
			if _, err := c.call(t.Context()); err != nil {
				t.Error(err)
			}
		})
	}
	wg.Wait()
	if took := time.Since(began); took < 39*time.Second/20 || p.calls.Load() != 40 {
		t.Errorf("%d calls in %v", p.calls.Load(), took)
	}
}

func TestARateThatAnOwnerSetsHoldsInEverySecond(t *testing.T) {
	t.Parallel()
	k := kind(connector.Limits{PerSecond: 100, Burst: 50})
	for _, perSecond := range []float64{1, 2, 5, 20} {
		cfg := connector.Config{Credentials: json.RawMessage(`{"key":"k"}`), Settings: json.RawMessage(fmt.Sprintf(`{"callsPerSecond":%v}`, perSecond))}
		limits := opened(t, k, cfg, hub(t, nil).Client("org_1", "con_1")).client.Limits()
		if most := limits.Most(1100 * time.Millisecond); most > int(perSecond) {
			t.Errorf("%d calls in a second, where %v are set", most, perSecond)
		}
	}
}
