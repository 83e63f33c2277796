//go:build unix

package main

import (
	"fmt"
	"maps"
	"slices"
	"strconv"
	"strings"
	"time"
)

// report collects the results of a run.
type report struct {
	names  map[string]string // of the statements, by their shapes
	facts  []fact
	speed  [][]string
	jobs   [][]string
	rss    [][]string
	sql    [][]string
	fair   [][]string
	harms  [][]string
	curve  table
	ratios [][]string
	goals  [][]string

	echo     rates
	asynq    map[int]float64  // no-op tasks a second, by concurrency
	accepts  map[string]rates // by way
	finished map[string]rates // end to end, by way
	breaches []string         // of what must hold however slow it is

	first, last processors // at the beginning, and at the last measurement
}

// taken says how much other machines took since it was last asked, so of the
// measurement that has just ended.
func (r *report) taken() string {
	now := parseProcessors(readText("/proc/stat"))
	share := now.since(r.last)
	r.last = now
	return takenNote(share)
}

// end notes how much other machines took of the whole run.
func (r *report) end() {
	share := parseProcessors(readText("/proc/stat")).since(r.first)
	r.facts = append(r.facts, fact{"other machines", fmt.Sprintf("took %.1f %% of the processors during the run", share*100)})
}

// rates are requests a second, by form and number of clients.
type rates map[[2]int]float64

func (r rates) set(form, clients int, perSecond float64) { r[[2]int{form, clients}] = perSecond }

func (r rates) at(form, clients int) float64 { return r[[2]int{form, clients}] }

var (
	speedHeader  = []string{"measurement", "clients", "per second", "p50 ms", "p95 ms", "p99 ms", "note"}
	memoryHeader = []string{"memory", "RSS MiB", "peak RSS MiB"}
	harmHeader   = []string{"beside an organization with", "accepted, p50 ms", "p99 ms", "its webhook, p50 ms", "p99 ms", "a call that waits, p50 ms", "p99 ms", "answered too early"}
	fairHeader   = []string{"a small organization's request every 100 ms, to its webhook", "queued by the large one", "requests", "p50 ms", "p95 ms", "p99 ms", "longest ms", "of the large one ended meanwhile, p50, p99"}
	sqlHeader    = []string{"SQL of a request, deployed", "calls/request", "rows/request", "ms/request", "pages/request", "ms/call"}
	ratioHeader  = []string{"ratio", "clients", "value"}
	goalHeader   = []string{"target", "wanted", "measured", "met"}
)

// rate adds a rate without latencies.
func (r *report) rate(what, clients string, perSecond float64, note string) {
	r.speed = append(r.speed, []string{what, clients, whole(perSecond), "", "", "", notes(note, r.taken())})
}

// latency adds a load with the latencies of its answers.
func (r *report) latency(what string, clients int, o *outcome) {
	r.timed(what, clients, o.perSecond(), o.latencies(), refusedNote(o))
}

func (r *report) timed(what string, clients int, perSecond float64, sorted []time.Duration, note string) {
	r.speed = append(r.speed, []string{
		what, strconv.Itoa(clients), whole(perSecond),
		millis(percentile(sorted, 50)), millis(percentile(sorted, 95)), millis(percentile(sorted, 99)), notes(note, r.taken()),
	})
}

func refusedNote(o *outcome) string {
	var parts []string
	for _, status := range slices.Sorted(maps.Keys(o.refused)) {
		parts = append(parts, fmt.Sprintf("%d answered %d", o.refused[status], status))
	}
	return strings.Join(parts, ", ")
}

func (r *report) accepted(way string, form, clients int, o *outcome) {
	r.accepts[way].set(form, clients, o.perSecond())
	r.latency(way+", accepted (durable 202)"+many(form), clients, o)
}

func (r *report) acceptedAtHalf(way string, clients int, o *outcome) {
	r.latency(way+", accepted at half that rate", clients, o)
	if way == deployed {
		r.goalAtMost("accepting at half its rate, p99 ms", 25, inMillis(percentile(o.latencies(), 99)))
	}
}

// endToEnd adds a load at full speed and returns the rate at which its webhooks came.
func (r *report) endToEnd(way string, form, clients int, o *outcome, a accounts) (rate float64) {
	if len(a.waits) > 0 {
		rate = float64(len(a.waits)) / a.last.Sub(o.started).Seconds()
	}
	r.finished[way].set(form, clients, rate)
	r.told(way+", end to end, 202 to webhook"+many(form), clients, rate, o, a)
	return rate
}

// told adds a load with the times until its webhooks came, and notes what did not
// come or came under more than one id.
func (r *report) told(what string, clients int, perSecond float64, o *outcome, a accounts) {
	r.timed(what, clients, perSecond, a.waits, notes(a.note(), refusedNote(o)))
	if a.missing > 0 || a.foreign > 0 {
		r.breaches = append(r.breaches, fmt.Sprintf("%s, %d clients: %s", what, clients, a.note()))
	}
}

func (r *report) steady(way string, rate float64, o *outcome, a accounts) {
	r.told(fmt.Sprintf("%s, end to end at a steady %g/s", way, rate), fullSpeedClients, o.perSecond(), o, a)
}

