//go:build unix

package main

import (
	"bufio"
	"context"
	"fmt"
	"net/http"
	"regexp"
	"strconv"
	"strings"
	"time"
)

// counters are what an installation and its servers have counted.
type counters struct {
	commits  int64            // transactions that wrote
	walBytes int64            // of PostgreSQL's log
	redis    int64            // commands, those inside of scripts too
	scripts  int64            // run by Redis
	allocs   map[string]int64 // by part
}

// since returns what was counted after before.
func (c counters) since(before counters) counters {
	out := counters{
		commits: c.commits - before.commits, walBytes: c.walBytes - before.walBytes,
		redis: c.redis - before.redis, scripts: c.scripts - before.scripts, allocs: map[string]int64{},
	}
	for name, n := range c.allocs {
		out.allocs[name] = n - before.allocs[name]
	}
	return out
}

// countAllocations reads what the parts have allocated. Asking for it makes them ask
// their servers: it is done before the servers' counters are first read, and after they
// are read again.
func (p *product) countAllocations(ctx context.Context, c *counters) (err error) {
	c.allocs = map[string]int64{}
	for _, one := range p.parts {
		if one.operations == "" {
			continue
		}
		if c.allocs[one.name], err = allocations(ctx, one.operations); err != nil {
			return err
		}
	}
	return nil
}

// countServers reads the counters of the servers, which nobody else uses.
func (p *product) countServers(ctx context.Context, c *counters) error {
	if p.database == nil {
		return nil
	}
	err := p.database.QueryRowContext(ctx, countOwn+`SELECT pg_snapshot_xmax(pg_current_snapshot())::text::bigint, pg_current_wal_insert_lsn() - '0/0'`).
		Scan(&c.commits, &c.walBytes)
	if err != nil {
		return fmt.Errorf("read the counters of PostgreSQL: %w", err)
	}
	facts, err := askRedis(ctx, p.bench.redis)
	if err != nil {
		return fmt.Errorf("read the counters of Redis: %w", err)
	}
	c.redis, err = strconv.ParseInt(facts["total_commands_processed"], 10, 64)
	if err != nil {
		return fmt.Errorf("read the counters of Redis: %w", err)
	}
	c.scripts = callsOf(facts["cmdstat_evalsha"]) + callsOf(facts["cmdstat_eval"])
	return nil
}

var calls = regexp.MustCompile(`^calls=(\d+),`)

// callsOf reads a line of the section commandstats; there is none of a command that
// was never called.
func callsOf(line string) int64 {
	m := calls.FindStringSubmatch(line)
	if m == nil {
		return 0
	}
	n, _ := strconv.ParseInt(m[1], 10, 64) // digits
	return n
}

// allocations returns how many objects a process has allocated.
func allocations(ctx context.Context, operations string) (int64, error) {
	return metric(ctx, operations, "go_memstats_mallocs_total")
}

// metric reads a metric of a process, which has no labels.
func metric(ctx context.Context, operations, name string) (int64, error) {
	request, err := http.NewRequestWithContext(ctx, http.MethodGet, "http://"+operations+"/metrics", nil)
	if err != nil {
		return 0, fmt.Errorf("ask for the metrics: %w", err)
	}
	response, err := http.DefaultClient.Do(request) //nolint:gosec // our own process
	if err != nil {
		return 0, fmt.Errorf("ask for the metrics: %w", err)
	}
	defer func() { _ = response.Body.Close() }()
	lines := bufio.NewScanner(response.Body)
	for lines.Scan() {
		if value, ok := strings.CutPrefix(lines.Text(), name+" "); ok {
			n, err := strconv.ParseFloat(value, 64)
			return int64(n), err
		}
	}
	return 0, fmt.Errorf("the metrics of %s do not tell %s: %w", operations, name, lines.Err())
}

var jobHeader = []string{
	"a request, found two colleagues and charged", "accepted/s", "delivered/s", "p50 ms", "p99 ms", "CPU ms", "by part",
	"statements", "commits", "WAL records", "WAL KB", "Redis commands", "scripts", "allocations",
}

