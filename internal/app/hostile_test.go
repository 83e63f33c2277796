package app_test

import (
	"testing"
	"time"

	"usersync/internal/app"
	"usersync/internal/app/apptest"
	"usersync/internal/delivery"
	"usersync/internal/outbound/hostile"
	"usersync/internal/webhooksig"
)

// TestAWorkerEndsWhileReceiversAreHostile checks that the end of a process waits for no
// receiver, whatever it answers: not for those attempts that would go on for 15 s.
func TestAWorkerEndsWhileReceiversAreHostile(t *testing.T) {
	t.Parallel()
	apptest.Each(t, func(t *testing.T, e *apptest.Environment) {
		e.Config.ShutdownTimeout = 2 * time.Second
		e.Config.WorkerConcurrency = 100 // all receivers hold a slot at the same time
		a := e.Start(t, app.All)
		n := newTenant(t, a, 100)
		var running []*hostile.Running
		for i, s := range hostile.Servers() {
			if i%50 == 0 && i > 0 {
				n.send(t, 1)
				n = newTenant(t, a, 100) // an organization may have 50 endpoints
			}
			r := s.Start(t)
			running = append(running, r)
			_, err := delivery.CreateEndpoint(t.Context(), a.Store.Org(n.org.ID), "test", delivery.Endpoint{URL: r.URL, EventTypes: []string{"user_sync.completed"}}, webhooksig.NewSecret())
			if err != nil {
				t.Fatal(err)
			}
		}
		n.send(t, 1)
		for _, r := range running {
			<-r.Reached()
		}
		start := time.Now()
		a.Stop(t)
		if took := time.Since(start); took > 8*time.Second {
			t.Errorf("it took %v to end", took)
		}
	})
}