func notes(all ...string) string {
	return strings.Join(slices.DeleteFunc(all, func(s string) bool { return s == "" }), "; ")
}

// topStatements is how many statements are listed by themselves.
const topStatements = 10

// statements adds what PostgreSQL was asked for a number of requests.
func (r *report) statements(load string, s statements, requests int) {
	if s == nil {
		return
	}
	row := func(name string, c counted) {
		n := float64(max(requests, 1))
		r.sql = append(r.sql, []string{
			name, fmt.Sprintf("%.3f", float64(c.calls)/n), fmt.Sprintf("%.3f", float64(c.rows)/n),
			fmt.Sprintf("%.4f", inMillis(c.took)/n), fmt.Sprintf("%.2f", float64(c.pages)/n), fmt.Sprintf("%.3f", inMillis(c.took)/float64(max(c.calls, 1))),
		})
	}
	row(load+", all of "+strconv.Itoa(len(s)), s.total())
	for _, query := range s.ranked()[:min(topStatements, len(s))] {
		row(load+", "+r.nameOf(query), s[query])
	}
}

// nameOf returns the name of the variable that holds a statement, else its
// beginning.
func (r *report) nameOf(query string) string {
	if name := r.names[shape(query)]; name != "" {
		return name
	}
	short := []rune(space.ReplaceAllString(strings.TrimSpace(query), " "))
	return string(short[:min(len(short), 60)])
}

const notCounted = "not measured: the server has not loaded pg_stat_statements"

// idle adds what an installation did with nothing to do.
func (r *report) idle(p *product, u used, length time.Duration) {
	for i, one := range p.parts {
		percent := 100 * u.parts[i].CPU.Seconds() / length.Seconds()
		r.speed = append(r.speed, []string{"deployed, idle: CPU of " + one.name + ", percent of a core", "", fmt.Sprintf("%.1f", percent), "", "", "", ""})
	}
	s, commands := u.statements, float64(u.counters.redis)/length.Seconds()
	r.speed = append(r.speed, []string{"deployed, idle: commands at Redis", "", fmt.Sprintf("%.1f", commands), "", "", "", ""})
	r.goalAtMost("idle, commands at Redis a second", 5, commands)
	if s == nil {
		r.speed = append(r.speed, []string{"deployed, idle: SQL statements", "", "", "", "", "", notCounted})
		return
	}
	perSecond := float64(s.total().calls) / length.Seconds()
	r.speed = append(r.speed, []string{"deployed, idle: SQL statements", "", fmt.Sprintf("%.1f", perSecond), "", "", "", ""})
	r.goalAtMost("idle, SQL statements a second", 1, perSecond)
	r.statements("idle, a second", s, int(length.Seconds()))
}

// compare adds the ratios, once everything is measured.
func (r *report) compare(counts []int) {
	for _, way := range ways {
		for _, form := range forms {
			for _, clients := range counts {
				r.ratio(way+" accepted / bare Echo"+many(form), strconv.Itoa(clients), r.accepts[way].at(form, clients)/r.echo.at(form, clients))
			}
		}
	}
	for _, way := range ways {
		for _, n := range asynqConcurrency {
			for _, form := range forms {
				for _, clients := range counts {
					r.ratio(fmt.Sprintf("%s end to end / bare Asynq no-op, %d at once%s", way, n, many(form)), strconv.Itoa(clients), r.finished[way].at(form, clients)/r.asynq[n])
				}
			}
		}
	}
}

func (r *report) ratio(what, clients string, value float64) {
	r.ratios = append(r.ratios, []string{what, clients, fmt.Sprintf("%.3f", value)})
}

func (r *report) goalAtMost(what string, most, measured float64) {
	r.goals = append(r.goals, []string{what, fmt.Sprintf("≤ %g", most), fmt.Sprintf("%.2f", measured), yesNo(measured <= most)})
}

func (r *report) goalAtLeast(what string, least, measured float64) {
	r.goals = append(r.goals, []string{what, fmt.Sprintf("≥ %g", least), fmt.Sprintf("%.2f", measured), yesNo(measured >= least)})
}

func yesNo(yes bool) string {
	if yes {
		return "yes"
	}
	return "no"
}

// tables are those that the run has filled.
func (r *report) tables() []table {
	all := []table{{speedHeader, r.speed}, {fairHeader, r.fair}, {harmHeader, r.harms}, r.curve, {jobHeader, r.jobs}, {memoryHeader, r.rss}, {sqlHeader, r.sql}, {ratioHeader, r.ratios}, {goalHeader, r.goals}}
	return slices.DeleteFunc(all, func(t table) bool { return len(t.rows) == 0 })
}

// text is the report for the terminal.
func (r *report) text() string { return r.written("%-12s %s\n", table.text) }

// markdown is the report for a page.
func (r *report) markdown() string { return r.written("- %s: %s\n", table.markdown) }

// written is the report with a line for each fact, of the given format, and its
// tables.
func (r *report) written(line string, written func(table) string) string {
	var out strings.Builder
	for _, f := range r.facts {
		fmt.Fprintf(&out, line, f.name, f.value)
	}
	for _, t := range r.tables() {
		out.WriteString("\n" + written(t))
	}
	return out.String()
}
