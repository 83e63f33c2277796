package manage_test

import (
	"bytes"
	"encoding/json"
	"fmt"
	"io"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"regexp"
	"slices"
	"strings"
	"testing"
	"time"

	"usersync/internal/api"
	"usersync/internal/api/manage"
	"usersync/internal/management"
	"usersync/internal/outbound"
	"usersync/internal/outbox"
	"usersync/internal/queue"
	"usersync/internal/store"
	"usersync/internal/store/storetest"
	"usersync/internal/telemetry"
	"usersync/internal/usersync"
)

const adminToken = "an-operators-token-0123456789"

// site is a served dialect with a database of its own.
type site struct {
	t     *testing.T
	url   string
	store *store.Store
}

// fullQueue is a queue in which tasks wait. Nobody pauses it in these tests.
type fullQueue struct{ management.Queues }

func (fullQueue) Depths() ([]queue.Depth, error) {
	return []queue.Depth{{Queue: queue.Run, Pending: 7, Latency: 1500 * time.Millisecond}}, nil
}

func newSite(t *testing.T) site {
	t.Helper()
	s := storetest.Open(t, storetest.Options(t, "sqlite"))
	edge := api.New(api.Options{Store: s, Metrics: telemetry.NewMetrics(), Log: slog.New(slog.DiscardHandler)})
	handlers := &manage.Handlers{
		Management: &management.Service{Store: s, Guard: &outbound.Guard{}, Queues: fullQueue{}},
		AdminToken: usersync.NewSecret(adminToken),
	}
	edge.Mount(handlers.Dialects()...)
	server := httptest.NewServer(edge)
	t.Cleanup(server.Close)
	return site{t, server.URL, s}
}

// answer is what came back; body is nil where there is none.
type answer struct {
	status int
	header http.Header
	body   map[string]any
}

func (s site) call(header, credential, method, path, body string) answer {
	s.t.Helper()
	req, err := http.NewRequestWithContext(s.t.Context(), method, s.url+path, strings.NewReader(body))
	if err != nil {
		s.t.Fatal(err)
	}
	if credential != "" {
		req.Header.Set(header, credential)
	}
	if body != "" {
		req.Header.Set("Content-Type", "application/json")
	}
	resp, err := http.DefaultClient.Do(req)
	if err != nil {
		s.t.Fatal(err)
	}
	defer func() { _ = resp.Body.Close() }()
	text, err := io.ReadAll(resp.Body)
	if err != nil {
		s.t.Fatal(err)
	}
	a := answer{status: resp.StatusCode, header: resp.Header}
	if len(text) > 0 {
		if err := json.NewDecoder(bytes.NewReader(text)).Decode(&a.body); err != nil {
			s.t.Fatalf("%s %s: %v in %s", method, path, err, text)
		}
	}
	return a
}

func (s site) operator(method, path, body string) answer {
	s.t.Helper()
	return s.call("Authorization", "Bearer "+adminToken, method, path, body)
}

func (s site) tenant(key, method, path, body string) answer {
	s.t.Helper()
	return s.call("X-API-Key", key, method, path, body)
}

// want fails the test unless the answer has this status.
func (s site) want(a answer, status int) answer {
	s.t.Helper()
	if a.status != status {
		s.t.Fatalf("status %d, want %d: %v", a.status, status, a.body)
	}
	return a
}

func (a answer) text(name string) string {
	text, _ := a.body[name].(string)
	return text
}

// items returns the elements of a list.
func (a answer) items() []map[string]any {
	list, _ := a.body["items"].([]any)
	out := make([]map[string]any, 0, len(list))
	for _, one := range list {
		out = append(out, one.(map[string]any))
	}
	return out
}

// ids returns the ids of a list's elements, joined.
func (a answer) ids() string {
	var ids []string
	for _, one := range a.items() {
		ids = append(ids, one["id"].(string))
	}
	return strings.Join(ids, " ")
}

// field returns the message that a problem has for a field, "" for none.
func (a answer) field(name string) string {
	list, _ := a.body["errors"].([]any)
	for _, one := range list {
		if e := one.(map[string]any); e["field"] == name {
			return e["message"].(string)
		}
	}
	return ""
}

func (s site) organization(name string) string {
	s.t.Helper()
	return s.want(s.operator("POST", "/admin/v1/organizations", fmt.Sprintf(`{"name":%q}`, name)), 201).text("id")
}

func (s site) key(organization, scopes string) (id, key string) {
	s.t.Helper()
	a := s.want(s.operator("POST", "/admin/v1/organizations/"+organization+"/api-keys", `{"name":"k","scopes":`+scopes+`}`), 201)
	return a.text("id"), a.text("key")
}

func (s site) endpoint(key string) string {
	s.t.Helper()
	return s.want(s.tenant(key, "POST", "/v1/webhook-endpoints", `{"url":"https://hooks.example.com/in"}`), 201).text("id")
}

// wantProblem fails the test unless the answer is a whole problem document.
func (s site) wantProblem(a answer, status int, code usersync.Code) {
	s.t.Helper()
	s.want(a, status)
	if got := a.header.Get("Content-Type"); got != "application/problem+json" {
		s.t.Errorf("Content-Type %q", got)
	}
	if a.text("code") != string(code) || a.text("title") == "" || a.text("detail") == "" || a.body["status"] != float64(status) ||
		a.text("requestId") == "" || a.text("requestId") != a.header.Get("X-Request-Id") {
		s.t.Errorf("problem %v, want code %s", a.body, code)
	}
}

