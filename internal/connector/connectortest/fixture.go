package connectortest

import (
	"context"
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"net/netip"
	"reflect"
	"slices"
	"strings"
	"testing"
	"time"

	"usersync/internal/connector"
	"usersync/internal/connector/fakeplatform"
	"usersync/internal/outbound"
	"usersync/internal/person"
	"usersync/internal/usersync"
)

// domain is where the suite's people have their addresses. It is none of
// example.com and its like: some platforms refuse those.
const domain = "analytical-engine.example"

// within bounds every wait for a condition.
const within = 10 * time.Second

// fixture is what one case works with.
type fixture struct {
	*testing.T
	suite  *suite
	fake   fakeplatform.Platform
	server *fakeplatform.Server
	url    string
	sent   *buffer // what the platform was sent: request lines and bodies
	config connector.Config
	// connector is opened with the facts of a check.
	connector connector.Connector
	client    *outbound.Client
}

// start makes a fake, serves it and opens a connection to it.
func (s *suite) start(t *testing.T) *fixture {
	t.Helper()
	f := &fixture{T: t, suite: s, fake: s.newFake(), sent: &buffer{}}
	f.server = fakeplatform.New(f.fake)
	var handler http.Handler = f.server
	if s.Spec.Available() {
		handler = Validate(t, s.Spec, f.fake.Name(), handler)
	}
	server := httptest.NewServer(f.record(handler))
	t.Cleanup(server.Close)
	f.url = server.URL + "/" + f.fake.Name()
	f.config = f.fake.Config()
	f.config.Settings = withSetting(t, f.config.Settings, "baseUrl", f.url)
	f.client = newClient(t)
	f.connector = f.open(f.config, f.client)
	facts, err := f.connector.Check(t.Context())
	f.clean(err, facts)
	if err != nil {
		t.Fatalf("check: %v", err)
	}
	f.config.Facts = facts
	f.connector = f.open(f.config, f.client)
	return f
}

func newClient(t testing.TB) *outbound.Client {
	t.Helper()
	c := &outbound.Client{MaxResponse: connector.MaxResponse, Guard: &outbound.Guard{Allow: []netip.Prefix{
		netip.MustParsePrefix("127.0.0.0/8"), netip.MustParsePrefix("::1/128"),
	}}}
	t.Cleanup(c.Close)
	return c
}

func (f *fixture) open(cfg connector.Config, client *outbound.Client) connector.Connector {
	f.Helper()
	c, err := f.suite.kind.Open(cfg, &connector.Client{HTTP: client, Connection: "conn_1"})
	if err != nil {
		f.Fatalf("open: %v %+v", err, usersync.AsError(err).Fields)
	}
	return c
}

// record keeps what is sent.
func (f *fixture) record(next http.Handler) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		body, err := io.ReadAll(r.Body)
		if err != nil {
			return // the caller has gone
		}
		_, _ = fmt.Fprintf(f.sent, "%s %s\n%s\n", r.Method, r.URL, body)
		r.Body = io.NopCloser(strings.NewReader(string(body)))
		next.ServeHTTP(w, r)
	})
}

func withSetting(t testing.TB, settings json.RawMessage, name string, value any) json.RawMessage {
	t.Helper()
	values := map[string]any{}
	if len(settings) > 0 {
		if err := json.Unmarshal(settings, &values); err != nil {
			t.Fatal(err)
		}
	}
	values[name] = value
	text, err := json.Marshal(values)
	if err != nil {
		t.Fatal(err)
	}
	return text
}

// ada is the person of the suite.
func (f *fixture) ada() connector.Profile { return f.person("ada", "Ada", "Lovelace") }

// person returns a profile with an address of this name.
func (f *fixture) person(local, first, last string) connector.Profile {
	f.Helper()
	return f.personAt(local+"@"+domain, first, last)
}

func (f *fixture) personAt(address, first, last string) connector.Profile {
	f.Helper()
	email, err := person.ParseEmail(address)
	if err != nil {
		f.Fatal(err)
	}
	return connector.Profile{
		UserID: usersync.NewID(usersync.PrefixUser), Email: email, FirstName: first, LastName: last, Name: first + " " + last, Country: "GB",
		JobTitle: "Analyst", InviteLink: "https://example.com/invite/1",
	}
}

