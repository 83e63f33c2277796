package api_test

import (
	"context"
	"encoding/json"
	"errors"
	"io"
	"net/http"
	"net/http/httptest"
	"runtime"
	"strings"
	"testing"
	"time"

	"usersync/internal/api"
	"usersync/internal/api/apitest"
	"usersync/internal/telemetry"
	"usersync/internal/tenant"
	"usersync/internal/usersync"
)

// plain is a dialect with errors of its own shape and routes to try the edge with.
func plain() api.Dialect {
	return api.Dialect{
		Name: "plain", Prefixes: []string{"/plain"}, Auth: api.KeyAuth,
		Render: func(c *api.Call, f api.Failure) error { return c.String(f.Status, "plain: "+f.Message) },
		Routes: []api.Route{
			{Method: http.MethodGet, Path: "/plain/things/:id", Scope: tenant.ScopeRead, Summary: "Shows a thing.", Handler: func(c *api.Call) error {
				return c.JSON(http.StatusOK, map[string]string{"id": c.Param("id"), "html": "<&>", "trace": c.Traceparent()})
			}},
			{Method: http.MethodPost, Path: "/plain/panics", Handler: func(*api.Call) error { panic("secret@example.com") }},
			{Method: http.MethodPost, Path: "/plain/breaks", Handler: func(c *api.Call) error {
				_, _ = c.Response().Write([]byte("half"))
				var rows []string
				return errors.New(rows[0])
			}},
			{Method: http.MethodPost, Path: "/plain/fails", Handler: func(*api.Call) error { return errors.New("disk 7 is on fire") }},
			{Method: http.MethodPost, Path: "/plain/text", MediaTypes: []string{"text/csv", "text/plain"}, BodyLimit: 10, Handler: func(c *api.Call) error {
				r, err := c.BodyStream()
				if err != nil {
					return err
				}
				text, err := io.ReadAll(r)
				if err != nil {
					return err
				}
				return c.String(http.StatusOK, string(text))
			}},
		},
	}
}

// strict is a dialect whose errors are problem documents.
func strict() api.Dialect {
	return api.Dialect{Name: "strict", Auth: api.KeyAuth, Routes: []api.Route{
		{Method: http.MethodPost, Path: "/strict", Handler: func(c *api.Call) error {
			var v thing
			if err := c.Decode(&v); err != nil {
				return err
			}
			return c.JSON(http.StatusOK, v)
		}},
	}}
}

type thing struct {
	Name   string           `json:"name"`
	Size   int              `json:"size"`
	Tags   []string         `json:"tags"`
	When   usersync.Time    `json:"when"`
	Secret *usersync.Secret `json:"secret,omitempty"`
	Parts  []part           `json:"parts"`
	Extra  map[string]any   `json:"extra"`
}

type part struct {
	On *bool `json:"on"`
}

func TestEveryAnswerNamesItsCallAndIsKeptNowhere(t *testing.T) {
	t.Parallel()
	s := apitest.Start(t, plain(), strict())
	for _, call := range []struct{ method, path string }{
		{http.MethodGet, "/plain/things/1"}, {http.MethodGet, "/nowhere"}, {http.MethodPut, "/plain/things/1"},
		{http.MethodOptions, "/plain/things/1"}, {http.MethodPost, "/plain/panics"}, {http.MethodGet, "/plain/nowhere"},
	} {
		a := s.Do(t, call.method, call.path, "")
		if id := a.Header.Get("X-Request-Id"); !usersync.HasPrefix(id, usersync.PrefixRequest) {
			t.Errorf("%s %s: X-Request-Id is %q", call.method, call.path, id)
		}
		if a.Header.Get("Cache-Control") != "no-store" || a.Header.Get("X-Content-Type-Options") != "nosniff" {
			t.Errorf("%s %s: %v", call.method, call.path, a.Header)
		}
	}
}

