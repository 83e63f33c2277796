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
	facts  []fact
	speed  [][]string
	cost   [][]string
	ratios [][]string
	goals  [][]string

	echo        []float64            // requests a second, by the place in clientCounts
	asynq       map[int]float64      // no-op tasks a second, by concurrency
	acceptRates map[string][]float64 // by way and the place in clientCounts
	finished    map[string]float64   // requests a second, end to end, by way
}

var (
	speedHeader = []string{"measurement", "clients", "per second", "p50 ms", "p95 ms", "p99 ms", "note"}
	costHeader  = []string{"end to end at full speed", "CPU s", "CPU ms/request", "RSS MiB", "peak RSS MiB"}
	ratioHeader = []string{"ratio", "clients", "value"}
	goalHeader  = []string{"target", "wanted", "measured", "met"}
)

// rate adds a rate without latencies.
func (r *report) rate(what, clients string, perSecond float64, note string) {
	r.speed = append(r.speed, []string{what, clients, whole(perSecond), "", "", "", note})
}

// latency adds a load with the latencies of its answers.
func (r *report) latency(what string, clients int, o *outcome) {
	r.timed(what, clients, o.perSecond(), o.latencies(), refusedNote(o))
}

func (r *report) timed(what string, clients int, perSecond float64, sorted []time.Duration, note string) {
	r.speed = append(r.speed, []string{
		what, strconv.Itoa(clients), whole(perSecond),
		millis(percentile(sorted, 50)), millis(percentile(sorted, 95)), millis(percentile(sorted, 99)), note,
	})
}

func refusedNote(o *outcome) string {
	var parts []string
	for _, status := range slices.Sorted(maps.Keys(o.refused)) {
		parts = append(parts, fmt.Sprintf("%d answered %d", o.refused[status], status))
	}
	return strings.Join(parts, ", ")
}

func (r *report) accepted(way string, clients int, o *outcome) {
	if r.acceptRates == nil {
		r.acceptRates = map[string][]float64{}
	}
	r.acceptRates[way] = append(r.acceptRates[way], o.perSecond())
	r.latency(way+", accepted (durable 202)", clients, o)
}

func (r *report) acceptedAtHalf(way string, clients int, o *outcome) {
	r.latency(way+", accepted at half that rate", clients, o)
	if way == deployed {
		r.goalAtMost("accepting at half its rate, p99 ms", 25, inMillis(percentile(o.latencies(), 99)))
	}
}

func (r *report) endToEnd(way string, clients int, o *outcome, a accounts) {
	if r.finished == nil {
		r.finished = map[string]float64{}
	}
	if len(a.waits) > 0 {
		r.finished[way] = float64(len(a.waits)) / a.last.Sub(o.started).Seconds()
	}
	r.timed(way+", end to end, 202 to webhook", clients, r.finished[way], a.waits, notes(a.note(len(o.samples)), refusedNote(o)))
}

func (r *report) steady(way string, o *outcome, a accounts) {
	r.timed(fmt.Sprintf("%s, end to end at a steady %d/s", way, steadyRate), fullSpeedClients, o.perSecond(), a.waits, notes(a.note(len(o.samples)), refusedNote(o)))
	if way == deployed {
		r.goalAtMost("end to end at a steady 200/s, p50 ms", 15, inMillis(percentile(a.waits, 50)))
		r.goalAtMost("end to end at a steady 200/s, p99 ms", 40, inMillis(percentile(a.waits, 99)))
	}
}

func notes(all ...string) string {
	return strings.Join(slices.DeleteFunc(all, func(s string) bool { return s == "" }), "; ")
}

// costs adds what each part of an installation used for a number of requests.
func (r *report) costs(p *product, before, after []usage, requests int) {
	var cpu time.Duration
	for i, one := range p.parts {
		used := after[i].cpu - before[i].cpu
		cpu += used
		r.cost = append(r.cost, []string{p.name + ", " + one.name, seconds(used), perRequest(used, requests), mebi(after[i].rss), one.peakOf(after[i])})
		if one.name == "api" || one.name == "worker" {
			r.goalAtMost("memory of "+one.name+", MiB", 150, float64(after[i].peak)/(1<<20))
		}
	}
	r.cost = append(r.cost, []string{p.name + ", all", seconds(cpu), perRequest(cpu, requests), "", ""})
	if p.name == deployed {
		r.goalAtMost("CPU of all processes, ms/request", 0.4, inMillis(cpu)/float64(max(requests, 1)))
	}
}

func (r *report) idle(perSecond float64) {
	r.speed = append(r.speed, []string{"deployed, idle: SQL statements", "", fmt.Sprintf("%.1f", perSecond), "", "", "", ""})
	r.goalAtMost("idle, SQL statements a second", 5, perSecond)
}

// compare adds the ratios, once everything is measured.
func (r *report) compare() {
	for _, way := range ways {
		for i, clients := range clientCounts {
			r.ratio(way+" accepted / bare Echo", strconv.Itoa(clients), r.acceptRates[way][i]/r.echo[i])
		}
	}
	for _, way := range ways {
		for _, n := range asynqConcurrency {
			r.ratio(fmt.Sprintf("%s end to end / bare Asynq no-op, %d at once", way, n), strconv.Itoa(fullSpeedClients), r.finished[way]/r.asynq[n])
		}
	}
	last := len(clientCounts) - 1
	r.goalAtLeast("accepting / bare Echo, 64 clients", 0.5, r.acceptRates[deployed][last]/r.echo[last])
	r.goalAtLeast("end to end / bare Asynq no-op at its default", 0.5, r.finished[deployed]/r.asynq[asynqConcurrency[0]])
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

func (r *report) tables() []table {
	return []table{{speedHeader, r.speed}, {costHeader, r.cost}, {ratioHeader, r.ratios}, {goalHeader, r.goals}}
}

// text is the report for the terminal.
func (r *report) text() string {
	var out strings.Builder
	for _, f := range r.facts {
		fmt.Fprintf(&out, "%-12s %s\n", f.name, f.value)
	}
	for _, t := range r.tables() {
		out.WriteString("\n" + t.text())
	}
	return out.String()
}

// markdown is the report as a page.
func (r *report) markdown() string {
	var out strings.Builder
	out.WriteString("# One run of the load generator\n\n")
	for _, f := range r.facts {
		fmt.Fprintf(&out, "- %s: %s\n", f.name, f.value)
	}
	for _, t := range r.tables() {
		out.WriteString("\n" + t.markdown())
	}
	return out.String()
}
