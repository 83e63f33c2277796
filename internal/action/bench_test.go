package action_test

import (
	"context"
	"fmt"
	"log/slog"
	"testing"

	"usersync/internal/colleague"
	"usersync/internal/delivery"
	"usersync/internal/fairness"
	"usersync/internal/followup"
	"usersync/internal/followup/catalog"
	"usersync/internal/intake"
	"usersync/internal/outbox"
	"usersync/internal/pipeline"
	"usersync/internal/queue"
	"usersync/internal/queue/embedded"
	"usersync/internal/request"
	"usersync/internal/roomtest"
	"usersync/internal/store/storetest"
	"usersync/internal/telemetry"
	"usersync/internal/usersync"
)

// BenchmarkAcceptAndRun shows what an event costs beside a user-sync: accepted alone, and
// run in the batches that form. One of the user-syncs is of people without colleagues, which
// leads to nothing; the other is what they are for: it finds colleagues, is charged, and a
// webhook endpoint is told. The events are about the same people.
// Followed events are asked about 1,000 follow-ups, none of which they set off.
func BenchmarkAcceptAndRun(b *testing.B) {
	for _, engine := range []string{"sqlite", "postgres"} {
		for _, kind := range []string{"user-sync-alone", "user-sync", "event", "followed-event"} {
			b.Run(engine+"/"+kind, func(b *testing.B) { acceptAndRun(b, engine, kind) })
		}
	}
}

func acceptAndRun(b *testing.B, engine, kind string) {
	s := storetest.Open(b, storetest.Options(b, engine))
	redis, err := embedded.Start()
	if err != nil {
		b.Fatal(err)
	}
	b.Cleanup(redis.Close)
	q, err := queue.Connect(queue.Options{URL: redis.URL(), Namespace: "b", Log: slog.New(slog.DiscardHandler)})
	if err != nil {
		b.Fatal(err)
	}
	b.Cleanup(func() { _ = q.Close() })
	n := roomtest.New(b, s, 1_000_000)
	service := &pipeline.Service{Turns: fairness.NewTurns(&fairness.Presence{}), Store: s, Queue: q, Log: slog.New(slog.DiscardHandler), Metrics: telemetry.NewMetrics(),
		Search: &colleague.Search{Own: []colleague.Source{colleague.Users{}}}}
	handlers := map[string]queue.Handler{}
	for _, h := range service.Handlers() {
		handlers[h.Kind] = h
	}
	if kind == "followed-event" {
		follow(b, n, 1000)
	}
	if kind != "user-sync-alone" {
		_, err := delivery.CreateEndpoint(b.Context(), n.Org(n.Organization.ID), "test", delivery.Endpoint{URL: "https://hooks.example.com/", EventTypes: []string{delivery.EveryMessage}}, usersync.NewSecret("s"))
		if err != nil {
			b.Fatal(err)
		}
	}
	b.ResetTimer()
	for i := range b.N {
		company := i % 5000
		if kind != "user-sync-alone" {
			company /= 50
		}
		a := n.Acceptance(fmt.Sprintf("user%d@company%d.example.com", i%5000, company))
		if kind == "event" || kind == "followed-event" {
			a.Kind, a.Event = request.KindEvent, &intake.NewEvent{Type: string(followup.UserUpdate), Attributes: map[string]any{"firstname": "F", "size": "42"}}
		}
		if err := intake.Accept(b.Context(), s, []*intake.Submission{n.Submission(a)}); err != nil {
			b.Fatal(err)
		}
		if i%64 == 63 || i == b.N-1 {
			drain(b, n, handlers)
		}
	}
}

func follow(b *testing.B, n roomtest.Tenant, count int) {
	b.Helper()
	for i := range count {
		p, err := followup.Parse(fmt.Appendf(nil, `{"name":"f%d","trigger":{"type":"user/update"},"condition":{"all":[{"field":"attributes.size","equals":%d},{"field":"profile.country","equals":"NL"}]},
			"actions":[{"type":"add-tag","tags":["t"]}]}`, i, 1000+i))
		if err != nil {
			b.Fatal(err)
		}
		if _, err := catalog.Create(b.Context(), n.Org(n.Organization.ID), "test", p.Definition, catalog.Active); err != nil {
			b.Fatal(err)
		}
	}
}

func drain(b *testing.B, n roomtest.Tenant, handlers map[string]queue.Handler) {
	b.Helper()
	taken, err := outbox.TakeReady(b.Context(), n.Store, queue.Run, "", outbox.Shares{Slots: 1000, Key: 1000}, 1)
	if err != nil {
		b.Fatal(err)
	}
	for len(taken) > 0 {
		for _, e := range taken {
			h := handlers[e.Kind]
			claim := h.Claim
			if claim == nil {
				claim = func(ctx context.Context, id string, generation int64) (usersync.Claim, bool, error) {
					return outbox.ClaimCoalesced(ctx, n.Store, id, generation, h.Coalesce)
				}
			}
			c, ok, err := claim(b.Context(), e.ID, e.Generation)
			if err != nil {
				b.Fatal(err)
			}
			if ok {
				if err := h.Work(b.Context(), c); err != nil {
					b.Fatal(err)
				}
			}
		}
		if taken, err = outbox.TakeReady(b.Context(), n.Store, queue.Run, "", outbox.Shares{Slots: 1000, Key: 1000}, 1); err != nil {
			b.Fatal(err)
		}
	}
}