// routes are all routes with example ids in their paths.
func routes(organization, key, endpoint string) (operators, tenants []api.Route) {
	dialects := new(manage.Handlers).Dialects()
	fill := func(list []api.Route, r *strings.Replacer) []api.Route {
		var out []api.Route
		for _, route := range list {
			route.Path = r.Replace(route.Path)
			out = append(out, route)
		}
		return out
	}
	return fill(dialects[0].Routes, strings.NewReplacer(":id", organization, ":keyId", key)),
		fill(dialects[1].Routes, strings.NewReplacer(":id", endpoint))
}

func TestEveryRouteHasASummary(t *testing.T) {
	t.Parallel()
	operators, tenants := routes("o", "k", "e")
	for _, r := range append(operators, tenants...) {
		if !strings.HasSuffix(r.Summary, ".") {
			t.Errorf("%s %s has the summary %q", r.Method, r.Path, r.Summary)
		}
	}
}

func TestOperatorRoutesWantTheAdminToken(t *testing.T) {
	t.Parallel()
	s := newSite(t)
	org := s.organization("Acme")
	id, key := s.key(org, `["*"]`)
	operators, _ := routes(org, id, "")
	for _, r := range operators {
		for _, credential := range []string{"", "Bearer ", "Bearer wrong", "Bearer " + adminToken + "x", "Bearer " + adminToken[1:], "Bearer " + key, "Basic " + adminToken} {
			a := s.call("Authorization", credential, r.Method, r.Path, "")
			s.wantProblem(a, 401, usersync.CodeUnauthorized)
			if a.header.Get("WWW-Authenticate") != "Bearer" {
				t.Errorf("%s %s: no WWW-Authenticate", r.Method, r.Path)
			}
		}
		s.wantProblem(s.tenant(key, r.Method, r.Path, ""), 401, usersync.CodeUnauthorized)
	}
	s.want(s.operator("GET", "/admin/v1/organizations/"+org, ""), 200)
}

func TestWithoutAnAdminTokenNobodyIsOperator(t *testing.T) {
	t.Parallel()
	edge := api.New(api.Options{Metrics: telemetry.NewMetrics(), Log: slog.New(slog.DiscardHandler)})
	edge.Mount(new(manage.Handlers).Dialects()...)
	for _, credential := range []string{"", "Bearer", "Bearer ", "Bearer x"} {
		r := httptest.NewRequest("GET", "/admin/v1/organizations", nil)
		r.Header.Set("Authorization", credential)
		w := httptest.NewRecorder()
		edge.ServeHTTP(w, r)
		if w.Code != 401 {
			t.Errorf("%q: status %d", credential, w.Code)
		}
	}
}

func TestTenantRoutesWantAKeyWithTheirScope(t *testing.T) {
	t.Parallel()
	s := newSite(t)
	org := s.organization("Acme")
	_, all := s.key(org, `["*"]`)
	_, manager := s.key(org, `["manage"]`)
	_, reader := s.key(org, `["read"]`)
	_, other := s.key(org, `["sync","colleagues","marketing","events","erase"]`)
	id := s.endpoint(all)
	delivery := s.want(s.tenant(all, "POST", "/v1/webhook-endpoints/"+id+"/test", ""), 202).text("id")
	_, tenants := routes("", "", id)
	for _, r := range tenants {
		if hasOwnScopes(r.Path) {
			continue // TestUsersErasuresAndEventsWantOneOfTheirScopes
		}
		r.Path = strings.Replace(r.Path, "/v1/deliveries/"+id, "/v1/deliveries/"+delivery, 1)
		s.wantProblem(s.tenant("", r.Method, r.Path, ""), 401, usersync.CodeUnauthorized)
		s.wantProblem(s.tenant("usk_wrong", r.Method, r.Path, ""), 401, usersync.CodeUnauthorized)
		s.wantProblem(s.tenant(adminToken, r.Method, r.Path, ""), 401, usersync.CodeUnauthorized)
		s.wantProblem(s.tenant(other, r.Method, r.Path, ""), 403, usersync.CodeForbidden)
		if r.Method != http.MethodGet {
			s.wantProblem(s.tenant(reader, r.Method, r.Path, ""), 403, usersync.CodeForbidden)
			continue
		}
		if r.Path == "/v1/follow-ups/export" {
			continue // it is no JSON: the scenarios read it
		}
		status := 200
		if slices.ContainsFunc([]string{"/v1/directory/imports/", "/v1/connections/", "/v1/follow-ups/"}, func(prefix string) bool { return strings.HasPrefix(r.Path, prefix) }) {
			status = 404 // let in, but the id is an endpoint's
		}
		s.want(s.tenant(reader, r.Method, r.Path, ""), status)
		s.want(s.tenant(manager, r.Method, r.Path, ""), status)
	}
	s.want(s.tenant(manager, "DELETE", "/v1/webhook-endpoints/"+id, ""), 204)
}

