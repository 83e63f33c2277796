package outbound_test

import (
	"net/http"
	"strconv"
	"testing"
	"time"

	"usersync/internal/outbound"
)

func TestRetryAfter(t *testing.T) {
	t.Parallel()
	now := time.Date(2026, 11, 22, 10, 0, 0, 0, time.UTC) // Unix 1795341600
	const none = -1
	for _, c := range []struct {
		name, header, value string
		want                time.Duration
	}{
		{"seconds", "Retry-After", "120", 2 * time.Minute},
		{"zero", "Retry-After", "0", 0},
		{"spaces", "Retry-After", " 7 ", 7 * time.Second},
		{"fraction", "Retry-After", "1.5", 1500 * time.Millisecond},
		{"negative", "Retry-After", "-5", 0},
		{"more than an hour", "Retry-After", "3601", time.Hour},
		{"far more than an hour", "Retry-After", "99999999999999999999", time.Hour},
		{"seconds are never a Unix time", "Retry-After", "1795341660", time.Hour},
		{"date", "Retry-After", "Sun, 22 Nov 2026 10:00:30 GMT", 30 * time.Second},
		{"date that is past", "Retry-After", "Sun, 22 Nov 2026 09:00:00 GMT", 0},
		{"date in another form", "Retry-After", "Sunday, 22-Nov-26 10:00:30 GMT", 30 * time.Second},
		{"date far ahead", "Retry-After", "Sun, 22 Nov 2099 10:00:30 GMT", time.Hour},
		{"word", "Retry-After", "soon", none},
		{"infinity", "Retry-After", "Inf", none},
		{"exponent", "Retry-After", "1e3", none},
		{"hexadecimal", "Retry-After", "0x10", none},
		{"only a sign", "Retry-After", "-", none},
		{"empty", "Retry-After", "", none},
		{"reset in seconds", "X-RateLimit-Reset", "45", 45 * time.Second},
		{"reset just below Unix times", "X-RateLimit-Reset", "999999999", time.Hour},
		{"reset as a Unix time", "X-RateLimit-Reset", "1795341645", 45 * time.Second},
		{"reset that is past", "X-RateLimit-Reset", "1795341500", 0},
		{"negative reset", "X-RateLimit-Reset", "-1", 0},
		{"Brevo", "x-sib-ratelimit-reset", "10", 10 * time.Second},
		{"Klaviyo", "RateLimit-Reset", "11", 11 * time.Second},
		{"reset word", "RateLimit-Reset", "later", none},
	} {
		t.Run(c.name, func(t *testing.T) {
			t.Parallel()
			h := http.Header{}
			h.Set(c.header, c.value)
			got, ok := outbound.RetryAfter(h, now)
			if c.want == none {
				if ok {
					t.Errorf("%s: %s reads as %v", c.header, c.value, got)
				}
				return
			}
			if !ok || got != c.want {
				t.Errorf("%s: %s reads as %v, %v, want %v", c.header, c.value, got, ok, c.want)
			}
		})
	}
}

func TestRetryAfterComesBeforeResetHeaders(t *testing.T) {
	t.Parallel()
	h := http.Header{}
	h.Set("RateLimit-Reset", "3")
	h.Set("X-RateLimit-Reset", "2")
	if got, _ := outbound.RetryAfter(h, time.Now()); got != 2*time.Second {
		t.Errorf("of two reset headers: %v", got)
	}
	h.Set("Retry-After", "1")
	if got, _ := outbound.RetryAfter(h, time.Now()); got != time.Second {
		t.Errorf("with Retry-After: %v", got)
	}
	h.Set("Retry-After", "soon")
	if got, ok := outbound.RetryAfter(h, time.Now()); got != 2*time.Second || !ok {
		t.Errorf("with a Retry-After that cannot be read: %v, %v", got, ok)
	}
	if _, ok := outbound.RetryAfter(http.Header{}, time.Now()); ok {
		t.Error("without headers there is a wait")
	}
}

func TestDatesAreCountedByTheClockThatWroteThem(t *testing.T) {
	t.Parallel()
	said := time.Date(2026, 3, 1, 12, 0, 0, 0, time.UTC)
	for _, off := range []time.Duration{-10 * 24 * time.Hour, -10 * time.Minute, 0, 10 * time.Minute, 24 * time.Hour} {
		h := http.Header{"Date": {said.Format(http.TimeFormat)}, "Retry-After": {said.Add(90 * time.Second).Format(http.TimeFormat)}}
		if got, ok := outbound.RetryAfter(h, said.Add(off)); got != 90*time.Second || !ok {
			t.Errorf("our clock is off by %s: wait %s, %v", off, got, ok)
		}
		h = http.Header{"Date": {said.Format(http.TimeFormat)}, "X-Ratelimit-Remaining": {"0"}, "X-Ratelimit-Reset": {strconv.FormatInt(said.Add(time.Minute).Unix(), 10)}}
		if got, ok := outbound.Exhausted(h, said.Add(off)); got != time.Minute || !ok {
			t.Errorf("our clock is off by %s: wait %s for the quota, %v", off, got, ok)
		}
		if got, ok := outbound.RetryAfter(h, said.Add(off)); got != time.Minute || !ok {
			t.Errorf("our clock is off by %s: wait %s for the reset, %v", off, got, ok)
		}
	}
}
