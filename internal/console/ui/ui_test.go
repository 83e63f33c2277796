package ui

import (
	"net/url"
	"testing"
	"time"
)

func TestTimesAndNumbersAreSaidForPeople(t *testing.T) {
	t.Parallel()
	now := time.Date(2026, 11, 30, 12, 0, 0, 0, time.UTC)
	for age, want := range map[time.Duration]string{
		time.Second: "just now", 40 * time.Second: "40 sec. ago", 5 * time.Minute: "5 min. ago", 3 * time.Hour: "3 hr. ago", 50 * time.Hour: "2 days ago", -10 * time.Minute: "in 10 min.",
	} {
		if got := Relative(now.Add(-age), now); got != want {
			t.Errorf("%s: %q, want %q", age, got, want)
		}
	}
	if got := Exact(now); got != "2026-11-30 12:00:00.000 UTC" {
		t.Error(got)
	}
	for n, want := range map[int64]string{0: "0", 999: "999", 1000: "1,000", -1234567: "−1,234,567"} {
		if got := Number(n); got != want {
			t.Errorf("%d: %q", n, got)
		}
	}
	for d, want := range map[time.Duration]string{0: "< 1 ms", 12 * time.Millisecond: "12 ms", 1500 * time.Millisecond: "1.5 s", 3 * time.Minute: "3 min", 72 * time.Hour: "3 days"} {
		if got := Took(d); got != want {
			t.Errorf("%s: %q", d, got)
		}
	}
}

func TestAnAddressKeepsItsFilters(t *testing.T) {
	t.Parallel()
	query := url.Values{"status": {"failed"}, "before": {"x"}}
	if got := With("/requests", query, "before", "y"); got != "/requests?before=y&status=failed" {
		t.Error(got)
	}
	if got := With("/requests", query, "before", ""); got != "/requests?status=failed" || query.Get("before") != "x" {
		t.Error(got)
	}
	if got := With("/requests", url.Values{}, "before", ""); got != "/requests" {
		t.Error(got)
	}
}

func TestAViewerSeesTheSectionsOfTheirScopes(t *testing.T) {
	t.Parallel()
	reader := Viewer{Organization: "Acme", May: func(scopes ...string) bool {
		for _, s := range scopes {
			if s == "manage" {
				return true
			}
		}
		return false
	}}
	for _, e := range reader.OfOrganization() {
		if e.Name == "Requests" || e.Operator {
			t.Errorf("%s is shown", e.Name)
		}
	}
	if len(reader.OfOperator()) != 0 {
		t.Error("the operator's pages are shown")
	}
	operator := Viewer{Operator: true, May: func(...string) bool { return false }}
	if len(operator.OfOperator()) != 3 || len(operator.OfOrganization()) != 0 {
		t.Error("the operator sees other pages than theirs")
	}
}
