package action_test

import (
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"net/netip"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"usersync/internal/action"
	"usersync/internal/colleague"
	"usersync/internal/consent"
	"usersync/internal/followup"
	"usersync/internal/followup/catalog"
	"usersync/internal/identity"
	"usersync/internal/mail"
	"usersync/internal/mail/mailtest"
	"usersync/internal/outbound"
	"usersync/internal/reaction"
	"usersync/internal/roomtest"
	"usersync/internal/store"
	"usersync/internal/tenant"
	"usersync/internal/user"
	"usersync/internal/usersync"
)

// localClient may call the servers of tests.
func localClient() *outbound.Client {
	return &outbound.Client{Guard: &outbound.Guard{Allow: []netip.Prefix{netip.MustParsePrefix("127.0.0.0/8")}}}
}

func means(s *store.Store) action.Means {
	client := localClient()
	return action.Means{Store: s, Client: client, Mail: &mail.Sender{Guard: client.Guard, Timeout: 5 * time.Second}}
}

// hook is a server that answers calls one after the other by what it was told.
type hook struct {
	*httptest.Server
	mu      sync.Mutex
	answers []int
	calls   []string
	tokens  []string
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
		h.tokens = append(h.tokens, r.Header.Get("X-Token"))
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

// A run goes on with the headers of the version that it began with, for the address that
// they were given for.
func TestAWebhookIsCalledWithTheSealedHeadersOfItsVersion(t *testing.T) {
	t.Parallel()
	eachDesk(t, func(t *testing.T, d *desk) {
		h := newHook(t)
		const definition = `{"name":"n","trigger":{"type":"user/update"},"actions":[{"type":"wait","for":"1h"},
			{"type":"send-webhook","method":"GET","url":"%s/a","headers":{"X-Token":"%s {{.profile.email}}"}}]}`
		f := d.followUp(fmt.Sprintf(definition, h.URL, "first"))
		first := d.report(followup.UserUpdate, ann, nil)
		d.work()
		_, err := catalog.Change(t.Context(), d.org(), "test", "follow_up.update", f.ID, func(f *catalog.FollowUp) ([]string, error) {
			p, err := followup.Parse(fmt.Appendf(nil, definition, h.URL, "second"))
			f.Definition = p.Definition
			return []string{"actions"}, err
		})
		must(t, err)
		second := d.report(followup.UserUpdate, ann, nil)
		d.work()
		// What somebody changes in the database past the service goes nowhere.
		third := d.report(followup.UserUpdate, "bob@example.com", nil)
		d.work()
		roomtest.Execute(t, d.db, `INSERT INTO follow_up_versions (follow_up_id, version, organization_id, definition, actor, created_at)
			SELECT follow_up_id, 99, organization_id, replace(definition, '/a"', '/stolen"'), actor, created_at FROM follow_up_versions WHERE version = 2`)
		roomtest.Execute(t, d.db, `UPDATE follow_up_runs SET version = 99 WHERE event_id = '`+third+`'`)
		d.pass()
		h.mu.Lock()
		defer h.mu.Unlock()
		slices.Sort(h.tokens)
		if want := []string{"first " + ann, "second " + ann}; !slices.Equal(h.tokens, want) {
			t.Errorf("called with %q, want %q", h.tokens, want)
		}
		if got := slices.Concat(d.statuses(first), d.statuses(second)); !slices.Equal(got, []reaction.Status{reaction.Succeeded, reaction.Succeeded}) {
			t.Errorf("%v", got)
		}
		if r := d.story(third).Runs[0]; r.Status != reaction.Failed || r.Error != "actions[1].headers.X-Token must be given again." {
			t.Errorf("%+v", r)
		}
	})
}

// invite gives the organization a mail server, and ann colleagues whom nobody has invited.
func (d *desk) invite(settings usersync.SMTP, colleagues ...string) {
	d.t.Helper()
	_, err := tenant.Update(d.t.Context(), d.org(), "test", func(o *tenant.Organization) ([]string, error) {
		o.Settings.SMTP, o.Settings.InvitationTemplate.Text = &settings, "{{.inviterEmail}} invites {{.name}}"
		return []string{"settings.smtp"}, nil
	})
	must(d.t, err)
	inviter, err := identity.ParseEmail(ann)
	must(d.t, err)
	for _, address := range colleagues {
		email, err := identity.ParseEmail(address)
		must(d.t, err)
		_, err = colleague.Create(d.t.Context(), d.org(), "test", d.Organization.Salt, colleague.NewColleague{
			Colleague: colleague.Colleague{Name: "C", CompanyName: "Example"}, Email: email, Inviter: inviter, Identity: user.IdentityOf(usersync.UserInput{Email: email})})
		must(d.t, err)
	}
}

func TestInvitationsGoToWhoWasNotInvitedAndNobodyIsInvitedTwice(t *testing.T) {
	t.Parallel()
	eachDesk(t, func(t *testing.T, d *desk) {
		server := mailtest.Start(t, mailtest.WithoutTLS)
		settings := server.Settings()
		settings.Host, settings.Username, settings.Password = "127.0.0.1", "", usersync.MaskedSecret{}
		d.invite(settings, "bob@example.com", "cid@example.com", "dan@example.com")
		d.followUp(`{"name":"n","trigger":{"type":"user/update"},"actions":[{"type":"send-invitation","limit":2}]}`)
		server.Refuse(451, "later")
		id := d.report(followup.UserUpdate, ann, nil)
		d.work()
		if a := d.story(id).Runs[0].Actions[0]; a.Status != reaction.DeedRetrying {
			t.Fatalf("%+v", a)
		}
		server.Refuse(0, "")
		d.pass()
		if a := d.story(id).Runs[0].Actions[0]; a.Status != reaction.DeedDone || a.Details != "Invited 2 colleagues" {
			t.Errorf("%+v", a)
		}
		second, third := d.report(followup.UserUpdate, ann, nil), ""
		d.work()
		third = d.report(followup.UserUpdate, ann, nil)
		d.work()
		if got := []string{d.story(second).Runs[0].Actions[0].Details, d.story(third).Runs[0].Actions[0].Details}; !slices.Equal(got, []string{"Invited 1 colleague", "There was no colleague to invite"}) {
			t.Errorf("%q", got)
		}
		var to []string
		for _, l := range server.Letters() {
			to = append(to, l.To)
			if !strings.Contains(string(l.Data), ann) {
				t.Errorf("the letter names no inviter:\n%s", l.Data)
			}
		}
		slices.Sort(to)
		if !slices.Equal(to, []string{"bob@example.com", "cid@example.com", "dan@example.com"}) {
			t.Errorf("letters to %v", to)
		}
	})
}

func TestAnInvitationThatIsRefusedKeepsNobodyElseFromTheirs(t *testing.T) {
	t.Parallel()
	eachDesk(t, func(t *testing.T, d *desk) {
		server := mailtest.Start(t, mailtest.WithoutTLS)
		settings := server.Settings()
		settings.Host, settings.Username, settings.Password = "127.0.0.1", "", usersync.MaskedSecret{}
		d.invite(settings, "bob@example.com", "cid@example.com")
		d.followUp(`{"name":"n","trigger":{"type":"user/update"},"actions":[{"type":"send-invitation"}]}`)
		server.Refuse(550, "no such user")
		id := d.report(followup.UserUpdate, ann, nil)
		d.work()
		if r := d.story(id).Runs[0]; r.Status != reaction.Succeeded || r.Actions[0].Details != "There was no colleague to invite; the mail server refused 2" {
			t.Errorf("%+v", r)
		}
	})
}

func TestWithoutAMailServerAnInvitationFailsAndSaysWhatToDo(t *testing.T) {
	t.Parallel()
	eachDesk(t, func(t *testing.T, d *desk) {
		d.followUp(`{"name":"n","trigger":{"type":"user/update"},"actions":[{"type":"send-invitation"}]}`)
		id := d.report(followup.UserUpdate, ann, nil)
		d.work()
		if r := d.story(id).Runs[0]; r.Status != reaction.Failed || r.Error != "actions[0]: The organization has no SMTP server: set settings.smtp." {
			t.Errorf("%+v", r)
		}
	})
}
