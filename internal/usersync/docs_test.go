package usersync_test

import (
	"flag"
	"fmt"
	"go/ast"
	"go/parser"
	"go/token"
	"os"
	"strconv"
	"strings"
	"testing"

	"usersync/internal/usersync"
)

//go:generate go test . -run PageIsCurrent -update

var update = flag.Bool("update", false, "write the generated pages of docs")

const (
	errorsPath = "../../docs/errors.md"
	statesPath = "../../docs/state-machine.md"
)

const errorsHead = `# Errors

<!-- Written by "go generate ./internal/usersync" from usersync.Codes. -->

Every step, delivery and request that did not succeed names one of these codes. The owner is who can mend it:
you (the caller), the platform (the other side), or us (this service). Retried means that the service tries
again by itself.

| code | meaning | owner | what to do | retried |
|---|---|---|---|---|
`

// errorsPage returns the page docs/errors.md.
func errorsPage() string {
	var page strings.Builder
	page.WriteString(errorsHead)
	for _, info := range usersync.Codes {
		fmt.Fprintf(&page, "| `%s` | %s | %s | %s | %s |\n", info.Code, info.Meaning, info.Owner, info.Hint, yesNo(info.Retryable))
	}
	return page.String()
}

func yesNo(is bool) string {
	if is {
		return "yes"
	}
	return "no"
}

func TestErrorsPageIsCurrent(t *testing.T) {
	t.Parallel()
	checkPage(t, errorsPath, errorsPage())
}

func TestStateMachinePageIsCurrent(t *testing.T) {
	t.Parallel()
	checkPage(t, statesPath, statesPage(t))
}

// checkPage compares a page with what it should be; with -update it is written.
func checkPage(t *testing.T, path, want string) {
	t.Helper()
	if *update {
		if err := os.WriteFile(path, []byte(want), 0o644); err != nil {
			t.Fatal(err)
		}
	}
	page, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	if string(page) != want {
		t.Errorf("%s is not what the code says; run: go generate ./internal/usersync", path)
	}
}

func TestEveryCodeIsDescribed(t *testing.T) {
	t.Parallel()
	described := map[string]bool{}
	for _, info := range usersync.Codes {
		described[string(info.Code)] = true
		if info.Meaning == "" || info.Owner == "" || info.Hint == "" {
			t.Errorf("%s: lacks meaning, owner or hint", info.Code)
		}
		if strings.Contains(info.Meaning+info.Hint, "|") {
			t.Errorf("%s: a bar would break the table", info.Code)
		}
	}
	codes := declared(t, "error.go", "Code")
	for _, code := range codes {
		if !described[code] {
			t.Errorf("%s: is declared and not in Codes", code)
		}
	}
	if len(usersync.Codes) != len(codes) {
		t.Errorf("Codes has %d lines for %d codes", len(usersync.Codes), len(codes))
	}
}

// declared returns the values of the constants of a type in a file, in their order.
func declared(t *testing.T, file, typeName string) []string {
	t.Helper()
	parsed, err := parser.ParseFile(token.NewFileSet(), file, nil, 0)
	if err != nil {
		t.Fatal(err)
	}
	var values []string
	ast.Inspect(parsed, func(n ast.Node) bool {
		spec, ok := n.(*ast.ValueSpec)
		if !ok || !isIdent(spec.Type, typeName) {
			return true
		}
		value, err := strconv.Unquote(spec.Values[0].(*ast.BasicLit).Value)
		if err != nil {
			t.Fatal(err)
		}
		values = append(values, value)
		return true
	})
	return values
}

func isIdent(e ast.Expr, name string) bool {
	ident, ok := e.(*ast.Ident)
	return ok && ident.Name == name
}
