package main

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"net/http/httputil"
	"net/url"
	"os"
	"path/filepath"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"usersync/internal/app"
	"usersync/internal/app/apptest"
	"usersync/internal/credit"
	"usersync/internal/identity"
	"usersync/internal/importfile"
	"usersync/internal/request"
	"usersync/internal/tenant"
	"usersync/internal/usersync"
)

// service is a running App with an organization.
type service struct {
	*apptest.Running
	org tenant.Organization
	key usersync.Secret
}

func startService(t *testing.T, e *apptest.Environment, credits int64, scopes ...tenant.Scope) service {
	t.Helper()
	s := service{Running: e.Start(t, app.All)}
	var err error
	if s.org, err = tenant.Create(t.Context(), s.Store, "test", tenant.Organization{Name: "Acme"}); err != nil {
		t.Fatal(err)
	}
	s.topUp(t, credits)
	if _, s.key, err = tenant.CreateKey(t.Context(), s.Store, "test", s.org.ID, tenant.Key{Name: "k", Scopes: scopes}); err != nil {
		t.Fatal(err)
	}
	return s
}

func (s service) topUp(t *testing.T, credits int64) {
	t.Helper()
	if credits == 0 {
		return
	}
	if _, err := credit.TopUp(t.Context(), s.Store, "test", s.org.ID, credits, ""); err != nil {
		t.Fatal(err)
	}
}

// requests counts what the organization has.
func (s service) requests(t *testing.T) int {
	t.Helper()
	ids, err := request.ListIDs(t.Context(), s.Store.Org(s.org.ID), request.Filter{Limit: 100_000})
	if err != nil {
		t.Fatal(err)
	}
	return len(ids)
}

// behind puts a handler before the service, which passes calls on.
func (s service) behind(t *testing.T, handler func(pass http.Handler, w http.ResponseWriter, r *http.Request)) string {
	t.Helper()
	target, err := url.Parse(s.Addr())
	if err != nil {
		t.Fatal(err)
	}
	pass := httputil.NewSingleHostReverseProxy(target)
	pass.Transport = &http.Transport{MaxIdleConnsPerHost: 16}
	front := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) { handler(pass, w, r) }))
	t.Cleanup(front.Close)
	return front.URL
}

// job returns a run of a file that is written with the text.
func job(t *testing.T, base string, key usersync.Secret, name, text string) (*syncJob, *bytes.Buffer) {
	t.Helper()
	file := filepath.Join(t.TempDir(), name)
	if err := os.WriteFile(file, []byte(text), 0o600); err != nil {
		t.Fatal(err)
	}
	null, err := os.OpenFile(os.DevNull, os.O_WRONLY, 0)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = null.Close() })
	out := &bytes.Buffer{}
	j := &syncJob{client: newSyncClient(), concurrency: 4, resume: true, out: out, progress: newProgress(null)}
	j.client.base, j.client.key, j.client.patience = base, key, 30*time.Second
	j.setFile(file)
	return j, out
}

// usersFile writes so many users, each of a company of their own.
func usersFile(n int) string {
	var file strings.Builder
	file.WriteString("E-Mail;Land;Vorname;Nachname;Plan\n")
	for i := range n {
		_, _ = fmt.Fprintf(&file, "user%d@company%d.example;Deutschland;Given%d;Family;pro\n", i, i, i)
	}
	return file.String()
}

func absent(t *testing.T, file string) {
	t.Helper()
	if _, err := os.Stat(file); !errors.Is(err, os.ErrNotExist) {
		t.Errorf("%s is there: %v", filepath.Base(file), err)
	}
}

