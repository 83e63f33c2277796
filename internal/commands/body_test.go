package commands

import (
	"io"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/spf13/cobra"
)

// made returns the call of a command line, without the program's name.
func made(t *testing.T, stdin string, words ...string) (call, error) {
	t.Helper()
	for _, o := range operations() {
		if o.resource != words[0] || o.verb != words[1] {
			continue
		}
		c := o.command()
		c.SetIn(strings.NewReader(stdin))
		if err := c.ParseFlags(words[2:]); err != nil {
			return call{}, err
		}
		if err := o.count(c, c.Flags().Args()); err != nil {
			return call{}, err
		}
		return o.callOf(c, c.Flags().Args())
	}
	t.Fatalf("%v is no command", words)
	return call{}, nil
}

func TestACommandLineIsACall(t *testing.T) {
	t.Parallel()
	for _, c := range []struct {
		line, stdin string
		want        string // method, path and query, Prefer, body
	}{
		{"requests list", "", "GET /v1/requests?  "},
		{"requests list --status failed --since 2026-03-04T10:30:00Z", "", "GET /v1/requests?since=2026-03-04T10%3A30%3A00Z&status=failed  "},
		{"requests get a/b --wait 10s", "", "GET /v1/requests/a%2Fb? wait=10 "},
		{"requests try-now req_1 2", "", "POST /v1/requests/req_1/steps/2/try-now?  "},
		{"requests retry-all --status failed --platform brevo", "", `POST /v1/requests/retry?  {"filter":{"platform":"brevo","status":"failed"}}`},
		{"users sync ann@acme.example.com --country US --first-name Ann", "", `POST /v1/user-sync?  {"user":{"country":"US","email":"ann@acme.example.com","firstName":"Ann"}}`},
		{"users sync ann@acme.example.com --body -", `{"user":{"attributes":{"seats":12345678901234567890}}}`, `POST /v1/user-sync?  {"user":{"attributes":{"seats":12345678901234567890},"email":"ann@acme.example.com"}}`},
		{"users update user_1 --body -", "consent:\n  email: {status: unsubscribed}\n", `PATCH /v1/users/user_1?  {"consent":{"email":{"status":"unsubscribed"}}}`},
		{"colleagues list ann@acme.example.com", "", "GET /v1/colleagues-list?email=ann%40acme.example.com  "},
		{"connections create --platform brevo --check=false", "", `POST /v1/connections?check=false  {"platform":"brevo"}`},
		{"webhooks create https://a.example --event-types user.synced,test", "", `POST /v1/webhook-endpoints?  {"eventTypes":["user.synced","test"],"url":"https://a.example"}`},
		{"follow-ups dry-run fu_1", "", "POST /v1/follow-ups/fu_1/dry-run?  "},
		{"credits get", "", "GET /v1/credits?  "},
		{"credits get org_1", "", "GET /admin/v1/organizations/org_1/credits?  "},
		{"credits add org_1 30 --reference x", "", `POST /admin/v1/organizations/org_1/credits?  {"amount":30,"reference":"x"}`},
		{"keys create org_1", "", "POST /admin/v1/organizations/org_1/api-keys?  "},
		{"keys rotate org_1 key_1 --overlap 2d", "", `POST /admin/v1/organizations/org_1/api-keys/key_1/rotate?  {"overlap":"48h0m0s"}`},
		{"stuck list --older-than 5m", "", "GET /admin/v1/stuck?olderThan=5m0s  "},
		{"audit list --organization org_1", "", "GET /admin/v1/audit?organizationId=org_1  "},
		{"follow-ups import -", "followUps: []", "POST /v1/follow-ups/import?  followUps: []"},
	} {
		got, err := made(t, c.stdin, strings.Fields(c.line)...)
		text := got.method + " " + got.path + "?" + got.query.Encode() + " " + got.prefer + " " + string(got.body)
		if err != nil || text != c.want {
			t.Errorf("%s: %v\ngot  %s\nwant %s", c.line, err, text, c.want)
		}
	}
}

