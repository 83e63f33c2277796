//go:build unix

package chaos

import (
	"net/http"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"usersync/internal/connector/fakeplatform"
	"usersync/test/system"
)

// world is everything that a fault can happen to.
type world struct {
	*system.Deployment
	operator        *system.Client
	postgres, redis *detour
	platform        *platform
	// tenants are those that harm nobody. The first is for canaries, and the last is the
	// neighbour, by whom is measured what the others are in for.
	tenants []*tenant
	harmful *harmful
}

// strike lets a fault begin and returns what ends it; nil where it is over.
func (w *world) strike(t *testing.T, p planned) (end func()) {
	t.Helper()
	name, _, _ := strings.Cut(p.name, " (")
	part, _, _ := strings.Cut(name, " ")
	switch part {
	case "none":
		return nil
	case "api":
		return w.end(t, w.APIs[p.victim], name)
	case "worker":
		return w.end(t, w.Workers[p.victim], name)
	case "redis":
		return w.strikeRedis(t, name)
	case "webhook", "webhooks":
		return w.strikeReceivers(t, name)
	case "platform":
		return w.strikePlatform(t, name)
	}
	return w.strikePostgres(t, name)
}

func (w *world) end(t *testing.T, victim *system.Program, name string) (end func()) {
	t.Helper()
	switch {
	case strings.HasSuffix(name, "paused"):
		victim.Pause(t)
		return func() { victim.Resume(t) }
	case strings.HasSuffix(name, "stopped"):
		victim.Stop(t)
	default:
		victim.Kill()
	}
	return func() { victim.Start(t) }
}

// slowness is how much later everything arrives on a slow way.
const slowness = 40 * time.Millisecond

func (w *world) strikeRedis(t *testing.T, name string) (end func()) {
	t.Helper()
	switch name {
	case "redis flushed":
		system.Must(t, w.Redis.FlushAll(t.Context()))
		return nil
	case "redis killed, starts empty":
		system.Must(t, w.Redis.Kill())
		return func() { system.Must(t, w.Redis.Start(t.Context())) }
	case "redis stopped, starts empty":
		system.Must(t, w.Redis.Terminate())
		return func() { system.Must(t, w.Redis.Restart(t.Context())) }
	case "redis paused":
		system.Must(t, w.Redis.Pause())
		return func() { system.Must(t, w.Redis.Resume()) }
	case "redis connections cut":
		w.redis.cut(t)
		return nil
	case "redis lost a half":
		w.forgetHalf(t)
		return nil
	case "redis evicts":
		return w.evict(t)
	case "redis slow":
		return w.redis.slow(t, slowness)
	}
	t.Fatalf("nobody knows how to inflict %q", name)
	return nil
}

// losses is how many answers to commits are lost in a row.
const losses = 12

func (w *world) strikePostgres(t *testing.T, name string) (end func()) {
	t.Helper()
	switch name {
	case "postgres restarted, immediate":
		system.Must(t, w.Postgres.StopImmediate())
		system.Must(t, w.Postgres.Start(t.Context()))
		return nil
	case "postgres killed":
		system.Must(t, w.Postgres.Kill())
		return func() { system.Must(t, w.Postgres.Start(t.Context())) }
	case "postgres stopped": // no new connections, then none
		system.Must(t, w.Postgres.Terminate())
		return func() { system.Must(t, w.Postgres.Restart(t.Context())) }
	case "postgres paused":
		system.Must(t, w.Postgres.Pause())
		return func() { system.Must(t, w.Postgres.Resume()) }
	case "postgres connections cut":
		w.postgres.cut(t)
		return nil
	case "postgres statements cancelled":
		return w.cancelling(t)
	case "postgres read-only":
		return w.readOnly(t)
	case "postgres rows locked":
		return w.lockRows(t)
	case "postgres slow":
		return w.postgres.slow(t, slowness)
	case "answers to commits lost":
		before := losing.count.Load()
		losing.next.Store(losses)
		return func() {
			losing.next.Store(0)
			happened(t, name, int(losing.count.Load()-before))
		}
	}
	t.Fatalf("nobody knows how to inflict %q", name)
	return nil
}

// strikeReceivers has all receivers of webhooks misbehave.
func (w *world) strikeReceivers(t *testing.T, name string) (end func()) {
	t.Helper()
	over := make(chan struct{})
	var met atomic.Int64
	amiss := func(rw http.ResponseWriter, r *http.Request) bool {
		met.Add(1)
		switch name {
		case "webhooks answered after 2 s":
			wait(r, over, 2*time.Second)
			return false
		case "webhooks answered with 500":
			http.Error(rw, "out of order", http.StatusInternalServerError)
		case "webhooks redirected":
			http.Redirect(rw, r, "/elsewhere", http.StatusPermanentRedirect)
		case "webhooks not answered":
			wait(r, over, time.Minute)
			panic(http.ErrAbortHandler)
		default: // reset
			panic(http.ErrAbortHandler)
		}
		return true
	}
	for _, n := range w.tenants {
		n.Misbehave(amiss)
	}
	return func() {
		close(over)
		for _, n := range w.tenants {
			n.Misbehave(nil)
		}
		happened(t, name, int(met.Load()))
	}
}

// happened fails the test for a fault that nobody met.
func happened(t *testing.T, name string, met int) {
	t.Helper()
	if met == 0 {
		t.Errorf("%s: nobody met the fault", name)
	}
	t.Logf("%s: met %d times", name, met)
}

// wait holds a call for a while, until its caller goes or the fault is over.
func wait(r *http.Request, over <-chan struct{}, while time.Duration) {
	timer := time.NewTimer(while)
	defer timer.Stop()
	select {
	case <-timer.C:
	case <-over:
	case <-r.Context().Done():
	}
}

func (w *world) strikePlatform(t *testing.T, name string) (end func()) {
	t.Helper()
	fault, ok := map[string]fakeplatform.Fault{
		"platform answers 503":   {Status: http.StatusServiceUnavailable},
		"platform throttles":     {Status: http.StatusTooManyRequests, RetryAfter: "1"},
		"platform drops answers": {Drop: true},
		"platform slow":          {HangMS: 1000},
	}[name]
	if !ok {
		t.Fatalf("nobody knows how to inflict %q", name)
	}
	before := w.platform.State(platformName).Calls
	w.platform.Break(platformName, fault)
	return func() {
		w.platform.Break(platformName)
		happened(t, name, w.platform.State(platformName).Calls-before)
	}
}
