//go:build unix

package e2e

import (
	"testing"
	"time"

	"usersync/internal/store"
)

// The receiver answers nothing, so the process cannot finish its deliveries:
// it hands them back, ends in good order, and the next life delivers them as
// if nothing had happened.
func TestStopBurnsNoAttempt(t *testing.T) {
	t.Parallel()
	e := newEmbedded(t, "SHUTDOWN_TIMEOUT=4s")
	e.start(t)
	n := e.tenant(t)
	n.pause()
	for range 40 {
		n.send(t.Context(), n.batch)
	}
	await(t, time.Minute, "deliveries are under way", func() bool { return n.waiting() > 0 }, func() string { return n.describe(t) })
	held := n.waiting()
	took := e.stop(t)
	t.Logf("ended %s after SIGTERM with %d deliveries under way", took.Round(time.Millisecond), held)

	n.release()
	e.start(t)
	n.open(t, store.Options{Dir: e.dir})
	n.drained(t, drainWithin)
	f := &faults{}
	for id, r := range n.audit(t) {
		for _, w := range r.Webhooks {
			if w.EndpointID == n.endpoint && w.Attempts != 1 {
				f.add("delivery needed more than one attempt", "%s of %s: %d", w.Type, id, w.Attempts)
			}
		}
		for _, s := range r.Steps {
			if s.Attempts != 1 {
				f.add("step needed more than one attempt", "%s of %s: %d", s.Name, id, s.Attempts)
			}
		}
	}
	f.report(t)
	e.stop(t)
}
