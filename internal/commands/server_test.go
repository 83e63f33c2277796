package commands

import (
	"bytes"
	"encoding/json"
	"fmt"
	"net/http"
	"net/http/httptest"
	"strings"
	"sync"
	"sync/atomic"
	"testing"

	"github.com/spf13/cobra"

	"usersync/internal/app"
	"usersync/internal/app/apptest"
	"usersync/internal/commands/profile"
	"usersync/internal/usersync"
)

// profilesFile is held by whoever changes the file that all tests of this package share.
var profilesFile sync.Mutex

// typist is somebody who types, with a profile.
type typist struct{ profile string }

// withProfile keeps a service under a name that no other test has.
func withProfile(t *testing.T, address string, key usersync.Secret) typist {
	t.Helper()
	profilesFile.Lock()
	defer profilesFile.Unlock()
	file, err := profile.Open()
	if err != nil {
		t.Fatal(err)
	}
	p := profile.Profile{Name: fmt.Sprintf("p%d", len(file.Names())), URL: address, Key: key}
	if err := file.Put(p); err != nil {
		t.Fatal(err)
	}
	return typist{p.Name}
}

// outcome is what a command printed and how it ended.
type outcome struct {
	out, told string
	err       error
}

// types runs a command line.
func (p typist) types(t *testing.T, stdin string, words ...string) outcome {
	t.Helper()
	root := &cobra.Command{Use: "usersync", SilenceUsage: true, SilenceErrors: true}
	Add(root)
	var out, told bytes.Buffer
	root.SetIn(strings.NewReader(stdin))
	root.SetOut(&out)
	root.SetErr(&told)
	root.SetArgs(append(words, "--profile", p.profile))
	err := root.ExecuteContext(t.Context())
	return outcome{out.String(), told.String(), err}
}

// gets runs a command line that must not fail, and returns a member of what it prints.
func (p typist) gets(t *testing.T, name, stdin string, words ...string) string {
	t.Helper()
	o := p.types(t, stdin, words...)
	var answer map[string]any
	if o.err != nil || json.Unmarshal([]byte(o.out), &answer) != nil {
		t.Fatalf("%v: %v\n%s", words, o.err, o.out)
	}
	return fmt.Sprint(answer[name])
}

// lists runs a command line that prints a list, and returns its length.
func (p typist) lists(t *testing.T, words ...string) int {
	t.Helper()
	o := p.types(t, "", words...)
	var answer []any
	if o.err != nil || json.Unmarshal([]byte(o.out), &answer) != nil {
		t.Fatalf("%v: %v\n%s", words, o.err, o.out)
	}
	return len(answer)
}

// batch is the body of a sync of so many users, each of a company of their own.
func batch(first, n int) string {
	var users []map[string]string
	for i := range n {
		users = append(users, map[string]string{"email": fmt.Sprintf("user%d@company%d.example", first+i, first+i), "country": "US"})
	}
	text, _ := json.Marshal(map[string]any{"users": users})
	return string(text)
}

// An operator makes an organization and a key, and the key's owner does all sorts of things.
func TestAnOrganizationIsRunFromTheCommandLine(t *testing.T) {
	t.Parallel()
	apptest.Each(t, func(t *testing.T, e *apptest.Environment) {
		s := e.Start(t, app.All)
		operator := withProfile(t, s.Addr(), e.Config.AdminToken)
		org := operator.gets(t, "id", "", "organizations", "create", "Acme", "--client-code", "c1")
		key := operator.gets(t, "key", "", "keys", "create", org, "--name", "first", "--expires-in", "30d")
		user := withProfile(t, s.Addr(), usersync.NewSecret(key))

		refused := user.types(t, "", "users", "sync", "ann@acme.example.com", "--country", "US")
		if refused.err == nil || !strings.Contains(refused.err.Error(), "HTTP 402") || !strings.Contains(refused.err.Error(), "usersync credits add ORGANIZATION AMOUNT") {
			t.Errorf("without credits: %v", refused.err)
		}
		if n := operator.gets(t, "balance", "", "credits", "add", org, "30", "--reference", "invoice 1"); n != "30" {
			t.Errorf("the balance is %s", n)
		}
		if a, b := operator.gets(t, "balance", "", "credits", "get", org), user.gets(t, "balance", "", "credits", "get"); a != "30" || b != "30" {
			t.Errorf("the balance is %s and %s", a, b)
		}
		if status := user.gets(t, "status", "", "users", "sync", "ann@acme.example.com", "--country", "US", "--wait", "30s"); status != "succeeded" {
			t.Errorf("the request is %s", status)
		}
		endpoint := user.gets(t, "id", "", "webhooks", "create", apptest.NewReceiver(t).URL, "--description", "first")
		if got := user.gets(t, "description", "", "webhooks", "update", endpoint, "--description", "second"); got != "second" {
			t.Errorf("the description is %s", got)
		}
		importID := user.gets(t, "id", "email,name,country\nzoe@acme.example.com,Zoe Lind,SE\n", "imports", "create", "-")
		apptest.Eventually(t, "the import is done", func() bool { return user.gets(t, "status", "", "imports", "get", importID) == "succeeded" })
		if n := user.lists(t, "platforms", "list"); n < 5 {
			t.Errorf("%d platforms", n)
		}
		if o := user.types(t, "followUps:\n- name: Welcome\n  trigger: {type: user/register}\n  actions:\n  - {type: add-tag, tags: [welcomed]}\n", "follow-ups", "import", "-"); o.err != nil {
			t.Errorf("%v", o.err)
		}
		if o := user.types(t, "", "follow-ups", "export"); o.err != nil || !strings.Contains(o.out, "name: Welcome") {
			t.Errorf("%v: %s", o.err, o.out)
		}
		if n := operator.lists(t, "audit", "list", "--organization", org); n < 3 {
			t.Errorf("%d lines of audit", n)
		}
		if o := user.types(t, "", "webhooks", "delete", endpoint); o.err != nil || o.out != "" {
			t.Errorf("%v: %s", o.err, o.out)
		}
	})
}

