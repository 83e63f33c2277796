package httpdest_test

import (
	"encoding/json"
	"io"
	"net/http"
	"net/http/httptest"
	"os"
	"strings"
	"testing"
	"time"

	"usersync/internal/connector"
	"usersync/internal/connector/connectortest"
	httpdest "usersync/internal/connector/http"
	"usersync/internal/connector/http/fake"
	"usersync/internal/usersync"
	"usersync/internal/webhooksig"
)

var platform = connectortest.Of(httpdest.Platform, fake.New, connectortest.Options{OneCallEach: true, StatusOnly: true})

func TestMain(m *testing.M) { connectortest.Main(m) }

func TestConnector(t *testing.T) { platform.Run(t) }

func TestEveryAnswerHasItsMeaning(t *testing.T) {
	t.Parallel()
	platform.WantMeanings(t, statuses)
}

const secret = "whsec_dGhlLXNlY3JldC1vZi1hLXJlY2VpdmVyLTAwMDAwMDE="

// receiver keeps what it was sent and answers with a status.
type receiver struct {
	url    string
	status int
	method string
	header http.Header
	body   string
}

func newReceiver(t *testing.T) *receiver {
	t.Helper()
	r := &receiver{status: http.StatusOK}
	server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, req *http.Request) {
		body, _ := io.ReadAll(req.Body)
		r.method, r.header, r.body = req.Method, req.Header, string(body)
		w.Header().Set("Location", "/elsewhere")
		w.WriteHeader(r.status)
	}))
	t.Cleanup(server.Close)
	r.url = server.URL + "/users?source=us"
	return r
}

// open opens a connection with these settings beside url.
func open(t *testing.T, url, settings, headers string) (connector.Connector, error) {
	t.Helper()
	if settings != "" {
		settings = "," + settings
	}
	return httpdest.Platform.Open(connector.Config{
		Credentials: json.RawMessage(`{"secret":"` + secret + `","headers":{` + headers + `}}`),
		Settings:    json.RawMessage(`{"url":"` + url + `"` + settings + `}`),
	}, &connector.Client{HTTP: connectortest.NewClient(t)})
}

func mustOpen(t *testing.T, url, settings, headers string) connector.Connector {
	t.Helper()
	c, err := open(t, url, settings, headers)
	if err != nil {
		t.Fatalf("%v %+v", err, usersync.AsError(err).Fields)
	}
	return c
}

func ada(t *testing.T) connector.Profile {
	t.Helper()
	p := connectortest.Person(t, "ada@example.com", "Ada", "Lovelace")
	p.UserID, p.Attributes = "user_1", map[string]any{"plan": "pro", "seats": 3.0}
	return p
}

// push pushes one person and returns the result.
func push(t *testing.T, c connector.Connector, p connector.Profile) connector.Result {
	t.Helper()
	results, err := c.Push(t.Context(), []connector.Profile{p})
	if err != nil {
		t.Fatal(err)
	}
	return results[0]
}

func wantFile(t *testing.T, file, got string) {
	t.Helper()
	want, err := os.ReadFile(file)
	if err != nil {
		t.Fatal(err)
	}
	if got+"\n" != string(want) {
		t.Errorf("got %s, want %s", got, want)
	}
}

func TestMessagesAreSignedAndAsDocumented(t *testing.T) {
	t.Parallel()
	r := newReceiver(t)
	c := mustOpen(t, r.url, "", "")
	result := push(t, c, ada(t))
	wantFile(t, "testdata/updated.json", r.body)
	if r.method != http.MethodPost || r.header.Get("Content-Type") != "application/json" {
		t.Errorf("sent %s %v", r.method, r.header)
	}
	verify(t, r)
	if host := strings.Split(r.url, "/")[2]; result.Details != "User synced to "+host || result.Status != connector.Synced {
		t.Errorf("got %+v", result)
	}
	if _, err := c.Remove(t.Context(), ada(t)); err != nil {
		t.Fatal(err)
	}
	wantFile(t, "testdata/removed.json", r.body)
	verify(t, r)
}