func TestSyncSendsEveryUserAndTellsHowItEnded(t *testing.T) {
	t.Parallel()
	apptest.Each(t, func(t *testing.T, e *apptest.Environment) {
		const good = 600
		s := startService(t, e, 10)
		text := usersFile(good) + "far;too;many;fields;for;it\nwrong@company.example.com;Atlantis;;;\n;DE;;;\n"
		j, out := job(t, s.Addr(), s.key, "users.csv", text)
		if err := j.run(t.Context()); !errors.Is(err, errUnwell) {
			t.Errorf("ended with %v, want that somebody was refused", err)
		}
		want := fmt.Sprintf("%7d accepted\n%9d succeeded\n%7d refused, see %s\n%7d colleagues found, 0 credits charged\n", good, good, 3, j.errors, 0)
		if out.String() != want {
			t.Errorf("printed\n%swant\n%s", out, want)
		}
		listed, err := os.ReadFile(j.errors)
		wantErrors := fmt.Sprintf("line,reason\n%d,\"has 6 fields; the header names 5\"\n%d,User country is unknown\n%d,User email is required\n", good+2, good+3, good+4)
		if err != nil || string(listed) != wantErrors {
			t.Errorf("listed\n%s%v, want\n%s", listed, err, wantErrors)
		}
		absent(t, j.state)
		// The same file again is the same calls.
		again := *j
		if err := again.run(t.Context()); !errors.Is(err, errUnwell) || s.requests(t) != good {
			t.Errorf("%v, %d requests after a second run, want %d", err, s.requests(t), good)
		}
	})
}

func TestSyncSendsColumnsItDoesNotKnowAsAttributes(t *testing.T) {
	t.Parallel()
	s := startService(t, apptest.New(t, "embedded"), 10)
	j, _ := job(t, s.Addr(), s.key, "users.ndjson", `{"email":"ann@acme.example.com","country":"US","plan":"pro","attributes":{"seats":3}}`+"\n"+
		`{"email":"bob@acme.example.com","country":"US","=HYPERLINK()":{"a":1}}`+"\n")
	if err := j.run(t.Context()); !errors.Is(err, errUnwell) {
		t.Fatal(err)
	}
	listed, err := os.ReadFile(j.errors)
	if err != nil || !strings.Contains(string(listed), "\n2,\"attributes.=HYPERLINK() must be a string, a number, true, false, null or a list of strings\"\n") {
		t.Errorf("listed\n%s%v", listed, err)
	}
	if s.requests(t) != 1 {
		t.Errorf("%d requests", s.requests(t))
	}
}

// The run is interrupted while answers are under way that say what was
// accepted: the next run sends those batches again, and nobody is accepted twice.
func TestSyncGoesOnWhereAnInterruptedRunWas(t *testing.T) {
	t.Parallel()
	const users = 1100 // 3 batches
	s := startService(t, apptest.New(t, "deployed"), 10)
	ctx, interrupt := context.WithCancel(t.Context())
	var calls atomic.Int64
	base := s.behind(t, func(pass http.Handler, w http.ResponseWriter, r *http.Request) {
		if r.Method != http.MethodPost || calls.Add(1) != 2 {
			pass.ServeHTTP(w, r)
			return
		}
		pass.ServeHTTP(httptest.NewRecorder(), r.WithContext(context.WithoutCancel(r.Context())))
		interrupt()
		panic(http.ErrAbortHandler) // accepted, and nobody is told
	})
	j, out := job(t, base, s.key, "users.csv", usersFile(users))
	j.concurrency = 1
	err := j.run(ctx)
	if err == nil || !strings.Contains(err.Error(), "interrupted; 500 users are accepted so far") {
		t.Fatalf("the interrupted run ended with %v", err)
	}
	if got := s.requests(t); got != 1000 {
		t.Errorf("%d requests after the interruption", got)
	}
	// A torn line, as a kill in the middle of a write leaves it.
	f, err := os.OpenFile(j.state, os.O_APPEND|os.O_WRONLY, 0)
	if err != nil {
		t.Fatal(err)
	}
	_, err = f.WriteString(`{"first":`)
	if err := errors.Join(err, f.Close()); err != nil {
		t.Fatal(err)
	}
	before := calls.Load()
	next := *j
	if err := next.run(t.Context()); err != nil {
		t.Fatal(err)
	}
	if sent := calls.Load() - before; sent != 2 {
		t.Errorf("%d batches sent by the second run, want the 2 that were left", sent)
	}
	if got := s.requests(t); got != users || !strings.Contains(out.String(), fmt.Sprintf("%7d accepted\n%9d succeeded\n", users, users)) {
		t.Errorf("%d requests\n%s", got, out)
	}
	absent(t, j.state)
}

