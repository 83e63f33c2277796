package delivery_test

import (
	"net/http"
	"strings"
	"sync/atomic"
	"testing"
	"time"
	"unicode/utf8"

	"usersync/internal/delivery"
	"usersync/internal/store/storetest"
)

func TestAnswersDecideHowADeliveryGoesOn(t *testing.T) {
	t.Parallel()
	inTwoMinutes := time.Now().Add(2 * time.Minute).UTC().Format(http.TimeFormat)
	o := open(t, storetest.Open(t, storetest.Options(t, "sqlite")), nil)
	for _, c := range []struct {
		name       string
		status     int
		retryAfter string
		want       delivery.Status
		from, to   time.Duration // when it is tried again
	}{
		{"200", 200, "", delivery.Delivered, 0, 0},
		{"299", 299, "", delivery.Delivered, 0, 0},
		{"410", 410, "", delivery.Failed, 0, 0},
		{"a redirect", 302, "", delivery.Retrying, 4500 * time.Millisecond, 5500 * time.Millisecond},
		{"304", 304, "", delivery.Retrying, 4500 * time.Millisecond, 5500 * time.Millisecond},
		{"400", 400, "", delivery.Retrying, 4500 * time.Millisecond, 5500 * time.Millisecond},
		{"500", 500, "", delivery.Retrying, 4500 * time.Millisecond, 5500 * time.Millisecond},
		{"500 says nothing by Retry-After", 500, "3600", delivery.Retrying, 4500 * time.Millisecond, 5500 * time.Millisecond},
		{"429, seconds", 429, "120", delivery.Retrying, 2 * time.Minute, 2 * time.Minute},
		{"503, seconds", 503, "120", delivery.Retrying, 2 * time.Minute, 2 * time.Minute},
		{"429, a date", 429, inTwoMinutes, delivery.Retrying, 100 * time.Second, 2 * time.Minute},
		{"503, a date", 503, inTwoMinutes, delivery.Retrying, 100 * time.Second, 2 * time.Minute},
		{"503, less than the schedule", 503, "1", delivery.Retrying, 4500 * time.Millisecond, 5500 * time.Millisecond},
		{"503, years", 503, "315360000", delivery.Retrying, time.Hour, time.Hour},
		{"429, a date in years", 429, "Fri, 31 Dec 2999 23:59:59 GMT", delivery.Retrying, time.Hour, time.Hour},
		{"503, in the past", 503, "Thu, 01 Jan 1970 00:00:00 GMT", delivery.Retrying, 4500 * time.Millisecond, 5500 * time.Millisecond},
		{"429, nonsense", 429, "soon", delivery.Retrying, 4500 * time.Millisecond, 5500 * time.Millisecond},
	} {
		followed := &atomic.Bool{}
		endpoint := o.newEndpoint(func(w http.ResponseWriter, r *http.Request) {
			followed.Store(r.URL.Path == "/elsewhere")
			w.Header().Set("Location", "/elsewhere")
			if c.retryAfter != "" {
				w.Header().Set("Retry-After", c.retryAfter)
			}
			w.WriteHeader(c.status)
		})
		id := o.send(endpoint, 1)[0]
		o.drain()
		d := o.delivery(id)
		if d.Status != c.want || len(d.Attempts) != 1 || d.Attempts[0].Status != c.status || followed.Load() {
			t.Errorf("%s: %s after %+v, redirect followed %v", c.name, d.Status, d.Attempts, followed.Load())
			continue
		}
		if c.to == 0 {
			if !d.NextAttemptAt.IsZero() {
				t.Errorf("%s: again at %s", c.name, d.NextAttemptAt)
			}
			continue
		}
		took := time.Duration(d.Attempts[0].LatencyMS) * time.Millisecond // rounded down
		if wait := d.NextAttemptAt.Sub(d.Attempts[0].At.Time) - took; wait < c.from-time.Millisecond || wait > c.to+100*time.Millisecond {
			t.Errorf("%s: again after %s, want %s to %s", c.name, wait, c.from, c.to)
		}
	}
}

