package app_test

import (
	"bufio"
	"bytes"
	"io"
	"mime/multipart"
	"net/http"
	"net/http/cookiejar"
	"net/url"
	pathpkg "path"
	"regexp"
	"strings"
	"testing"
	"time"

	"usersync/internal/app"
	"usersync/internal/app/apptest"
	"usersync/internal/connector/fakeplatform"
	"usersync/internal/request"
	"usersync/internal/tenant"
	"usersync/internal/usersync"
	"usersync/internal/webhooksig"
)

// viewer is a browser without scripts that looks at the console.
type viewer struct {
	base   string
	client *http.Client
}

// shownPage is what a viewer got: after redirects, if there were any.
type shownPage struct {
	status int
	path   string
	header http.Header
	body   string
}

func newViewer(t *testing.T, base string) *viewer {
	t.Helper()
	jar, err := cookiejar.New(nil)
	must(t, err)
	transport := &http.Transport{}
	t.Cleanup(transport.CloseIdleConnections)
	return &viewer{base, &http.Client{Jar: jar, Transport: transport}}
}

func (v *viewer) do(t *testing.T, r *http.Request) shownPage {
	t.Helper()
	answer, err := v.client.Do(r)
	must(t, err)
	defer func() { _ = answer.Body.Close() }()
	body, err := io.ReadAll(answer.Body)
	must(t, err)
	return shownPage{answer.StatusCode, answer.Request.URL.RequestURI(), answer.Header, string(body)}
}

func (v *viewer) get(t *testing.T, path string) shownPage {
	t.Helper()
	r, err := http.NewRequestWithContext(t.Context(), http.MethodGet, v.base+path, nil)
	must(t, err)
	return v.do(t, r)
}

// post sends a form as a page of the console does.
func (v *viewer) post(t *testing.T, path string, fields ...string) shownPage {
	t.Helper()
	form := url.Values{}
	for i := 0; i < len(fields); i += 2 {
		form.Add(fields[i], fields[i+1])
	}
	r, err := http.NewRequestWithContext(t.Context(), http.MethodPost, v.base+path, strings.NewReader(form.Encode()))
	must(t, err)
	r.Header.Set("Content-Type", "application/x-www-form-urlencoded")
	r.Header.Set("Sec-Fetch-Site", "same-origin")
	r.Header.Set("Referer", v.base+pathpkg.Dir(path)) // the page of what is changed
	return v.do(t, r)
}

func (v *viewer) signIn(t *testing.T, secret string) {
	t.Helper()
	if got := v.post(t, "/sign-in", "secret", secret); got.status == http.StatusUnprocessableEntity {
		t.Fatalf("the sign-in was refused: %s", got.body)
	}
}

// has fails the test when a page lacks a text.
func (p shownPage) has(t *testing.T, texts ...string) {
	t.Helper()
	for _, text := range texts {
		if !strings.Contains(p.body, text) {
			t.Errorf("%d %s lacks %q:\n%s", p.status, p.path, text, p.body)
		}
	}
}

// keyOf makes a key of the organization with scopes.
func (n customer) keyOf(t *testing.T, scopes ...tenant.Scope) (tenant.Key, string) {
	t.Helper()
	key, secret, err := tenant.CreateKey(t.Context(), n.app.Store, "test", n.org.ID, tenant.Key{Name: "viewer", Scopes: scopes})
	must(t, err)
	return key, secret.Reveal()
}

// viewedBy signs a viewer in with a new key of the scopes.
func (n customer) viewedBy(t *testing.T, scopes ...tenant.Scope) *viewer {
	t.Helper()
	_, secret := n.keyOf(t, scopes...)
	v := newViewer(t, n.app.Addr())
	v.signIn(t, secret)
	return v
}