func TestHEADRunsNoHandlerThatWrites(t *testing.T) {
	t.Parallel()
	ran := map[string]int{}
	count := func(name string) func(*api.Call) error {
		return func(c *api.Call) error {
			ran[name]++
			return c.NoContent(http.StatusNoContent)
		}
	}
	s := apitest.Start(t, api.Dialect{Name: "head", Routes: []api.Route{
		{Method: http.MethodGet, Path: "/reads", Handler: count("reads")},
		{Method: http.MethodGet, Path: "/writes", Writes: true, Handler: count("writes")},
		{Method: http.MethodPost, Path: "/posts", Handler: count("posts")},
	}})
	for path, want := range map[string]int{"/reads": http.StatusNoContent, "/writes": http.StatusMethodNotAllowed, "/posts": http.StatusMethodNotAllowed} {
		if a := s.Do(t, http.MethodHead, path, ""); a.Status != want {
			t.Errorf("%s: %d, want %d", path, a.Status, want)
		}
	}
	if ran["reads"] != 1 || len(ran) != 1 {
		t.Errorf("ran %v", ran)
	}
	if a := s.Do(t, http.MethodGet, "/writes", ""); a.Status != http.StatusNoContent {
		t.Errorf("GET: %d", a.Status)
	}
}

func TestErrorShapeFollowsTheRoute(t *testing.T) {
	t.Parallel()
	s := apitest.Start(t, plain(), strict())
	for _, test := range []struct {
		method, path string
		status       int
		body         string
	}{
		{http.MethodGet, "/plain/nowhere", 404, "plain: There is nothing at this path."},
		{http.MethodPut, "/plain/things/1", 405, "plain: This path does not take this method."},
		{http.MethodPost, "/plain/fails", 500, "plain: Something went wrong on our side."},
		{http.MethodGet, "/plain/things/%ff", 404, "plain: There is nothing at this path."},
		{http.MethodGet, "/plain/things/a%2f%00", 404, "plain: There is nothing at this path."},
	} {
		if a := s.Do(t, test.method, test.path, ""); a.Status != test.status || a.Body != test.body {
			t.Errorf("%s %s: %d %s", test.method, test.path, a.Status, a.Body)
		}
	}
	a := s.Do(t, http.MethodGet, "/nowhere/john@example.com?apiKey=k", "")
	var p struct {
		Type, Title, Detail, Code, RequestID string
		Status                               int
	}
	a.JSON(t, &p)
	if a.Status != 404 || a.Header.Get("Content-Type") != "application/problem+json" || p.Status != 404 || p.Code != "not_found" ||
		p.Type != "about:blank" || p.Title != "Not Found" || p.RequestID != a.Header.Get("X-Request-Id") {
		t.Errorf("%v %s", a.Header, a.Body)
	}
	if a := s.Do(t, http.MethodPut, "/plain/things/1", ""); !strings.Contains(a.Header.Get("Allow"), "GET") {
		t.Errorf("405 allows %q", a.Header.Get("Allow"))
	}
}

func TestPanicIsAnInternalErrorAndItsTextStaysInside(t *testing.T) {
	t.Parallel()
	s := apitest.Start(t, plain(), strict())
	a := s.Do(t, http.MethodPost, "/plain/panics", "")
	if a.Status != http.StatusInternalServerError || strings.Contains(a.Body, "secret") {
		t.Errorf("%d %s", a.Status, a.Body)
	}
	if log := s.Log(); !strings.Contains(log, a.Header.Get("X-Request-Id")) || strings.Contains(log, "secret@example.com") {
		t.Errorf("log: %s", log)
	}
	r, _ := http.NewRequestWithContext(t.Context(), http.MethodPost, s.URL+"/plain/breaks", nil)
	r.Header.Set("X-Api-Key", s.Key.Reveal())
	response, err := http.DefaultTransport.RoundTrip(r)
	if err == nil {
		_, err = io.ReadAll(response.Body)
		_ = response.Body.Close()
	}
	http.DefaultTransport.(*http.Transport).CloseIdleConnections()
	if err == nil {
		t.Error("an answer that broke off looked whole")
	}
}

