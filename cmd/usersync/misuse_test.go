package main

import (
	"io"
	"os"
	"strings"
	"testing"

	"usersync/internal/app/apptest"
)

// typed runs a command line as main does, and returns its error and what it printed.
func typed(t *testing.T, args ...string) (string, error) {
	t.Helper()
	root := program()
	var out strings.Builder
	root.SetArgs(args)
	root.SetOut(&out)
	root.SetErr(io.Discard)
	err := root.ExecuteContext(t.Context())
	return out.String(), err
}

func TestWhatIsTypedWronglyEndsWithTwoAndSaysWhatWasExpected(t *testing.T) {
	t.Parallel()
	tests := []struct{ line, want string }{
		{"kes", `"kes" is no command of "usersync"; is it keys?`},
		{"keys crate org_1", `"crate" is no command of "usersync keys"; is it create?`},
		{"keys create", "ORGANIZATION is missing; expected `usersync keys create ORGANIZATION`"},
		{"organizations list --limit 5", "--limit is for a service, and none is named"},
		{"credits ledger", "ORGANIZATION is missing"},
		{"requests list", "no service is named: `usersync profiles add"},
		{"requests get", "REQUEST is missing; expected `usersync requests get REQUEST`"},
		{"requests get a b", `"b" is one argument too many`},
		{"requests list --since yesterday", "is no time such as"},
		{"keys create org_1 --expires-in -5h", "is no length of time above zero"},
		{"keys create org_1 --expire 5h", "unknown flag: --expire"},
		{"stuck list --older-than 0", "is no length of time above zero"},
		{"credits add org_1 many", `AMOUNT is "many"; expected a whole number`},
		{"migrate now", `unknown command "now" for "usersync migrate"`},
	}
	for _, one := range tests {
		_, err := typed(t, strings.Fields(one.line)...)
		if err == nil || exitStatus(err) != exitMisuse || !strings.Contains(err.Error(), one.want) {
			t.Errorf("%s: %v, want status %d and %q", one.line, err, exitMisuse, one.want)
		}
	}
}

func TestTheVersionIsTold(t *testing.T) {
	t.Parallel()
	if out, err := typed(t, "--version"); err != nil || !strings.HasPrefix(out, "usersync version ") {
		t.Errorf("%s, %v", out, err)
	}
}

func TestTheNameOfAGroupShowsItsCommands(t *testing.T) {
	t.Parallel()
	out, err := typed(t, "keys")
	if err != nil || !strings.Contains(out, "rotate") {
		t.Errorf("%v: %s", err, out)
	}
}

// An operator in the wrong folder must not get an empty database and believe in it.
func TestOperatorsCommandsMakeNoDatabase(t *testing.T) { //nolint:paralleltest // it sets the environment
	dir := t.TempDir()
	t.Setenv("DATA_DIR", dir)
	for _, name := range []string{"DATABASE_URL", "REDIS_URL", "SEALING_KEYS", "ADMIN_TOKEN"} {
		t.Setenv(name, "")
	}
	for _, line := range []string{"migrate", "organizations create Acme", "organizations list", "verify", "rewrap-keys"} {
		_, err := typed(t, strings.Fields(line)...)
		if err == nil || exitStatus(err) != exitFailure || !strings.Contains(err.Error(), "There is no database in "+dir) {
			t.Errorf("%s: %v", line, err)
		}
	}
	if left, err := os.ReadDir(dir); err != nil || len(left) > 0 {
		t.Errorf("%v, %v is left", left, err)
	}
	if _, err := typed(t, "migrate", "--create"); err != nil {
		t.Fatal(err)
	}
	if out, err := typed(t, "organizations", "create", "Acme"); err != nil || !strings.Contains(out, `"Acme"`) {
		t.Errorf("%s, %v", out, err)
	}
	if out, err := typed(t, "organizations", "list"); err != nil || !strings.Contains(out, `"Acme"`) {
		t.Errorf("%s, %v", out, err)
	}
}

func TestAListIsReadToItsEnd(t *testing.T) {
	t.Parallel()
	const items = 2*pageSize + 3
	all, err := everything(func(n int) string { return strings.Repeat("x", n) }, func(last string) (page []int, _ error) {
		for n := len(last) + 1; n <= items && len(page) < pageSize; n++ {
			page = append(page, n)
		}
		return page, nil
	})
	if err != nil || len(all) != items || all[items-1] != items {
		t.Errorf("%d items, %v", len(all), err)
	}
}

// The same command line works on a service where one is named, and on the database where
// none is or the operator says so. It says which.
func TestOperatorsCommandsCallTheServiceThatIsNamed(t *testing.T) { //nolint:paralleltest // it sets the environment
	s := startService(t, apptest.New(t, "embedded"), 0)
	dir := t.TempDir()
	t.Setenv("DATA_DIR", dir)
	t.Setenv("USERSYNC_URL", s.Addr())
	t.Setenv("USERSYNC_KEY", s.key.Reveal())
	if out, err := typed(t, "credits", "get"); err != nil || !strings.Contains(out, `"balance": 0`) {
		t.Errorf("%s, %v", out, err)
	}
	if _, err := typed(t, "organizations", "list"); err == nil || exitStatus(err) != exitFailure || !strings.Contains(err.Error(), "HTTP 401") {
		t.Errorf("%v", err)
	}
	if _, err := typed(t, "organizations", "list", "--database"); err == nil || !strings.Contains(err.Error(), "There is no database in "+dir) {
		t.Errorf("%v", err)
	}
	if _, err := typed(t, "organizations", "list", "--database", "--profile", "x"); err == nil || exitStatus(err) != exitMisuse {
		t.Errorf("%v", err)
	}
}
