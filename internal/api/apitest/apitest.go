// Package apitest starts an edge over a real SQLite database, a real batcher and
// an in-process Redis, for the tests of the edge and of its dialects. No worker
// runs: a test finishes work itself, when it is due.
package apitest

import (
	"bytes"
	"context"
	"encoding/json"
	"io"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"strings"
	"sync"
	"testing"
	"time"

	"go.uber.org/goleak"

	"usersync/internal/api"
	"usersync/internal/credit"
	"usersync/internal/intake"
	"usersync/internal/outbox"
	"usersync/internal/queue"
	"usersync/internal/queue/embedded"
	"usersync/internal/request"
	"usersync/internal/store"
	"usersync/internal/store/storetest"
	"usersync/internal/telemetry"
	"usersync/internal/tenant"
	"usersync/internal/usersync"
)

// Server is an edge that listens, and all it stands on.
type Server struct {
	URL   string
	Store *store.Store
	Edge  *api.Edge
	// Org has 1,000 credits; Key is its key with every scope.
	Org tenant.Organization
	Key usersync.Secret
	// KeyID is the id of Key.
	KeyID string

	queue  *queue.Client
	client *http.Client
	log    *safeBuffer
}

// credits is the balance of the organization of a new server.
const credits = 1000

// Start serves the dialects until the test ends.
func Start(t testing.TB, dialects ...api.Dialect) *Server {
	t.Helper()
	s := &Server{log: &safeBuffer{}, client: &http.Client{Transport: &http.Transport{MaxIdleConnsPerHost: 100}}}
	s.openStore(t)
	s.openQueue(t)
	log, metrics := telemetry.NewLogger(s.log, slog.LevelDebug), telemetry.NewMetrics()
	batcher := intake.New(intake.Options{Store: s.Store, Metrics: metrics, Log: log, MaxWaiting: 4096})
	waiters := intake.NewWaiters(s.Store, s.queue, log)
	s.Edge = api.New(api.Options{Store: s.Store, Batcher: batcher, Waiters: waiters, Metrics: metrics, Log: log})
	s.Edge.Mount(dialects...)
	ctx, cancel := context.WithCancel(context.Background())
	var running sync.WaitGroup
	running.Go(func() { batcher.Run(ctx) })
	running.Go(func() { waiters.Run(ctx) })
	running.Go(func() { s.Edge.Run(ctx) })
	t.Cleanup(running.Wait)
	t.Cleanup(cancel)
	server := httptest.NewServer(s.Edge)
	t.Cleanup(server.Close)
	t.Cleanup(s.client.CloseIdleConnections)
	s.URL = server.URL
	return s
}

func (s *Server) openStore(t testing.TB) {
	t.Helper()
	ctx := context.Background()
	var err error
	s.Store, err = store.Open(ctx, store.Options{Dir: t.TempDir(), Seal: storetest.Keys(t)})
	Must(t, err)
	t.Cleanup(func() { _ = s.Store.Close() })
	_, err = s.Store.Migrate(ctx)
	Must(t, err)
	s.Org, s.Key, s.KeyID = s.NewOrganization(t, tenant.Settings{}, credits)
}

func (s *Server) openQueue(t testing.TB) {
	t.Helper()
	redis, err := embedded.Start()
	Must(t, err)
	t.Cleanup(redis.Close)
	s.queue, err = queue.Connect(queue.Options{URL: redis.URL(), Log: slog.New(slog.DiscardHandler)})
	Must(t, err)
	t.Cleanup(func() { _ = s.queue.Close() })
}

// NewOrganization makes an organization with a balance and a key of every scope.
func (s *Server) NewOrganization(t testing.TB, settings tenant.Settings, balance int64) (tenant.Organization, usersync.Secret, string) {
	t.Helper()
	ctx := context.Background()
	o, err := tenant.Create(ctx, s.Store, "test", tenant.Organization{Name: "Example", Settings: settings})
	Must(t, err)
	if balance > 0 {
		_, err = credit.TopUp(ctx, s.Store, "test", o.ID, balance, "")
		Must(t, err)
	}
	key, secret := s.NewKey(t, o.ID, tenant.Key{})
	return o, secret, key.ID
}