func (f *fixture) people(n int) []connector.Profile {
	f.Helper()
	out := make([]connector.Profile, n)
	for i := range out {
		out[i] = f.person(fmt.Sprintf("person-%d", i), "Grace", "Hopper")
	}
	return out
}

// bring pushes people as the pipeline does and returns what became of each.
func (f *fixture) bring(people ...connector.Profile) []connector.Result {
	f.Helper()
	var out []connector.Result
	for slice := range slices.Chunk(people, f.suite.kind.Batch) {
		out = append(out, f.confirmed(slice, f.halved(slice))...)
	}
	return out
}

// bringOne brings one person, who keeps what the result gave to keep.
func (f *fixture) bringOne(p *connector.Profile) connector.Result {
	f.Helper()
	r := f.bring(*p)[0]
	if r.Remote != "" {
		p.Remote = r.Remote
	}
	return r
}

// halved pushes a batch, and when it is rejected its halves.
func (f *fixture) halved(people []connector.Profile) []connector.Result {
	f.Helper()
	results, err := f.push(people...)
	if err == nil {
		return results
	}
	if usersync.CodeOf(err) != usersync.CodeRejected {
		f.Fatalf("push: %v", err)
	}
	if len(people) == 1 {
		return []connector.Result{connector.Rejected(err)}
	}
	half := len(people) / 2
	return append(f.halved(people[:half]), f.halved(people[half:])...)
}

// push makes one push and looks at what it says.
func (f *fixture) push(people ...connector.Profile) ([]connector.Result, error) {
	f.Helper()
	return f.pushTo(f.connector, people...)
}

func (f *fixture) pushTo(c connector.Connector, people ...connector.Profile) ([]connector.Result, error) {
	f.Helper()
	results, err := c.Push(f.Context(), people)
	f.clean(err, results)
	for _, r := range results {
		if r.Err != nil {
			f.clean(r.Err, nil)
		}
	}
	if err != nil {
		f.isOurs(err)
		return results, err
	}
	f.sound(people, results)
	return results, nil
}

// sound finds faults of results that came without an error.
func (f *fixture) sound(people []connector.Profile, results []connector.Result) {
	f.Helper()
	if len(results) != len(people) {
		f.Fatalf("%d results for %d people", len(results), len(people))
	}
	for _, r := range results {
		if fault := faultOf(r); fault != "" {
			f.Errorf("%s: %+v", fault, r)
		}
	}
}

func faultOf(r connector.Result) string {
	switch {
	case len(r.Remote) > 500:
		return "remote is longer than 500 bytes"
	case r.Status == connector.Pending:
		if r.Job == "" {
			return "pending without a job"
		}
		return ""
	case r.Status == connector.Failed:
		if r.Err == nil || r.Err.Code != usersync.CodeRejected {
			return "failed without an error of code rejected"
		}
		return ""
	case r.Details == "":
		return "no details"
	case r.Status == connector.Skipped:
		if r.Reason == "" {
			return "skipped without a reason"
		}
		return ""
	case !arrived(r) && r.Status != connector.Removed:
		return "unknown status"
	}
	return ""
}

// arrived reports whether the platform has the person.
func arrived(r connector.Result) bool {
	return r.Status == connector.Added || r.Status == connector.Updated || r.Status == connector.Synced
}

// confirmed asks for what is pending until nothing is.
func (f *fixture) confirmed(people []connector.Profile, results []connector.Result) []connector.Result {
	f.Helper()
	for deadline := time.Now().Add(within); ; {
		jobs := pendingJobs(results)
		if len(jobs) == 0 {
			return results
		}
		if time.Now().After(deadline) {
			f.Fatalf("still pending after %v", within)
		}
		for job, places := range jobs {
			f.confirm(job, places, people, results)
		}
		time.Sleep(time.Millisecond) // the condition is asked for again
	}
}

