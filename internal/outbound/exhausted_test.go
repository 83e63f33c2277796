package outbound_test

import (
	"net/http"
	"strings"
	"testing"
	"time"

	"usersync/internal/outbound"
)

func TestExhausted(t *testing.T) {
	t.Parallel()
	now := time.Date(2026, 11, 22, 10, 0, 0, 0, time.UTC) // Unix 1795341600
	const none = -1
	for _, c := range []struct {
		name, headers string
		want          time.Duration
	}{
		{"no headers", "", none},
		{"some left", "X-RateLimit-Remaining: 1\nX-RateLimit-Reset: 10", none},
		{"seconds", "X-RateLimit-Remaining: 0\nX-RateLimit-Reset: 10", 10 * time.Second},
		{"Unix time", "X-RateLimit-Remaining: 0\nX-RateLimit-Reset: 1795341645", 45 * time.Second},
		{"no reset", "X-RateLimit-Remaining: 0", none},
		{"reset that cannot be read", "X-RateLimit-Remaining: 0\nX-RateLimit-Reset: soon", none},
		{"count that cannot be read", "X-RateLimit-Remaining: none\nX-RateLimit-Reset: 10", none},
		{"Brevo", "x-sib-ratelimit-remaining: 0\nx-sib-ratelimit-reset: 1", time.Second},
		{"the draft", "RateLimit-Remaining: 0\nRateLimit-Reset: 3", 3 * time.Second},
		{"HubSpot", "X-HubSpot-RateLimit-Remaining: 0\nX-HubSpot-RateLimit-Interval-Milliseconds: 10000", 10 * time.Second},
		{"HubSpot, an hour and a half", "X-HubSpot-RateLimit-Remaining: 0\nX-HubSpot-RateLimit-Interval-Milliseconds: 5400000", time.Hour},
		{"more than an hour", "X-RateLimit-Remaining: 0\nX-RateLimit-Reset: 86400", time.Hour},
		{"a Unix time far ahead", "X-RateLimit-Remaining: 0\nX-RateLimit-Reset: 99999999999", time.Hour},
		{"HubSpot with some left", "X-HubSpot-RateLimit-Remaining: 99\nX-HubSpot-RateLimit-Interval-Milliseconds: 10000", none},
		{"one of two", "X-RateLimit-Remaining: 5\nX-RateLimit-Reset: 10\nRateLimit-Remaining: 0\nRateLimit-Reset: 2", 2 * time.Second},
	} {
		t.Run(c.name, func(t *testing.T) {
			t.Parallel()
			h := http.Header{}
			for line := range strings.Lines(c.headers) {
				name, value, _ := strings.Cut(line, ":")
				h.Set(name, strings.TrimSpace(value))
			}
			got, ok := outbound.Exhausted(h, now)
			if !ok {
				got = none
			}
			if got != c.want {
				t.Errorf("got %v, want %v", got, c.want)
			}
		})
	}
}