func TestAnotherOrganizationsIDsAreNotFound(t *testing.T) {
	t.Parallel()
	s := newSite(t)
	mine, theirs := s.organization("Mine"), s.organization("Theirs")
	_, myKey := s.key(mine, `["*"]`)
	theirID, theirKey := s.key(theirs, `["*"]`)
	theirEndpoint := s.endpoint(theirKey)
	nobody := usersync.NewID(usersync.PrefixOrganization)

	for _, path := range []string{"/" + theirEndpoint, "/nothing", "/" + usersync.NewID(usersync.PrefixEndpoint)} {
		s.wantProblem(s.tenant(myKey, "GET", "/v1/webhook-endpoints"+path, ""), 404, usersync.CodeNotFound)
		s.wantProblem(s.tenant(myKey, "PATCH", "/v1/webhook-endpoints"+path, `{"description":"x"}`), 404, usersync.CodeNotFound)
		s.wantProblem(s.tenant(myKey, "DELETE", "/v1/webhook-endpoints"+path, ""), 404, usersync.CodeNotFound)
	}
	for _, org := range []string{mine, nobody} {
		path := "/admin/v1/organizations/" + org + "/api-keys/" + theirID
		s.wantProblem(s.operator("GET", path, ""), 404, usersync.CodeNotFound)
		s.wantProblem(s.operator("DELETE", path, ""), 404, usersync.CodeNotFound)
		s.wantProblem(s.operator("POST", path+"/rotate", ""), 404, usersync.CodeNotFound)
	}
	operators, _ := routes(nobody, theirID, "")
	bodies := map[string]string{"/credits": `{"amount":1}`}
	for _, r := range operators {
		_, below, _ := strings.Cut(r.Path, nobody)
		if strings.Contains(r.Path, nobody) {
			s.wantProblem(s.operator(r.Method, r.Path, bodies[below]), 404, usersync.CodeNotFound)
		}
	}
	if got := s.tenant(myKey, "GET", "/v1/webhook-endpoints", "").ids(); got != "" {
		t.Errorf("my endpoints are %s", got)
	}
	if a := s.tenant(theirKey, "GET", "/v1/webhook-endpoints/"+theirEndpoint, ""); a.status != 200 || a.text("description") != "" {
		t.Errorf("their endpoint: %d %v", a.status, a.body)
	}
	if got := s.operator("GET", "/admin/v1/organizations/"+theirs+"/api-keys", "").ids(); got != theirID {
		t.Errorf("their keys are %s", got)
	}
}

