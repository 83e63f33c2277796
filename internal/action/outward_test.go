package action_test

import (
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"net/netip"
	"strings"
	"sync"
	"testing"

	"usersync/internal/consent"
	"usersync/internal/followup"
	"usersync/internal/outbound"
	"usersync/internal/reaction"
	"usersync/internal/roomtest"
	"usersync/internal/usersync"
)

// localClient may call the servers of tests.
func localClient() *outbound.Client {
	return &outbound.Client{Guard: &outbound.Guard{Allow: []netip.Prefix{netip.MustParsePrefix("127.0.0.0/8")}}}
}

// hook is a server that answers calls one after the other by what it was told.
type hook struct {
	*httptest.Server
	mu      sync.Mutex
	answers []int
	calls   []string
	ids     map[string]bool
}

func newHook(t *testing.T, answers ...int) *hook {
	t.Helper()
	h := &hook{answers: answers, ids: map[string]bool{}}
	h.Server = httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		body, _ := io.ReadAll(r.Body)
		h.mu.Lock()
		defer h.mu.Unlock()
		h.calls = append(h.calls, strings.TrimSpace(fmt.Sprintf("%s %s %s %s", r.Method, r.URL, r.Header.Get("X-Plan"), body)))
		h.ids[r.Header.Get("Idempotency-Key")] = true
		status := http.StatusOK
		if len(h.answers) > 0 {
			status, h.answers = h.answers[0], h.answers[1:]
		}
		w.WriteHeader(status)
		_, _ = io.WriteString(w, `{"id":12345678901234567890,"name":"crm"}`)
	}))
	t.Cleanup(h.Close)
	return h
}

func TestAWebhookIsCalledAndItsResponseIsThereForLaterActions(t *testing.T) {
	t.Parallel()
	eachDesk(t, func(t *testing.T, d *desk) {
		h := newHook(t, http.StatusServiceUnavailable, http.StatusCreated)
		d.followUp(`{"name":"n","trigger":{"type":"user/update"},"actions":[
			{"type":"send-webhook","name":"crm","method":"POST","url":"` + h.URL + `/u/{{.profile.email}}","query":{"plan":"{{.attributes.plan}}"},"headers":{"X-Plan":"{{.attributes.plan}}"},"body":"{\"plan\":\"{{.attributes.plan}}\"}"},
			{"type":"add-tag","tags":["crm-{{.responses.crm.body.id}}-{{.responses.crm.status}}"]},
			{"type":"send-webhook","method":"GET","url":"` + h.URL + `/done"}]}`)
		e := d.report(followup.UserUpdate, "ann@example.com", map[string]any{"plan": `a "b"&`})
		d.work()
		if run := d.story(e).Runs[0]; run.Status != reaction.Running || run.Actions[0].Status != reaction.DeedRetrying {
			t.Fatalf("%+v", run)
		}
		d.pass()
		run := d.story(e).Runs[0]
		if run.Status != reaction.Succeeded || run.Actions[0].Attempts != 2 {
			t.Errorf("%+v", run)
		}
		post := `POST /u/ann@example.com?plan=a+%22b%22%26 a "b"& {"plan":"a \"b\"\u0026"}`
		want := []string{post, post, "GET /done"}
		h.mu.Lock()
		defer h.mu.Unlock()
		if fmt.Sprint(h.calls) != fmt.Sprint(want) || len(h.ids) != 2 || h.ids[""] {
			t.Errorf("%q with %v, want %q", h.calls, h.ids, want)
		}
		if got := roomtest.Count(t, d.db, `SELECT count(*) FROM users WHERE tags LIKE '%crm-12345678901234567890-201%'`); got != 1 {
			t.Error("the response did not reach the tag")
		}
	})
}

func TestAWebhookThatIsRefusedEndsTheRunWithItsPlace(t *testing.T) {
	t.Parallel()
	eachDesk(t, func(t *testing.T, d *desk) {
		h := newHook(t, http.StatusForbidden)
		d.followUp(`{"name":"n","trigger":{"type":"user/update"},"actions":[{"type":"send-webhook","method":"DELETE","url":"` + h.URL + `"},{"type":"add-tag","tags":["never"]}]}`)
		e := d.report(followup.UserUpdate, "ann@example.com", nil)
		d.work()
		if run := d.story(e).Runs[0]; run.Status != reaction.Failed || run.Error != "actions[0]: The webhook was answered with status 403." || len(run.Actions) != 1 {
			t.Errorf("%+v", run)
		}
	})
}

func TestUnsubscribeSyncAndSearchAreDoneOnce(t *testing.T) {
	t.Parallel()
	eachDesk(t, func(t *testing.T, d *desk) {
		d.followUp(`{"name":"n","trigger":{"type":"user/update"},"actions":[{"type":"unsubscribe"},{"type":"unsubscribe"},{"type":"sync-to-platforms"},{"type":"find-colleagues"}]}`)
		e := d.report(followup.UserUpdate, "ann@example.com", nil)
		d.work()
		v, err := reaction.Show(t.Context(), d.org(), e)
		must(t, err)
		if runs := v.FollowUps.Runs; len(runs) != 1 || runs[0].Status != reaction.Succeeded {
			t.Fatalf("%+v", runs)
		}
		user := v.UserID
		known, err := consent.Of(t.Context(), d.org(), user)
		must(t, err)
		if c := known[user][usersync.ChannelEmail]; c.Status != usersync.Unsubscribed || c.Source != "follow-up" {
			t.Errorf("%+v", c)
		}
		for query, want := range map[string]int{
			`SELECT count(*) FROM events WHERE type = 'user.unsubscribed'`:                                                                 1,
			`SELECT count(*) FROM requests WHERE kind = 'platform-sync' AND user_id = '` + user + `'`:                                      1,
			`SELECT count(*) FROM requests WHERE kind = 'user-sync' AND status = 'succeeded' AND charged = 0 AND user_id = '` + user + `'`: 1,
		} {
			if got := roomtest.Count(t, d.db, query); got != want {
				t.Errorf("%s: %d, want %d", query, got, want)
			}
		}
	})
}
