//go:build unix

package main

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"time"

	"usersync/test/services"
	"usersync/test/system"
)

const (
	// fullSpeedClients are as many callers as keep the service busy.
	fullSpeedClients = 64
	// fullSpeedMost bounds the requests sent for each second of a measurement,
	// so that the webhooks of all of them come in time.
	fullSpeedMost = 12000
	// webhooksWithin is how long the last webhook may take after the last 202.
	webhooksWithin = time.Minute
	// countEvery is how often the receiver is asked how far it is.
	countEvery = 200 * time.Millisecond
	// idleFor is how long the statements of an idle service are counted: what is done each
	// minute belongs to them. idleBriefly is enough to see whether that can be counted.
	idleFor     = time.Minute
	idleBriefly = 10 * time.Second
)

// steadyRates are the steady loads, in requests a second: what most installations
// have.
var steadyRates = []float64{50, 200}

// endToEnd measures from the request to its webhook.
func (b *bench) endToEnd(ctx context.Context) error { return b.eachWay(ctx, "deliver", b.endToEndOne) }

func (b *bench) endToEndOne(ctx context.Context, p *product) error {
	for _, form := range forms {
		for _, clients := range b.clients {
			if err := p.fullSpeed(ctx, form, clients); err != nil {
				return err
			}
		}
	}
	return p.steadily(ctx)
}

// steady measures the steady loads alone.
func (b *bench) steady(ctx context.Context) error {
	p, err := b.launch(ctx, deployed, "deliver")
	if err != nil {
		return err
	}
	return errors.Join(p.steadily(ctx), p.stop())
}

// steadily measures the steady loads, checks all that was done until then, and leaves
// the installation idle.
func (p *product) steadily(ctx context.Context) error {
	for _, rate := range steadyRates {
		if err := p.steady(ctx, rate); err != nil {
			return err
		}
	}
	p.bench.report.memory(p, "")
	if err := p.check(ctx); err != nil {
		return err
	}
	if err := p.idle(ctx); err != nil || p.database == nil || p.bench.measure < measuresMany {
		return err
	}
	return p.many(ctx)
}

// measuresMany is from which length of a measurement on many endpoints are measured too.
const measuresMany = 2 * time.Second

// fullSpeed sends calls of form users as fast as it can and measures until the
// last webhook.
func (p *product) fullSpeed(ctx context.Context, form, clients int) error {
	progress("%s: end to end, %d clients%s", p.name, clients, many(form))
	d, used, err := p.atFullSpeed(ctx, form, clients)
	if err != nil {
		return err
	}
	r := p.bench.report
	rate := r.endToEnd(p.name, form, clients, d.outcome, d.accounts)
	r.job(p, job{load: fmt.Sprintf("%d clients%s", clients, many(form)), form: form, clients: clients, delivered: rate}, d, used)
	if form == 1 && clients == fullSpeedClients {
		r.statements("full speed", used.statements, len(d.waits))
	}
	return nil
}

// atFullSpeed sends calls of form users as fast as it can, waits for the last
// webhook and returns what that took.
func (p *product) atFullSpeed(ctx context.Context, form, clients int) (d delivered, u used, err error) {
	l := load{clients: clients, batch: form, length: p.bench.measure, most: unlimited}
	u, err = p.during(ctx, func() (err error) {
		d, err = p.deliver(ctx, p.tenant, l)
		return err
	})
	return d, u, err
}

// steady sends evenly, well below what the service can do.
func (p *product) steady(ctx context.Context, rate float64) error {
	progress("%s: end to end at %g/s", p.name, rate)
	var d delivered
	u, err := p.during(ctx, func() (err error) {
		d, err = p.deliver(ctx, p.tenant, load{clients: fullSpeedClients, due: evenly(rate), length: p.bench.measure, most: unlimited})
		return err
	})
	if err != nil {
		return err
	}
	r := p.bench.report
	r.steady(p.name, rate, d.outcome, d.accounts)
	r.job(p, job{load: fmt.Sprintf("steady %g/s", rate), steady: rate, delivered: d.perSecond()}, d, u)
	r.statements(fmt.Sprintf("steady %g/s", rate), u.statements, len(d.waits))
	return nil
}