func TestConsoleSignsInAndOut(t *testing.T) {
	t.Parallel()
	apptest.Each(t, func(t *testing.T, e *apptest.Environment) {
		n := newTenant(t, e.Start(t, app.All), 10)
		_, secret := n.keyOf(t, tenant.ScopeAll)
		v := newViewer(t, n.app.Addr())
		if got := v.get(t, "/requests?status=failed"); got.path != "/sign-in?next=%2Frequests%3Fstatus%3Dfailed" {
			t.Errorf("a stranger got %s", got.path)
		}
		if got := v.post(t, "/sign-in", "secret", "usk_wrong"); got.status != http.StatusUnprocessableEntity || !strings.Contains(got.body, "not valid here") {
			t.Errorf("a wrong key got %d", got.status)
		}
		got := v.post(t, "/sign-in", "secret", secret, "next", "/requests?status=failed")
		if got.status != http.StatusOK || got.path != "/requests?status=failed" {
			t.Errorf("%d %s", got.status, got.path)
		}
		for _, next := range []string{"//evil.example.com", "https://evil.example.com/", `/\evil.example.com`, "javascript:alert(1)"} {
			if got := newViewer(t, n.app.Addr()).post(t, "/sign-in", "secret", secret, "next", next); got.status != http.StatusOK || got.path != "/" {
				t.Errorf("next %s led to %d %s", next, got.status, got.path)
			}
		}
		if got := v.post(t, "/sign-out"); got.path != "/sign-in" {
			t.Errorf("signing out led to %s", got.path)
		}
		if got := v.get(t, "/"); got.path != "/sign-in" {
			t.Errorf("after signing out / is %s", got.path)
		}
		v.signIn(t, e.Config.AdminToken.Reveal())
		if got := v.get(t, "/"); got.path != "/operator" || got.status != http.StatusOK {
			t.Errorf("the operator got %d %s", got.status, got.path)
		}
	})
}

// The cookie names nothing that is stored, no script reads it, and no other site sends it.
func TestConsoleCookieIsKeptFromOthers(t *testing.T) {
	t.Parallel()
	each(t, 1, func(t *testing.T, n customer) {
		_, secret := n.keyOf(t, tenant.ScopeAll)
		for _, proto := range []string{"http", "https"} {
			r, err := http.NewRequestWithContext(t.Context(), http.MethodPost, n.app.Addr()+"/sign-in", strings.NewReader(url.Values{"secret": {secret}}.Encode()))
			must(t, err)
			r.Header.Set("Content-Type", "application/x-www-form-urlencoded")
			r.Header.Set("X-Forwarded-Proto", proto)
			transport := &http.Transport{}
			answer, err := transport.RoundTrip(r)
			must(t, err)
			must(t, answer.Body.Close())
			transport.CloseIdleConnections()
			cookies := answer.Cookies()
			if len(cookies) != 1 || !cookies[0].HttpOnly || cookies[0].SameSite != http.SameSiteLaxMode || cookies[0].Secure != (proto == "https") {
				t.Fatalf("%s: %v", proto, cookies)
			}
			var stored int
			must(t, n.app.Store.GORM(t.Context()).Raw(`SELECT count(*) FROM console_sessions WHERE token_hash = ? OR data LIKE ?`, cookies[0].Value, "%"+n.key.ID+"%").Scan(&stored).Error)
			if stored != 0 {
				t.Error("the database holds what the cookie says, or whose the session is, in clear")
			}
		}
	})
}

func TestConsoleThrottlesWrongKeys(t *testing.T) {
	t.Parallel()
	each(t, 1, func(t *testing.T, n customer) {
		v := newViewer(t, n.app.Addr())
		for range 6 {
			if got := v.post(t, "/sign-in", "secret", "usk_wrong"); got.status != http.StatusUnprocessableEntity {
				t.Fatalf("%d", got.status)
			}
		}
		got := v.post(t, "/sign-in", "secret", "usk_wrong")
		if got.status != http.StatusTooManyRequests || got.header.Get("Retry-After") == "" {
			t.Errorf("the seventh got %d", got.status)
		}
	})
}

func TestConsoleRefusesWhatOtherSitesSend(t *testing.T) {
	t.Parallel()
	each(t, 1, func(t *testing.T, n customer) {
		p := n.connect(t, "mailchimp")
		v := n.viewedBy(t, tenant.ScopeAll)
		for name, value := range map[string]string{"Sec-Fetch-Site": "cross-site", "Origin": "https://evil.example.com"} {
			for _, path := range []string{"/connections/" + p.connection.ID + "/pause", "/sign-in", "/sign-out"} {
				r, err := http.NewRequestWithContext(t.Context(), http.MethodPost, n.app.Addr()+path, nil)
				must(t, err)
				r.Header.Set("Content-Type", "application/x-www-form-urlencoded")
				r.Header.Set(name, value)
				if got := v.do(t, r); got.status != http.StatusForbidden {
					t.Errorf("%s with %s: %d", path, name, got.status)
				}
			}
		}
		v.get(t, "/connections/"+p.connection.ID).has(t, "badge good")
	})
}