func TestWrongInputIsRefusedByName(t *testing.T) {
	t.Parallel()
	s := newSite(t)
	org := s.organization("Acme")
	id, key := s.key(org, `["*"]`)
	endpoint := "/v1/webhook-endpoints/" + s.endpoint(key)
	organizations := "/admin/v1/organizations"
	one := organizations + "/" + org
	long := strings.Repeat("é", 201)
	for _, c := range []struct{ method, path, body, field string }{
		{"POST", organizations, `{}`, "name"},
		{"POST", organizations, ``, "name"},
		{"POST", organizations, `{"name":" "}`, "name"},
		{"POST", organizations, `{"name":7}`, "name"},
		{"POST", organizations, `{"name":"` + long + `"}`, "name"},
		{"POST", organizations, `{"name":"a","Name":"b"}`, "Name"},
		{"POST", organizations, `{"name":"a","tenant":{"code":"c"}}`, "tenant.code"},
		{"POST", organizations, `{"name":"a","status":"disabled"}`, "status"},
		{"PATCH", one, `{"defaultInviteLink":"javascript:alert(1)"}`, "defaultInviteLink"},
		{"PATCH", one, `{"defaultRedirectionLink":"example.com"}`, "defaultRedirectionLink"},
		{"PATCH", one, `{"id":"org_1"}`, "id"},
		{"PATCH", one, `{"settings":{"saml":{"secret":"s"}}}`, "settings.saml"},
		{"PATCH", one, `{"settings":{"jwt":{"key":"s"}}}`, "settings.jwt.key"},
		{"PATCH", one, `{"settings":{"jwt":{"secret":"s","algorithms":["HS256"],"issuer":"i","audience":"a"}}}`, "settings.jwt.secret"},
		{"PATCH", one, `{"tenant":{"clientCode":"é"}}`, "tenant.clientCode"},
		{"PATCH", one, `{"settings":{"userProvider":{}}}`, "settings.userProvider"},
		{"PATCH", one, `{"settings":{"smtp":{"server":"x"}}}`, "settings.smtp.server"},
		{"PATCH", one, `{"settings":{"colleaguesEnabled":"no"}}`, "settings.colleaguesEnabled"},
		{"PATCH", one, `{"settings":{"lowCreditThreshold":-1}}`, "settings.lowCreditThreshold"},
		{"PATCH", one, `{"settings":{"lowCreditThreshold":1.5}}`, "settings.lowCreditThreshold"},
		{"PATCH", one, `{"settings":{"contactEmail":"nobody"}}`, "settings.contactEmail"},
		{"PATCH", one, `{"settings":{"aliasDomains":[["example.com"],["example.org","nothing"]]}}`, "settings.aliasDomains[1][1]"},
		{"PATCH", one, `{"settings":{"dismissedAliases":[["nothing"]]}}`, "settings.dismissedAliases[0][0]"},
		{"PATCH", one, `{"settings":{"personalDomains":["example.com","com"]}}`, "settings.personalDomains[1]"},
		{"PATCH", one, `{"settings":{"companyDomains":["example.com","Gmail.com"]}}`, "settings.companyDomains[1]"},
		{"PATCH", one, `{"settings":{"personalDomains":["example.com"],"companyDomains":["example.com"]}}`, "settings.companyDomains[0]"},
		{"PATCH", one, `{"settings":{"rateLimit":{"rate":1e-300}}}`, "settings.rateLimit.rate"},
		{"PATCH", one, `{"settings":{"rateLimit":{"rate":-1}}}`, "settings.rateLimit.rate"},
		{"PATCH", one, `{"settings":{"rateLimit":{"burst":-1}}}`, "settings.rateLimit.burst"},
		{"PATCH", one, `{"settings":{"rateLimit":{"perSecond":1}}}`, "settings.rateLimit.perSecond"},

		{"POST", one + "/api-keys", `{"scopes":["sync","root"]}`, "scopes[1]"},
		{"POST", one + "/api-keys", `{"scopes":[]}`, "scopes"},
		{"POST", one + "/api-keys", `{"scopes":"*"}`, "scopes"},
		{"POST", one + "/api-keys", `{"name":"` + long + `"}`, "name"},
		{"POST", one + "/api-keys", `{"expiresAt":"2020-01-01T00:00:00Z"}`, "expiresAt"},
		{"POST", one + "/api-keys", `{"expiresAt":"tomorrow"}`, "expiresAt"},
		{"POST", one + "/api-keys", `{"expires":"2020-01-01T00:00:00Z"}`, "expires"},
		{"POST", one + "/api-keys/" + id + "/rotate", `{"overlap":"a day"}`, "overlap"},
		{"POST", one + "/api-keys/" + id + "/rotate", `{"overlap":"-1s"}`, "overlap"},
		{"POST", one + "/api-keys/" + id + "/rotate", `{"overlap":"721h"}`, "overlap"},
		{"POST", one + "/api-keys/" + id + "/rotate", `{"overlap":24}`, "overlap"},
		{"POST", one + "/api-keys/" + id + "/rotate", `{"scopes":["*"]}`, "scopes"},

		{"POST", one + "/credits", ``, "amount"},
		{"POST", one + "/credits", `{"amount":0}`, "amount"},
		{"POST", one + "/credits", `{"amount":-5}`, "amount"},
		{"POST", one + "/credits", `{"amount":1.5}`, "amount"},
		{"POST", one + "/credits", `{"amount":"5"}`, "amount"},
		{"POST", one + "/credits", `{"amount":1000000001}`, "amount"},
		{"POST", one + "/credits", `{"amount":1,"reference":"` + long + `"}`, "reference"},
		{"POST", one + "/credits", `{"amount":1,"ref":"r"}`, "ref"},
		{"POST", one + "/credits/verify", `{"fix":true}`, "fix"},
		{"POST", "/admin/v1/rebuild", `{"all":true}`, "all"},

		{"GET", "/admin/v1/stuck?olderThan=soon", ``, "olderThan"},
		{"GET", "/admin/v1/stuck?olderThan=-1s", ``, "olderThan"},
		{"GET", "/admin/v1/audit?organizationId=acme", ``, "organizationId"},

		{"POST", "/v1/webhook-endpoints", ``, "url"},
		{"POST", "/v1/webhook-endpoints", `{"url":"http://hooks.example.com"}`, "url"},
		{"POST", "/v1/webhook-endpoints", `{"url":"https://127.0.0.1/"}`, "url"},
		{"POST", "/v1/webhook-endpoints", `{"url":"https://hooks.example.com","eventTypes":[]}`, "eventTypes"},
		{"POST", "/v1/webhook-endpoints", `{"url":"https://hooks.example.com","eventTypes":["test","made.up"]}`, "eventTypes[1]"},
		{"POST", "/v1/webhook-endpoints", `{"url":"https://hooks.example.com","eventTypes":["*","*"]}`, "eventTypes[1]"},
		{"POST", "/v1/webhook-endpoints", `{"url":"https://hooks.example.com","description":"` + long + `"}`, "description"},
		{"POST", "/v1/webhook-endpoints", `{"url":"https://hooks.example.com","secret":"whsec_mine"}`, "secret"},
		{"PATCH", endpoint, `{"url":""}`, "url"},
		{"PATCH", endpoint, `{"events":["*"]}`, "events"},
	} {
		a := s.operator(c.method, c.path, c.body)
		if strings.HasPrefix(c.path, "/v1/") {
			a = s.tenant(key, c.method, c.path, c.body)
		}
		if a.status != 400 || a.text("code") != "invalid" || a.field(c.field) == "" {
			t.Errorf("%s %s %.80s: %d %v, want a fault of %s", c.method, c.path, c.body, a.status, a.body, c.field)
		}
	}
	if got := s.operator("GET", organizations, "").ids(); got != org {
		t.Errorf("organizations %s: a refused one was made", got)
	}
	if got := s.operator("GET", one+"/api-keys", "").ids(); got != id {
		t.Errorf("keys %s: a refused one was made", got)
	}
	if got := s.operator("GET", one+"/credits", "").body["balance"]; got != 0.0 {
		t.Errorf("balance %v after refused top-ups", got)
	}
}

func TestOnlyTheAnswerThatMakesAKeyShowsIt(t *testing.T) {
	t.Parallel()
	s := newSite(t)
	org := s.organization("Acme")
	keys := "/admin/v1/organizations/" + org + "/api-keys"
	id, key := s.key(org, `["read"]`)
	rotated := s.want(s.operator("POST", keys+"/"+id+"/rotate", `{"overlap":"1h"}`), 201)
	for id, key := range map[string]string{id: key, rotated.text("id"): rotated.text("key")} {
		s.want(s.tenant(key, "GET", "/v1/organization", ""), 200)
		want := "••••" + key[len(key)-4:]
		if got := s.operator("GET", keys+"/"+id, "").text("key"); got != want {
			t.Errorf("the key reads back as %s, want %s", got, want)
		}
	}
	for _, one := range s.operator("GET", keys, "").items() {
		if shown := one["key"].(string); !strings.HasPrefix(shown, "••••") || strings.Contains(shown, "usk_") {
			t.Errorf("the list shows %s", shown)
		}
	}
}

