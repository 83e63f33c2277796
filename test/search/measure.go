//go:build unix

package main

import (
	"context"
	"fmt"
	"math"
	"math/rand/v2"
	"os"
	"slices"
	"strings"
	"syscall"
	"text/tabwriter"
	"time"

	"usersync/internal/colleague"
	"usersync/internal/identity"
	"usersync/internal/tenant"
)

// smallOrganization is how many people the organization has that the large one
// is compared with.
const smallOrganization = 300

// batchOf is how many users the pipeline searches for at once at most.
const batchOf = 64

func (d *database) measure(ctx context.Context, o options) error {
	var organizations []tenant.Organization
	for _, n := range []int{o.people, smallOrganization} {
		made, err := tenant.Create(ctx, d.store, "search", tenant.Organization{Name: fmt.Sprint(n)})
		if err != nil {
			return fmt.Errorf("make an organization: %w", err)
		}
		began := time.Now()
		if err := d.fill(ctx, made, n); err != nil {
			return err
		}
		fmt.Fprintf(os.Stderr, "search: %s: %d people stored in %.0f s\n", d.name, n, time.Since(began).Seconds())
		organizations = append(organizations, made)
	}
	if err := d.settle(ctx); err != nil {
		return err
	}
	fmt.Printf("\n## %s\n\nload average before the searches: %s\n\n", d.name, loadAverage())
	if err := d.search(ctx, o, organizations[0].ID, organizations[1].ID); err != nil {
		return err
	}
	return d.explain(ctx, organizations[0].ID)
}

// settle brings the database to where it is a while after a load: PostgreSQL
// then has vacuumed and analysed by itself and written everything out. SQLite
// does none of it.
func (d *database) settle(ctx context.Context) error {
	if d.store.Embedded() {
		return nil
	}
	for _, statement := range []string{"VACUUM (ANALYZE)", "CHECKPOINT"} {
		if _, err := d.db.ExecContext(ctx, statement); err != nil {
			return fmt.Errorf("%s: %w", statement, err)
		}
	}
	return nil
}

// kind is one kind of search that is measured.
type kind struct {
	name         string
	organization string
	target       func(*rand.Rand) human
	size         int // users at once
	times        int
}

// human is what a target is made of.
type human struct{ company, country, title string }

func (d *database) search(ctx context.Context, o options, large, small string) error {
	someone := func(company func(*rand.Rand) string) func(*rand.Rand) human {
		return func(r *rand.Rand) human {
			return human{company(r), pick(r, countries, rare, 1_000), pick(r, titles, rareTitles, 200)}
		}
	}
	big := func(*rand.Rand) string { return bigCompany }
	other := func(r *rand.Rand) string {
		return fmt.Sprintf("company%d.example", r.IntN(max(o.people*9/10/companySize, 1)))
	}
	either := func(r *rand.Rand) string {
		if r.IntN(10) == 0 {
			return bigCompany
		}
		return other(r)
	}
	hard := func(r *rand.Rand) human {
		return human{bigCompany, rare[r.IntN(len(rare))], rareTitles[r.IntN(len(rareTitles))]}
	}
	kinds := []kind{
		{"small organization", small, someone(big), 1, o.searches},
		{"large organization, the big company", large, someone(big), 1, o.searches},
		{"… a rare country and department", large, hard, 1, o.searches},
		{"… its other companies", large, someone(other), 1, o.searches},
		{"64 users, small organization", small, someone(big), batchOf, o.batches},
		{"64 users, the big company", large, someone(big), batchOf, o.batches},
		{"64 users, any company", large, someone(either), batchOf, o.batches},
	}
	table := tabwriter.NewWriter(os.Stdout, 0, 0, 1, ' ', 0)
	fmt.Fprintln(table, "| search\t| runs\t| found on average\t| p50 ms\t| p95 ms\t| p99 ms\t| longest ms\t| CPU ms\t|")
	fmt.Fprintln(table, "|---\t|---:\t|---:\t|---:\t|---:\t|---:\t|---:\t|---:\t|")
	for _, k := range kinds {
		if err := d.time(ctx, table, k); err != nil {
			return err
		}
	}
	return table.Flush()
}

