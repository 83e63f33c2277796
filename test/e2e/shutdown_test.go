//go:build unix

package e2e

import (
	"testing"
	"time"

	"usersync/internal/store"
	"usersync/test/system"
)

// The receiver answers nothing, so the process cannot finish its deliveries:
// it hands them back, ends in good order, and the next life delivers them as
// if nothing had happened.
func TestStopBurnsNoAttempt(t *testing.T) {
	t.Parallel()
	e := newEmbedded(t, "SHUTDOWN_TIMEOUT=4s")
	e.Start(t)
	n := e.tenant(t)
	n.Pause()
	for range 40 {
		n.send(t.Context(), n.batch)
	}
	system.Await(t, time.Minute, "deliveries are under way", func() bool { return n.Waiting() > 0 }, func() string { return n.describe(t) })
	held := n.Waiting()
	took := e.Stop(t)
	t.Logf("ended %s after SIGTERM with %d deliveries under way", took.Round(time.Millisecond), held)

	n.Release()
	e.Start(t)
	n.open(t, store.Options{Dir: e.dir})
	n.ended(t, drainWithin)
	n.drained(t, drainWithin)
	f := &system.Faults{}
	for id, r := range n.audit(t) {
		for _, w := range r.Webhooks {
			if w.EndpointID == n.Endpoint && w.Attempts != 1 {
				f.Add("delivery needed more than one attempt", "%s of %s: %d", w.Type, id, w.Attempts)
			}
		}
		for _, s := range r.Steps {
			// An unchanged or skipped platform has none, and the demo's SendGrid,
			// which ends with us, forgets the jobs that it took.
			if s.Attempts > 1 && s.Platform != "sendgrid" {
				f.Add("step needed more than one attempt", "%s of %s: %d", s.Name, id, s.Attempts)
			}
		}
	}
	f.Report(t)
	e.Stop(t)
}