func TestHintOfANewKeyIsItsEnding(t *testing.T) {
	t.Parallel()
	s := newSite(t)
	org, operator := s.organization("Acme"), &management.Service{Store: s.store}
	made, secret, err := operator.CreateKey(t.Context(), "test", org, management.KeyInput{Name: "k"})
	if err != nil {
		t.Fatal(err)
	}
	next, nextSecret, err := operator.RotateKey(t.Context(), "test", org, made.ID, time.Hour)
	if err != nil {
		t.Fatal(err)
	}
	if made.Hint != secret.Masked() || next.Hint != nextSecret.Masked() {
		t.Errorf("the hints are %s and %s", made.Hint, next.Hint)
	}
}

func TestMalformedBodiesAreRefused(t *testing.T) {
	t.Parallel()
	s := newSite(t)
	s.wantProblem(s.operator("POST", "/admin/v1/organizations", `{"name":`), 400, usersync.CodeInvalid)
	s.wantProblem(s.operator("POST", "/admin/v1/organizations", `[]`), 400, usersync.CodeInvalid)
	s.wantProblem(s.operator("POST", "/admin/v1/organizations", `{"name":"a\u0000b"}`), 400, usersync.CodeInvalid)
	s.wantProblem(s.operator("POST", "/admin/v1/organizations", `{"name":"`+strings.Repeat("a", 1<<20)+`"}`), 413, usersync.CodeInvalid)
	s.wantProblem(s.operator("GET", "/admin/v1/nothing", ""), 404, usersync.CodeNotFound)
	s.wantProblem(s.operator("PUT", "/admin/v1/organizations", ""), 405, usersync.CodeNotFound)
}

func TestListsRefuseBadPages(t *testing.T) {
	t.Parallel()
	s := newSite(t)
	org := s.organization("Acme")
	_, key := s.key(org, `["*"]`)
	operators, tenants := routes(org, "", s.endpoint(key))
	lists := map[string]bool{}
	for _, r := range append(operators, tenants...) {
		if !strings.HasPrefix(r.Summary, "Lists") {
			continue
		}
		lists[r.Path] = true
		call := s.operator
		if strings.HasPrefix(r.Path, "/v1/") {
			call = func(method, path, body string) answer { return s.tenant(key, method, path, body) }
		}
		for _, limit := range []string{"0", "-1", "501", "ten", "1.5"} {
			if a := call("GET", r.Path+"?limit="+limit, ""); a.status != 400 || a.field("limit") == "" {
				t.Errorf("%s?limit=%s: %d %v", r.Path, limit, a.status, a.body)
			}
		}
		for _, cursor := range []string{"x", "!!", "cmVxXzE"} {
			if a := call("GET", r.Path+"?cursor="+cursor, ""); a.status != 400 || a.field("cursor") == "" {
				t.Errorf("%s?cursor=%s: %d %v", r.Path, cursor, a.status, a.body)
			}
		}
		if a := call("GET", r.Path+"?limit=500", ""); a.status != 200 || a.body["items"] == nil || a.body["nextCursor"] != "" {
			t.Errorf("%s: %d %v", r.Path, a.status, a.body)
		}
	}
	if len(lists) != 15 {
		t.Errorf("tried %d lists: %v", len(lists), lists)
	}
}

func TestPagesGoThroughAListNewestFirst(t *testing.T) {
	t.Parallel()
	s := newSite(t)
	var want []string
	for i := range 5 {
		want = append([]string{s.organization(fmt.Sprint("Acme ", i))}, want...)
	}
	var got []string
	for cursor, pages := "", 0; pages == 0 || cursor != ""; pages++ {
		a := s.want(s.operator("GET", "/admin/v1/organizations?limit=2&cursor="+cursor, ""), 200)
		got, cursor = append(got, a.ids()), a.text("nextCursor")
	}
	if strings.Join(got, " ") != strings.Join(want, " ") || len(got) != 3 {
		t.Errorf("pages %v, want %v", got, want)
	}
}

func TestOrganizationIsMadeShownChangedAndDisabled(t *testing.T) {
	t.Parallel()
	s := newSite(t)
	made := s.want(s.operator("POST", "/admin/v1/organizations",
		`{"name":"Acme","defaultInviteLink":"https://example.com/join","settings":{"lowCreditThreshold":5,"contactEmail":"ops@example.com","rateLimit":{"rate":50}}}`), 201)
	path := "/admin/v1/organizations/" + made.text("id")
	if made.header.Get("Location") != path || made.text("status") != "active" || made.header.Get("Cache-Control") != "no-store" {
		t.Errorf("made %v, headers %v", made.body, made.header)
	}
	_, key := s.key(made.text("id"), `["*"]`)

	s.want(s.operator("PATCH", path, `{"name":"Acme Ltd","settings":{"colleaguesEnabled":false,"rateLimit":{"burst":60},"aliasDomains":[["example.com","example.org"]]}}`), 200)
	shown := s.want(s.operator("GET", path, ""), 200)
	settings, _ := json.Marshal(shown.body["settings"])
	want := `{"aliasDomains":[["example.com","example.org"]],"colleaguesEnabled":false,"contactEmail":"ops@example.com","lowCreditThreshold":5,"rateLimit":{"burst":60,"rate":50}}`
	if shown.text("name") != "Acme Ltd" || shown.text("defaultInviteLink") != "https://example.com/join" || string(settings) != want {
		t.Errorf("after the change: %v, settings %s", shown.body, settings)
	}
	if shown.body["salt"] != nil || shown.body["Salt"] != nil {
		t.Error("the salt is shown")
	}

	own := s.want(s.tenant(key, "GET", "/v1/organization", ""), 200)
	if own.text("id") != made.text("id") || own.text("name") != "Acme Ltd" {
		t.Errorf("the tenant's view: %v", own.body)
	}
	if own.body["settings"].(map[string]any)["rateLimit"] != nil {
		t.Error("the tenant is shown the rate limit")
	}

	s.want(s.operator("DELETE", path, ""), 204)
	s.want(s.operator("DELETE", path, ""), 204)
	if got := s.operator("GET", path, "").text("status"); got != "disabled" {
		t.Errorf("status %q", got)
	}
	// The edge believes a key it has seen for a second; a new one is looked up.
	_, fresh := s.key(made.text("id"), `["*"]`)
	s.wantProblem(s.tenant(fresh, "GET", "/v1/organization", ""), 401, usersync.CodeUnauthorized)
}

