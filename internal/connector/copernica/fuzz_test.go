package copernica

import (
	"regexp"
	"strings"
	"testing"
	"time"
)

// expression is how Copernica reads a condition: the first operator it finds.
var expression = regexp.MustCompile(`(?s)^(.*?)(==|!=|<>|<=|>=|=~|!~|<|>)(.*)$`)

func FuzzAConditionReadsAsItWasMeant(f *testing.F) {
	for _, seed := range []string{"ada@example.com", "a=b", "==", "=~%", "a<>b", "~", "x\x00y", "\u0085"} {
		f.Add(seed)
	}
	f.Fuzz(func(t *testing.T, value string) {
		if value == "" || !plain(value) {
			return
		}
		m := expression.FindStringSubmatch("email==" + value)
		if m == nil || m[1] != "email" || m[2] != "==" || m[3] != value {
			t.Errorf("%q reads as %q", value, m)
		}
		if rest := expression.FindString(value); rest != "" {
			t.Errorf("%q holds another condition", value)
		}
	})
}

func FuzzTheLifetimeOfATokenIsBounded(f *testing.F) {
	f.Add("a.b.c")
	f.Add("a.eyJleHAiOjE3OTU0MDAwMDB9.c")
	f.Fuzz(func(t *testing.T, token string) {
		if strings.Count(token, ".") != 2 {
			return // is no token, see exchange
		}
		if got := lifetime(token, time.Unix(1_795_000_000, 0)); got > 24*time.Hour {
			t.Errorf("good for %v", got)
		}
	})
}