func TestConsoleShowsAndDoesWhatTheScopesAllow(t *testing.T) {
	t.Parallel()
	each(t, 10, func(t *testing.T, n customer) {
		p := n.connect(t, "mailchimp")
		id, err := n.submit(t.Context(), "ann@acme.example.com")
		must(t, err)
		n.until(t, id, request.Succeeded)
		user := n.report(t, id).UserID
		pause, erase, retry := "/connections/"+p.connection.ID+"/pause", "/users/"+user+"/erase", "/requests/"+id+"/retry"
		for _, c := range []struct {
			scope        tenant.Scope
			sees, hidden []string
			refused      []string
		}{
			{tenant.ScopeRead, []string{"/", "/requests", "/failures", "/users/" + user, "/connections", "/credits"}, []string{"/connections/new", "/operator", "/operator/audit"}, []string{pause, erase, retry}},
			{tenant.ScopeManage, []string{"/", "/users/" + user, "/connections/new", "/webhooks/new"}, []string{"/requests", "/failures", "/operator"}, []string{erase, retry}},
			{tenant.ScopeSync, nil, []string{"/", "/requests", "/users", "/organization"}, []string{pause, erase}},
		} {
			v := n.viewedBy(t, c.scope)
			for _, path := range c.sees {
				if got := v.get(t, path); got.status != http.StatusOK {
					t.Errorf("%s: %s is %d", c.scope, path, got.status)
				}
			}
			for _, path := range c.hidden {
				if got := v.get(t, path); got.status != http.StatusForbidden {
					t.Errorf("%s: %s is %d", c.scope, path, got.status)
				}
			}
			for _, path := range c.refused {
				if got := v.post(t, path); got.status != http.StatusForbidden {
					t.Errorf("%s: POST %s is %d", c.scope, path, got.status)
				}
			}
		}
		if strings.Contains(n.viewedBy(t, tenant.ScopeRead).get(t, "/connections/"+p.connection.ID).body, "/pause") {
			t.Error("a viewer who may only read is offered to pause")
		}
	})
}

func TestConsoleSignsOutAKeyThatEnds(t *testing.T) {
	t.Parallel()
	each(t, 1, func(t *testing.T, n customer) {
		key, secret := n.keyOf(t, tenant.ScopeAll)
		v := newViewer(t, n.app.Addr())
		v.signIn(t, secret)
		_, err := tenant.RevokeKey(t.Context(), n.app.Store.Org(n.org.ID), "test", key.ID, time.Now())
		must(t, err)
		apptest.Eventually(t, "the viewer is signed out", func() bool { return strings.HasPrefix(v.get(t, "/users").path, "/sign-in") })
	})
}

// unsafe finds what the policy of the pages forbids: code and style in the page itself.
var unsafe = regexp.MustCompile(`(?i)<[^>]*\s(style|on[a-z]+)=|<script(?:>|\s(?:[^>]*[^>\s])?>)|<style`)

// inline is unsafe without the scripts that are files.
func inline(body string) string {
	for _, found := range unsafe.FindAllString(body, -1) {
		if !strings.Contains(found, "src=") {
			return found
		}
	}
	return ""
}