func TestAListGoesOnToItsEndOrItsLimit(t *testing.T) {
	t.Parallel()
	apptest.Each(t, func(t *testing.T, e *apptest.Environment) {
		s := e.Start(t, app.All)
		operator := withProfile(t, s.Addr(), e.Config.AdminToken)
		org := operator.gets(t, "id", "", "organizations", "create", "Acme")
		operator.gets(t, "balance", "", "credits", "add", org, "10")
		user := withProfile(t, s.Addr(), usersync.NewSecret(operator.gets(t, "key", "", "keys", "create", org)))
		const more = 20
		for first, n := range map[int]int{0: largestPage, largestPage: more} {
			if o := user.types(t, batch(first, n), "users", "sync-batch", "--body", "-"); o.err != nil {
				t.Fatal(o.err)
			}
		}
		for line, want := range map[string]int{
			"requests list": largestPage + more, "requests list --limit 3": 3, "requests list --limit 510": 510, "requests list --email user7@company7.example": 1,
		} {
			if got := user.lists(t, strings.Fields(line)...); got != want {
				t.Errorf("%s: %d, want %d", line, got, want)
			}
		}
		table := user.types(t, "", "requests", "list", "--limit", "2", "--output", "table")
		if lines := strings.Split(table.out, "\n"); table.err != nil || len(lines) != 4 || !strings.HasPrefix(lines[0], "REQUEST ID") {
			t.Errorf("%v\n%s", table.err, table.out)
		}
		offered := user.completes(t, "requests", "get", "")
		if !strings.HasPrefix(offered, "req_") || !strings.Contains(offered, "@company") {
			t.Errorf("offered %q", offered)
		}
		if offered := operator.completes(t, "keys", "revoke", org, "key_"); !strings.HasPrefix(offered, "key_") {
			t.Errorf("offered %q", offered)
		}
	})
}

// completes returns what the shell offers for the last word.
func (p typist) completes(t *testing.T, words ...string) string {
	t.Helper()
	root := &cobra.Command{Use: "usersync"}
	Add(root)
	var out bytes.Buffer
	root.SetOut(&out)
	root.SetErr(&bytes.Buffer{})
	last := len(words) - 1
	typed := append([]string{cobra.ShellCompRequestCmd}, words[:last]...)
	root.SetArgs(append(typed, "--profile", p.profile, words[last]))
	if err := root.ExecuteContext(t.Context()); err != nil {
		t.Fatal(err)
	}
	return out.String()
}

func TestARefusalSaysWhereItIsMended(t *testing.T) {
	t.Parallel()
	e := apptest.New(t, "embedded")
	s := e.Start(t, app.All)
	stranger := withProfile(t, s.Addr(), usersync.NewSecret("usk_nobody"))
	if o := stranger.types(t, "", "requests", "list"); o.err == nil || IsMisuse(o.err) || !strings.Contains(o.err.Error(), "HTTP 401") || !strings.Contains(o.err.Error(), "ADMIN_TOKEN") {
		t.Errorf("%v", o.err)
	}
	operator := withProfile(t, s.Addr(), e.Config.AdminToken)
	org := operator.gets(t, "id", "", "organizations", "create", "Acme")
	user := withProfile(t, s.Addr(), usersync.NewSecret(operator.gets(t, "key", "", "keys", "create", org)))
	if o := user.types(t, "", "requests", "list", "--status", "sad"); o.err == nil || !strings.HasPrefix(o.err.Error(), "--status: is not a status") {
		t.Errorf("%v", o.err)
	}
	if o := user.types(t, "", "webhooks", "create", "ftp://a.example"); o.err == nil || !strings.HasPrefix(o.err.Error(), "URL: ") {
		t.Errorf("%v", o.err)
	}
	several := user.types(t, `{"name": 5, "condition": 7}`, "follow-ups", "create", "--body", "-")
	if several.err == nil || !strings.Contains(several.err.Error(), "condition must be") || !strings.Contains(several.err.Error(), "\n  --name: must be a string") {
		t.Errorf("%v", several.err)
	}
	if o := user.types(t, "", "requests", "get", "req_1"); o.err == nil || !strings.Contains(o.err.Error(), "HTTP 404") {
		t.Errorf("%v", o.err)
	}
	if o := (typist{"nobody"}).types(t, "", "requests", "list"); o.err == nil || !IsMisuse(o.err) || !strings.Contains(o.err.Error(), "--profile: no such profile: \"nobody\"; expected one of: ") {
		t.Errorf("%v", o.err)
	}
	if o := user.types(t, "", "requests", "list", "--output", "xml"); o.err == nil || !IsMisuse(o.err) || !strings.Contains(o.err.Error(), `--output is "xml"; expected table, json or yaml`) {
		t.Errorf("%v", o.err)
	}
}

