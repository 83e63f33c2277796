package app

import (
	"context"
	"time"

	"usersync/internal/api"
	"usersync/internal/api/directory"
	"usersync/internal/api/event"
	"usersync/internal/api/manage"
	"usersync/internal/api/marketing"
	"usersync/internal/api/native"
	"usersync/internal/api/scim"
	"usersync/internal/connectors"
	"usersync/internal/console"
	"usersync/internal/console/session"
	"usersync/internal/intake"
	"usersync/internal/issuer"
	"usersync/internal/lookup"
	"usersync/internal/mail"
	"usersync/internal/management"
	"usersync/internal/management/fields"
	"usersync/internal/management/followups"
	"usersync/internal/management/pulse"
	"usersync/internal/outbound"
	"usersync/internal/password"
	"usersync/internal/provider"
	"usersync/internal/providers"
	"usersync/internal/pusher"
	"usersync/internal/registration"
)

func (a *App) buildAPI(guard *outbound.Guard) {
	a.Batcher = intake.New(intake.Options{Store: a.Store, Metrics: a.metrics, Log: a.o.Log, MaxWaiting: a.cfg.MaxWaiting})
	a.waiters = intake.NewWaiters(a.Store, a.Queue, a.o.Log)
	a.metrics.OnScrape("waiters", func(context.Context) error {
		a.metrics.CallsWaiting.Set(float64(a.waiters.Waiting()))
		return nil
	})
	o := api.Options{Store: a.Store, Batcher: a.Batcher, Waiters: a.waiters, Metrics: a.metrics, Log: a.o.Log}
	if !a.cfg.Embedded() {
		o.Exchange = a.Queue.Consumption().Exchange
	}
	a.edge = api.New(o)
	a.dialects = a.dialectsOf(guard)
	a.edge.Mount(a.dialects...)
	a.edge.Mount(api.Documentation{Dialects: a.dialects}.Dialect())
	a.edge.Mount(a.console.Dialects()...)
	a.api.server.RegisterOnShutdown(a.console.EndStreams)
	a.api.server.Handler = a.edge
}

// mailWithin is how long a mail server may take to accept an invitation. The caller
// waits for that.
const mailWithin = 15 * time.Second

// The bounds of fetching the keys that an issuer of tokens serves.
const (
	issuerWithin = 2 * time.Second
	maxKeySet    = 256 << 10 // bytes
)

func (a *App) mail(guard *outbound.Guard) *mail.Sender {
	return &mail.Sender{Guard: guard, Roots: a.o.MailRoots, Timeout: mailWithin}
}

// dialectsOf lists the dialects: THE LIST.
func (a *App) dialectsOf(guard *outbound.Guard) []api.Dialect {
	operations := &management.Service{
		Store: a.Store, Guard: guard, Mail: a.mail(guard),
		Platforms: connectors.Platforms, Hub: a.hub,
		Queues: a.Queue,
	}
	users := &native.Handlers{Management: operations}
	campaigns := &marketing.Handlers{
		Management: operations,
		Open:       (&pusher.Pusher{Store: a.Store, FindPlatform: connectors.Find, Hub: a.hub}).OpenWith,
	}
	a.issuers = &outbound.Client{Guard: guard, Timeout: issuerWithin, MaxResponse: maxKeySet, UserAgent: "usersync/" + a.version()}
	a.identities = &outbound.Client{Guard: guard, Timeout: lookup.Within, MaxResponse: provider.MaxAnswer, UserAgent: "usersync/" + a.version()}
	a.recorder = lookup.NewRecorder(a.Store, a.o.Log)
	lookups := &directory.Handlers{
		Lookup:       &lookup.Service{Store: a.Store, Keys: a.Keys, Recorder: a.recorder, Providers: providers.New(a.identities, a.Queue.Limiter())},
		Registration: &registration.Service{Keys: a.Keys, Passwords: password.NewHasher(), Recorder: a.recorder},
		Tokens:       &issuer.Checker{Served: &issuer.KeySets{HTTP: a.issuers}},
	}
	reports := &event.Handlers{Management: operations, Keys: a.Keys}
	administration := &manage.Handlers{Management: operations, FollowUps: &followups.Service{Guard: operations.Guard},
		Fields: &fields.Service{FindPlatform: connectors.Find, Hub: a.hub}, AdminToken: a.cfg.AdminToken}
	a.console = console.New(console.Options{Management: operations, FollowUps: administration.FollowUps, Fields: administration.Fields,
		Pulse: &pulse.Service{}, Sessions: session.NewManager(a.Store), AdminToken: a.cfg.AdminToken})
	return append([]api.Dialect{users.Dialect(), campaigns.Dialect(), reports.Dialect(), lookups.Dialect(), (&scim.Handlers{}).Dialect()}, administration.Dialects()...)
}

// buildOperations serves the operations routes on their own port, or else on the port
// of the API.
func (a *App) buildOperations() {
	operations := api.Operations{
		Checks: []api.Check{
			{Name: "database", Check: a.Store.CheckMigrated},
			// The API accepts while Redis is away; a worker cannot work.
			{Name: "queue", Check: func(ctx context.Context) error { return a.Queue.Accepts(ctx) }, Optional: a.o.Role != Worker},
			{Name: "eviction", Check: a.Queue.KeepsAll, Optional: true},
		},
		Metrics: a.metrics.Handler(),
	}
	if a.ops == nil {
		a.edge.Mount(operations.Dialect())
		return
	}
	edge := api.New(api.Options{Metrics: a.metrics, Log: a.o.Log})
	edge.Mount(operations.Dialect())
	a.ops.server.Handler = edge
}
