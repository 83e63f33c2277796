//go:build unix

package main

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"time"
)

// Fairness: one organization has very much to do, another sends a request now
// and then and should hardly notice.

const (
	// fairEvery is the pause between the requests of the small organization.
	fairEvery = 100 * time.Millisecond
	// fairMost is how many times as long the small one may wait beside the large
	// one as alone, at the 99th percentile.
	fairMost = 5
	// fairBatch and fairClients are how the large one sends: as fast as it can.
	fairBatch   = 500
	fairClients = 4
)

// fairness measures the small organization's requests from sending to webhook,
// first alone, then beside the backlog.
func (b *bench) fairness(ctx context.Context) (err error) {
	p, err := b.launch(ctx, deployed, "fair")
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, p.stop()) }()
	small, err := p.small(ctx)
	if err != nil {
		return err
	}
	defer small.receiver.stop()
	progress("the small organization alone")
	alone, err := small.measure(ctx)
	if err != nil {
		return err
	}
	progress("%d requests of the large organization", b.backlog)
	o, err := p.send(ctx, load{clients: fairClients, batch: fairBatch, length: runWithin, most: int64(max(b.backlog/fairBatch, 1))})
	if err != nil {
		return err
	}
	first, err := p.database.unfinished(ctx, p.tenant.id)
	if err != nil {
		return err
	}
	progress("the small organization beside %d unfinished requests", first)
	before, err := p.look(ctx)
	if err != nil {
		return err
	}
	beside, err := small.measure(ctx)
	if err != nil {
		return err
	}
	after, err := p.look(ctx)
	if err != nil {
		return err
	}
	last, err := p.database.unfinished(ctx, p.tenant.id)
	if err != nil {
		return err
	}
	b.report.fairness(fairRun{accepted: o.users(), first: first, last: last, alone: alone, beside: beside})
	b.report.statements(after.statements.since(before.statements), first-last+len(beside.waits))
	if last == 0 {
		return errors.New("the backlog was worked off before the small organization was done: take a larger -fairness or a shorter -seconds")
	}
	return nil
}

// small is the organization that sends now and then.
type small struct {
	*product
	tenant   *tenant
	receiver *process
	hooks    string
	sent     int64
}

func (p *product) small(ctx context.Context) (*small, error) {
	receiver, hooks, err := p.bench.serveRole(ctx, roleReceiver)
	if err != nil {
		return nil, err
	}
	t, err := p.another(ctx, hooks)
	if err != nil {
		receiver.stop()
		return nil, err
	}
	return &small{product: p, tenant: t, receiver: receiver, hooks: hooks}, nil
}

// measure sends for the length of a measurement and waits for the webhooks.
func (s *small) measure(ctx context.Context) (accounts, error) {
	perSecond := float64(time.Second) / float64(fairEvery)
	o, err := s.sendAs(ctx, s.tenant, load{clients: 16, due: evenly(perSecond), length: s.bench.measure, most: unlimited})
	if err != nil {
		return accounts{}, err
	}
	s.sent += int64(o.users())
	arrived, err := s.awaitAt(ctx, s.receiver, s.hooks, s.sent)
	if err != nil {
		return accounts{}, err
	}
	// From sending, not from the answer: being accepted is part of the wait.
	for i := range o.samples {
		o.samples[i].answered = o.samples[i].answered.Add(-o.samples[i].latency)
	}
	a := account(o.samples, arrived)
	if a.missing > 0 {
		return a, errors.New(a.note(len(o.samples)))
	}
	return a, nil
}

// unfinished counts the requests of an organization that are not at their end.
func (d *database) unfinished(ctx context.Context, organization string) (n int, err error) {
	return n, d.QueryRowContext(ctx, countOwn+"SELECT count(*) FROM requests WHERE organization_id = $1 AND finished_at = 0", organization).Scan(&n)
}

// fairRun is what came out.
type fairRun struct {
	accepted, first, last int
	alone, beside         accounts
}

func (r *report) fairness(f fairRun) {
	row := func(what string, queued string, a accounts) {
		r.fair = append(r.fair, []string{
			what, queued, fmt.Sprint(len(a.waits)), millis(percentile(a.waits, 50)), millis(percentile(a.waits, 95)), millis(percentile(a.waits, 99)), millis(slices.Max(a.waits)),
		})
	}
	row("alone", "0", f.alone)
	row("beside a large one", fmt.Sprintf("%s to %s", whole(float64(f.first)), whole(float64(f.last))), f.beside)
	r.goalAtMost("p99 of a small organization, beside a large one / alone", fairMost,
		float64(percentile(f.beside.waits, 99))/float64(percentile(f.alone.waits, 99)))
}
