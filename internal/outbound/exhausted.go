package outbound

import (
	"net/http"
	"time"
)

// quotas are the headers that say how many calls are left and when the quota begins
// anew. The second header holds seconds to wait or a Unix time. HubSpot's holds the
// length of the window in milliseconds.
var quotas = []struct {
	left, reset string
	unit        time.Duration
}{
	{"X-RateLimit-Remaining", "X-RateLimit-Reset", time.Second},                                      // SendGrid, Auth0
	{"X-Sib-RateLimit-Remaining", "X-Sib-RateLimit-Reset", time.Second},                              // Brevo
	{"RateLimit-Remaining", "RateLimit-Reset", time.Second},                                          // Klaviyo, the IETF draft
	{"X-HubSpot-RateLimit-Remaining", "X-HubSpot-RateLimit-Interval-Milliseconds", time.Millisecond}, // HubSpot
}

// Exhausted returns how long to make no call, from 0 to 1 h, after an answer whose
// headers say that no call is left. It reports false when calls are left or the
// headers do not say how long to wait.
func Exhausted(h http.Header, now time.Time) (time.Duration, bool) {
	now = answered(h, now)
	for _, q := range quotas {
		left, ok := parseSeconds(h.Get(q.left)) // it is a plain number, not a time
		if !ok || left > 0 {
			continue
		}
		if reset, ok := parseReset(h.Get(q.reset), now); ok {
			return wait(reset * q.unit.Seconds()), true
		}
	}
	return 0, false
}