// confirm asks once how a job went and puts the answers in their places.
func (f *fixture) confirm(job string, places []int, people []connector.Profile, results []connector.Result) {
	f.Helper()
	confirmer, ok := f.connector.(connector.Confirmer)
	if !ok {
		f.Fatal("pending without being a Confirmer")
	}
	var some []connector.Profile
	for _, i := range places {
		some = append(some, people[i])
	}
	answers, err := confirmer.Confirm(f.Context(), job, some)
	f.clean(err, answers)
	if err != nil {
		f.Fatalf("confirm: %v", err)
	}
	f.sound(some, answers)
	for k, i := range places {
		if answers[k].Remote == "" {
			answers[k].Remote = results[i].Remote
		}
		results[i] = answers[k]
	}
}

func pendingJobs(results []connector.Result) map[string][]int {
	jobs := map[string][]int{}
	for i, r := range results {
		if r.Status == connector.Pending {
			jobs[r.Job] = append(jobs[r.Job], i)
		}
	}
	return jobs
}

// held returns the person whom the fake holds.
func (f *fixture) held(p connector.Profile) fakeplatform.Person {
	f.Helper()
	one, ok := f.fake.People().Get(p.Email.Display())
	if !ok {
		f.Fatalf("the platform does not have %s, only %v", p.Email.Display(), f.fake.People().Emails())
	}
	return one
}

// says reports whether a text stands in one of a person's fields.
func says(one fakeplatform.Person, text string) bool {
	return contains(reflect.ValueOf(one.Fields), text)
}

func contains(v reflect.Value, text string) bool {
	switch v.Kind() {
	case reflect.Interface, reflect.Pointer:
		return contains(v.Elem(), text)
	case reflect.String:
		return strings.Contains(v.String(), text)
	case reflect.Slice, reflect.Array:
		for i := range v.Len() {
			if contains(v.Index(i), text) {
				return true
			}
		}
	case reflect.Map:
		for _, key := range v.MapKeys() {
			if contains(v.MapIndex(key), text) {
				return true
			}
		}
	}
	return false
}

// wantCode fails unless err has one of the codes.
func (f *fixture) wantCode(err error, codes ...usersync.Code) {
	f.Helper()
	if err == nil || !slices.Contains(codes, usersync.CodeOf(err)) {
		f.Errorf("got %v, want %v", err, codes)
	}
}

// isOurs fails on an error that says nothing to anybody.
func (f *fixture) isOurs(err error) {
	f.Helper()
	if usersync.CodeOf(err) == usersync.CodeInternal && f.Context().Err() == nil {
		f.Errorf("a foreign or an internal error: %v", err)
	}
}

// clean fails when an error, or what came beside it, shows a credential or an
// address.
func (f *fixture) clean(err error, value any) {
	f.Helper()
	text := fmt.Sprintf("%v %+v", err, value)
	for _, secret := range append(kindSecrets(f.suite.kind, f.config), domain) {
		if strings.Contains(text, secret) {
			f.Errorf("a credential or an address is shown in: %s", text)
		}
	}
}

// kindSecrets returns the secret values of a configuration's credentials.
func kindSecrets(kind connector.Kind, cfg connector.Config) []string {
	values := map[string]any{}
	_ = json.Unmarshal(cfg.Credentials, &values) // opening it has told
	var out []string
	for _, field := range kind.Credentials {
		if field.Secret {
			eachText(values[field.Name], func(text string) string {
				out = append(out, text)
				return text
			})
		}
	}
	return out
}

// eachText puts change(text) in the place of every text of a value.
func eachText(value any, change func(string) string) any {
	switch v := value.(type) {
	case string:
		if v == "" {
			return v
		}
		return change(v)
	case map[string]any:
		for key, inner := range v {
			v[key] = eachText(inner, change)
		}
	}
	return value
}

// eventually waits for a condition.
func (f *fixture) eventually(what string, done func() bool) {
	f.Helper()
	ctx, cancel := context.WithTimeout(f.Context(), within)
	defer cancel()
	for !done() {
		select {
		case <-ctx.Done():
			f.Fatalf("not within %v: %s", within, what)
		case <-time.After(time.Millisecond):
		}
	}
}
