//go:build unix

package main

import (
	"cmp"
	"context"
	"fmt"
	"regexp"
	"slices"
	"strings"

	"usersync/internal/store"
)

// largeTables grow with the service's work; no statement of that work may read
// one of them whole.
var largeTables = []string{"requests", "steps", "users", "people", "colleagues", "colleague_links", "ledger", "messages", "deliveries",
	"outbox", "pushes", "push_waits", "events", "bulk_errors", "audit"}

// mayReadWhole are the statements whose work grows with a large table, by their
// names, and why they may.
var mayReadWhole = map[string]string{
	"outbox.unsend":      inFlight,
	"outbox.absent":      inFlight,
	"outbox.bury":        "after a worker died, once: what is in flight",
	"outbox.unsendAll":   "after the queue was lost, once: all that is in flight",
	"erasure.dropParked": "at an erasure: what waits for credits, where that is little",
	"outbox.state":       "counts the tasks for the metrics",
}

// mayFilter are the statements that look through what an organization has in a
// large table, by their names, and why they may.
var mayFilter = map[string]string{
	"request.list":           "filters by what nearly all are: succeeded, a user-sync",
	"event.list":             "filters by what nearly all are: a user who was made or changed",
	"request.recent":         "looks at 1,000 at most",
	"user.countUpdated":      "counts the users of a bulk, before it is confirmed",
	"user.firstUpdated":      "a preview of a bulk, beside the count of all",
	"credit.verify":          "recomputes the balance from all of the ledger, on demand",
	"credit.unpark":          "the filter is the index's condition",
	"outbox.resume":          "the filter is the index's condition",
	"outbox.stuck":           "an operator asks; the outbox holds what is not done",
	"retention.oldRequests":  "the oldest are finished",
	"retention.retireEvents": "the oldest are old by the clock of the database too",
	"retention.retireRuns":   "those of the same events",
}

// inFlight is read by the index of what was sent and is not finished: a few
// hundred tasks, bounded by the shares of the fairness keys and the queue's room.
const inFlight = "what is in flight"

// onlySQLite are the statements that are never sent to PostgreSQL.
var onlySQLite = []string{"intake.nextNumber"}

// planned is a statement with its plan.
type planned struct {
	*store.Statement
	plan []string
	// whole are the large tables that are read from one end to the other.
	whole []string
	// filtered are those of which all that an organization has may be looked through.
	filtered []string
}

// plansOf asks how each statement is planned.
func plansOf(ctx context.Context, s *store.Store, all []*store.Statement) ([]planned, error) {
	var out []planned
	for _, st := range all {
		if slices.Contains(onlySQLite, st.Name()) {
			continue
		}
		plan, err := s.Plan(ctx, st)
		if err != nil {
			return nil, fmt.Errorf("ask for a plan: %w", err)
		}
		out = append(out, planned{st, plan, readWhole(plan), readFiltered(plan)})
	}
	return out, nil
}

var (
	sequential = regexp.MustCompile(`(?:Seq|Tid Range) Scan on (\w+)`)
	bitmapHeap = regexp.MustCompile(`Bitmap Heap Scan on (\w+)`)
	indexed    = regexp.MustCompile(`Index(?: Only)? Scan(?: Backward)? (?:using|on) (\w+)(?: on (\w+))?`)
)

// readWhole returns the large tables that a plan reads from one end to the
// other: by a sequential scan, or by an index without a condition on it. With
// a limit right above it, an index in whose order the first rows are wanted is
// none of these, unless it looks for rows that a filter lets through.
func readWhole(plan []string) (tables []string) {
	heap := "" // that the next bitmaps are for
	for i, line := range plan {
		if m := sequential.FindStringSubmatch(line); m != nil && slices.Contains(largeTables, m[1]) {
			tables = append(tables, m[1])
		}
		if m := bitmapHeap.FindStringSubmatch(line); m != nil {
			heap = m[1]
		}
		if strings.Contains(line, "Bitmap Index Scan") && slices.Contains(largeTables, heap) && !has(plan[i+1:], "Index Cond:") {
			tables = append(tables, heap)
		}
		m := indexed.FindStringSubmatch(line)
		if m == nil || m[2] == "" || !slices.Contains(largeTables, m[2]) || has(plan[i+1:], "Index Cond:") {
			continue
		}
		if !limited(plan, i) || has(plan[i+1:], "Filter:") {
			tables = append(tables, m[2])
		}
	}
	slices.Sort(tables)
	return slices.Compact(tables)
}

// joinFiltered returns the large tables that a plan joins by comparing rows, and not by
// an index: below a node with a join filter.
func joinFiltered(plan []string) (tables []string) {
	for i, line := range plan {
		if !strings.Contains(line, "Join Filter:") {
			continue
		}
		for _, below := range plan[i+1:] {
			if strings.Contains(below, "->") && depth(below) <= depth(line)-2 {
				break
			}
			if m := indexed.FindStringSubmatch(below); m != nil && slices.Contains(largeTables, m[2]) {
				tables = append(tables, m[2])
			}
		}
	}
	return tables
}