func TestACallIsMadeAgainWhenTheServiceAsksForThat(t *testing.T) {
	t.Parallel()
	var calls atomic.Int64
	keys := make(chan string, 2)
	server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		keys <- r.Header.Get("Idempotency-Key")
		if calls.Add(1) == 1 {
			w.Header().Set("Retry-After", "1")
			w.WriteHeader(http.StatusTooManyRequests)
			return
		}
		_, _ = w.Write([]byte(`{"requestId":"req_1"}`))
	}))
	t.Cleanup(server.Close)
	p := withProfile(t, server.URL, usersync.NewSecret("k"))
	o := p.types(t, "", "requests", "retry", "req_1")
	first, second := <-keys, <-keys
	if o.err != nil || first == "" || first != second || !strings.Contains(o.told, "the service asks to wait for 1s") {
		t.Errorf("%v %q %q %q", o.err, first, second, o.told)
	}
}

func TestAServiceThatIsNotThereIsNamed(t *testing.T) {
	t.Parallel()
	closed := httptest.NewServer(http.NotFoundHandler())
	closed.Close()
	o := withProfile(t, closed.URL, usersync.NewSecret("k")).types(t, "", "requests", "list")
	if o.err == nil || IsMisuse(o.err) || !strings.HasPrefix(o.err.Error(), closed.URL+" was not reached: ") {
		t.Errorf("%v", o.err)
	}
}

func TestTheKeyGoesToNobodyElse(t *testing.T) {
	t.Parallel()
	elsewhere := httptest.NewServer(http.HandlerFunc(func(http.ResponseWriter, *http.Request) { t.Error("the call was sent elsewhere") }))
	t.Cleanup(elsewhere.Close)
	server := httptest.NewServer(http.RedirectHandler(elsewhere.URL, http.StatusTemporaryRedirect))
	t.Cleanup(server.Close)
	if o := withProfile(t, server.URL, usersync.NewSecret("k")).types(t, "", "requests", "list"); o.err == nil || !strings.Contains(o.err.Error(), "HTTP 307") {
		t.Errorf("%v", o.err)
	}
}

func TestProfilesAreKeptWithoutShowingTheirKeys(t *testing.T) { //nolint:paralleltest // it sets the environment
	t.Setenv("XDG_CONFIG_HOME", t.TempDir())
	const key = "usk_0123456789abcdef"
	said := ""
	for _, one := range []struct{ line, stdin, want string }{
		{"profiles add prod --url https://a.example/", key + "\n", ""},
		{"profiles add dev --url http://127.0.0.1:8080", key, ""},
		{"profiles use dev", "", ""},
		{"profiles remove prod", "", ""},
		{"profiles remove prod", "", "NAME: no such profile: \"prod\"; expected one of: dev"},
		{"profiles add a/b --url https://a.example", key, "NAME is \"a/b\""},
		{"profiles add x --url a.example", key, "--url: \"a.example\" is no address"},
		{"profiles add x --url https://a.example", "", "there is no key; expected it at the prompt"},
		{"profiles list", "", ""},
	} {
		root := &cobra.Command{Use: "usersync", SilenceUsage: true, SilenceErrors: true}
		Add(root)
		var out bytes.Buffer
		root.SetIn(strings.NewReader(one.stdin))
		root.SetOut(&out)
		root.SetErr(&out)
		root.SetArgs(strings.Fields(one.line))
		err := root.ExecuteContext(t.Context())
		if one.want == "" && err != nil || one.want != "" && (err == nil || !IsMisuse(err) || !strings.Contains(err.Error(), one.want)) {
			t.Errorf("%s: %v, want %q", one.line, err, one.want)
		}
		said = out.String()
		if strings.Contains(said, key) {
			t.Errorf("%s shows the key: %s", one.line, said)
		}
	}
	var kept []listed
	if err := json.Unmarshal([]byte(said), &kept); err != nil || len(kept) != 1 || kept[0] != (listed{"dev", "http://127.0.0.1:8080", "••••cdef", true}) {
		t.Errorf("%+v, %v", kept, err)
	}
}