func TestSyncWaitsAsLongAsItIsAskedTo(t *testing.T) {
	t.Parallel()
	s := startService(t, apptest.New(t, "embedded"), 10)
	var calls atomic.Int64
	var asked time.Time
	base := s.behind(t, func(pass http.Handler, w http.ResponseWriter, r *http.Request) {
		switch n := calls.Add(1); n {
		case 1, 2:
			asked = time.Now()
			w.Header().Set("Retry-After", "1")
			w.WriteHeader([]int{http.StatusTooManyRequests, http.StatusServiceUnavailable}[n-1])
		case 3:
			if time.Since(asked) < time.Second {
				t.Error("called again before the time")
			}
			pass.ServeHTTP(w, r)
		default:
			pass.ServeHTTP(w, r)
		}
	})
	j, _ := job(t, base, s.key, "users.csv", usersFile(3))
	if err := j.run(t.Context()); err != nil || s.requests(t) != 3 {
		t.Errorf("%v, %d requests", err, s.requests(t))
	}
}

func TestSyncStopsWithoutCreditsAndGoesOnWithThem(t *testing.T) {
	t.Parallel()
	s := startService(t, apptest.New(t, "embedded"), 0)
	j, out := job(t, s.Addr(), s.key, "users.csv", usersFile(3))
	if err := j.run(t.Context()); err == nil || !strings.Contains(err.Error(), "API Key has no remaining credits.") {
		t.Fatalf("%v", err)
	}
	s.topUp(t, 1)
	next := *j
	next.noWait = true
	if err := next.run(t.Context()); err != nil || !strings.HasPrefix(out.String(), "3 users accepted, 0 refused") {
		t.Fatalf("%v\n%s", err, out)
	}
	out.Reset()
	last := *j
	if err := last.run(t.Context()); err != nil || !strings.Contains(out.String(), "        3 succeeded\n") || s.requests(t) != 3 {
		t.Errorf("%v\n%s", err, out)
	}
}

func TestSyncCountsWhatAwaitsCreditsAsSettled(t *testing.T) {
	t.Parallel()
	s := startService(t, apptest.New(t, "embedded"), 1)
	j, out := job(t, s.Addr(), s.key, "users.csv", "email,country\na@acme.example.com,US\nb@acme.example.com,US\nc@acme.example.com,US\nd@acme.example.com,US\n")
	if err := j.run(t.Context()); err != nil {
		t.Fatal(err)
	}
	if !strings.Contains(out.String(), " awaiting credits\n") || !strings.Contains(out.String(), "1 credits charged\n") {
		t.Errorf("printed\n%s", out)
	}
}

func TestSyncSaysWhatItMayNotSee(t *testing.T) {
	t.Parallel()
	s := startService(t, apptest.New(t, "embedded"), 10, tenant.ScopeSync)
	j, out := job(t, s.Addr(), s.key, "users.csv", usersFile(2))
	if err := j.run(t.Context()); err != nil || !strings.Contains(out.String(), "is not known: API Key lacks the scope read.") {
		t.Errorf("%v\n%s", err, out)
	}
}

func TestSyncRefusesAnotherRunsPlace(t *testing.T) {
	t.Parallel()
	s := startService(t, apptest.New(t, "embedded"), 10)
	j, _ := job(t, s.Addr(), s.key, "users.csv", usersFile(2))
	j.noWait = true
	if err := j.run(t.Context()); err != nil {
		t.Fatal(err)
	}
	elsewhere := *j
	elsewhere.client = newSyncClient()
	elsewhere.client.base = "http://127.0.0.1:1"
	if err := elsewhere.run(t.Context()); err == nil || !strings.Contains(err.Error(), "tells of a run to "+s.Addr()) {
		t.Errorf("%v", err)
	}
	if err := os.WriteFile(j.file, []byte(usersFile(3)), 0o600); err != nil {
		t.Fatal(err)
	}
	changed := *j
	if err := changed.run(t.Context()); err == nil || !strings.Contains(err.Error(), "the file has changed since") {
		t.Errorf("%v", err)
	}
	changed.resume = false
	if err := changed.run(t.Context()); err != nil || s.requests(t) != 5 {
		t.Errorf("%v, %d requests", err, s.requests(t))
	}
	stranger := *j
	stranger.state = j.file
	if err := stranger.run(t.Context()); err == nil || !strings.Contains(err.Error(), "is no progress of this command") {
		t.Errorf("%v", err)
	}
}