// job is one load end to end.
type job struct {
	load      string
	form      int
	clients   int
	steady    float64 // requests a second; 0 at full speed
	delivered float64 // a second
}

// job adds what one request of a load took, and the goals of that load.
func (r *report) job(p *product, j job, d delivered, u used) {
	n := float64(max(len(d.waits), 1))
	var cpu time.Duration
	var parts, allocs []string
	for i, one := range p.parts {
		cpu += u.parts[i].CPU
		parts = append(parts, fmt.Sprintf("%s %.2f", one.name, inMillis(u.parts[i].CPU)/n))
		if one.operations != "" {
			allocs = append(allocs, fmt.Sprintf("%s %.0f", one.name, float64(u.counters.allocs[one.name])/n))
		}
	}
	row := []string{
		p.name + ", " + j.load, whole(d.perSecond()), whole(j.delivered), millis(percentile(d.waits, 50)), millis(percentile(d.waits, 99)),
		fmt.Sprintf("%.2f", inMillis(cpu)/n), strings.Join(parts, ", "), "", "", "", "", "", "", strings.Join(allocs, ", "),
	}
	statements, redis := 0.0, float64(u.counters.redis)/n
	if p.database != nil {
		t := u.statements.total()
		statements = float64(t.calls) / n
		copy(row[7:], []string{
			fmt.Sprintf("%.2f", statements), fmt.Sprintf("%.2f", float64(u.counters.commits)/n), fmt.Sprintf("%.1f", float64(t.wal)/n),
			fmt.Sprintf("%.2f", float64(u.counters.walBytes)/1000/n), fmt.Sprintf("%.2f", redis), fmt.Sprintf("%.2f", float64(u.counters.scripts)/n),
		})
	}
	r.jobs = append(r.jobs, row)
	r.jobGoals(p, j, d, inMillis(cpu)/n, statements, float64(u.counters.commits)/n, redis)
}

// jobGoals adds the goals of a load.
func (r *report) jobGoals(p *product, j job, d delivered, cpu, statements, commits, redis float64) {
	p50, p99 := inMillis(percentile(d.waits, 50)), inMillis(percentile(d.waits, 99))
	what := p.name + ", " + j.load + ": "
	switch {
	case p.name == embedded && j.form == 1 && j.clients == fullSpeedClients:
		r.goalAtLeast(what+"delivered/s", 2500, j.delivered)
	case p.name != deployed:
	case j.steady == 50:
		r.goalAtMost(what+"CPU ms", 2.5, cpu)
	case j.steady == 200:
		r.goalAtMost(what+"CPU ms", 1.5, cpu)
		r.goalAtMost(what+"statements", 7, statements)
		r.goalAtMost(what+"commits", 3, commits)
		r.goalAtMost(what+"commands at Redis", 10, redis)
		r.goalAtMost(what+"p50 ms", 10, p50)
		r.goalAtMost(what+"p99 ms", 30, p99)
	case j.form == 1 && j.clients == fullSpeedClients:
		r.goalAtMost(what+"CPU ms", 0.40, cpu)
		r.goalAtLeast(what+"accepted/s", 5000, d.perSecond())
		r.goalAtLeast(what+"delivered/s", 3400, j.delivered)
	case j.form == 1 && j.clients == 16:
		r.goalAtLeast(what+"delivered/s", 2500, j.delivered)
	case j.form == batchSize && j.clients == fullSpeedClients:
		r.goalAtLeast(what+"users accepted/s", 8000, d.perSecond())
		r.goalAtMost(what+"CPU ms a user", 0.35, cpu)
	}
}

// memory adds what the parts hold after the loads, and beside what.
func (r *report) memory(p *product, beside string) {
	all, err := useOf(p.parts)
	if err != nil {
		return // a process that has ended fails the run elsewhere
	}
	for i, one := range p.parts {
		r.rss = append(r.rss, []string{p.name + ", " + one.name + beside, mebi(all[i].RSS), one.peakOf(all[i])})
		if one.name == "api" || one.name == "worker" {
			r.goalAtMost("memory of "+one.name+beside+", MiB", 150, float64(all[i].Peak)/(1<<20))
		}
	}
}
