package app_test

import (
	"encoding/json"
	"fmt"
	"net/http"
	"net/url"
	"strings"
	"testing"

	"usersync/internal/app/apptest"
	"usersync/internal/bulk"
	"usersync/internal/connector/fakeplatform"
	"usersync/internal/platform"
	"usersync/internal/request"
	"usersync/internal/tenant"
	"usersync/internal/usersync"
)

// marketer calls the marketing routes as their clients do, with the key in the query.
// Every answer is compared with the description.
type marketer struct {
	*shownPlatform
	client *apptest.Client
	secret string
}

func newMarketer(t *testing.T, p *shownPlatform) *marketer {
	t.Helper()
	_, secret, err := tenant.CreateKey(t.Context(), p.app.Store, "test", p.org.ID, tenant.Key{Name: "marketing", Scopes: []tenant.Scope{tenant.ScopeMarketing, tenant.ScopeRead, tenant.ScopeSync}})
	must(t, err)
	return &marketer{p, p.app.Client(t), secret.Reveal()}
}

// call posts a body, or gets without one, and decodes the answer.
func (m *marketer) call(t *testing.T, path, body, prefer string, to any) apptest.Answer {
	t.Helper()
	c := apptest.Call{Method: http.MethodPost, Path: path + "?apiKey=" + url.QueryEscape(m.secret), Header: http.Header{"Content-Type": {"application/json"}}, Body: []byte(body)}
	if prefer != "" {
		c.Header.Set("Prefer", prefer)
	}
	a := m.client.Do(t, c)
	if to != nil {
		if err := json.Unmarshal(a.Body, to); err != nil {
			t.Fatalf("%d %s: %v", a.Status, a.Body, err)
		}
	}
	return a
}

// get reads a native route.
func (m *marketer) get(t *testing.T, path, accept string) apptest.Answer {
	t.Helper()
	return m.client.Do(t, apptest.Call{Method: http.MethodGet, Path: path, Header: http.Header{"X-Api-Key": {m.secret}, "Accept": {accept}}})
}

type userSynced struct {
	Success   bool
	User      struct{ ID, Email, FirstName string }
	DryRun    bool
	Platforms []struct{ Name, Status, Details string }
	RequestID string
}

func (u userSynced) status() string {
	if len(u.Platforms) != 1 {
		return fmt.Sprintf("%d platforms", len(u.Platforms))
	}
	return u.Platforms[0].Status
}

func TestMarketingPushesOneUserNow(t *testing.T) {
	t.Parallel()
	each(t, 10, func(t *testing.T, n customer) {
		n.until(t, n.sync(t, usersync.UserInput{FirstName: "Ada"}, "ada@acme.example.com"), request.Succeeded)
		m := newMarketer(t, n.connect(t, "http"))
		const path, ada = "/api/marketing/sync-user", `{"email":"ada@acme.example.com"}`
		for _, c := range []struct {
			path, body, want string
			writes           int
		}{
			{path, `{"email":"ada@acme.example.com","dryRun":true}`, "would_sync", 0},
			{"/api/test/sync-user", ada, "would_sync", 0},
			{path, ada, "synced", 1},
			{path, ada, "unchanged", 1},
			{path, `{"email":"ada@acme.example.com","first_name":"Jane"}`, "synced", 2},
		} {
			var got userSynced
			a := m.call(t, c.path, c.body, "wait=30", &got)
			one, _ := m.fake.People().Get("ada@acme.example.com")
			if a.Status != http.StatusOK || !got.Success || got.status() != c.want || got.Platforms[0].Name != "http" || one.Writes != c.writes {
				t.Errorf("%s %s: %d %s, %d writes", c.path, c.body, a.Status, a.Body, one.Writes)
			}
		}
		one, _ := m.fake.People().Get("ada@acme.example.com")
		if text := fmt.Sprint(one.Fields); !strings.Contains(text, "Jane") {
			t.Errorf("the platform has %s, want the name of the call", text)
		}
		n.verify(t, 10)
	})
}

