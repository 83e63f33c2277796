//go:build unix

package system

import (
	"errors"
	"fmt"
	"net/http"
	"net/http/httptest"
	"slices"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"usersync/internal/credit"
)

// answering returns a client of two servers that answer alike.
func answering(t *testing.T, handler http.HandlerFunc) *Client {
	t.Helper()
	var bases []string
	for range 2 {
		server := httptest.NewServer(handler)
		t.Cleanup(server.Close)
		bases = append(bases, server.URL)
	}
	c := NewClient("the key", bases...)
	t.Cleanup(c.Leave)
	return c
}

func TestInsistRepeatsACallAtOneProcessAfterTheOther(t *testing.T) {
	t.Parallel()
	var hosts [2]atomic.Int64 // calls, by process
	var calls atomic.Int64
	var c *Client
	c = answering(t, func(w http.ResponseWriter, r *http.Request) {
		n := calls.Add(1)
		hosts[slices.Index(c.Bases, "http://"+r.Host)].Add(1)
		if r.Header.Get("X-API-Key") != "the key" || r.Header.Get("Idempotency-Key") != "once" {
			t.Errorf("header %v", r.Header)
		}
		if n < 4 {
			http.Error(w, "later", http.StatusServiceUnavailable)
			return
		}
		w.WriteHeader(http.StatusAccepted)
	})
	call := SyncCall(User{Email: "a@acme.example"})
	call.Key = "once"
	answer, accepted, err := c.Insist(t.Context(), time.Minute, call, func(a Answer, err error) (time.Duration, bool) {
		return 0, err == nil && a.Status == http.StatusServiceUnavailable
	})
	if err != nil || !accepted || answer.Sent.IsZero() || hosts[0].Load() != 2 || hosts[1].Load() != 2 {
		t.Errorf("%+v, accepted %v, %v after %d and %d calls", answer, accepted, err, hosts[0].Load(), hosts[1].Load())
	}
}

func TestInsistGivesUp(t *testing.T) {
	t.Parallel()
	c := answering(t, func(w http.ResponseWriter, _ *http.Request) { http.Error(w, "never", http.StatusTeapot) })
	call := SyncCall(User{Email: "a@acme.example"})
	answer, accepted, err := c.Insist(t.Context(), time.Minute, call, HeedRetryAfter)
	if answer.Status != http.StatusTeapot || accepted || err != nil {
		t.Errorf("%+v, accepted %v, %v for a refusal", answer, accepted, err)
	}
	_, accepted, err = c.Insist(t.Context(), 0, call, func(Answer, error) (time.Duration, bool) { return 0, true })
	if accepted || err == nil || !strings.Contains(err.Error(), "POST /v1/user-sync: not accepted within 0s, last 418 never") {
		t.Errorf("accepted %v, %v when the time is over", accepted, err)
	}
}

func TestHeedRetryAfterComesBackOnlyWhenItIsTold(t *testing.T) {
	t.Parallel()
	c := answering(t, func(w http.ResponseWriter, _ *http.Request) {
		w.Header().Set("Retry-After", "7")
		w.WriteHeader(http.StatusTooManyRequests)
	})
	after, again := HeedRetryAfter(c.Do(t.Context(), SyncCall(User{})))
	if after != 7*time.Second || !again {
		t.Errorf("again %v after %s", again, after)
	}
	if _, again := HeedRetryAfter(Answer{Status: http.StatusBadRequest}, nil); again {
		t.Error("a refusal for good is repeated")
	}
	if _, again := HeedRetryAfter(Answer{}, errors.New("cut off")); again {
		t.Error("a call without an answer is repeated")
	}
}

func TestListReadsEveryPage(t *testing.T) {
	t.Parallel()
	c := answering(t, func(w http.ResponseWriter, r *http.Request) {
		next := map[string]string{"": "a b", "a b": "c", "c": ""}
		cursor := r.URL.Query().Get("cursor")
		_, _ = fmt.Fprintf(w, `{"items":[{"id":"led_%s"}],"nextCursor":%q}`, cursor, next[cursor])
	})
	got, err := c.Ledger(t.Context())
	if want := []credit.Entry{{ID: "led_"}, {ID: "led_a b"}, {ID: "led_c"}}; fmt.Sprint(got) != fmt.Sprint(want) || err != nil {
		t.Errorf("got %v, %v", got, err)
	}
}

func TestAskSaysWhatWasAnswered(t *testing.T) {
	t.Parallel()
	c := answering(t, func(w http.ResponseWriter, _ *http.Request) { http.Error(w, "no", http.StatusForbidden) })
	err := c.Ask(t.Context(), http.MethodGet, "/v1/users", nil, nil)
	if err == nil || !strings.Contains(err.Error(), "GET /v1/users: answered with 403 no") {
		t.Errorf("error %v", err)
	}
}

func TestResultsAreOneForEachUser(t *testing.T) {
	t.Parallel()
	for body, users := range map[string]int{
		`{"requestId":"req_1","userId":"user_1"}`:                                                       1,
		`{"results":[{"requestId":"req_1","userId":"user_1"},{"requestId":"req_2","userId":"user_2"}]}`: 2,
	} {
		if got, err := (Answer{Body: []byte(body)}).Results(users); len(got) != users || got[0] != (Result{"req_1", "user_1"}) || err != nil {
			t.Errorf("%s: %v, %v", body, got, err)
		}
		if _, err := (Answer{Body: []byte(body)}).Results(users + 1); !errors.Is(err, errResults) {
			t.Errorf("%s for %d users: error %v", body, users+1, err)
		}
	}
	if _, err := (Answer{Body: []byte(`{"requestId":"req_1"}`)}).Results(1); !errors.Is(err, errResults) {
		t.Errorf("without an id of the user: error %v", err)
	}
}

func TestSyncCallTakesTheFormForManyOnlyForMany(t *testing.T) {
	t.Parallel()
	one := User{Email: "a@acme.example", Country: "US"}
	for _, c := range []struct {
		call       Call
		path, body string
	}{
		{SyncCall(one), "/v1/user-sync", `{"user":{"email":"a@acme.example","country":"US"}}`},
		{BatchCall(one), "/v1/user-sync/batch", `{"users":[{"email":"a@acme.example","country":"US"}]}`},
		{SyncCall(one, User{Email: "b@acme.example"}), "/v1/user-sync/batch", `{"users":[{"email":"a@acme.example","country":"US"},{"email":"b@acme.example","country":""}]}`},
	} {
		if c.call.Path != c.path || string(c.call.Body) != c.body {
			t.Errorf("got %s %s", c.call.Path, c.call.Body)
		}
	}
}

func TestArrivalsKeepTheFirstTimeAndCountTheRest(t *testing.T) {
	t.Parallel()
	var a Arrivals
	if got := a.All(); got.Requests != 0 || len(got.Arrivals) != 0 {
		t.Errorf("got %+v of nothing", got)
	}
	first := time.Unix(100, 5)
	a.Note("req_1", "msg_1", first)
	a.Note("req_1", "msg_1", first.Add(time.Second))
	a.Note("req_2", "msg_2", first)
	got := a.All()
	if got.Deliveries != 3 || got.Messages != 2 || got.Requests != 2 || got.Arrivals["req_1"].Count != 2 || !got.Arrivals["req_1"].Time().Equal(first) {
		t.Errorf("got %+v", got)
	}
	if count := a.Count(); count.Arrivals != nil || count.Requests != 2 {
		t.Errorf("got %+v", count)
	}
}
