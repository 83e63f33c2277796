package internal_test

import (
	"os"
	"regexp"
	"strings"
	"testing"

	_ "usersync/internal/app" // whose packages define the statements
	"usersync/internal/store"
)

// Errors and the page of hot statements tell a statement by its name alone. Two
// of one name do not get here: store.Define panics.
func TestStatementIsNamedAfterThePackageThatDefinesIt(t *testing.T) {
	t.Parallel()
	all := store.Definitions()
	if len(all) < 200 {
		t.Fatalf("only %d statements are known", len(all))
	}
	names := sourceNames(t)
	for _, st := range all {
		folder, ok := names[st.Name()]
		if pkg, _, _ := strings.Cut(st.Name(), "."); ok && folder != pkg {
			t.Errorf("%s is defined in package %s", st.Name(), folder)
		}
		// Those that a function puts together have their names elsewhere.
		if !regexp.MustCompile(`^[a-z]+(\.[A-Za-z_]+)+$`).MatchString(st.Name()) {
			t.Errorf("%q is not package.statement", st.Name())
		}
	}
}

var definition = regexp.MustCompile(`\bDefine(?:PerEngine)?\("([^"]+)"`)

// sourceNames returns the names of statements in the code, and their folders.
func sourceNames(t *testing.T) map[string]string {
	t.Helper()
	out := map[string]string{}
	folders, err := os.ReadDir(".")
	if err != nil {
		t.Fatal(err)
	}
	for _, d := range folders {
		if !d.IsDir() {
			continue
		}
		files, err := os.ReadDir(d.Name())
		if err != nil {
			t.Fatal(err)
		}
		for _, f := range files {
			if !strings.HasSuffix(f.Name(), ".go") || strings.HasSuffix(f.Name(), "_test.go") {
				continue
			}
			text, err := os.ReadFile(d.Name() + "/" + f.Name())
			if err != nil {
				t.Fatal(err)
			}
			for _, m := range definition.FindAllStringSubmatch(string(text), -1) {
				out[m[1]] = d.Name()
			}
		}
	}
	return out
}
