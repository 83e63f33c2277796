package internal_test

import (
	"os"
	"regexp"
	"strings"
	"testing"
)

// TestSecurityPageNamesProofsThatExist keeps SECURITY.md from promising what no
// test shows.
func TestSecurityPageNamesProofsThatExist(t *testing.T) {
	t.Parallel()
	page, err := os.ReadFile("../SECURITY.md")
	if err != nil {
		t.Fatal(err)
	}
	var code strings.Builder
	for _, s := range sources(t) {
		if s.isTest() {
			code.WriteString(s.text)
		}
	}
	named := regexp.MustCompile("`((?:Test|Fuzz)\\w+)`").FindAllStringSubmatch(string(page), -1)
	if len(named) < 20 {
		t.Fatalf("only %d proofs are named", len(named))
	}
	for _, m := range named {
		if !strings.Contains(code.String(), "\nfunc "+m[1]+"(") {
			t.Errorf("SECURITY.md names %s, which is no test", m[1])
		}
	}
}
