package app_test

import (
	"net/http"
	"net/url"
	"slices"
	"strings"
	"testing"

	"usersync/internal/app"
	"usersync/internal/app/apptest"
	"usersync/internal/usersync"
)

const anID = "req_01kb5s2r4v0g1h2j3k4m5n6p7q"

func answer(status int, contentType, body string, headers ...string) apptest.Answer {
	a := apptest.Answer{Status: status, Header: http.Header{"X-Request-Id": {anID}, "Cache-Control": {"no-store"}, "X-Content-Type-Options": {"nosniff"}}, Body: []byte(body)}
	if contentType != "" {
		a.Header.Set("Content-Type", contentType)
	}
	for _, h := range headers {
		name, value, _ := strings.Cut(h, ": ")
		a.Header.Set(name, value)
	}
	return a
}

func TestAnswersAreHeldAgainstTheDescription(t *testing.T) {
	t.Parallel()
	const json, problem = "application/json", "application/problem+json"
	const missing = `{"error":"Request not found"}`
	const nowhere = `{"type":"about:blank","title":"Not Found","status":404,"detail":"x","code":"not_found","requestId":"` + anID + `"}`
	d := describe(t)
	for _, c := range []struct {
		name, method, path string
		answer             apptest.Answer
		want               string // part of the fault, "" for none
	}{
		{"as described", "GET", "/v1/requests/1", answer(404, json, missing), ""},
		{"with a charset", "GET", "/v1/requests/1", answer(404, json+"; charset=utf-8", missing), ""},
		{"HEAD", "HEAD", "/v1/requests/1", answer(404, json, ""), ""},
		{"HEAD with a body", "HEAD", "/v1/requests/1", answer(404, json, missing), "with a body"},
		{"another status", "GET", "/v1/requests/1", answer(418, json, missing), "418 is not described"},
		{"another type", "GET", "/v1/requests/1", answer(404, "text/plain", missing), `"text/plain" is not described`},
		{"no type", "GET", "/v1/requests/1", answer(404, "", missing), "is not described"},
		{"another message", "GET", "/v1/requests/1", answer(404, json, `{"error":"No."}`), "error"},
		{"one more field", "GET", "/v1/requests/1", answer(404, json, `{"error":"Request not found","x":1}`), "x"},
		{"one field less", "GET", "/v1/requests/1", answer(404, json, `{}`), "error"},
		{"no JSON", "GET", "/v1/requests/1", answer(404, json, `{`), "no JSON"},
		{"text behind", "GET", "/v1/requests/1", answer(404, json, missing+"x"), "no JSON"},
		{"one more header", "GET", "/v1/requests/1", answer(404, json, missing, "Server: x"), "Server is not described"},
		{"a wrong header", "GET", "/v1/requests/1", answer(404, json, missing, "X-Request-Id: 7"), "X-Request-Id"},
		{"a header less", "POST", "/v1/requests/1/retry", answer(401, json, `{"error":"Invalid API Key"}`), "WWW-Authenticate is missing"},
		{"a header that is no number", "GET", "/v1/requests/1", answer(503, json, `{"error":"x"}`, "Retry-After: soon"), "no whole number"},
		{"an unknown path", "GET", "/nowhere", answer(404, problem, nowhere), ""},
		{"an unknown path in another shape", "GET", "/nowhere", answer(404, json, missing), "is not described"},
		{"an unknown path that answers", "GET", "/nowhere", answer(200, json, `{}`), "the route is not described"},
		{"an unknown method that answers", "PUT", "/v1/requests/1", answer(200, json, `{}`), "the route is not described"},
		{"a body that is none of ours", "DELETE", "/v1/webhook-endpoints/1", answer(204, "", "x"), "none is described"},
		{"an unknown parameter", "GET", "/v1/requests?x=1", answer(200, json, `{"items":[],"nextCursor":""}`), "x is taken and not described"},
		{"a wrong parameter", "GET", "/v1/requests?limit=0", answer(200, json, `{"items":[],"nextCursor":""}`), "limit is taken"},
		{"a wrong call", "POST", "/admin/v1/rebuild", answer(200, json, `{"tasks":1}`), "taken of the call"},
	} {
		call := apptest.Call{Method: c.method, Path: c.path}
		if c.name == "a wrong call" {
			call.Body, call.Header = []byte(`{"x":1}`), http.Header{"Content-Type": {json}}
		}
		_, faults := d.Check(call, c.answer)
		got := strings.Join(faults, "\n")
		if (c.want == "") != (got == "") || !strings.Contains(got, c.want) {
			t.Errorf("%s: faults %q, want %q", c.name, got, c.want)
		}
	}
}