// An endpoint that answers after 15 s would else be called again at once: the
// second wait is 5 s.
func TestDeliveryWaitsFromTheEndOfAnAttempt(t *testing.T) {
	t.Parallel()
	const slow = 200 * time.Millisecond
	o := open(t, storetest.Open(t, storetest.Options(t, "sqlite")), nil)
	endpoint := o.newEndpoint(func(w http.ResponseWriter, r *http.Request) {
		select {
		case <-time.After(slow):
		case <-r.Context().Done():
		}
		w.Header().Set("Retry-After", "60") // which has no jitter
		w.WriteHeader(http.StatusServiceUnavailable)
	})
	id := o.send(endpoint, 1)[0]
	o.drain()
	d := o.delivery(id)
	if wait := d.NextAttemptAt.Sub(d.Attempts[0].At.Time); wait < time.Minute+slow-time.Millisecond {
		t.Errorf("again %s after the attempt began, want a minute after it ended", wait)
	}
}

func TestAttemptKeepsTimeStatusLatencyAndTheFirstKiBAsText(t *testing.T) {
	t.Parallel()
	o := open(t, storetest.Open(t, storetest.Options(t, "sqlite")), nil)
	for _, c := range []struct{ name, body, want string }{
		{"nothing", "", ""},
		{"text", "taken", "taken"},
		{"exactly 1 KiB", strings.Repeat("a", 1024), strings.Repeat("a", 1024)},
		{"more than 1 KiB", strings.Repeat("a", 1025), strings.Repeat("a", 1024)},
		{"a character across the end", strings.Repeat("a", 1023) + "é", strings.Repeat("a", 1023)},
		{"a long character across the end", strings.Repeat("a", 1021) + "🙂", strings.Repeat("a", 1021)},
		{"a character that ends there", strings.Repeat("a", 1022) + "éb", strings.Repeat("a", 1022) + "é"},
		{"invalid UTF-8", "a\xff\xfeb", "a\uFFFDb"},
		{"invalid UTF-8 at the end", strings.Repeat("a", 1022) + "\x80\x80\x80", strings.Repeat("a", 1022) + "\uFFFD"},
		{"NUL", "a\x00b", "a\x00b"},
		{"1 MiB", strings.Repeat("é", 1<<19), strings.Repeat("é", 512)},
	} {
		endpoint := o.newEndpoint(func(w http.ResponseWriter, _ *http.Request) {
			w.WriteHeader(http.StatusTeapot)
			_, _ = w.Write([]byte(c.body)) // cut short for the huge ones
		})
		before := time.Now()
		id := o.send(endpoint, 1)[0]
		must(t, o.work(o.one()))
		a := o.delivery(id).Attempts[0]
		if a.Response != c.want || !utf8.ValidString(a.Response) {
			t.Errorf("%s: %d bytes are kept: %.40q, want %d", c.name, len(a.Response), a.Response, len(c.want))
		}
		if a.Status != http.StatusTeapot || a.At.Before(before.Add(-time.Millisecond)) || a.At.After(time.Now()) || a.LatencyMS < 0 ||
			a.LatencyMS > time.Since(before).Milliseconds() || a.Error != "" {
			t.Errorf("%s: %+v", c.name, a)
		}
	}
}

func TestEndpointThatCannotBeReachedIsAnAttemptWithAReason(t *testing.T) {
	t.Parallel()
	o := open(t, storetest.Open(t, storetest.Options(t, "sqlite")), nil)
	endpoint := o.newEndpoint(func(w http.ResponseWriter, _ *http.Request) { panic(http.ErrAbortHandler) })
	id := o.send(endpoint, 1)[0]
	must(t, o.work(o.one()))
	d := o.delivery(id)
	if a := d.Attempts[0]; d.Status != delivery.Retrying || a.Status != 0 || a.Error == "" || a.Response != "" {
		t.Errorf("%s after %+v", d.Status, a)
	}
}