func verify(t *testing.T, r *receiver) {
	t.Helper()
	if err := webhooksig.Verify(usersync.NewSecret(secret), r.header, []byte(r.body), time.Now(), time.Minute); err != nil {
		t.Error(err)
	}
}

func TestSettingsShapeTheRequest(t *testing.T) {
	t.Parallel()
	r := newReceiver(t)
	c := mustOpen(t, r.url, `"method":"PUT","removal":"DELETE","headers":{"content-type":"text/plain","X-Source":"us"},"attributes":["seats","gone"],
		"body":"{{.type}} {{.firstName | upper}} {{json .attributes.seats}} {{json .attributes.gone}}"`, `"Authorization":"Bearer abc"`)
	push(t, c, ada(t))
	if r.method != http.MethodPut || r.body != `user.updated ADA 3 ""` {
		t.Errorf("sent %s %s", r.method, r.body)
	}
	for name, want := range map[string]string{"Content-Type": "text/plain", "X-Source": "us", "Authorization": "Bearer abc"} {
		if got := r.header.Get(name); got != want {
			t.Errorf("%s is %q, want %q", name, got, want)
		}
	}
	r.status = http.StatusNotFound
	if result, err := c.Remove(t.Context(), ada(t)); err != nil || result.Status != connector.Removed || r.method != http.MethodDelete {
		t.Errorf("%s gave %+v, %v", r.method, result, err)
	}
	wantFile(t, "testdata/removed.json", r.body)
}

func TestOnlyTheAttributesNamedAreSent(t *testing.T) {
	t.Parallel()
	r := newReceiver(t)
	push(t, mustOpen(t, r.url, `"attributes":["plan"]`, ""), ada(t))
	if !strings.Contains(r.body, `"attributes":{"plan":"pro"}`) {
		t.Errorf("sent %s", r.body)
	}
}

func TestAMessageHasOneIDUntilItsContentChanges(t *testing.T) {
	t.Parallel()
	r := newReceiver(t)
	c := mustOpen(t, r.url, "", "")
	p, other := ada(t), ada(t)
	other.FirstName = "Augusta"
	var ids []string
	for _, step := range []struct {
		p    connector.Profile
		kept bool // the pipeline learns the result
	}{{p, false}, {p, true}, {p, true}, {other, false}, {other, true}, {p, true}} {
		step.p.Remote = p.Remote
		result := push(t, c, step.p)
		if step.kept {
			p.Remote = result.Remote
		}
		ids = append(ids, r.header.Get(webhooksig.HeaderID))
	}
	if ids[0] != ids[1] || ids[1] != ids[2] || ids[3] != ids[4] || ids[2] == ids[3] || ids[5] == ids[0] || ids[5] == ids[3] {
		t.Errorf("got %q", ids)
	}
}

// statuses are what answers mean.
var statuses = []connectortest.Meaning{
	{Status: 200, Code: ""},
	{Status: 204, Code: ""},
	{Status: 302, Code: usersync.CodeDisconnected},
	{Status: 400, Code: usersync.CodeRejected},
	{Status: 401, Code: usersync.CodeDisconnected},
	{Status: 403, Code: usersync.CodeDisconnected},
	{Status: 404, Code: usersync.CodeRejected},
	{Status: 408, Code: usersync.CodeUnavailable},
	{Status: 410, Code: usersync.CodeDisconnected},
	{Status: 422, Code: usersync.CodeRejected},
	{Status: 429, Code: usersync.CodeRateLimited},
	{Status: 500, Code: usersync.CodeUnavailable},
}