var fullKey = regexp.MustCompile(`^usk_[A-Za-z0-9_-]{32}$`)

func TestKeyIsShownOnceThenMasked(t *testing.T) {
	t.Parallel()
	s := newSite(t)
	path := "/admin/v1/organizations/" + s.organization("Acme") + "/api-keys"
	expires := time.Now().Add(time.Hour).UTC().Format(time.RFC3339)
	made := s.want(s.operator("POST", path, `{"name":"back end","scopes":["sync","read"],"expiresAt":"`+expires+`"}`), 201)
	key := made.text("key")
	if !fullKey.MatchString(key) || made.header.Get("Location") != path+"/"+made.text("id") || made.text("expiresAt") == "" {
		t.Fatalf("made %v", made.body)
	}
	mask := "••••" + key[len(key)-4:]
	one := s.want(s.operator("GET", path+"/"+made.text("id"), ""), 200)
	list := s.want(s.operator("GET", path, ""), 200).items()
	if one.text("key") != mask || one.text("name") != "back end" || len(list) != 1 || list[0]["key"] != mask {
		t.Errorf("later: %v and %v, want the mask %s", one.body, list, mask)
	}
	s.want(s.tenant(key, "GET", "/v1/credits", ""), 200)

	all := s.want(s.operator("POST", path, ""), 201)
	if got := fmt.Sprint(all.body["scopes"]); got != "[*]" {
		t.Errorf("a key without scopes has %s, want all", got)
	}
}

func TestRevokedKeyIsRefused(t *testing.T) {
	t.Parallel()
	s := newSite(t)
	org := s.organization("Acme")
	id, key := s.key(org, `["*"]`)
	path := "/admin/v1/organizations/" + org + "/api-keys/" + id
	s.want(s.operator("DELETE", path, ""), 204)
	s.wantProblem(s.tenant(key, "GET", "/v1/credits", ""), 401, usersync.CodeUnauthorized)
	if s.operator("GET", path, "").text("revokedAt") == "" {
		t.Error("the key does not say that it is revoked")
	}
	s.wantProblem(s.operator("POST", path+"/rotate", ""), 409, usersync.CodeConflict)
	s.want(s.operator("DELETE", path, ""), 204)
}

func TestRotatedKeyWorksOnForTheOverlap(t *testing.T) {
	t.Parallel()
	s := newSite(t)
	org := s.organization("Acme")
	keys := "/admin/v1/organizations/" + org + "/api-keys"
	old := s.want(s.operator("POST", keys, `{"name":"k","scopes":["read"],"expiresAt":"`+time.Now().Add(90*24*time.Hour).UTC().Format(time.RFC3339)+`"}`), 201)
	path := keys + "/" + old.text("id")

	next := s.want(s.operator("POST", path+"/rotate", `{"overlap":"24h"}`), 201)
	if !fullKey.MatchString(next.text("key")) || next.text("key") == old.text("key") || next.text("id") == old.text("id") ||
		next.text("name") != "k" || fmt.Sprint(next.body["scopes"]) != "[read]" {
		t.Errorf("successor %v", next.body)
	}
	if lives, err := time.Parse(time.RFC3339, next.text("expiresAt")); err != nil || time.Until(lives) < 89*24*time.Hour {
		t.Errorf("the successor expires at %v, %v", lives, err)
	}
	ends, err := time.Parse(time.RFC3339, s.operator("GET", path, "").text("revokedAt"))
	if left := time.Until(ends); err != nil || left < 23*time.Hour || left > 24*time.Hour {
		t.Errorf("the old key ends in %v, %v", left, err)
	}
	s.want(s.tenant(old.text("key"), "GET", "/v1/credits", ""), 200)
	s.want(s.tenant(next.text("key"), "GET", "/v1/credits", ""), 200)

	id, unused := s.key(org, `["*"]`)
	s.want(s.operator("POST", keys+"/"+id+"/rotate", `{"overlap":"0s"}`), 201)
	s.wantProblem(s.tenant(unused, "GET", "/v1/credits", ""), 401, usersync.CodeUnauthorized)
}

