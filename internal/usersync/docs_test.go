package usersync_test

import (
	"fmt"
	"strings"
	"testing"

	"usersync/internal/doctest"
	"usersync/internal/usersync"
)

//go:generate go test . -run PageIsCurrent -update

const errorsPath = "../../docs/errors.md"

const errorsHead = `# Errors

<!-- Written by "go generate ./internal/usersync" from usersync.Codes. -->

Every step, delivery and request that did not succeed names one of these codes. The owner can repair the cause:
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
		fmt.Fprintf(&page, "| `%s` | %s | %s | %s | %s |\n", info.Code, info.Meaning, info.Owner, info.Hint, doctest.YesNo(info.Retryable))
	}
	return page.String()
}

func TestErrorsPageIsCurrent(t *testing.T) {
	t.Parallel()
	doctest.Page(t, errorsPath, errorsPage())
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
	codes := doctest.Constants(t, "error.go", "Code")
	for _, code := range codes {
		if !described[code] {
			t.Errorf("%s: is declared and not in Codes", code)
		}
	}
	if len(usersync.Codes) != len(codes) {
		t.Errorf("Codes has %d lines for %d codes", len(usersync.Codes), len(codes))
	}
}