// time runs the searches of a kind, after some that do not count.
func (d *database) time(ctx context.Context, table *tabwriter.Writer, k kind) error {
	random := rand.New(rand.NewPCG(3, 4))
	search := colleague.Search{Own: []colleague.Source{colleague.Users{}, colleague.Directory{}}}
	org := d.store.Org(k.organization)
	const warmUp = 20
	var times []time.Duration
	var cpu time.Duration
	found := 0
	for i := range warmUp + k.times {
		targets := make([]colleague.Target, k.size)
		for n := range targets {
			h := k.target(random)
			email, err := identity.ParseEmail(fmt.Sprintf("new%d.%d@%s", i, n, h.company))
			if err != nil {
				return fmt.Errorf("make an address: %w", err)
			}
			targets[n] = colleague.Target{Email: email, Name: "New Comer", Country: h.country, JobTitle: h.title}
		}
		began := time.Now()
		results, err := search.Run(ctx, org, tenant.Settings{}, targets)
		if err != nil {
			return fmt.Errorf("search, %s: %w", k.name, err)
		}
		if i < warmUp {
			cpu = cpuTime()
			continue
		}
		times = append(times, time.Since(began))
		for _, r := range results {
			found += len(r.Found)
		}
	}
	cpu = cpuTime() - cpu
	slices.Sort(times)
	fmt.Fprintf(table, "| %s\t| %d\t| %.1f\t| %s\t| %s\t| %s\t| %s\t| %s\t|\n", k.name, k.times, float64(found)/float64(k.times*k.size),
		millis(percentile(times, 50)), millis(percentile(times, 95)), millis(percentile(times, 99)), millis(times[len(times)-1]),
		millis(cpu/time.Duration(k.times)))
	return nil
}

// cpuTime is what this process has taken of the processors until now: with
// SQLite the whole of the searches, with PostgreSQL what is not the server's.
func cpuTime() time.Duration {
	var usage syscall.Rusage
	if err := syscall.Getrusage(syscall.RUSAGE_SELF, &usage); err != nil {
		return 0 // only for a process that there is not
	}
	return time.Duration(usage.Utime.Nano() + usage.Stime.Nano())
}

// loadAverage tells whether the machine was at the run's disposal.
func loadAverage() string {
	text, err := os.ReadFile("/proc/loadavg")
	if err != nil {
		return "unknown"
	}
	minute, _, _ := strings.Cut(string(text), " ")
	return minute
}

// percentile returns the smallest value that p percent of the sorted ones do
// not exceed (nearest rank).
func percentile(sorted []time.Duration, p float64) time.Duration {
	return sorted[max(int(math.Ceil(p/100*float64(len(sorted)))), 1)-1]
}

func millis(d time.Duration) string { return fmt.Sprintf("%.2f", d.Seconds()*1000) }

// explain prints how the database finds the candidates of one user of the big
// company.
func (d *database) explain(ctx context.Context, organization string) error {
	for _, query := range []colleague.CandidateQuery{
		{Company: bigCompany, Country: "US", Department: "engineering"}, {Company: bigCompany, Country: "NO", Department: "legal"},
	} {
		plan, err := colleague.ExplainCandidates(ctx, d.store.Org(organization), []string{tenant.SourceDirectory}, []colleague.CandidateQuery{query})
		if err != nil {
			return fmt.Errorf("ask for the plan of a search: %w", err)
		}
		fmt.Printf("\npeople of %s, %s, %s:\n\n%s\n", query.Company, query.Country, query.Department, plan)
		if d.store.Embedded() {
			break // the plan is the same for all
		}
	}
	return nil
}