func TestEveryConsolePageIsShownToItsOrganizationAlone(t *testing.T) {
	t.Parallel()
	apptest.Each(t, func(t *testing.T, e *apptest.Environment) {
		n := newTenant(t, e.Start(t, app.All), 10)
		p := n.connect(t, "mailchimp")
		n.people(t, "ann@acme.example.com", "bob@acme.example.com")
		receiver := apptest.NewReceiver(t)
		h := n.hook(t, "v1", webhooksig.NewSecret())
		n.endpoint(t, receiver)
		h.test(t)
		id, err := n.submit(t.Context(), "jane@acme.example.com")
		must(t, err)
		user := n.until(t, id, request.Succeeded).UserID
		f := n.followUp(t, `{"name":"Welcome","trigger":{"type":"user/register"},"actions":[{"type":"add-tag","tags":["new"]}]}`)
		imported := n.upload(t, "email,name\nx@acme.example.com,X\nwrong,Y\n")
		var delivered string
		must(t, n.app.Store.GORM(t.Context()).Raw(`SELECT id FROM deliveries WHERE organization_id = ? LIMIT 1`, n.org.ID).Scan(&delivered).Error)

		of := map[string]string{ // and a text of each page
			"/": "Needs attention", "/requests": id, "/requests?status=succeeded&since=1h": id, "/requests?email=jane%40acme.example.com": id,
			"/requests/" + id: "Find colleagues", "/users": "jane@acme.example.com", "/users/" + user: "What happened",
			"/failures": "Nothing has failed", "/connections": p.connection.ID, "/connections/new": "Mailchimp", "/connections/new?platform=mailchimp": "Audience ID",
			"/connections/" + p.connection.ID: "Limits of an account", "/connections/" + p.connection.ID + "/edit": "Check and save", "/connections/" + p.connection.ID + "/fields": "FNAME",
			"/webhooks": receiver.URL, "/webhooks/new": "Make the endpoint", "/webhooks/" + h.id: "Recover", "/webhooks/" + h.id + "?window=24h": "would be sent again",
			"/deliveries/" + delivered: "Attempts", "/credits": "top up", "/follow-ups": "Welcome", "/follow-ups/new": "Make the follow-up", "/follow-ups/" + f.ID: "Version 1",
			"/imports": imported, "/imports/" + imported: "Lines that were refused", "/organization": n.org.ID, "/search?q=nobody": "Nothing is found",
		}
		v := n.viewedBy(t, tenant.ScopeAll)
		stranger := newTenant(t, n.app, 1).viewedBy(t, tenant.ScopeAll)
		for path, text := range of {
			got := v.get(t, path)
			if got.status != http.StatusOK {
				t.Errorf("%s: %d %s", path, got.status, got.body)
			}
			got.has(t, text)
			if policy := got.header.Get("Content-Security-Policy"); !strings.Contains(policy, "default-src 'none'") || strings.Contains(policy, "unsafe") {
				t.Errorf("%s: policy %q", path, policy)
			}
			if found := inline(got.body); found != "" {
				t.Errorf("%s holds %s", path, found)
			}
			if rest := strings.Trim(strings.TrimPrefix(path, "/"), "/"); strings.Contains(rest, "_") {
				if got := stranger.get(t, path); got.status != http.StatusNotFound {
					t.Errorf("a stranger got %d for %s", got.status, path)
				}
			}
		}
		for _, q := range []string{id, user, "jane@acme.example.com", p.connection.ID, delivered} {
			if got := v.get(t, "/search?q="+url.QueryEscape(q)); got.status != http.StatusOK || strings.HasPrefix(got.path, "/search") {
				t.Errorf("a search for %s led to %d %s", q, got.status, got.path)
			}
		}
		for _, path := range []string{"/requests?status=no", "/requests?before=x", "/users?email=no", "/requests?colour=red"} {
			if got := v.get(t, path); got.status != http.StatusBadRequest || got.header.Get("Content-Security-Policy") == "" {
				t.Errorf("%s: %d", path, got.status)
			}
		}
		for _, path := range []string{"/requests/req_x", "/users/x", "/connections/x", "/static/no.js", "/requests/x/y"} {
			if got := v.get(t, path); got.status != http.StatusNotFound || !strings.Contains(got.header.Get("Content-Type"), "text/html") {
				t.Errorf("%s: %d %s", path, got.status, got.header.Get("Content-Type"))
			}
		}
		operator := newViewer(t, n.app.Addr())
		operator.signIn(t, e.Config.AdminToken.Reveal())
		for path, text := range map[string]string{
			"/operator": n.org.ID, "/operator/organizations/" + n.org.ID: "Top up", "/operator/queues": "Stuck", "/operator/audit": "Fields", "/operator/audit?organization=" + n.org.ID: n.org.ID,
		} {
			operator.get(t, path).has(t, text)
		}
	})
}

