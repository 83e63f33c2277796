package ui

import (
	"strings"
	"testing"
)

func TestADiffHasEveryLineOfBoth(t *testing.T) {
	t.Parallel()
	var got []string
	for _, l := range Diff("a\nb\nc", "a\nx\nc\nd") {
		got = append(got, l.Sign+l.Text)
	}
	if text := strings.Join(got, "|"); text != " a|-b|+x| c|+d" && text != " a|+x|-b| c|+d" {
		t.Error(text)
	}
	if Changed(Diff("a", "a")) || !Changed(Diff("", "a")) || len(Diff("", "")) != 0 {
		t.Error("what changed is not told")
	}
}