func TestWebhooksAreHeldAgainstTheDescription(t *testing.T) {
	t.Parallel()
	d := describe(t)
	for _, body := range []string{`{"type":"nothing"}`, `{"type":"user_sync.completed"}`, ``} {
		if faults := d.CheckWebhook(apptest.Received{Header: http.Header{"Content-Type": {"application/json"}}, Body: []byte(body)}); len(faults) == 0 {
			t.Errorf("%q is taken", body)
		}
	}
	faults := d.CheckWebhook(apptest.Received{Header: http.Header{}, Body: []byte(`{"type":"user_sync.completed"}`)})
	if !slices.Contains(faults, "the header webhook-signature is missing") {
		t.Errorf("%v", faults)
	}
}

func TestFullBatcherAnswers503AndWhenToComeBack(t *testing.T) {
	t.Parallel()
	e := apptest.New(t, "embedded")
	e.Config.MaxWaiting = 1
	s := &stage{env: e, app: e.Start(t, app.API)}
	s.client = s.app.Client(t)
	s.begin(t, "full batcher").run(t, `
== full
given credits 10
> POST /v1/user-sync/batch
>
> {"users":[{"email":"a@acme.example.com","country":"US"},{"email":"b@acme.example.com","country":"US"}]}
< 503
< Retry-After: 1
<
< {"error":"Too many requests are waiting. Try again in a second."}
`)
}

func TestBrokenDatabaseAnswersWithAnIDAndNothingElse(t *testing.T) {
	t.Parallel()
	e := apptest.New(t, "embedded")
	s := &stage{env: e, app: e.Start(t, app.API)}
	s.client = s.app.Client(t)
	p := s.begin(t, "broken database")
	p.run(t, `
== whole
> GET /v1/requests
< 200
> GET /v1/credits
< 200
`)
	must(t, s.app.Store.Close())
	p.run(t, `
== broken
> GET /v1/requests
< 500
< X-Request-Id: {{id:req}}
<
< {"success":false,"error":"Internal server error","details":"Request {{id}} failed; quote this id."}
> GET /v1/credits
< 500
< X-Request-Id: {{id2:req}}
<
< {"type":"about:blank","title":"Internal Server Error","status":500,"detail":"Request {{id2}} failed; quote this id.","code":"internal","requestId":"{{id2}}"}
> GET /readyz
< 503
<
< {"database":"failed","eviction":"ok","queue":"ok","status":"unavailable"}
> GET /healthz
< 200
`)
}

func TestDatabaseOutageAnswers503AndEveryKeyWorksAfterIt(t *testing.T) {
	t.Parallel()
	e := apptest.New(t, "deployed")
	u, err := url.Parse(e.Config.DatabaseURL.Reveal())
	must(t, err)
	proxy := apptest.NewProxy(t, u.Host)
	u.Host = proxy.Addr()
	e.Config.DatabaseURL = usersync.NewSecret(u.String())
	s := &stage{env: e, app: e.Start(t, app.API)}
	s.client = s.app.Client(t)
	p := s.begin(t, "outage")
	proxy.Cut()
	p.run(t, `
== away
> GET /v1/requests
< 503
<
< {"error":"The database cannot be reached."}
> GET /v1/credits
< 503
< Cache-Control: no-store
< X-Request-Id: {{id:req}}
<
< {"type":"about:blank","title":"Service Unavailable","status":503,"detail":"The database cannot be reached.","code":"unavailable","requestId":"{{id}}"}
`)
	proxy.Resume(t)
	p.run(t, `
== back
eventually
> GET /v1/requests
< 200
> GET /v1/credits
< 200
`)
}

// run plays the scenario of a text.
func (p *play) run(t *testing.T, text string) {
	t.Helper()
	list, err := parseScenarios(text)
	must(t, err)
	for _, step := range list[0].steps {
		p.step(t, step)
	}
}
