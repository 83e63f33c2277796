package outbound

import (
	"math"
	"net/http"
	"strconv"
	"strings"
	"time"
)

// maxRetryAfter is the longest wait. A longer one is shortened to it. Whoever runs the
// other side may be anybody, and a server that is asked once an hour has its rest.
const maxRetryAfter = time.Hour

// epoch separates the two meanings of a reset header. A smaller number is seconds to
// wait, and any other is a Unix time. Nobody asks for a wait of 31 years, and no
// clock shows a day before 2001.
const epoch = 1e9

// resetHeaders say when a quota begins anew, in seconds to wait or as a Unix time.
// SendGrid and Auth0 send the first, Brevo the second, Klaviyo the third, which is
// that of the IETF draft.
var resetHeaders = []string{"X-RateLimit-Reset", "X-Sib-RateLimit-Reset", "RateLimit-Reset"}

// RetryAfter returns how long the other side asks us to wait, from 0 to 1 h. It
// reads Retry-After (RFC 9110, section 10.2.3: seconds or a date), else the first
// reset header that can be read. It reports false when there is none. Call it only
// after a refusal, because platforms send reset headers with successes too. Dates are
// counted from that of the answer, so that no clock of ours matters; from now where the
// answer has none.
func RetryAfter(h http.Header, now time.Time) (time.Duration, bool) {
	now = answered(h, now)
	if wait, ok := parseRetryAfter(h.Get("Retry-After"), now); ok {
		return wait, true
	}
	for _, name := range resetHeaders {
		if seconds, ok := parseReset(h.Get(name), now); ok {
			return wait(seconds), true
		}
	}
	return 0, false
}

// answered returns when the other side answered, by its own clock, and now where it does
// not say. The header's seconds are whole, and a date in it is at most as exact.
func answered(h http.Header, now time.Time) time.Time {
	if date, err := http.ParseTime(h.Get("Date")); err == nil {
		return date
	}
	return now
}

func parseRetryAfter(text string, now time.Time) (time.Duration, bool) {
	if seconds, ok := parseSeconds(text); ok {
		return wait(seconds), true
	}
	date, err := http.ParseTime(text)
	if err != nil {
		return 0, false
	}
	return wait(date.Sub(now).Seconds()), true
}

// parseReset returns the seconds to wait, which are not bounded yet.
func parseReset(text string, now time.Time) (seconds float64, ok bool) {
	if seconds, ok = parseSeconds(text); ok && seconds >= epoch {
		seconds -= float64(now.UnixNano()) / 1e9
	}
	return seconds, ok
}

// parseSeconds takes decimal numbers only, not the infinities, exponents and
// hexadecimals that strconv reads. Some platforms send fractions.
func parseSeconds(text string) (float64, bool) {
	text = strings.TrimSpace(text)
	if strings.Trim(text, "-.0123456789") != "" {
		return 0, false
	}
	seconds, err := strconv.ParseFloat(text, 64)
	return seconds, err == nil
}

// wait bounds seconds and rounds them to milliseconds. Smaller parts are artefacts of
// the subtraction.
func wait(seconds float64) time.Duration {
	bounded := math.Min(math.Max(seconds, 0), maxRetryAfter.Seconds())
	return time.Duration(math.Round(bounded*1000)) * time.Millisecond
}
