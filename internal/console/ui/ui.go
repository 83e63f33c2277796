// Package ui holds what the pages of the console are made of: the layout, and components
// for times, ids, statuses, filters and lists. It knows no nouns of the service.
package ui

import (
	"fmt"
	"net/url"
	"strings"
	"time"

	"usersync/internal/usersync"
)

// Viewer is who looks at a page.
type Viewer struct {
	// Operator says that the viewer signed in with the operator's token.
	Operator bool
	// Organization is the name of the one that is looked at, "" for none.
	Organization string
	// Key is the name or hint of the API key that the viewer signed in with.
	Key string
	// May reports whether the viewer has one of the scopes.
	May func(scopes ...string) bool
}

// Flash is what the last action led to, told once on the next page.
type Flash struct {
	Failed bool
	Text   string
}

// Page is what every page has around its own content.
type Page struct {
	Title string
	// Section is the entry of the navigation that the page belongs to.
	Section string
	Viewer  Viewer
	Flash   *Flash
	// Live is the address that the part with the id live is kept current from, "" where it
	// stays as it is.
	Live string
	// Query is what the search field holds.
	Query string
}

// Entry is one entry of the navigation.
type Entry struct {
	Name, Path string
	// Scopes are those of which a viewer needs one to see it.
	Scopes []string
	// Operator says that it is the operator's.
	Operator bool
}

// Sections lists the entries of the navigation.
var Sections = []Entry{
	{Name: "Overview", Path: "/", Scopes: []string{"read", "manage"}},
	{Name: "Requests", Path: "/requests", Scopes: []string{"read"}},
	{Name: "Failures", Path: "/failures", Scopes: []string{"read"}},
	{Name: "Users", Path: "/users", Scopes: []string{"read", "manage"}},
	{Name: "Connections", Path: "/connections", Scopes: []string{"read", "manage"}},
	{Name: "Webhooks", Path: "/webhooks", Scopes: []string{"read", "manage"}},
	{Name: "Follow-ups", Path: "/follow-ups", Scopes: []string{"read", "manage"}},
	{Name: "Imports", Path: "/imports", Scopes: []string{"read", "manage"}},
	{Name: "Credits", Path: "/credits", Scopes: []string{"read", "manage"}},
	{Name: "Organization", Path: "/organization", Scopes: []string{"read", "manage"}},
	{Name: "Organizations", Path: "/operator", Operator: true},
	{Name: "Queues", Path: "/operator/queues", Operator: true},
	{Name: "Audit", Path: "/operator/audit", Operator: true},
}

// OfOrganization returns the entries that the viewer sees of the organization's.
func (v Viewer) OfOrganization() (out []Entry) {
	for _, e := range Sections {
		if !e.Operator && v.Organization != "" && v.May(e.Scopes...) {
			out = append(out, e)
		}
	}
	return out
}

// OfOperator returns the entries that the viewer sees of the operator's.
func (v Viewer) OfOperator() (out []Entry) {
	for _, e := range Sections {
		if e.Operator && v.Operator {
			out = append(out, e)
		}
	}
	return out
}

// Exact is a time as it is shown on hover.
func Exact(t time.Time) string { return t.UTC().Format("2006-01-02 15:04:05.000 UTC") }

// Relative is a time as people say it, seen from now.
func Relative(t, now time.Time) string {
	d := now.Sub(t)
	ago, in := " ago", ""
	if d < 0 {
		d, ago, in = -d, "", "in "
	}
	switch {
	case d < 5*time.Second:
		return "just now"
	case d < time.Minute:
		return fmt.Sprintf("%s%d sec.%s", in, int(d.Seconds()), ago)
	case d < time.Hour:
		return fmt.Sprintf("%s%d min.%s", in, int(d.Minutes()), ago)
	case d < 24*time.Hour:
		return fmt.Sprintf("%s%d hr.%s", in, int(d.Hours()), ago)
	}
	return fmt.Sprintf("%s%d days%s", in, int(d.Hours()/24), ago)
}

// Took is a duration in one or two figures with its unit.
func Took(d time.Duration) string {
	switch {
	case d < time.Millisecond:
		return "< 1 ms"
	case d < time.Second:
		return fmt.Sprintf("%d ms", d.Milliseconds())
	case d < 10*time.Second:
		return fmt.Sprintf("%.1f s", d.Seconds())
	case d < 2*time.Minute:
		return fmt.Sprintf("%.0f s", d.Seconds())
	case d < 2*time.Hour:
		return fmt.Sprintf("%.0f min", d.Minutes())
	case d < 48*time.Hour:
		return fmt.Sprintf("%.0f h", d.Hours())
	}
	return fmt.Sprintf("%.0f days", d.Hours()/24)
}

// Number groups the digits of n.
func Number(n int64) string {
	digits := fmt.Sprint(n)
	sign := ""
	if n < 0 {
		sign, digits = "−", digits[1:]
	}
	var parts []string
	for len(digits) > 3 {
		parts = append([]string{digits[len(digits)-3:]}, parts...)
		digits = digits[:len(digits)-3]
	}
	return sign + strings.Join(append([]string{digits}, parts...), ",")
}

// Words turns a word of the API into words for people: awaiting_credits becomes
// awaiting credits.
func Words(s string) string { return strings.NewReplacer("_", " ").Replace(s) }

// tones say by status how a badge looks: good, bad, wait or off.
var tones = map[string]string{
	"succeeded": "good", "synced": "good", "unchanged": "good", "delivered": "good", "enabled": "good", "active": "good", "subscribed": "good",
	"removed": "good", "finished": "good", "would_sync": "good", "ok": "good", "running normally": "good",
	"failed": "bad", "disconnected": "bad", "disabled": "bad", "poisoned": "bad", "revoked": "bad", "partially_succeeded": "bad",
	"queued": "wait", "processing": "wait", "pending": "wait", "retrying": "wait", "awaiting_credits": "wait", "running": "wait", "receiving": "wait", "waiting": "wait", "throttled": "wait",
}

// Tone is how the badge of a status looks.
func Tone(status string) string {
	if tone, ok := tones[status]; ok {
		return tone
	}
	return "off"
}

// With returns the address of a page with a parameter of its query set, or taken away where
// value is "".
func With(path string, query url.Values, name, value string) string {
	next := url.Values{}
	for k, v := range query {
		next[k] = v
	}
	next.Del(name)
	if value != "" {
		next.Set(name, value)
	}
	if len(next) == 0 {
		return path
	}
	return path + "?" + next.Encode()
}

// Pager leads through a list that is ordered newest first.
type Pager struct {
	Path  string
	Query url.Values
	// Next is the id behind which the next page begins, "" on the last page.
	Next string
}

// First reports whether the first page is shown.
func (p Pager) First() bool { return p.Query.Get("before") == "" }

// Option is one choice of a filter.
type Option struct{ Value, Text string }

// Options makes choices of words of the API.
func Options[T ~string](words []T) (out []Option) {
	for _, w := range words {
		out = append(out, Option{string(w), Words(string(w))})
	}
	return out
}

// Filter is one field of a form that narrows a list.
type Filter struct {
	Name, Label string
	// Options are the choices; none makes a field for text.
	Options []Option
	// Type is that of the field for text; "" is text.
	Type        string
	Placeholder string
}

// Fault returns what is wrong with a field of a form, "" for nothing.
func Fault(faults []usersync.FieldError, field string) string {
	for _, f := range faults {
		if f.Field == field {
			return f.Message
		}
	}
	return ""
}