func TestOneLinePerCallSaysWhoAndWhatButNothingSent(t *testing.T) {
	t.Parallel()
	s := apitest.Start(t, plain(), strict())
	before := len(s.Log())
	a := s.Do(t, http.MethodGet, "/plain/things/john@example.com?email=jane@example.com&apiKey=usk_x", "",
		"Traceparent: 00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01")
	waitFor(t, func() bool { return len(s.Log()) > before })
	var line map[string]any
	if err := json.Unmarshal([]byte(s.Log()[before:]), &line); err != nil {
		t.Fatalf("not one line: %s", s.Log()[before:])
	}
	for name, want := range map[string]any{
		"method": "GET", "route": "/plain/things/:id", "status": 200.0, "bytes": float64(len(a.Body)), "dialect": "plain",
		"organization": s.Org.ID, "key": s.KeyID, "request_id": a.Header.Get("X-Request-Id"), "trace_id": "0af7651916cd43dd8448eb211c80319c",
	} {
		if line[name] != want {
			t.Errorf("%s is %v, want %v", name, line[name], want)
		}
	}
	if strings.Contains(s.Log(), "example.com") || strings.Contains(s.Log(), "usk_") {
		t.Errorf("the log shows what was sent: %s", s.Log())
	}
}

// waitFor waits until a call's line, written after its answer, is there.
func waitFor(t *testing.T, there func() bool) {
	t.Helper()
	for until := time.Now().Add(20 * time.Second); !there(); runtime.Gosched() {
		if time.Now().After(until) {
			t.Fatal("it never came")
		}
	}
}

func TestTraceIsTakenUpOrMade(t *testing.T) {
	t.Parallel()
	s := apitest.Start(t, plain(), strict())
	const trace = "0af7651916cd43dd8448eb211c80319c"
	var got struct{ Trace, HTML string }
	s.Do(t, http.MethodGet, "/plain/things/1", "", "Traceparent: 00-"+trace+"-b7ad6b7169203331-01").JSON(t, &got)
	if !strings.HasPrefix(got.Trace, "00-"+trace+"-") || strings.Contains(got.Trace, "b7ad6b7169203331") {
		t.Errorf("trace %q goes on as %q", trace, got.Trace)
	}
	s.Do(t, http.MethodGet, "/plain/things/1", "", "Traceparent: nonsense").JSON(t, &got)
	if _, ok := telemetry.ParseTraceparent(got.Trace); !ok {
		t.Errorf("made %q", got.Trace)
	}
	if got.HTML != "<&>" {
		t.Errorf("JSON turned <&> into %q", got.HTML)
	}
}

func TestBodyIsHeldToMediaTypeAndSize(t *testing.T) {
	t.Parallel()
	s := apitest.Start(t, plain(), strict())
	for name, test := range map[string]struct {
		path, body string
		header     []string
		status     int
	}{
		"form for JSON":   {"/strict", `{}`, []string{"Content-Type: application/x-www-form-urlencoded"}, 415},
		"no type":         {"/strict", `{}`, []string{"Content-Type:"}, 415},
		"gzip":            {"/strict", `{}`, []string{"Content-Encoding: gzip"}, 415},
		"identity":        {"/strict", `{}`, []string{"Content-Encoding: identity"}, 200},
		"no body":         {"/strict", ``, nil, 200},
		"a million bytes": {"/strict", `{"name":"` + strings.Repeat("x", api.DefaultBodyLimit-11) + `"}`, nil, 200},
		"one more":        {"/strict", `{"name":"` + strings.Repeat("x", api.DefaultBodyLimit-10) + `"}`, nil, 413},
		"its own types":   {"/plain/text", `a,b`, []string{"Content-Type: text/csv;charset=utf-8"}, 200},
		"not its types":   {"/plain/text", `{}`, nil, 415},
		"its own limit":   {"/plain/text", `12345678901`, []string{"Content-Type: text/plain"}, 413},
		"just its limit":  {"/plain/text", `1234567890`, []string{"Content-Type: text/plain"}, 200},
	} {
		if a := s.Do(t, http.MethodPost, test.path, test.body, test.header...); a.Status != test.status {
			t.Errorf("%s: %d %.200s, want %d", name, a.Status, a.Body, test.status)
		}
	}
	for path, long := range map[string]string{"/strict": strings.Repeat(" ", api.DefaultBodyLimit+1), "/plain/text": "12345678901"} {
		r, err := http.NewRequestWithContext(t.Context(), http.MethodPost, s.URL+path, io.MultiReader(strings.NewReader(long)))
		apitest.Must(t, err)
		r.Header.Set("X-Api-Key", s.Key.Reveal())
		r.Header.Set("Content-Type", "application/json")
		if path == "/plain/text" {
			r.Header.Set("Content-Type", "text/csv")
		}
		if a := s.Send(t, r); a.Status != http.StatusRequestEntityTooLarge {
			t.Errorf("%s without a length: %d", path, a.Status)
		}
	}
}

