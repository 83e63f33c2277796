// Package apptest runs the whole program inside a test. It is the same App as in the
// binary, on free ports, on both engines.
package apptest

import (
	"context"
	"crypto/rand"
	"crypto/x509"
	"io"
	"log/slog"
	"net/netip"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"usersync/internal/app"
	"usersync/internal/config"
	"usersync/internal/store"
	"usersync/internal/store/storetest"
	"usersync/internal/telemetry"
	"usersync/internal/usersync"
	"usersync/internal/verify"
)

// Environment is an engine with a fresh database and a queue of its own, in which an
// App runs. Several Apps may run in a deployed one.
type Environment struct {
	Engine    string
	Config    config.Config
	Schema    string
	Namespace string
	// MailRoots are the authorities that are trusted for the mail servers of the
	// test.
	MailRoots *x509.CertPool
	// Breaker can break connections to the database, if it is set.
	Breaker *storetest.Breaker
	// Breaks names the rules of internal/verify that the test breaks on purpose. The
	// database that it leaves keeps the others.
	Breaks []string
}

// Engines are the two modes of the program.
var Engines = []string{"embedded", "deployed"}

// Each runs a test in both environments, in parallel.
func Each(t *testing.T, test func(t *testing.T, e *Environment)) {
	t.Helper()
	for _, engine := range Engines {
		t.Run(engine, func(t *testing.T) {
			t.Parallel()
			test(t, New(t, engine))
		})
	}
}

// New makes an environment. The test fails if a server that it needs is missing.
func New(t *testing.T, engine string) *Environment {
	t.Helper()
	e := &Environment{Engine: engine, Namespace: "t" + strings.ToLower(rand.Text()[:12]), Config: config.Config{
		Addr: "127.0.0.1:0", DataDir: t.TempDir(), AdminToken: config.NewAdminToken(), SealingKeys: config.NewSealingKeys(),
		WorkerConcurrency: 8, MaxWaiting: 4096, ShutdownTimeout: 10 * time.Second, DatabaseMaxConns: 8,
		EgressAllow: []netip.Prefix{netip.MustParsePrefix("127.0.0.0/8"), netip.MustParsePrefix("::1/128")},
	}}
	if engine == "embedded" {
		t.Cleanup(func() { e.sound(t, store.Options{Dir: e.Config.DataDir}) })
		return e
	}
	o := storetest.Options(t, "postgres")
	redis := os.Getenv("TEST_REDIS_URL")
	if redis == "" {
		t.Fatal("TEST_REDIS_URL is not set: run the tests with `make test`, which starts a Redis server, or point it to one")
	}
	e.Config.DatabaseURL, e.Config.RedisURL, e.Schema = o.URL, usersync.NewSecret(redis), o.Schema
	storetest.Open(t, o)
	t.Cleanup(func() { e.sound(t, o) })
	return e
}

// sound fails the test when it leaves anything in the database that must not be there.
func (e *Environment) sound(t *testing.T, o store.Options) {
	t.Helper()
	if _, err := os.Stat(filepath.Join(o.Dir, "usersync.db")); o.URL.IsZero() && err != nil {
		return // no App was started
	}
	o.ReadOnly, o.MaxConns = true, 1
	s, err := store.Open(context.Background(), o)
	if err != nil {
		t.Error(err)
		return
	}
	defer func() { _ = s.Close() }()
	findings, err := verify.Run(context.Background(), s)
	if err != nil {
		t.Error(err)
	}
	for _, f := range findings {
		if len(f.Breaches) > 0 && !slices.Contains(e.Breaks, f.Name) {
			t.Errorf("not so: %s: %v", f.Name, f.Breaches)
		}
	}
}

// Running is an App that runs until Stop or the end of the test.
type Running struct {
	*app.App
	stop context.CancelFunc
	done chan error
}

// Start runs an App in the environment.
func (e *Environment) Start(t *testing.T, role app.Role) *Running {
	t.Helper()
	cfg := e.Config
	if role == app.Worker {
		cfg.OpsAddr = "127.0.0.1:0"
	}
	log := slog.New(slog.DiscardHandler)
	if testing.Verbose() {
		log = telemetry.NewLogger(logWriter{t}, slog.LevelInfo)
	}
	ctx, cancel := context.WithCancel(context.Background())
	o := app.Options{Role: role, Log: log, Stdout: io.Discard, Schema: e.Schema, Namespace: e.Namespace, MailRoots: e.MailRoots}
	if e.Breaker != nil {
		o.WrapDatabase = e.Breaker.Wrap
	}
	a, err := app.New(ctx, &cfg, o)
	if err != nil {
		cancel()
		t.Fatal(err)
	}
	r := &Running{App: a, stop: cancel, done: make(chan error, 1)}
	go func() { r.done <- a.Run(ctx) }()
	t.Cleanup(func() { r.Stop(t) })
	return r
}

// Stop shuts the App down softly, once.
func (r *Running) Stop(t *testing.T) {
	t.Helper()
	if r.done == nil {
		return
	}
	r.stop()
	if err := <-r.done; err != nil {
		t.Errorf("the app ended with %v", err)
	}
	r.done = nil
}

type logWriter struct{ t *testing.T }

func (w logWriter) Write(line []byte) (int, error) {
	if w.t.Context().Err() == nil {
		w.t.Log(strings.TrimSpace(string(line)))
	}
	return len(line), nil
}

// Eventually waits until ok holds, at most a minute.
func Eventually(t *testing.T, what string, ok func() bool) {
	t.Helper()
	deadline := time.Now().Add(time.Minute)
	pause := time.Millisecond
	for !ok() {
		if time.Now().After(deadline) {
			t.Fatalf("after a minute still not: %s", what)
		}
		time.Sleep(pause)
		pause = min(2*pause, 200*time.Millisecond)
	}
}