func TestTopUpAddsOncePerReferenceAndTheLedgerProvesIt(t *testing.T) {
	t.Parallel()
	s := newSite(t)
	org := s.organization("Acme")
	_, key := s.key(org, `["read"]`)
	path := "/admin/v1/organizations/" + org + "/credits"
	first := s.want(s.operator("POST", path, `{"amount":100,"reference":"invoice 17"}`), 201)
	if !usersync.HasPrefix(first.text("id"), usersync.PrefixLedger) || first.text("kind") != "top_up" ||
		first.body["amount"] != 100.0 || first.body["balance"] != 100.0 || first.text("reference") != "invoice 17" {
		t.Errorf("first entry %v", first.body)
	}
	second := s.want(s.operator("POST", path, `{"amount":50}`), 201)
	again := s.want(s.operator("POST", path, `{"amount":100,"reference":"invoice 17"}`), 201)
	if again.text("id") != first.text("id") || again.body["balance"] != 100.0 {
		t.Errorf("the same reference gave %v", again.body)
	}
	s.wantProblem(s.operator("POST", path, `{"amount":99,"reference":"invoice 17"}`), 409, usersync.CodeConflict)
	want := second.text("id") + " " + first.text("id")
	for who, ask := range map[string]func(string) answer{
		"operator": func(below string) answer { return s.operator("GET", path+below, "") },
		"tenant":   func(below string) answer { return s.tenant(key, "GET", "/v1/credits"+below, "") },
	} {
		if got := s.want(ask(""), 200).body["balance"]; got != 150.0 {
			t.Errorf("%s: balance %v", who, got)
		}
		if got := s.want(ask("/ledger"), 200).ids(); got != want {
			t.Errorf("%s: ledger %s, want %s", who, got, want)
		}
		page := s.want(ask("/ledger?limit=1"), 200)
		if got := s.want(ask("/ledger?cursor="+page.text("nextCursor")), 200).ids(); got != first.text("id") {
			t.Errorf("%s: second page %s", who, got)
		}
	}
	proof := s.want(s.operator("POST", path+"/verify", ""), 200)
	if proof.body["ok"] != true || proof.body["balance"] != 150.0 || proof.body["sum"] != 150.0 || proof.body["entries"] != 2.0 {
		t.Errorf("proof %v", proof.body)
	}
}

func TestEndpointSecretIsShownOnceThenMasked(t *testing.T) {
	t.Parallel()
	s := newSite(t)
	_, key := s.key(s.organization("Acme"), `["manage"]`)
	made := s.want(s.tenant(key, "POST", "/v1/webhook-endpoints", `{"url":"https://hooks.example.com/in","description":"CRM"}`), 201)
	path, secret := "/v1/webhook-endpoints/"+made.text("id"), made.text("secret")
	if !strings.HasPrefix(secret, "whsec_") || len(secret) < 38 || made.header.Get("Location") != path ||
		fmt.Sprint(made.body["eventTypes"]) != "[*]" || made.text("status") != "enabled" {
		t.Fatalf("made %v", made.body)
	}
	mask := "••••" + secret[len(secret)-4:]
	changed := s.want(s.tenant(key, "PATCH", path, `{"eventTypes":["test","user_sync.failed"]}`), 200)
	shown := s.want(s.tenant(key, "GET", path, ""), 200)
	list := s.want(s.tenant(key, "GET", "/v1/webhook-endpoints", ""), 200).items()
	if changed.text("secret") != mask || shown.text("secret") != mask || len(list) != 1 || list[0]["secret"] != mask {
		t.Errorf("later: %v, %v, %v; want the mask %s", changed.body, shown.body, list, mask)
	}
	if fmt.Sprint(shown.body["eventTypes"]) != "[test user_sync.failed]" || shown.text("url") != "https://hooks.example.com/in" || shown.text("description") != "CRM" {
		t.Errorf("after the change: %v", shown.body)
	}
	s.want(s.tenant(key, "DELETE", path, ""), 204)
	s.wantProblem(s.tenant(key, "GET", path, ""), 404, usersync.CodeNotFound)
	s.wantProblem(s.tenant(key, "DELETE", path, ""), 404, usersync.CodeNotFound)
}

// enqueue writes n tasks to the outbox, and with park one that waits for credits.
func (s site) enqueue(n int, park bool) (ids []string) {
	s.t.Helper()
	task := func() usersync.Task {
		return usersync.Task{ID: usersync.NewID(usersync.PrefixTask), Organization: "org_1", Kind: "k", Queue: queue.Run, FairnessKey: "org_1", Args: []byte(`{}`)}
	}
	err := s.store.Tx(s.t.Context(), func(tx *store.Tx) error {
		for range n {
			one := task()
			ids = append(ids, one.ID)
			if err := outbox.Enqueue(s.t.Context(), tx, one); err != nil {
				return err
			}
		}
		if !park {
			return nil
		}
		parked, later := task(), task()
		parked.DueAt, later.DueAt = time.Now().Add(time.Hour), time.Now().Add(time.Hour)
		if err := outbox.Park(s.t.Context(), tx, parked); err != nil {
			return err
		}
		return outbox.Enqueue(s.t.Context(), tx, later)
	})
	if err != nil {
		s.t.Fatal(err)
	}
	return ids
}

func TestQueuesShowWhatWaits(t *testing.T) {
	t.Parallel()
	s := newSite(t)
	s.enqueue(3, true)
	a := s.want(s.operator("GET", "/admin/v1/queues", ""), 200)
	run := a.body["queues"].([]any)[0].(map[string]any)
	if run["name"] != "run" || run["pending"] != 7.0 || run["latencyMs"] != 1500.0 || run["paused"] != false {
		t.Errorf("queue %v", run)
	}
	outbox := a.body["outbox"].(map[string]any)
	if outbox["ready"] != 3.0 || outbox["parked"] != 1.0 || outbox["scheduled"] != 1.0 || outbox["sent"] != 0.0 || outbox["oldestReady"] == nil {
		t.Errorf("outbox %v", outbox)
	}
}