// ofOneOrganization matches a condition on an index that bounds what is read to
// one organization, or to none, in the order of ids, and to nothing else.
var ofOneOrganization = regexp.MustCompile(`^Index Cond: \(+(?:organization_id = [^()]*\)|id [<>]=? \$\d+\)|ROW\(organization_id, id\) < ROW\(\$\d+, \$\d+\)\) AND \(organization_id >= \$\d+\))(?: AND \(id [<>]=? \$\d+\))*\)?$`)

// readFiltered returns the large tables of which a plan may read all that one
// organization has there, looking for what a filter lets through.
func readFiltered(plan []string) (tables []string) {
	table, filter, bounded := "", false, true // of the present node; that of a bitmap is its table's
	for _, line := range append(plan, "->") {
		starts, bitmap := strings.Contains(line, "->"), strings.Contains(line, "Bitmap Index Scan")
		if starts && !bitmap && filter && !bounded && slices.Contains(largeTables, table) {
			tables = append(tables, table)
		}
		m := bitmapHeap.FindStringSubmatch(line)
		if m == nil && !bitmap {
			m = indexed.FindStringSubmatch(line)
		}
		switch {
		case m != nil:
			table, filter, bounded = m[len(m)-1], false, true
		case starts && !bitmap:
			table = ""
		}
		filter = filter || strings.Contains(line, "Filter:")
		bounded = bounded && !ofOneOrganization.MatchString(strings.TrimSpace(line))
	}
	slices.Sort(tables)
	return slices.Compact(tables)
}

// has reports whether the lines of a node, up to the next node, hold a word.
func has(rest []string, word string) bool {
	for _, line := range rest {
		if strings.Contains(line, "->") || strings.Contains(line, "SubPlan") || strings.Contains(line, "InitPlan") {
			return false
		}
		if strings.Contains(line, word) {
			return true
		}
	}
	return false
}

// limited reports whether the node right above line i is a limit.
func limited(plan []string, i int) bool {
	mine := depth(plan[i])
	for j := i - 1; j >= 0; j-- {
		if strings.Contains(plan[j], "->") && depth(plan[j]) < mine || j == 0 {
			return strings.Contains(plan[j], "Limit")
		}
	}
	return false
}

func depth(line string) int { return len(line) - len(strings.TrimLeft(line, " ")) }

// writePlans writes the page about the statements that the last measured load
// ran, the busiest first, and the others by name.
func writePlans(out *strings.Builder, b *bench, plans []planned) {
	size := whole(float64(b.sizes[len(b.sizes)-1]))
	fmt.Fprintf(out, "# Hot statements\n\nDo not edit this page. It is written by:\n\n```sh\nmake bench-curve BENCH_ARGS='%s'\n```\n\n", strings.Join(b.args, " "))
	fmt.Fprintf(out, "This page shows how PostgreSQL runs every hand-written statement, with %s stored requests\n", size)
	out.WriteString("in one organization. The plans are those for any argument (`plan_cache_mode = force_generic_plan`), with the\n")
	out.WriteString("planner settings of the service ([ADR 0007](adr/0007-steady-plans.md)).\n\n")
	for _, f := range b.report.facts {
		fmt.Fprintf(out, "- %s: %s\n", f.name, f.value)
	}
	byShape := map[string]planned{}
	for _, p := range plans {
		for _, form := range p.Forms() {
			byShape[shape(form)] = p
		}
	}
	hot := table{header: []string{"statement", "calls/request", "pages/call", "ms/call", "reads a whole table"}}
	var described []planned
	for _, query := range b.hot.ranked() {
		p, ok := byShape[shape(query)]
		if !ok {
			continue
		}
		c := b.hot[query]
		if !slices.ContainsFunc(described, func(d planned) bool { return d.Name() == p.Name() }) {
			described = append(described, p)
		}
		hot.rows = append(hot.rows, []string{
			"`" + p.Name() + "`", fmt.Sprintf("%.3f", float64(c.calls)/float64(max(b.hotFor, 1))), fmt.Sprintf("%.1f", float64(c.pages)/float64(c.calls)),
			fmt.Sprintf("%.3f", inMillis(c.took)/float64(c.calls)), orNone(p.whole),
		})
	}
	fmt.Fprintf(out, "\n## What a request runs\n\nThese are the statements at full speed with %s clients, the longest first. A page is 8 KiB.\n\n%s", fmt.Sprint(fullSpeedClients), hot.markdown())
	var others []string
	for _, p := range plans {
		if len(p.whole) > 0 {
			if !slices.ContainsFunc(described, func(d planned) bool { return d.Name() == p.Name() }) {
				described = append(described, p)
			}
			others = append(others, fmt.Sprintf("- `%s`, %s: %s\n", p.Name(), strings.Join(p.whole, ", "), cmp.Or(mayReadWhole[p.Name()], "**must not**")))
		}
	}
	slices.Sort(others)
	fmt.Fprintf(out, "\n## Which statements read a whole table\n\nOf all %d statements, these read a whole table, or all that one of its partial indexes holds,\nfor the reason given beside each.\n\n%s", len(plans), strings.Join(others, ""))
	out.WriteString("\n## Plans of what a request runs\n")
	for _, p := range described {
		fmt.Fprintf(out, "\n### `%s`\n\n```\n%s\n```\n", p.Name(), strings.Join(p.plan, "\n"))
	}
}

func orNone(tables []string) string {
	if len(tables) == 0 {
		return "no"
	}
	return strings.Join(tables, ", ")
}