// used is what an installation used for some work.
type used struct {
	parts      []services.Usage // by part: the CPU of the work, the memory after it
	statements statements
	counters   counters
}

// during returns what the installation uses while work is done.
func (p *product) during(ctx context.Context, work func() error) (u used, err error) {
	var before []services.Usage
	var counted counters
	if err := p.countAllocations(ctx, &counted); err != nil {
		return u, err
	}
	u.statements, err = p.database.during(ctx, func() error {
		if err := p.countServers(ctx, &counted); err != nil {
			return err
		}
		if before, err = useOf(p.parts); err != nil {
			return err
		}
		if err := work(); err != nil {
			return err
		}
		if u.parts, err = useOf(p.parts); err != nil {
			return err
		}
		return p.countServers(ctx, &u.counters)
	})
	if err != nil {
		return u, err
	}
	err = p.countAllocations(ctx, &u.counters)
	u.counters = u.counters.since(counted)
	for i := range u.parts {
		u.parts[i].CPU -= before[i].CPU
	}
	return u, err
}

// delivered is a load whose webhooks have come, or have not for webhooksWithin.
type delivered struct {
	*outcome
	accounts
	arrivals map[string]system.Arrival // by request
}

// deliver sends a load of an organization and waits for its webhooks.
func (p *product) deliver(ctx context.Context, t *benchTenant, l load) (d delivered, err error) {
	if d.outcome, err = p.send(ctx, t, l); err != nil {
		return d, err
	}
	arrived, err := t.awaitWebhooks(ctx)
	if err != nil {
		return d, err
	}
	d.arrivals, d.accounts = arrived.Arrivals, account(d.samples, arrived)
	return d, nil
}

// awaitWebhooks waits until a webhook has come of every accepted request, or
// webhooksWithin has passed, and returns what came.
func (t *benchTenant) awaitWebhooks(ctx context.Context) (system.Received, error) {
	until := time.Now().Add(webhooksWithin)
	err := services.Poll(ctx, countEvery, func() (bool, error) {
		r, err := t.receiver.count(ctx)
		return int64(r.Requests) >= t.accepted || time.Now().After(until), err
	})
	if err != nil {
		return system.Received{}, fmt.Errorf("wait for webhooks: %w", err)
	}
	return t.receiver.arrivals(ctx)
}

// accounts say what became of accepted requests.
type accounts struct {
	accepted int             // requests
	missing  int             // no webhook came
	repeated int             // more than one came
	foreign  int             // webhook ids beyond one for each request; every attempt should carry the same
	waits    []time.Duration // from the 202 to the webhook, sorted
	last     time.Time       // webhook
}

func account(samples []sample, r system.Received) accounts {
	a := accounts{foreign: r.Messages - r.Requests}
	for _, s := range samples {
		for _, id := range s.ids {
			one, came := r.Arrivals[id]
			a.count(s.answered, one, came)
		}
	}
	slices.Sort(a.waits)
	return a
}

// count adds a request that was answered, and the arrival of its webhook, if one
// came.
func (a *accounts) count(answered time.Time, one system.Arrival, came bool) {
	a.accepted++
	if !came {
		a.missing++
		return
	}
	if one.Count > 1 {
		a.repeated++
	}
	at := one.Time()
	a.waits = append(a.waits, at.Sub(answered))
	if at.After(a.last) {
		a.last = at
	}
}

func (a accounts) note() string {
	if a.missing == 0 && a.repeated == 0 && a.foreign == 0 {
		return fmt.Sprintf("all %d once", a.accepted)
	}
	return fmt.Sprintf("of %d: %d without webhook, %d with more than one; %d webhook ids too many", a.accepted, a.missing, a.repeated, a.foreign)
}

// idle counts the SQL statements and the commands at Redis of a service that has
// nothing to do.
func (p *product) idle(ctx context.Context) error {
	if p.database == nil {
		return nil
	}
	progress("%s: idle", p.name)
	length := idleFor
	if p.bench.measure < measuresMany {
		length = idleBriefly
	}
	u, err := p.during(ctx, func() error { return services.Sleep(ctx, length) })
	if err != nil {
		return err
	}
	p.bench.report.idle(p, u, length)
	return nil
}