func TestConsoleMends(t *testing.T) {
	t.Parallel()
	apptest.Each(t, func(t *testing.T, e *apptest.Environment) {
		n := newTenant(t, e.Start(t, app.All), 10)
		p := n.connect(t, "mailchimp")
		v := n.viewedBy(t, tenant.ScopeAll)
		one := "/connections/" + p.connection.ID
		v.post(t, one+"/pause").has(t, "Nothing more is pushed there", "paused")
		v.post(t, one+"/resume").has(t, "pushed there again", "active")
		v.post(t, one+"/check").has(t, "takes the credentials")

		id, err := n.submit(t.Context(), "jane@acme.example.com")
		must(t, err)
		user := "/users/" + n.until(t, id, request.Succeeded).UserID
		v.post(t, "/requests/"+id+"/retry").has(t, `role="alert"`) // nothing has failed
		v.post(t, user+"/sync", "dryRun", "true").has(t, "This is a dry run", "platform-sync")
		v.post(t, user+"/consent", "channel", "email", "status", "unsubscribed", "source", "a letter").has(t, "The consent is noted", "a letter")
		if got := v.get(t, user+"/export"); got.status != http.StatusOK || !strings.Contains(got.body, "jane@acme.example.com") || !strings.Contains(got.header.Get("Content-Disposition"), "attachment") {
			t.Errorf("the export is %d", got.status)
		}

		receiver := apptest.NewReceiver(t)
		made := v.post(t, "/webhooks", "url", receiver.URL, "type", "*")
		made.has(t, "whsec_")
		endpoint := regexp.MustCompile(`/webhooks/whe_\w+`).FindString(made.body)
		v.post(t, "/webhooks", "url", "nonsense", "type", "*").has(t, `class="fault"`)
		test := v.post(t, endpoint+"/test")
		test.has(t, "A test message is on its way")
		apptest.Eventually(t, "the test arrived", func() bool { return len(receiver.Got()) == 1 })
		apptest.Eventually(t, "the page says so", func() bool { return strings.Contains(v.get(t, test.path).body, "HTTP 20") })
		v.post(t, test.path+"/redeliver").has(t, "sent again")
		apptest.Eventually(t, "it arrived again", func() bool { return len(receiver.Got()) == 2 })
		v.post(t, endpoint+"/rotate").has(t, "shown this once", "whsec_")
		v.post(t, endpoint+"/delete").has(t, "The endpoint is deleted")

		followUp := v.post(t, "/follow-ups", "name", "Germans", "trigger", "user/register", "field0", "profile.country", "compare0", "equals", "value0", "DE", "action0", "add-tag", "with0", "german")
		followUp.has(t, "The follow-up is made", "Version 1")
		v.post(t, followUp.path+"/dry-run", "email", "hans@example.com").has(t, "It would not be set off")
		v.post(t, followUp.path+"/pause").has(t, "paused")
		v.post(t, followUp.path, "definition", `{"name":"All"}`).has(t, "The new version counts", "Version 2")
		v.post(t, "/follow-ups", "name", "", "trigger", "user/register").has(t, `role="alert"`)

		v.post(t, "/organization", "name", "Renamed", "lowCreditThreshold", "3", "colleaguesEnabled", "true").has(t, "Renamed", "The settings count")
		v.upload(t, "people.csv", "email,name\nx@acme.example.com,X\n").has(t, "The file is stored")
		erased := v.post(t, user+"/erase")
		erased.has(t, "The user is erased here", "mailchimp")

		operator := newViewer(t, n.app.Addr())
		operator.signIn(t, e.Config.AdminToken.Reveal())
		at := "/operator/organizations/" + n.org.ID
		operator.post(t, at+"/credits", "amount", "7", "reference", "invoice 17").has(t, "What waited for credits goes on")
		operator.post(t, at+"/verify").has(t, "is the sum of")
		key := operator.post(t, at+"/keys", "name", "new", "scope", "read")
		key.has(t, "usk_")
		operator.post(t, "/operator/organizations", "name", "Another").has(t, "The organization is made", "Another")
		operator.post(t, "/operator/queues/bulk/pause").has(t, "paused")
		operator.post(t, "/operator/queues/bulk/resume").has(t, "go on with the queue")
		operator.post(t, at+"/open").has(t, "as the operator", "Renamed")
		operator.post(t, one+"/pause").has(t, "Nothing more is pushed there")
		operator.get(t, "/operator/audit").has(t, "connection.pause", "credits")
		operator.post(t, at+"/disable").has(t, "disabled")
		apptest.Eventually(t, "a key of a disabled organization is signed out", func() bool { return strings.HasPrefix(v.get(t, "/users").path, "/sign-in") })
		operator.post(t, at+"/enable").has(t, "its work goes on")
	})
}

