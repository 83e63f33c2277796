package connectortest

import (
	"context"
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"reflect"
	"slices"
	"strings"
	"testing"
	"time"

	"usersync/internal/connector"
	"usersync/internal/connector/fakeplatform"
	"usersync/internal/usersync"
)

// within bounds every wait for a condition.
const within = 10 * time.Second

// fixture is what one case works with.
type fixture struct {
	*Account
	suite  Platform
	sent   *buffer // what the platform was sent: request lines and bodies
	config connector.Config
	// connector is opened with the facts of a check.
	connector connector.Connector
	// quick says that the case is not about the platform's rate.
	quick bool
}

// start makes a fake, serves it and opens a connection to it.
func (p Platform) start(t testing.TB) *fixture {
	t.Helper()
	f := &fixture{suite: p, sent: &buffer{}}
	f.Account = p.Serve(t, p.Spec.Validate(t, p.Kind.Name), f.record)
	f.config = f.Config("")
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

// bring pushes people as the pipeline does and returns what became of each.
func (f *fixture) bring(people ...connector.Profile) []connector.Result {
	f.Helper()
	var out []connector.Result
	for slice := range slices.Chunk(people, f.Kind.Batch) {
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

// halved pushes a batch. If the batch is rejected, it pushes its halves.
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
	some := at(people, places)
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

// isOurs fails on an error that tells a reader nothing.
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
	for _, secret := range append(kindSecrets(f.Kind, f.config), domain) {
		if strings.Contains(text, secret) {
			f.Errorf("a credential or an address is shown in: %s", text)
		}
	}
}

// kindSecrets returns the secret values of a configuration's credentials.
func kindSecrets(kind connector.Platform, cfg connector.Config) []string {
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