func TestMarketingTellsOfAPlatformThatRefusesAndOfOneThatIsAway(t *testing.T) {
	t.Parallel()
	each(t, 10, func(t *testing.T, n customer) {
		n.until(t, n.sync(t, usersync.UserInput{}, "ada@acme.example.com"), request.Succeeded)
		m := newMarketer(t, n.connect(t, "http"))
		const path, ada = "/api/marketing/sync-user", `{"email":"ada@acme.example.com"}`
		m.server.Break("http", fakeplatform.Fault{Status: 422})
		var got userSynced
		a := m.call(t, path, ada, "wait=30", &got)
		if a.Status != http.StatusOK || got.Success || got.status() != "failed" || !strings.Contains(got.Platforms[0].Details, "caused by the platform") {
			t.Errorf("%d %s", a.Status, a.Body)
		}
		req := a.Header.Get("X-Request-Id")
		m.server.Break("http")
		again := m.client.Do(t, apptest.Call{Method: http.MethodPost, Path: "/v1/requests/" + req + "/retry", Header: http.Header{"X-Api-Key": {m.secret}}})
		if again.Status != http.StatusAccepted {
			t.Errorf("%d %s", again.Status, again.Body)
		}
		n.until(t, req, request.Succeeded)
		m.server.Break("http", fakeplatform.Fault{Status: 503})
		const jane = `{"email":"ada@acme.example.com","first_name":"Jane"}`
		a = m.call(t, path, jane, "wait=5", &got)
		if a.Status != http.StatusAccepted || !got.Success || got.status() != "pending" || got.RequestID == "" ||
			a.Header.Get("Location") != "/v1/requests/"+got.RequestID || !strings.Contains(got.Platforms[0].Details, "tried again at") {
			t.Errorf("%d %s", a.Status, a.Body)
		}
		m.server.Break("http")
		n.until(t, got.RequestID, request.Succeeded)
		if a = m.call(t, path, jane, "respond-async", &got); a.Status != http.StatusAccepted || a.Header.Get("Preference-Applied") != "respond-async" {
			t.Errorf("%d %s", a.Status, a.Body)
		}
	})
}

type listSynced struct {
	Success  bool
	SyncID   string `json:"sync_id"`
	Stats    struct{ Total, Added, Updated, Removed, Errors int64 }
	DryRun   bool
	Progress *request.Progress
}

func TestMarketingSyncsManyUsersAndListsThoseThatFail(t *testing.T) {
	t.Parallel()
	each(t, 10, func(t *testing.T, n customer) {
		var ids []string
		for i := range 3 {
			r := n.until(t, n.sync(t, usersync.UserInput{}, fmt.Sprintf("user%d@acme.example.com", i)), request.Succeeded)
			ids = append(ids, r.UserID)
		}
		m := newMarketer(t, n.connect(t, "http"))
		const path = "/api/marketing/sync-users"
		var got listSynced
		a := m.call(t, path, `{"platform":"http","sync_type":"all","dryRun":true}`, "wait=30", &got)
		if a.Status != http.StatusOK || !got.DryRun || got.Stats.Total != 3 || got.Stats.Errors != 0 || m.fake.People().Len() != 0 {
			t.Errorf("%d %s", a.Status, a.Body)
		}
		m.server.Break("http", fakeplatform.Fault{Status: 422, Times: 1})
		got = listSynced{}
		a = m.call(t, path, `{"platform":"http","sync_type":"selected","user_ids":["`+strings.Join(ids, `","`)+`","=user9"]}`, "wait=30", &got)
		if a.Status != http.StatusOK || !got.Success || got.Stats.Total != 4 || got.Stats.Errors != 2 || got.Stats.Added+got.Stats.Updated != 2 {
			t.Errorf("%d %s", a.Status, a.Body)
		}
		req := a.Header.Get("X-Request-Id")
		if got.SyncID != bulk.SyncID(req) {
			t.Errorf("%s is not the sync of %s", got.SyncID, req)
		}
		m.errors(t, req)
		again := m.client.Do(t, apptest.Call{Method: http.MethodPost, Path: "/v1/requests/" + got.SyncID + "/retry", Header: http.Header{"X-Api-Key": {m.secret}}})
		if again.Status != http.StatusAccepted {
			t.Fatalf("%d %s", again.Status, again.Body)
		}
		r := n.until(t, req, request.PartiallySucceeded)
		if p := r.Progress; p.Total != 4 || p.Done != 4 || p.Errors != 1 || m.fake.People().Len() != 3 {
			t.Errorf("after the retry %+v, %d people", p, m.fake.People().Len())
		}
		_, err := platform.PauseConnection(t.Context(), n.app.Store.Org(n.org.ID), "test", m.connection.ID)
		must(t, err)
		if a = m.call(t, path, `{"platform":"http","sync_type":"all"}`, "", nil); a.Status != http.StatusConflict {
			t.Errorf("%d %s", a.Status, a.Body)
		}
	})
}