func TestConsoleShowsAttemptsAndHasThemTriedNow(t *testing.T) {
	t.Parallel()
	each(t, 10, func(t *testing.T, n customer) {
		p, v := n.connect(t, "http"), n.viewedBy(t, tenant.ScopeAll)
		p.server.Break("http", fakeplatform.Fault{Status: http.StatusServiceUnavailable, Body: "back at noon"})
		id := n.sync(t, usersync.UserInput{FirstName: "Ann"}, "ann@gmail.com")
		apptest.Eventually(t, "the step waits for its next try", func() bool { return len(n.attempts(t, id)) > 0 })
		page := "/requests/" + id
		v.get(t, page).has(t, "What was sent and answered", "back at noon", "503", "Try now", "Next try")
		p.server.Break("http")
		v.post(t, page+"/steps/1/try-now").has(t, "The step is tried now")
		n.until(t, id, request.Succeeded)
		v.get(t, "/users/"+n.report(t, id).UserID).has(t, "At the platforms", "/connections/"+p.connection.ID, "synced")

		p.server.Break("http", fakeplatform.Fault{Status: http.StatusUnprocessableEntity})
		refused := n.sync(t, usersync.UserInput{FirstName: "Bea"}, "bea@gmail.com")
		n.until(t, refused, request.Failed)
		v.get(t, "/requests?status=failed&code=rejected&connection="+p.connection.ID).has(t, refused)
		v.get(t, "/requests?code=nonsense").has(t, "is not a code of errors")
		p.server.Break("http")
		v.post(t, "/failures/retry", "connection", p.connection.ID, "code", "rejected", "step", "platform", "platform", "http").has(t, "1 requests run again")
		n.until(t, refused, request.Succeeded)
	})
}

// upload sends a file of people.
func (v *viewer) upload(t *testing.T, name, text string) shownPage {
	t.Helper()
	var body bytes.Buffer
	form := multipart.NewWriter(&body)
	file, err := form.CreateFormFile("file", name)
	must(t, err)
	_, err = file.Write([]byte(text))
	must(t, err)
	must(t, form.Close())
	r, err := http.NewRequestWithContext(t.Context(), http.MethodPost, v.base+"/imports", &body)
	must(t, err)
	r.Header.Set("Content-Type", form.FormDataContentType())
	return v.do(t, r)
}

func TestConsolePagesStayCurrentUntilTheProcessEnds(t *testing.T) {
	t.Parallel()
	apptest.Each(t, func(t *testing.T, e *apptest.Environment) {
		a := e.Start(t, app.All)
		n := newTenant(t, a, 10)
		v := n.viewedBy(t, tenant.ScopeAll)
		r, err := http.NewRequestWithContext(t.Context(), http.MethodGet, a.Addr()+"/requests", nil)
		must(t, err)
		r.Header.Set("Accept", "text/event-stream")
		answer, err := v.client.Do(r)
		must(t, err)
		defer func() { _ = answer.Body.Close() }()
		if kind := answer.Header.Get("Content-Type"); kind != "text/event-stream" {
			t.Fatalf("%d %s", answer.StatusCode, kind)
		}
		events := bufio.NewScanner(answer.Body)
		events.Buffer(nil, 1<<20)
		next := func() string {
			for events.Scan() {
				if text, ok := strings.CutPrefix(events.Text(), "data: "); ok {
					return text
				}
			}
			return ""
		}
		if first := next(); !strings.Contains(first, "No requests here") {
			t.Errorf("the first part is %s", first)
		}
		id, err := n.submit(t.Context(), "jane@acme.example.com")
		must(t, err)
		if part := next(); !strings.Contains(part, id) {
			t.Errorf("the next part is %s", part)
		}
		began := time.Now()
		a.Stop(t)
		for next() != "" { // until the stream ends
		}
		if took := time.Since(began); took > 8*time.Second {
			t.Errorf("the stream kept the process for %s", took)
		}
	})
}
