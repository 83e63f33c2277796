//go:build unix

package main

import (
	"context"
	"encoding/base64"
	"errors"
	"fmt"
	"math/rand/v2"
	"os"
	"slices"
	"strings"
	"sync"
	"time"

	"usersync/internal/colleague"
	"usersync/internal/identity"
	"usersync/internal/store"
	"usersync/internal/tenant"
	"usersync/internal/usersync"
)

// The cost curve: the same work beside more and more stored requests, users and
// people. Figures that do not depend on what else the machine does (pages,
// statements and CPU a request) tell more than times.

const (
	// growthMost is how much dearer something may be at the largest size than at
	// the smallest.
	growthMost = 1.5
	// curveReaders is how many callers read at once.
	curveReaders = 4
)

// figure is one measured value at one size.
type figure struct {
	what string
	// value is in the unit that what names; rate says that more is better.
	value float64
	rate  bool
	text  string
}

// curve measures at each size and prints one table.
func (b *bench) curve(ctx context.Context) (err error) {
	p, err := b.launch(ctx, deployed, "curve")
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, p.stop()) }()
	var header []string
	var columns [][]figure
	filled := 0
	for _, size := range b.sizes {
		progress("filling up to %s stored requests", whole(float64(size)))
		began := time.Now()
		if err := p.database.roomFor(ctx, size-filled); err != nil {
			return err
		}
		if err := p.database.fill(ctx, p.tenant.id, filled, size); err != nil {
			return err
		}
		filled = size
		progress("filled in %.0f s", time.Since(began).Seconds())
		column, err := p.measureAt(ctx, size)
		if err != nil {
			return fmt.Errorf("at %d stored requests: %w", size, err)
		}
		bytes, err := p.database.size(ctx)
		if err != nil {
			return fmt.Errorf("ask for the size of the database: %w", err)
		}
		columns = append(columns, append(column, figure{what: "database, GiB", text: fmt.Sprintf("%.2f", float64(bytes)/(1<<30))}))
		header = append(header, whole(float64(size)))
		b.report.curve = curveTable(header, columns)
		progress("so far\n%s", b.report.curve.text())
	}
	return b.explain(ctx, p)
}

// curveTable has a row for each figure and a column for each size.
func curveTable(sizes []string, columns [][]figure) table {
	t := table{header: append(append([]string{"with stored requests"}, sizes...), "growth", "≤ 1.5")}
	for i, first := range columns[0] {
		row := []string{first.what}
		for _, c := range columns {
			row = append(row, c[i].text)
		}
		last := columns[len(columns)-1][i]
		growth, verdict := "", ""
		if first.value > 0 && last.value > 0 {
			g := last.value / first.value
			if first.rate {
				g = 1 / g
			}
			growth, verdict = fmt.Sprintf("%.2f", g), yesNo(g <= growthMost)
		}
		t.rows = append(t.rows, append(row, growth, verdict))
	}
	return t
}

func (d *database) size(ctx context.Context) (bytes int64, err error) {
	return bytes, d.QueryRowContext(ctx, "SELECT pg_database_size(current_database())").Scan(&bytes)
}