func TestPushesAndChecksHeedTheStatus(t *testing.T) {
	t.Parallel()
	r := newReceiver(t)
	c := mustOpen(t, r.url, "", "")
	for _, want := range statuses {
		r.status = want.Status
		results, err := c.Push(t.Context(), []connector.Profile{ada(t)})
		got := usersync.CodeOf(err)
		if err == nil && results[0].Err != nil {
			got = results[0].Err.Code
		}
		if got != want.Code {
			t.Errorf("%d means %q, want %q", want.Status, got, want.Code)
		}
	}
	for status, want := range map[int]usersync.Code{200: "", 404: "", 405: "", 401: usersync.CodeDisconnected, 410: usersync.CodeDisconnected, 503: usersync.CodeUnavailable} {
		r.status = status
		if _, err := c.Check(t.Context()); usersync.CodeOf(err) != want || r.method != http.MethodHead {
			t.Errorf("%s with %d checks as %v, want %q", r.method, status, err, want)
		}
	}
}

func TestWrongSettingsAreNamed(t *testing.T) {
	t.Parallel()
	for _, c := range []struct{ name, url, settings, headers, field string }{
		{"an address inside", "https://10.0.0.1/", "", "", "settings.url"},
		{"a template that does not parse", "https://receiver.example/", `"body":"{{.email"`, "", "settings.body"},
		{"a template with an unknown field", "https://receiver.example/", `"body":"{{.mail}}"`, "", "settings.body"},
		{"a template with an attribute that is not named", "https://receiver.example/", `"body":"{{.attributes.plan}}"`, "", "settings.body"},
		{"a template that escapes what it has escaped", "https://receiver.example/", `"attributes":["plan"],"body":"{{if eq (.attributes.plan` + strings.Repeat("|json", 16) + `) 0}}{{end}}"`, "", "settings.body"},
		{"a method", "https://receiver.example/", `"method":"GET"`, "", "settings.method"},
		{"a header of ours", "https://receiver.example/", `"headers":{"webhook-id":"1"}`, "", "settings.headers.webhook-id"},
		{"a header that is none", "https://receiver.example/", `"headers":{"a b":"1"}`, "", "settings.headers.a b"},
		{"a header of two lines", "https://receiver.example/", "", `"X-Key":"a\r\nb"`, "credentials.headers.X-Key"},
	} {
		t.Run(c.name, func(t *testing.T) {
			t.Parallel()
			_, err := open(t, c.url, c.settings, c.headers)
			connectortest.WantNamed(t, c.url, err, usersync.CodeInvalid, c.field)
		})
	}
	_, err := httpdest.Platform.Open(connector.Config{
		Credentials: json.RawMessage(`{"secret":"whsec_short"}`), Settings: json.RawMessage(`{"url":"https://receiver.example/"}`),
	}, &connector.Client{})
	connectortest.WantNamed(t, "a short secret", err, usersync.CodeInvalid, "credentials.secret")
}

func TestAPersonOfWhomTheTemplateCannotWriteIsRejected(t *testing.T) {
	t.Parallel()
	r := newReceiver(t)
	c := mustOpen(t, r.url, `"attributes":["plan"],"body":"{{lower .attributes.plan}}"`, "")
	p := ada(t)
	p.Attributes["plan"] = 7.0 // lower takes texts
	if result := push(t, c, p); result.Status != connector.Failed || result.Err.Code != usersync.CodeRejected || r.body != "" {
		t.Errorf("got %+v, sent %q", result, r.body)
	}
}

// Its check passes: nobody has a long attribute then.
func TestAPersonForWhomTheTemplateMakesTooMuchIsRejected(t *testing.T) {
	t.Parallel()
	r := newReceiver(t)
	c := mustOpen(t, r.url, `"attributes":["plan"],"body":"`+strings.Repeat("{{if json .attributes.plan}}{{end}}", 400)+`{\"a\":1}"`, "")
	p := ada(t)
	p.Attributes["plan"] = strings.Repeat("a", 4096)
	result := push(t, c, p)
	if result.Status != connector.Failed || result.Err.Code != usersync.CodeRejected || !strings.Contains(result.Err.Message, "the values that it makes have more than") || r.body != "" {
		t.Errorf("got %+v, sent %q", result, r.body)
	}
	p.Attributes["plan"] = "pro"
	if result := push(t, c, p); result.Status != connector.Synced || r.body != `{"a":1}` {
		t.Errorf("got %+v, sent %q", result, r.body)
	}
}