func TestABulkCallRepeatedGetsItsAnswerThoughItsListIsGone(t *testing.T) {
	t.Parallel()
	each(t, 10, func(t *testing.T, n customer) {
		m := newMarketer(t, n.connect(t, "hubspot"))
		const path = "/api/marketing/sync-users"
		var made struct{ Audience struct{ ID string } }
		if a := m.call(t, path, `{"audienceName":"Spring"}`, "wait=30", &made); a.Status != http.StatusOK || made.Audience.ID == "" {
			t.Fatalf("%d %s", a.Status, a.Body)
		}
		body := `{"platform":"hubspot","sync_type":"all","list_id":"` + made.Audience.ID + `"}`
		keyed := func() apptest.Answer {
			return m.client.Do(t, apptest.Call{Method: http.MethodPost, Path: path, Body: []byte(body),
				Header: http.Header{"Authorization": {"Bearer " + m.secret}, "Content-Type": {"application/json"}, "Idempotency-Key": {"once"}, "Prefer": {"wait=30"}}})
		}
		first := keyed()
		if first.Status != http.StatusOK {
			t.Fatalf("%d %s", first.Status, first.Body)
		}
		m.server.Break("hubspot", fakeplatform.Fault{Path: "/lists/" + made.Audience.ID, Status: http.StatusNotFound})
		if a := m.call(t, path, body, "wait=30", nil); a.Status != http.StatusBadRequest {
			t.Errorf("a new call for the list that is gone: %d %s", a.Status, a.Body)
		}
		if again := keyed(); again.Status != http.StatusOK || string(again.Body) != string(first.Body) || again.Header.Get("Idempotency-Replayed") != "true" {
			t.Errorf("the call repeated: %d %s, want the earlier answer %s", again.Status, again.Body, first.Body)
		}
	})
}

// errors reads the errors of a bulk page by page and as CSV.
func (m *marketer) errors(t *testing.T, request string) {
	t.Helper()
	var page struct {
		Items      []bulk.Error
		NextCursor string
	}
	seen := 0
	for cursor := ""; ; cursor = page.NextCursor {
		a := m.get(t, "/v1/requests/"+request+"/errors?limit=1&cursor="+cursor, "application/json")
		must(t, json.Unmarshal(a.Body, &page))
		for _, one := range page.Items {
			seen++
			if known := one.UserID != "=user9"; known != (one.Email != "") || one.Message == "" || (one.Code == "not_found") == known {
				t.Errorf("%+v", one)
			}
		}
		if page.NextCursor == "" {
			break
		}
	}
	a := m.get(t, "/v1/requests/"+request+"/errors", "text/csv")
	lines := strings.Split(strings.TrimSpace(string(a.Body)), "\n")
	if seen != 2 || len(lines) != 3 || !strings.HasPrefix(lines[1], "'=user9,,failed,not_found,User not found") {
		t.Errorf("%d errors, CSV %q", seen, lines)
	}
}