// measureAt takes the figures of one size.
func (p *product) measureAt(ctx context.Context, size int) ([]figure, error) {
	work, err := p.curveWork(ctx)
	if err != nil {
		return nil, err
	}
	requests := func(path string) func(*rand.Rand) string { return func(*rand.Rand) string { return path } }
	ids, err := p.database.some(ctx, "SELECT id FROM requests WHERE organization_id = $1 AND id >= 'req_01k' || lpad(floor(random() * $2)::bigint::text, 7, '0') ORDER BY id LIMIT 1", p.tenant.id, size)
	if err != nil {
		return nil, err
	}
	// Of the users that are half as old as all or less: they have nine or ten requests
	// at every size.
	emails, err := p.database.some(ctx, `SELECT u.email FROM (SELECT floor($2::bigint * (0.5 + random() / 2))::bigint AS n) AS x
		JOIN users u ON u.organization_id = $1 AND u.email_key = 'u' || x.n || '@' || `+companyText, p.tenant.id, users(size))
	if err != nil {
		return nil, err
	}
	cursors := make([]string, len(ids))
	for i, id := range ids {
		cursors[i] = base64.RawURLEncoding.EncodeToString([]byte(id))
	}
	one := func(all []string, format string) func(*rand.Rand) string {
		return func(r *rand.Rand) string { return fmt.Sprintf(format, all[r.IntN(len(all))]) }
	}
	all := work
	for _, read := range []struct {
		what string
		path func(*rand.Rand) string
	}{
		{"GET /v1/requests/{id}", one(ids, "/v1/requests/%s")},
		{"list of 50 requests, newest", requests("/v1/requests?limit=50")},
		{"list of 50 requests from anywhere", one(cursors, "/v1/requests?limit=50&cursor=%s")},
		{"list of one user's requests", one(emails, "/v1/requests?limit=50&email=%s")},
		{"list of a user's with ever more requests", requests("/v1/requests?limit=50&email=" + busyUser)},
		{"list of requests that failed (none)", requests("/v1/requests?limit=50&status=failed")},
		{"list of requests that succeeded", requests("/v1/requests?limit=50&status=succeeded")},
		{"list of queued requests (none)", requests("/v1/requests?limit=50&status=queued")},
		{"list of requests being processed (none)", requests("/v1/requests?limit=50&status=processing")},
		{"list of bulks (none)", requests("/v1/requests?limit=50&kind=platform-bulk")},
	} {
		figures, err := p.curveRead(ctx, read.what, read.path)
		if err != nil {
			return nil, fmt.Errorf("%s: %w", read.what, err)
		}
		all = append(all, figures...)
	}
	search, err := p.curveSearch(ctx)
	return append(all, search...), err
}

// curveWork sends at full speed and waits for the last webhook.
func (p *product) curveWork(ctx context.Context) ([]figure, error) {
	progress("  requests at full speed")
	d, u, err := p.atFullSpeed(ctx, 1, fullSpeedClients)
	if err != nil {
		return nil, err
	}
	if d.missing > 0 {
		return nil, errors.New(d.note())
	}
	n := float64(len(d.waits))
	var cpu, server float64
	for i, one := range p.parts {
		used := inMillis(u.parts[i].CPU)
		cpu += used
		if one.name == "PostgreSQL" {
			server = used
		}
	}
	p.bench.hot = u.statements
	p.bench.hotFor = len(d.waits)
	finished := n / d.last.Sub(d.started).Seconds()
	return append([]figure{
		{"accepted/s, 64 clients", d.perSecond(), true, whole(d.perSecond())},
		{"end to end/s", finished, true, whole(finished)},
		number("CPU of all processes, ms/request", cpu/n),
		number("CPU of PostgreSQL, ms/request", server/n),
	}, countedFigures("request", u.statements, len(d.waits))...), nil
}

func number(what string, value float64) figure {
	return figure{what: what, value: value, text: fmt.Sprintf("%.3f", value)}
}

// countedFigures are what PostgreSQL counted for n of something.
func countedFigures(of string, s statements, n int) []figure {
	if s == nil {
		return nil
	}
	t := s.total()
	return []figure{
		number("SQL statements a "+of, float64(t.calls)/float64(n)),
		number("pages a "+of, float64(t.pages)/float64(n)),
	}
}

// some runs a query for one value many times.
func (d *database) some(ctx context.Context, query string, args ...any) ([]string, error) {
	out := make([]string, 500)
	for i := range out {
		if err := d.QueryRowContext(ctx, countOwn+query, args...).Scan(&out[i]); err != nil {
			return nil, fmt.Errorf("choose what is read: %w", err)
		}
	}
	return out, nil
}

// curveRead reads for half the length of a measurement.
func (p *product) curveRead(ctx context.Context, what string, path func(*rand.Rand) string) ([]figure, error) {
	progress("  %s", what)
	var times []time.Duration
	ran, err := p.database.during(ctx, func() (err error) {
		times, err = p.read(ctx, p.bench.measure/2, path)
		return err
	})
	if err != nil {
		return nil, err
	}
	return p.timesOf(what, times, ran), nil
}

func (p *product) timesOf(what string, times []time.Duration, s statements) []figure {
	p50, p99 := percentile(times, 50), percentile(times, 99)
	figures := []figure{
		{what: what + ", p50 ms", value: inMillis(p50), text: millis(p50)},
		{what: what + ", p99 ms", text: millis(p99)}, // a tail on a busy machine is not judged
	}
	if s != nil {
		figures = append(figures, number(what+", pages", float64(s.total().pages)/float64(len(times))))
	}
	return figures
}