func TestDecodeTellsEveryWrongField(t *testing.T) {
	t.Parallel()
	s := apitest.Start(t, plain(), strict())
	good := `{"name":"a","size":7,"tags":["x"],"when":"2026-11-22T10:00:00Z","parts":[{"on":true},{}],"extra":{"any":[1,null]}}`
	if a := s.Do(t, http.MethodPost, "/strict", good); a.Status != http.StatusOK {
		t.Errorf("%d %s", a.Status, a.Body)
	}
	bad := `{"Name":"a","size":1.5,"tags":["x",2],"when":"today","secret":7,"parts":[{"on":"yes"},{"off":1}],"extra":[]}`
	var got struct{ Errors []usersync.FieldError }
	s.Do(t, http.MethodPost, "/strict", bad).JSON(t, &got)
	want := []usersync.FieldError{
		{Field: "Name", Message: "is not a known field"}, {Field: "size", Message: "must be a whole number within range"},
		{Field: "tags[1]", Message: "must be a string"}, {Field: "when", Message: "must be a time like 2026-11-22T10:00:00Z"},
		{Field: "secret", Message: "has a wrong type or value"}, {Field: "parts[0].on", Message: "must be true or false"},
		{Field: "parts[1].off", Message: "is not a known field"}, {Field: "extra", Message: "must be an object"},
	}
	if len(got.Errors) != len(want) {
		t.Fatalf("%+v", got.Errors)
	}
	for i := range want {
		if got.Errors[i] != want[i] {
			t.Errorf("%+v, want %+v", got.Errors[i], want[i])
		}
	}
}

func TestRateLimitHoldsPerKeyAndBucket(t *testing.T) {
	t.Parallel()
	s := apitest.Start(t, plain(), strict())
	// A rate this low adds no token while the test runs.
	_, limited, _ := s.NewOrganization(t, tenant.Settings{RateLimit: tenant.RateLimit{Rate: 0.001, Burst: 3}}, 1)
	key := "X-API-Key: " + limited.Reveal()
	for i := range 5 {
		a := s.Do(t, http.MethodGet, "/plain/things/1", "", key)
		if want := i < 3; (a.Status == http.StatusOK) != want {
			t.Errorf("call %d: %d", i, a.Status)
		}
		if i < 3 {
			continue
		}
		if a.Status != http.StatusTooManyRequests || !strings.HasPrefix(a.Body, "plain: Too many requests") {
			t.Errorf("%d %s", a.Status, a.Body)
		}
		for name, want := range map[string]string{"RateLimit-Policy": `"read";q=3;w=3000`, "RateLimit": `"read";r=0;t=1000`, "Retry-After": "1000"} {
			if got := a.Header.Get(name); got != want {
				t.Errorf("%s is %q, want %q", name, got, want)
			}
		}
	}
	if a := s.Do(t, http.MethodPost, "/strict", `{}`, key); a.Status != http.StatusOK {
		t.Errorf("writing shares the bucket of reading: %d", a.Status)
	}
	if a := s.Do(t, http.MethodGet, "/plain/things/1", ""); a.Status != http.StatusOK {
		t.Errorf("another key shares the bucket: %d", a.Status)
	}
}

