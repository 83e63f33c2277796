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

//go:generate go test . -run TestErrorsPageIsCurrent -update

var update = flag.Bool("update", false, "write docs/errors.md")

const errorsPath = "../../docs/errors.md"

const errorsHead = `# Errors

<!-- Written by "go generate ./internal/usersync" from usersync.Codes. -->

Every step, delivery and request that did not succeed names one of these codes. The owner is who can mend it: you (the
caller), the platform (the other side), or us (this service). Retried means that the service tries again by itself.

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
	if *update {
		if err := os.WriteFile(errorsPath, []byte(errorsPage()), 0o644); err != nil {
			t.Fatal(err)
		}
	}
	page, err := os.ReadFile(errorsPath)
	if err != nil {
		t.Fatal(err)
	}
	if string(page) != errorsPage() {
		t.Error("docs/errors.md is not what usersync.Codes says; run: go generate ./internal/usersync")
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
	declared := declaredCodes(t)
	for _, code := range declared {
		if !described[code] {
			t.Errorf("%s: is declared and not in Codes", code)
		}
	}
	if len(usersync.Codes) != len(declared) {
		t.Errorf("Codes has %d lines for %d codes", len(usersync.Codes), len(declared))
	}
}

// declaredCodes returns the values of the constants of type Code in error.go.
func declaredCodes(t *testing.T) []string {
	t.Helper()
	file, err := parser.ParseFile(token.NewFileSet(), "error.go", nil, 0)
	if err != nil {
		t.Fatal(err)
	}
	var codes []string
	ast.Inspect(file, func(n ast.Node) bool {
		spec, ok := n.(*ast.ValueSpec)
		if !ok || !isIdent(spec.Type, "Code") {
			return true
		}
		code, err := strconv.Unquote(spec.Values[0].(*ast.BasicLit).Value)
		if err != nil {
			t.Fatal(err)
		}
		codes = append(codes, code)
		return true
	})
	return codes
}

func isIdent(e ast.Expr, name string) bool {
	ident, ok := e.(*ast.Ident)
	return ok && ident.Name == name
}
