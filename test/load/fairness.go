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
	// fairLength is how many times as long as others this measurement is: its
	// requests are few, and the one in a hundred is asked for.
	fairLength = 4
	// fairMost is how many times as long the small one may wait beside the large
	// one as alone, at the 99th percentile.
	fairMost = 5
	// fairBatch and fairClients are how the large one sends: as fast as it can.
	fairBatch   = 500
	fairClients = 4
	// fairPile is the least it sends at a time: what is sent in less time than it
	// is worked off piles up nothing.
	fairPile = 20_000
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
	first, err := p.pileUp(ctx)
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
	theirs, err := askReceiver(ctx, p.hooks, "/arrivals")
	if err != nil {
		return err
	}
	b.report.fairness(fairRun{first: first, last: last, alone: alone, beside: beside, meanwhile: meanwhile(beside, theirs)})
	b.report.statements(after.statements.since(before.statements), first-last+len(beside.waits))
	if last == 0 {
		progress("the backlog was worked off before the small organization was done: take a larger -fairness or a shorter -seconds")
	}
	return nil
}

// pileUp sends until the large organization has its backlog, as workers go on
// with it meanwhile, and returns how long it is.
func (p *product) pileUp(ctx context.Context) (queued int, err error) {
	for missing := p.bench.backlog; missing > 0; missing = p.bench.backlog - queued {
		progress("the large organization has %d requests to do; %d more", queued, missing)
		calls := max(missing, fairPile) / fairBatch
		if _, err := p.send(ctx, load{clients: fairClients, batch: fairBatch, length: runWithin, most: int64(calls)}); err != nil {
			return 0, err
		}
		if queued, err = p.database.unfinished(ctx, p.tenant.id); err != nil {
			return 0, err
		}
	}
	return queued, nil
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

// fairWaits are requests from sending to webhook, being accepted included.
type fairWaits struct {
	from, to []time.Time
	waits    []time.Duration // sorted
}

// measure sends for the length of a measurement and waits for the webhooks.
func (s *small) measure(ctx context.Context) (w fairWaits, err error) {
	perSecond := float64(time.Second) / float64(fairEvery)
	o, err := s.sendAs(ctx, s.tenant, load{clients: 16, due: evenly(perSecond), length: fairLength * s.bench.measure, most: unlimited})
	if err != nil {
		return w, err
	}
	s.sent += int64(o.users())
	arrived, err := s.awaitAt(ctx, s.receiver, s.hooks, s.sent)
	if err != nil {
		return w, err
	}
	if a := account(o.samples, arrived); a.missing > 0 {
		return w, errors.New(a.note())
	}
	for _, one := range o.samples {
		from, to := one.answered.Add(-one.latency), time.Unix(0, arrived.Arrivals[one.ids[0]].At)
		w.from, w.to, w.waits = append(w.from, from), append(w.to, to), append(w.waits, to.Sub(from))
	}
	slices.Sort(w.waits)
	return w, nil
}

// meanwhile returns how many requests of others ended during each wait, sorted:
// how far one is put off, whatever the machine's speed.
func meanwhile(w fairWaits, others *received) []int {
	ends := make([]int64, 0, len(others.Arrivals))
	for _, a := range others.Arrivals {
		ends = append(ends, a.At)
	}
	slices.Sort(ends)
	out := make([]int, len(w.from))
	for i := range w.from {
		first, _ := slices.BinarySearch(ends, w.from[i].UnixNano())
		last, _ := slices.BinarySearch(ends, w.to[i].UnixNano())
		out[i] = last - first
	}
	slices.Sort(out)
	return out
}

// unfinished counts the requests of an organization that are not at their end.
func (d *database) unfinished(ctx context.Context, organization string) (n int, err error) {
	return n, d.QueryRowContext(ctx, countOwn+"SELECT count(*) FROM requests WHERE organization_id = $1 AND finished_at = 0", organization).Scan(&n)
}

// fairRun is what came out.
type fairRun struct {
	first, last   int // unfinished requests of the large organization
	alone, beside fairWaits
	meanwhile     []int
}

func (r *report) fairness(f fairRun) {
	row := func(what string, queued string, w fairWaits, meanwhile string) {
		r.fair = append(r.fair, []string{
			what, queued, fmt.Sprint(len(w.waits)), millis(percentile(w.waits, 50)), millis(percentile(w.waits, 95)), millis(percentile(w.waits, 99)),
			millis(slices.Max(w.waits)), meanwhile,
		})
	}
	row("alone", "0", f.alone, "")
	row("beside a large one", fmt.Sprintf("%s to %s", whole(float64(f.first)), whole(float64(f.last))), f.beside,
		fmt.Sprintf("%d, %d", percentile(f.meanwhile, 50), percentile(f.meanwhile, 99)))
	r.goalAtMost("p99 of a small organization, beside a large one / alone", fairMost,
		float64(percentile(f.beside.waits, 99))/float64(percentile(f.alone.waits, 99)))
}
