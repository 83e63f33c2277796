//go:build unix

package main

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"time"

	"usersync/test/system"
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
	defer stop(small.receiver.Process)
	progress("the small organization alone")
	run := fairRun{}
	if run.alone, err = p.measureFair(ctx, small); err != nil {
		return err
	}
	if run.first, err = p.pileUp(ctx); err != nil {
		return err
	}
	progress("the small organization beside %d unfinished requests", run.first)
	u, err := p.during(ctx, func() (err error) {
		run.beside, err = p.measureFair(ctx, small)
		return err
	})
	if err != nil {
		return err
	}
	if run.last, err = p.database.unfinished(ctx, p.tenant.id); err != nil {
		return err
	}
	theirs, err := p.tenant.receiver.arrivals(ctx)
	if err != nil {
		return err
	}
	run.meanwhile = meanwhile(run.beside, theirs)
	b.report.fairness(run)
	b.report.statements("beside the backlog", u.statements, run.first-run.last+len(run.beside.waits))
	if run.last == 0 {
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
		if _, err := p.send(ctx, p.tenant, load{clients: fairClients, batch: fairBatch, length: runWithin, most: int64(calls)}); err != nil {
			return 0, err
		}
		if queued, err = p.database.unfinished(ctx, p.tenant.id); err != nil {
			return 0, err
		}
	}
	return queued, nil
}

// small makes the organization that sends now and then, with a receiver of its
// own.
func (p *product) small(ctx context.Context) (*benchTenant, error) {
	r, err := p.bench.receive(ctx)
	if err != nil {
		return nil, err
	}
	t, err := p.makeTenant(ctx, r)
	if err == nil {
		err = p.prepareTenant(ctx, t)
	}
	if err != nil {
		stop(r.Process)
		return nil, err
	}
	return t, nil
}

// fairWaits are requests from sending to webhook, being accepted included.
type fairWaits struct {
	from, to []time.Time
	waits    []time.Duration // sorted
}

// measureFair has the small organization send for the length of a measurement and
// waits for the webhooks.
func (p *product) measureFair(ctx context.Context, small *benchTenant) (w fairWaits, err error) {
	perSecond := float64(time.Second) / float64(fairEvery)
	d, err := p.deliver(ctx, small, load{clients: 16, due: evenly(perSecond), length: fairLength * p.bench.measure, most: unlimited})
	if err != nil {
		return w, err
	}
	if d.missing > 0 {
		return w, errors.New(d.note())
	}
	for _, one := range d.samples {
		from, to := one.answered.Add(-one.latency), d.arrivals[one.ids[0]].Time()
		w.from, w.to, w.waits = append(w.from, from), append(w.to, to), append(w.waits, to.Sub(from))
	}
	slices.Sort(w.waits)
	return w, nil
}

// meanwhile returns how many requests of others ended during each wait, sorted:
// how far one is put off, whatever the machine's speed.
func meanwhile(w fairWaits, others system.Received) []int {
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
	err = d.QueryRowContext(ctx, countOwn+"SELECT count(*) FROM requests WHERE organization_id = $1 AND finished_at = 0", organization).Scan(&n)
	if err != nil {
		return 0, fmt.Errorf("count what is unfinished: %w", err)
	}
	return n, nil
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
