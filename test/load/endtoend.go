//go:build unix

package main

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"time"
)

const (
	// fullSpeedClients are as many callers as keep the service busy.
	fullSpeedClients = 64
	// fullSpeedMost bounds the requests sent for each second of a measurement,
	// so that the webhooks of all of them come in time.
	fullSpeedMost = 8000
	// steadyRate is the steady load, in requests a second.
	steadyRate = 200
	// webhooksWithin is how long the last webhook may take after the last 202.
	webhooksWithin = time.Minute
	// countEvery is how often the receiver is asked how far it is.
	countEvery = 200 * time.Millisecond
	// idleFor is how long the statements of an idle service are counted.
	idleFor = 5 * time.Second
)

// endToEnd measures from the request to its webhook.
func (b *bench) endToEnd(ctx context.Context) error {
	for _, way := range ways {
		if err := b.endToEndOne(ctx, way); err != nil {
			return err
		}
	}
	return nil
}

func (b *bench) endToEndOne(ctx context.Context, way string) (err error) {
	progress("%s: starting afresh", way)
	p, err := b.launch(ctx, way, "deliver")
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, p.stop()) }()
	for _, form := range forms {
		for _, clients := range p.bench.clients {
			if err := p.fullSpeed(ctx, form, clients); err != nil {
				return err
			}
		}
	}
	if err := p.steady(ctx); err != nil {
		return err
	}
	return p.idle(ctx)
}

// fullSpeed sends calls of form users as fast as it can and measures until the
// last webhook.
func (p *product) fullSpeed(ctx context.Context, form, clients int) error {
	progress("%s: end to end, %d clients%s", p.name, clients, many(form))
	before, err := p.look(ctx)
	if err != nil {
		return err
	}
	seconds := int64(p.bench.measure / time.Second)
	o, err := p.send(ctx, load{clients: clients, batch: form, length: p.bench.measure, most: fullSpeedMost * seconds / int64(form)})
	if err != nil {
		return err
	}
	arrived, err := p.awaitWebhooks(ctx)
	if err != nil {
		return err
	}
	after, err := p.look(ctx)
	if err != nil {
		return err
	}
	a := account(o.samples, arrived)
	r := p.bench.report
	r.endToEnd(p.name, form, clients, o, a)
	if form == 1 && clients == fullSpeedClients {
		r.costs(p, before.use, after.use, len(a.waits))
		r.statements(after.statements.since(before.statements), len(a.waits))
	}
	return nil
}

// steady sends evenly, well below what the service can do.
func (p *product) steady(ctx context.Context) error {
	progress("%s: end to end at %d/s", p.name, steadyRate)
	o, err := p.send(ctx, load{clients: fullSpeedClients, due: evenly(steadyRate), length: p.bench.measure, most: unlimited})
	if err != nil {
		return err
	}
	arrived, err := p.awaitWebhooks(ctx)
	if err != nil {
		return err
	}
	p.bench.report.steady(p.name, o, account(o.samples, arrived))
	return nil
}

// reading is what an installation has used until a moment.
type reading struct {
	use        []usage // by part
	statements statements
}

func (p *product) look(ctx context.Context) (r reading, err error) {
	if r.statements, err = p.database.statements(ctx); err != nil {
		return r, err
	}
	r.use, err = useOf(p.parts)
	return r, err
}

// awaitWebhooks waits until a webhook has come of every accepted request, or
// webhooksWithin has passed without the last one.
func (p *product) awaitWebhooks(ctx context.Context) (*received, error) {
	return p.awaitAt(ctx, p.receiver, p.hooks, p.accepted)
}

// awaitAt waits until a receiver has been told of a number of requests.
func (p *product) awaitAt(ctx context.Context, receiver *process, hooks string, accepted int64) (*received, error) {
	ctx, cancel := context.WithTimeout(ctx, 2*webhooksWithin)
	defer cancel()
	until := time.Now().Add(webhooksWithin)
	for {
		r, err := askReceiver(ctx, hooks, "/count")
		if err != nil {
			return nil, err
		}
		if int64(r.Requests) >= accepted || time.Now().After(until) {
			return askReceiver(ctx, hooks, "/arrivals")
		}
		select {
		case <-ctx.Done():
			return nil, ctx.Err()
		case <-receiver.done:
			return nil, errors.New("the receiver ended")
		case <-time.After(countEvery):
		}
	}
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

func account(samples []sample, r *received) accounts {
	a := accounts{foreign: r.Messages - r.Requests}
	for _, s := range samples {
		for _, id := range s.ids {
			a.count(s.answered, r.Arrivals[id])
		}
	}
	slices.Sort(a.waits)
	return a
}

// count adds a request that was answered, and the arrival of its webhook; nil
// where none came.
func (a *accounts) count(answered time.Time, one *arrival) {
	a.accepted++
	if one == nil {
		a.missing++
		return
	}
	if one.Count > 1 {
		a.repeated++
	}
	at := time.Unix(0, one.At)
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

// idle counts the SQL statements of a service that has nothing to do.
func (p *product) idle(ctx context.Context) error {
	if p.database == nil {
		return nil
	}
	progress("%s: idle", p.name)
	before, err := p.database.statements(ctx)
	if err != nil {
		return err
	}
	select {
	case <-ctx.Done():
		return ctx.Err()
	case <-time.After(idleFor):
	}
	after, err := p.database.statements(ctx)
	if err != nil {
		return err
	}
	p.bench.report.idle(after.since(before))
	return nil
}