// NewKey makes a key of the organization.
func (s *Server) NewKey(t testing.TB, organization string, k tenant.Key) (tenant.Key, usersync.Secret) {
	t.Helper()
	k.Name = "test"
	key, secret, err := tenant.CreateKey(context.Background(), s.Store, "test", organization, k)
	Must(t, err)
	return key, secret
}

// Answer is what came back.
type Answer struct {
	Status int
	Header http.Header
	Body   string
}

// JSON reads the body into v.
func (a Answer) JSON(t testing.TB, v any) {
	t.Helper()
	if err := json.Unmarshal([]byte(a.Body), v); err != nil {
		t.Fatalf("%q is no JSON: %v", a.Body, err)
	}
}

// Do makes a call with the server's key and a JSON body; header holds further
// headers as "Name: value", an empty value takes a header away.
func (s *Server) Do(t testing.TB, method, path, body string, header ...string) Answer {
	t.Helper()
	r, err := http.NewRequestWithContext(t.Context(), method, s.URL+path, strings.NewReader(body))
	Must(t, err)
	r.Header.Set("X-API-Key", s.Key.Reveal())
	if body != "" {
		r.Header.Set("Content-Type", "application/json")
	}
	for _, h := range header {
		name, value, _ := strings.Cut(h, ":")
		r.Header.Del(name)
		if value = strings.TrimSpace(value); value != "" {
			r.Header.Set(name, value)
		}
	}
	return s.Send(t, r)
}

// Send makes a call.
func (s *Server) Send(t testing.TB, r *http.Request) Answer {
	t.Helper()
	response, err := s.client.Do(r)
	Must(t, err)
	defer func() { _ = response.Body.Close() }()
	body, err := io.ReadAll(response.Body)
	Must(t, err)
	return Answer{response.StatusCode, response.Header, string(body)}
}

// Finish works every task that is ready: each of its requests gets one step and
// the status that follows from it.
func (s *Server) Finish(t testing.TB, step request.Step) {
	t.Helper()
	ctx := context.Background()
	ready, err := outbox.TakeReady(ctx, s.Store, queue.Run, "", outbox.Shares{Slots: 1000, Key: 1000}, 1000)
	Must(t, err)
	for _, e := range ready {
		claim, ok, err := outbox.Claim(ctx, s.Store, e.ID, e.Generation)
		Must(t, err)
		if !ok {
			t.Fatalf("task %s cannot be claimed", e.ID)
		}
		s.finish(t, claim, step)
	}
}

func (s *Server) finish(t testing.TB, claim usersync.Claim, step request.Step) {
	t.Helper()
	var args struct{ Requests []string }
	Must(t, json.Unmarshal(claim.Args, &args))
	var outcomes []request.Outcome
	for _, id := range args.Requests {
		outcomes = append(outcomes, request.Outcome{RequestID: id, TaskID: claim.TaskID, Status: request.StatusOf([]request.Step{step}),
			StartedAt: claim.StartedAt, FinishedAt: time.Now(), Steps: []request.Step{step}})
	}
	ctx := context.Background()
	Must(t, s.Store.Tx(ctx, func(tx *store.Tx) error {
		if err := outbox.Finish(ctx, tx, claim); err != nil {
			return err
		}
		_, err := request.SaveOutcomes(ctx, tx, claim.Organization, outcomes)
		return err
	}))
	s.queue.PublishFinished(ctx, args.Requests)
}

// Log returns what was logged so far.
func (s *Server) Log() string { return s.log.String() }

// Main runs the tests and fails when they leave goroutines behind. GORM starts
// one per connection that nothing can stop.
func Main(m *testing.M) {
	goleak.VerifyTestMain(m, goleak.IgnoreTopFunction("gorm.io/gorm/internal/lru.NewLRU[...].func1"))
}

// Must ends the test on an error.
func Must(t testing.TB, err error) {
	t.Helper()
	if err != nil {
		t.Fatal(err)
	}
}

// safeBuffer is a buffer that several goroutines write to.
type safeBuffer struct {
	mu     sync.Mutex
	buffer bytes.Buffer
}

func (b *safeBuffer) Write(p []byte) (int, error) {
	b.mu.Lock()
	defer b.mu.Unlock()
	return b.buffer.Write(p)
}

func (b *safeBuffer) String() string {
	b.mu.Lock()
	defer b.mu.Unlock()
	return b.buffer.String()
}