func TestStuckListsTheOldestDueTasksFirst(t *testing.T) {
	t.Parallel()
	s := newSite(t)
	ids := s.enqueue(3, true)
	if got := s.want(s.operator("GET", "/admin/v1/stuck", ""), 200).ids(); got != "" {
		t.Errorf("stuck after a moment: %s", got)
	}
	all := s.want(s.operator("GET", "/admin/v1/stuck?olderThan=0s", ""), 200)
	if all.ids() != strings.Join(ids, " ") {
		t.Errorf("unfinished %s, want %v", all.ids(), ids)
	}
	one := all.items()[0]
	if one["kind"] != "k" || one["queue"] != "run" || one["state"] != "ready" || one["organizationId"] != "org_1" || one["createdAt"] == nil || one["startedAt"] != nil {
		t.Errorf("task %v", one)
	}
	page := s.want(s.operator("GET", "/admin/v1/stuck?olderThan=0s&limit=2", ""), 200)
	next := s.want(s.operator("GET", "/admin/v1/stuck?olderThan=0s&cursor="+page.text("nextCursor"), ""), 200)
	if page.ids() != ids[0]+" "+ids[1] || next.ids() != ids[2] {
		t.Errorf("pages %s, then %s", page.ids(), next.ids())
	}
}

func TestRebuildSendsAgainWhatNoWorkerHolds(t *testing.T) {
	t.Parallel()
	s := newSite(t)
	s.enqueue(2, false)
	taken, err := outbox.TakeReady(t.Context(), s.store, queue.Run, "", outbox.Shares{Slots: 1000, Key: 10}, 10)
	if err != nil || len(taken) != 2 {
		t.Fatal(len(taken), err)
	}
	if _, ok, err := outbox.Claim(t.Context(), s.store, taken[0].ID, taken[0].Generation); !ok || err != nil {
		t.Fatal(ok, err)
	}
	s.store.Ready().Take()
	a := s.want(s.operator("POST", "/admin/v1/rebuild", ""), 200)
	if woken := s.store.Ready().Take(); a.body["tasks"] != 1.0 || len(woken) != len(queue.Queues) {
		t.Errorf("%v tasks, %q are said to have something to send", a.body["tasks"], woken)
	}
	if state, err := outbox.Count(t.Context(), s.store); err != nil || state.Ready != 1 || state.Sent != 1 {
		t.Errorf("outbox %+v, %v", state, err)
	}
	if got := s.operator("GET", "/admin/v1/audit", "").items(); len(got) != 1 || got[0]["action"] != "queue.rebuild" || got[0]["actor"] != "operator" {
		t.Errorf("audit %v", got)
	}
}

func TestAuditSaysWhoChangedWhatWithoutValues(t *testing.T) {
	t.Parallel()
	s := newSite(t)
	org, other := s.organization("Acme"), s.organization("Other")
	path := "/admin/v1/organizations/" + org
	id, key := s.key(org, `["manage"]`)
	s.want(s.operator("PATCH", path, `{"settings":{"contactEmail":"ops@example.com"}}`), 200)
	made := s.want(s.tenant(key, "POST", "/v1/webhook-endpoints", `{"url":"https://hooks.example.com/in"}`), 201)
	s.want(s.tenant(key, "PATCH", "/v1/webhook-endpoints/"+made.text("id"), `{"description":"CRM"}`), 200)
	s.want(s.operator("GET", path, ""), 200)

	var got []string
	list := s.want(s.operator("GET", "/admin/v1/audit?organizationId="+org, ""), 200).items()
	for _, e := range list {
		got = append(got, fmt.Sprint(e["actor"], " ", e["action"], " ", e["object"], " ", e["fields"]))
	}
	want := []string{
		id + " webhook_endpoint.update " + made.text("id") + " [description]",
		id + " webhook_endpoint.create " + made.text("id") + " [url eventTypes description signing]",
		"operator organization.update " + org + " [settings.contactEmail]",
		"operator api_key.create " + id + " [name scopes expiresAt]",
		"operator organization.create " + org + " [name]",
	}
	if strings.Join(got, "\n") != strings.Join(want, "\n") {
		t.Errorf("audit:\n%s\nwant:\n%s", strings.Join(got, "\n"), strings.Join(want, "\n"))
	}
	all := s.want(s.operator("GET", "/admin/v1/audit", ""), 200).items()
	if len(all) != len(want)+1 || all[4]["organizationId"] != other {
		t.Errorf("the whole audit: %v", all)
	}
	text, _ := json.Marshal(all)
	for _, secret := range []string{"ops@example.com", "hooks.example.com", key, made.text("secret")} {
		if bytes.Contains(text, []byte(secret)) {
			t.Errorf("the audit log shows %s", secret)
		}
	}
}

func TestErrorsOfAnUnknownImportAreNoFile(t *testing.T) {
	t.Parallel()
	s := newSite(t)
	_, key := s.key(s.organization("Acme"), `["*"]`)
	a := s.tenant(key, "GET", "/v1/directory/imports/"+usersync.NewID(usersync.PrefixImport)+"/errors", "")
	s.wantProblem(a, 404, usersync.CodeNotFound)
	if file := a.header.Get("Content-Disposition"); file != "" {
		t.Errorf("the problem is answered as the file %q", file)
	}
}