func TestOperationsAnswerWithoutAKey(t *testing.T) {
	t.Parallel()
	up := func(context.Context) error { return nil }
	down := func(context.Context) error { return errors.New("refused by 10.0.0.1") }
	metrics := telemetry.NewMetrics()
	for name, test := range map[string]struct {
		checks []api.Check
		status int
		body   string
	}{
		"all well":       {[]api.Check{{Name: "database", Check: up}, {Name: "queue", Check: up, Optional: true}}, 200, `{"database":"ok","queue":"ok","status":"ok"}`},
		"queue down":     {[]api.Check{{Name: "database", Check: up}, {Name: "queue", Check: down, Optional: true}}, 200, `{"database":"ok","queue":"degraded","status":"ok"}`},
		"database down":  {[]api.Check{{Name: "database", Check: down}, {Name: "queue", Check: up, Optional: true}}, 503, `{"database":"failed","queue":"ok","status":"unavailable"}`},
		"worker, no one": {[]api.Check{{Name: "database", Check: up}, {Name: "queue", Check: down}}, 503, `{"database":"ok","queue":"failed","status":"unavailable"}`},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			s := apitest.Start(t, api.Operations{Checks: test.checks, Metrics: metrics.Handler()}.Dialect())
			if a := s.Do(t, http.MethodGet, "/readyz", "", "X-API-Key:"); a.Status != test.status || a.Body != test.body {
				t.Errorf("%d %s, want %d %s", a.Status, a.Body, test.status, test.body)
			}
			for path, part := range map[string]string{"/healthz": `"ok"`, "/metrics": "usersync_http_requests_total"} {
				if path == "/metrics" {
					metrics.ObserveHTTP("plain", "/x", "GET", 200, 0)
				}
				if a := s.Do(t, http.MethodGet, path, "", "X-API-Key:"); a.Status != http.StatusOK || !strings.Contains(a.Body, part) {
					t.Errorf("%s: %d %.300s", path, a.Status, a.Body)
				}
			}
		})
	}
}

func TestTheDescriptionIsThereForPeopleAndForTools(t *testing.T) {
	t.Parallel()
	s := apitest.Start(t, api.Documentation{Dialects: []api.Dialect{plain()}}.Dialect())
	for path, part := range map[string]string{
		"/openapi.yaml": "openapi: 3.1.0", "/docs": "/plain/things/:id", "/docs/start.js": "SwaggerUIBundle", "/docs/swagger-ui.css": ".swagger-ui",
	} {
		if a := s.Do(t, http.MethodGet, path, "", "X-API-Key:"); a.Status != http.StatusOK || !strings.Contains(a.Body, part) {
			t.Errorf("%s: %d %.300s", path, a.Status, a.Body)
		}
	}
	if a := s.Do(t, http.MethodGet, "/docs/start.js", "", "Accept-Encoding: gzip"); a.Header.Get("Content-Encoding") != "gzip" || !strings.HasPrefix(a.Body, "\x1f\x8b") {
		t.Errorf("by gzip: %v %.10q", a.Header, a.Body)
	}
	if a := s.Do(t, http.MethodGet, "/docs/nothing.js", ""); a.Status != http.StatusNotFound {
		t.Errorf("a file that is not there: %d", a.Status)
	}
}

func TestHandleServesAPageOfItsOwn(t *testing.T) {
	t.Parallel()
	s := apitest.Start(t)
	s.Edge.Handle("page", "/page", http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) { _, _ = io.WriteString(w, r.URL.Path) }))
	for _, path := range []string{"/page", "/page/a/b"} {
		if a := s.Do(t, http.MethodGet, path, ""); a.Body != path || a.Header.Get("X-Request-Id") == "" {
			t.Errorf("%s: %d %s", path, a.Status, a.Body)
		}
	}
}

// BenchmarkCall is what the edge itself costs: all but the socket and the work.
func BenchmarkCall(b *testing.B) {
	s := apitest.Start(b, strict())
	b.ReportAllocs()
	for b.Loop() {
		r := httptest.NewRequest(http.MethodPost, "/strict", strings.NewReader(`{"name":"a"}`))
		r.Header.Set("Content-Type", "application/json")
		r.Header.Set("X-Api-Key", s.Key.Reveal())
		w := httptest.NewRecorder()
		s.Edge.ServeHTTP(w, r)
		if w.Code != http.StatusOK && w.Code != http.StatusTooManyRequests {
			b.Fatal(w.Code, w.Body)
		}
	}
}
