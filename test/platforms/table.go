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

// least is the time that the calls take at the rate that is allowed.
func (t taken) least() time.Duration {
	if t.allowed() == 0 {
		return 0
	}
	return time.Duration(float64(t.calls) / t.allowed() * float64(time.Second))
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
	case t.time > max(time.Duration(most*float64(t.least())), o.grace):
		return fmt.Errorf("%s: took %.1f s, where %d calls are allowed in %.1f s", t.kind.Name, t.time.Seconds(), t.calls, t.least().Seconds())
	}
	return nil
}

// page is the table in Markdown.
func page(all []taken, o options) string {
	var out strings.Builder
	fmt.Fprintf(&out, "%d users to %d platforms at once, %s a call", o.users, len(all), o.latency)
	if o.kills > 0 {
		fmt.Fprintf(&out, ", killed %d times", o.kills)
	}
	out.WriteString(".")
	out.WriteString("\n\n| platform | calls | calls a user | allowed a second | seconds | seconds allowed | ratio | in time | refused for the limit | most at once | written more than once |\n")
	out.WriteString("|---|--:|--:|--:|--:|--:|--:|---|--:|--:|--:|\n")
	for _, t := range all {
		allowed, least, ratio := "–", "–", "–"
		if t.allowed() > 0 {
			allowed, least = fmt.Sprintf("%.4g", t.allowed()), fmt.Sprintf("%.1f", t.least().Seconds())
			ratio = fmt.Sprintf("%.2f", t.time.Seconds()/t.least().Seconds())
		}
		inTime := "yes"
		if t.fault(o) != nil {
			inTime = "**no**"
		}
		fmt.Fprintf(&out, "| %s | %d | %.3f | %s | %.1f | %s | %s | %s | %d | %d | %d |\n", t.kind.Name, t.calls, float64(t.calls)/float64(o.users),
			allowed, t.time.Seconds(), least, ratio, inTime, t.state.Over, t.state.MaxAtOnce, t.again)
	}
	return out.String()
}
