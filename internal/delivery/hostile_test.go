package delivery_test

import (
	"log/slog"
	"net/netip"
	"slices"
	"sync"
	"testing"
	"time"

	"usersync/internal/delivery"
	"usersync/internal/outbound"
	"usersync/internal/outbound/hostile"
	"usersync/internal/store"
	"usersync/internal/store/storetest"
	"usersync/internal/telemetry"
	"usersync/internal/webhooksig"
)

// TestAHostileReceiverHoldsItsSlotNoLongerThanAnAttemptLasts checks that a task ends in
// time whatever its endpoint answers, and that what is no answer is tried again.
func TestAHostileReceiverHoldsItsSlotNoLongerThanAnAttemptLasts(t *testing.T) {
	t.Parallel()
	storetest.Engines(t, func(t *testing.T, fresh func() *store.Store) {
		s := fresh()
		for some := range slices.Chunk(hostile.Servers(), 40) { // an organization may have 50 endpoints
			deliverTo(t, open(t, s, nil), some)
		}
	})
}

func deliverTo(t *testing.T, o *office, servers []hostile.Server) {
	t.Helper()
	const timeout = 500 * time.Millisecond
	client := &outbound.Client{Guard: &outbound.Guard{Allow: []netip.Prefix{netip.MustParsePrefix("127.0.0.0/8")}}, Timeout: timeout, MaxResponse: 64 << 10}
	t.Cleanup(client.Close)
	service := &delivery.Service{Store: o.store, Client: client, Metrics: telemetry.NewMetrics(), Log: slog.New(slog.DiscardHandler)}
	for _, h := range service.Handlers() {
		o.handlers[h.Kind] = h
	}
	ids := make([]string, len(servers))
	for i, s := range servers {
		running := s.Start(t)
		client.RootCAs = running.Roots // all have the same
		e, err := delivery.CreateEndpoint(t.Context(), o.org, "test", delivery.Endpoint{URL: running.URL, EventTypes: []string{"test"}}, webhooksig.NewSecret())
		must(t, err)
		ids[i] = o.send(e.ID, 1)[0]
	}
	jobs, err := o.take(t.Context())
	must(t, err)
	if len(jobs) != len(servers) {
		t.Fatalf("%d tasks for %d servers", len(jobs), len(servers))
	}
	var working sync.WaitGroup
	start := time.Now()
	for _, j := range jobs {
		working.Go(func() {
			if err := o.work(j); err != nil {
				t.Error(err)
			}
		})
	}
	working.Wait()
	if took := time.Since(start); took > timeout+5*time.Second {
		t.Errorf("it took %v", took)
	}
	for i, s := range servers {
		// A machine that is busy may see no answer where there is one.
		if d := o.delivery(ids[i]); d.Status == delivery.Delivered && !s.Answered || d.Status == delivery.Failed || len(d.Attempts) != 1 {
			t.Errorf("%s: %s after %+v", s.Name, d.Status, d.Attempts)
		}
	}
}