func TestWhatCannotBeACallSaysWhatWasExpected(t *testing.T) {
	t.Parallel()
	for _, c := range []struct{ line, stdin, want string }{
		{"requests get", "", "REQUEST is missing"},
		{"requests try-now req_1", "", "STEP is missing"},
		{"requests retry-all", "", "there is nothing to send; expected --body FILE"},
		{"credits add org_1 many", "", `AMOUNT is "many"; expected a whole number`},
		{"users update user_1 --body -", "[]", "--body -: expected an object"},
		{"users update user_1 --body -", "a: [", "--body -: expected an object as JSON or YAML"},
		{"users update user_1 --body no-such-file", "", "--body: open no-such-file"},
		{"imports create people.xls", "", `the format "xls" is none of files of people; expected --format csv or ndjson`},
		{"imports create no-such.csv", "", "FILE: open no-such.csv"},
		{"requests get r --wait -5s", "", "is no length of time above zero"},
		{"webhooks recover e --since soon", "", "is no time such as 2026-03-04T10:30:00Z"},
	} {
		if _, err := made(t, c.stdin, strings.Fields(c.line)...); err == nil || !strings.Contains(err.Error(), c.want) {
			t.Errorf("%s: %v, want %q", c.line, err, c.want)
		}
	}
}

func TestAnImportIsSentAsItIsRead(t *testing.T) {
	t.Parallel()
	for name, want := range map[string]string{"a.csv": "text/csv", "a.NDJSON": "application/x-ndjson", "a.jsonl": "application/x-ndjson"} {
		file := filepath.Join(t.TempDir(), name)
		if err := os.WriteFile(file, []byte("rows"), 0o600); err != nil {
			t.Fatal(err)
		}
		got, err := made(t, "", "imports", "create", file)
		if err != nil {
			t.Fatal(err)
		}
		text, err := io.ReadAll(got.stream)
		if err != nil || got.content != want || string(text) != "rows" {
			t.Errorf("%s: %s %q %v", name, got.content, text, err)
		}
	}
	if got, err := made(t, "rows", "imports", "create", "-", "--format", "ndjson"); err != nil || got.content != "application/x-ndjson" {
		t.Errorf("%s %v", got.content, err)
	}
}

func TestAServiceIsNamedByItsAddress(t *testing.T) {
	t.Parallel()
	for text, want := range map[string]string{
		"https://a.example/": "https://a.example", "http://127.0.0.1:8080": "http://127.0.0.1:8080", "https://a.example/under/": "https://a.example/under",
		"a.example": "", "ftp://a.example": "", "https://": "", "https://me:pw@a.example": "", "https://a.example?x": "", "": "",
	} {
		got, err := checkedURL(text)
		if got != want || (err == nil) != (want != "") {
			t.Errorf("%q: %q, %v", text, got, err)
		}
	}
}

func TestTheEnvironmentNamesAServiceWithItsKeyOnly(t *testing.T) { //nolint:paralleltest // it sets the environment
	t.Setenv("XDG_CONFIG_HOME", t.TempDir())
	c := &cobra.Command{}
	c.Flags().String("profile", "", "")
	for _, one := range []struct{ url, key, want string }{
		{"https://a.example", "", "is set without USERSYNC_KEY"},
		{"", "k", "nothing says for which service"},
		{"a.example", "k", "USERSYNC_URL: \"a.example\" is no address"},
		{"https://a.example", "k", ""},
	} {
		t.Setenv(urlVariable, one.url)
		t.Setenv(keyVariable, one.key)
		s, err := named(c)
		if one.want == "" && (err != nil || s.url != one.url || s.key.Reveal() != one.key) || one.want != "" && (err == nil || !IsMisuse(err) || !strings.Contains(err.Error(), one.want)) {
			t.Errorf("%+v: %v, %v", one, s, err)
		}
	}
	if err := c.Flags().Set("profile", "prod"); err != nil {
		t.Fatal(err)
	}
	if _, err := named(c); err == nil || !strings.Contains(err.Error(), "both name a service") {
		t.Errorf("%v", err)
	}
}
