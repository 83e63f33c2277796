//go:build unix

package main

import (
	"fmt"
	"strings"
	"time"
)

// most is how much longer than the limits allow a push may take.
const most = 1.3

// allowed is the rate that a platform takes, in calls a second: what it has published, or
// else what the connector is bounded by. It is 0 where nothing bounds the rate.
func (t taken) allowed() float64 {
	if rate := t.kind.Limits.Allowed(); rate > 0 {
		return rate
	}
	return t.kind.Limits.PerSecond
}

// atRate is the time that the calls take at the rates that are allowed: of those that the
// platform counts by themselves, and of all others.
func (t taken) atRate() time.Duration {
	if t.allowed() == 0 {
		return 0
	}
	rest, seconds := t.calls, 0.0
	for _, l := range t.kind.Lanes {
		n := t.state.ByLane[l.Name]
		rest -= n
		seconds += float64(n) / l.Allowed()
	}
	return time.Duration((seconds + float64(rest)/t.allowed()) * float64(time.Second))
}

// least is the time that the push takes at least. Where few calls are needed, it is what
// they take one after the other, and an import is done when the platform says so.
func (t taken) least(o options) time.Duration {
	return max(t.atRate(), time.Duration(t.calls)*o.latency/time.Duration(max(t.state.MaxAtOnce, 1))) + t.jobs
}

// start is the time from the order of the push to the first call: the service accepts it
// and plans whom it is about.
func (t taken) start() time.Duration {
	if t.state.First.IsZero() {
		return 0
	}
	return t.state.First.Sub(t.began)
}

// fault returns what is wrong; nil if nothing is.
func (t taken) fault(o options) error {
	switch {
	case t.missing > 0:
		return fmt.Errorf("%s: %d of %d users have not arrived", t.kind.Name, t.missing, o.users)
	case o.kills > 0 || t.allowed() == 0:
		return nil
	case t.state.Over > 0:
		return fmt.Errorf("%s: %d calls were more than the platform allows", t.kind.Name, t.state.Over)
	case t.time-t.start()-lookEvery > time.Duration(most*float64(t.least(o))): // its end is known to lookEvery
		return fmt.Errorf("%s: took %.1f s, where %d calls and the imports take %.1f s", t.kind.Name, (t.time - t.start()).Seconds(), t.calls, t.least(o).Seconds())
	}
	return nil
}

// page is the table in Markdown.
func page(all []taken, o options) string {
	var out strings.Builder
	fmt.Fprintf(&out, "%d users to each of %d platforms, %d at a time, %s a call, %s an import", o.users, len(all), o.atOnce, o.latency, o.job)
	if o.kills > 0 {
		fmt.Fprintf(&out, ", killed %d times", o.kills)
	}
	out.WriteString(".")
	out.WriteString("\n\n| platform | calls | calls a user | allowed a second | calls at the rate, s | imports, s | at least, s | seconds | until the first call | ratio | in time | refused for the limit | most at once | written more than once |\n")
	out.WriteString("|---|--:|--:|--:|--:|--:|--:|--:|--:|--:|---|--:|--:|--:|\n")
	for _, t := range all {
		allowed, atRate, least, ratio := "–", "–", "–", "–"
		if t.allowed() > 0 {
			allowed, atRate = fmt.Sprintf("%.4g", t.allowed()), fmt.Sprintf("%.1f", t.atRate().Seconds())
			least, ratio = fmt.Sprintf("%.1f", t.least(o).Seconds()), fmt.Sprintf("%.2f", (t.time-t.start()).Seconds()/t.least(o).Seconds())
		}
		inTime := "yes"
		if t.fault(o) != nil {
			inTime = "**no**"
		}
		fmt.Fprintf(&out, "| %s | %d | %.3f | %s | %s | %.1f | %s | %.1f | %.1f | %s | %s | %d | %d | %d |\n", t.kind.Name, t.calls, float64(t.calls)/float64(o.users),
			allowed, atRate, t.jobs.Seconds(), least, t.time.Seconds(), t.start().Seconds(), ratio, inTime, t.state.Over, t.state.MaxAtOnce, t.again)
	}
	return out.String()
}
