package foreign_test

import (
	"strings"
	"testing"

	"usersync/internal/foreign"
)

func FuzzForeignTextFits(f *testing.F) {
	for _, seed := range []string{"", "plain", "Zoë", "a\x00b\n", "\xff\xfe", strings.Repeat("ä", 300), "ab\xe4"} {
		f.Add(seed, 5)
	}
	f.Fuzz(func(t *testing.T, text string, most int) {
		most = max(most, 0)
		got := foreign.Fit(text, most)
		if !foreign.Fits(got, most) {
			t.Errorf("%q became %q, which does not fit %d bytes", text, got, most)
		}
		if foreign.Fits(text, most) && got != text {
			t.Errorf("%q fits, and became %q", text, got)
		}
		if len(text) <= most && !strings.ContainsRune(text, '\x00') && strings.Trim(text, "abcä ") == "" && got != text {
			t.Errorf("%q became %q", text, got)
		}
	})
}