// read has some callers GET what path says, one after the other, and returns
// how long each took, sorted.
func (p *product) read(ctx context.Context, length time.Duration, path func(*rand.Rand) string) ([]time.Duration, error) {
	var mu sync.Mutex
	var wg sync.WaitGroup
	var all []time.Duration
	var failed error
	started := time.Now()
	for n := range curveReaders {
		wg.Go(func() {
			times, err := p.readOne(ctx, rand.New(rand.NewPCG(1, uint64(n))), started.Add(length), path)
			mu.Lock()
			defer mu.Unlock()
			all, failed = append(all, times...), errors.Join(failed, err)
		})
	}
	wg.Wait()
	slices.Sort(all)
	return all, failed
}

func (p *product) readOne(ctx context.Context, random *rand.Rand, until time.Time, path func(*rand.Rand) string) (times []time.Duration, err error) {
	c, err := dialClient(ctx, p.addr, p.tenant.key, 1)
	if err != nil {
		return nil, err
	}
	defer func() { err = errors.Join(err, c.conn.Close()) }()
	for ctx.Err() == nil && (len(times) == 0 || time.Now().Before(until)) {
		request := fmt.Appendf(nil, "GET %s HTTP/1.1\r\nHost: %s\r\nX-API-Key: %s\r\n\r\n", path(random), p.addr, p.tenant.key)
		began := time.Now()
		status, err := c.exchange(request)
		if err != nil {
			return times, err
		}
		if status != 200 {
			return times, fmt.Errorf("read: answered with %d %s", status, c.answer.Body)
		}
		times = append(times, time.Since(began))
	}
	return times, ctx.Err()
}

// curveSearch times the colleague search for users of the big company, where
// the pipeline calls it.
func (p *product) curveSearch(ctx context.Context) (_ []figure, err error) {
	const what = "colleague search, big company"
	progress("  %s", what)
	s, err := store.Open(ctx, store.Options{URL: usersync.NewSecret(p.database.url), MaxConns: 4})
	if err != nil {
		return nil, fmt.Errorf("open the store: %w", err)
	}
	defer func() { err = errors.Join(err, s.Close()) }()
	var times []time.Duration
	ran, err := p.database.during(ctx, func() (err error) {
		times, err = searchFor(ctx, s.Org(p.tenant.id), p.bench.measure/2)
		return err
	})
	if err != nil {
		return nil, err
	}
	return p.timesOf(what, times, ran), nil
}

// searchFor searches one after the other for a time and returns how long each
// search took, sorted.
func searchFor(ctx context.Context, org *store.Org, length time.Duration) (times []time.Duration, err error) {
	search := colleague.Search{Own: []colleague.Source{colleague.Users{}, colleague.Directory{}}}
	random := rand.New(rand.NewPCG(3, 4))
	titles := []string{"Software Engineer", "Account Executive", "Accountant", "Recruiter", "Legal Counsel"}
	for until := time.Now().Add(length); len(times) == 0 || time.Now().Before(until); {
		email, err := identity.ParseEmail(fmt.Sprintf("new%d@%s", len(times), bigCompany))
		if err != nil {
			return nil, fmt.Errorf("make an address: %w", err)
		}
		began := time.Now()
		_, err = search.Run(ctx, org, tenant.Settings{}, []colleague.Target{{
			Email: email, Name: "New Comer", Country: []string{"US", "DE", "NO"}[random.IntN(3)], JobTitle: titles[random.IntN(len(titles))],
		}})
		if err != nil {
			return nil, fmt.Errorf("search for %s: %w", email, err)
		}
		times = append(times, time.Since(began))
	}
	slices.Sort(times)
	return times, nil
}

// explain writes the page of hot statements, as they are planned now.
func (b *bench) explain(ctx context.Context, p *product) (err error) {
	if b.explained == "" {
		return nil
	}
	s, err := store.Open(ctx, store.Options{URL: usersync.NewSecret(p.database.url), MaxConns: 4})
	if err != nil {
		return fmt.Errorf("open the store: %w", err)
	}
	defer func() { err = errors.Join(err, s.Close()) }()
	plans, err := plansOf(ctx, s, store.Definitions())
	if err != nil {
		return err
	}
	var page strings.Builder
	writePlans(&page, b, plans)
	if err := os.WriteFile(b.explained, []byte(page.String()), 0o644); err != nil { //nolint:gosec // a page for everyone to read
		return fmt.Errorf("write the page of plans: %w", err)
	}
	return nil
}