func TestSyncLeavesNothingBehindWhenItCannotBegin(t *testing.T) {
	t.Parallel()
	j, _ := job(t, "http://127.0.0.1:1", usersync.NewSecret("k"), "users.csv", "Vorname;Nachname\nAnn;Lee\n")
	if err := j.run(t.Context()); err == nil || !strings.Contains(err.Error(), "No column holds e-mail addresses") {
		t.Errorf("%v", err)
	}
	absent(t, j.state)
	absent(t, j.errors)
}

func TestSyncGivesUpOnAServiceThatIsNotThere(t *testing.T) {
	t.Parallel()
	j, _ := job(t, "http://127.0.0.1:1", usersync.NewSecret("k"), "users.csv", usersFile(1))
	j.client.patience = 0
	if err := j.run(t.Context()); err == nil || !strings.Contains(err.Error(), "gave up after 0s") {
		t.Errorf("%v", err)
	}
}

func TestReasonsAreNoFormulas(t *testing.T) {
	t.Parallel()
	name := filepath.Join(t.TempDir(), "errors.csv")
	if err := writeErrors(name, []refusal{{2, "=1 is no column"}, {3, "no;=1"}}); err != nil {
		t.Fatal(err)
	}
	got, err := os.ReadFile(name)
	if want := "line,reason\n2,'=1 is no column\n3,\"no;'=1\"\n"; err != nil || string(got) != want {
		t.Errorf("%q %v, want %q", got, err, want)
	}
}

func TestProgressInWords(t *testing.T) {
	t.Parallel()
	p := &progress{what: "sent", total: 1000, n: 600, counted: 100, began: time.Now().Add(-10 * time.Second)}
	if got := p.line(); got != "sent: 600 of 1000 users, 10/s, 40s left" {
		t.Error(got)
	}
	if got := (&progress{what: "sent", total: 1, began: time.Now()}).line(); got != "sent: 0 of 1 users" {
		t.Error(got)
	}
}

func TestExampleFilesHoldUsersAndPeopleThatAreTaken(t *testing.T) {
	t.Parallel()
	for name, c := range map[string]struct {
		fields []importfile.Field
		rows   int
	}{"users.csv": {importfile.Users, 50}, "people.csv": {importfile.People, 1000}} {
		f, err := os.Open(filepath.Join("..", "..", "examples", name))
		if err != nil {
			t.Fatal(err)
		}
		defer func() { _ = f.Close() }()
		r, err := importfile.Open(f, importfile.Options{Fields: c.fields})
		if err != nil {
			t.Fatal(name, err)
		}
		companies, n := map[string]bool{}, 0
		for ; ; n++ {
			row, err := r.Next()
			if errors.Is(err, io.EOF) {
				break
			}
			if err != nil {
				t.Fatal(name, err)
			}
			email, err := identity.ParseEmail(row.Values[importfile.Email])
			_, known := identity.ParseCountry(row.Values[importfile.Country])
			if err != nil || !strings.Contains(email.Domain(), ".example") || !known && row.Values[importfile.Country] != "" {
				t.Errorf("%s line %d cannot be taken", name, row.Line)
			}
			companies[email.Domain()] = true
		}
		if n != c.rows || !companies["acme.example.com"] || !companies["globex.example.org"] {
			t.Errorf("%s has %d rows at %v", name, n, companies)
		}
	}
}
