package identity

import (
	"errors"
	"strings"
	"testing"
	"unicode"
	"unicode/utf8"

	"golang.org/x/text/unicode/norm"

	"usersync/internal/usersync"
)

func mustEmail(t testing.TB, s string) usersync.Email {
	t.Helper()
	email, err := ParseEmail(s)
	if err != nil {
		t.Fatalf("ParseEmail(%q): %v", s, err)
	}
	return email
}

func TestParseEmailKeepsTheLocalPartAndLowersTheKey(t *testing.T) {
	t.Parallel()
	for in, want := range map[string]struct{ display, key string }{
		"john.doe@example.com":            {"john.doe@example.com", "john.doe@example.com"},
		"  John.Doe@Example.COM\r\n":      {"John.Doe@example.com", "john.doe@example.com"},
		"O'Brien+news@example.com":        {"O'Brien+news@example.com", "o'brien+news@example.com"},
		"a@b.co":                          {"a@b.co", "a@b.co"},
		"!#$%&'*+-/=?^_`{|}~@example.com": {"!#$%&'*+-/=?^_`{|}~@example.com", "!#$%&'*+-/=?^_`{|}~@example.com"},
		`"John Doe"@Example.com`:          {`"John Doe"@example.com`, `"john doe"@example.com`},
		`"a@b"@example.com`:               {`"a@b"@example.com`, `"a@b"@example.com`},
		`"a\"b\\"@example.com`:            {`"a\"b\\"@example.com`, `"a\"b\\"@example.com`},
		"Ada@BÜCHER.example":              {"Ada@xn--bcher-kva.example", "ada@xn--bcher-kva.example"},
		"ada@bu\u0308cher.example":        {"ada@xn--bcher-kva.example", "ada@xn--bcher-kva.example"},
		"ada@XN--BCHER-KVA.example":       {"ada@xn--bcher-kva.example", "ada@xn--bcher-kva.example"},
		"ada@straße.example":              {"ada@xn--strae-oqa.example", "ada@xn--strae-oqa.example"},
		"ada@例え。jp":                       {"ada@xn--r8jz45g.jp", "ada@xn--r8jz45g.jp"},
		"JOSÉ@example.com":                {"JOSÉ@example.com", "josé@example.com"},
		"jose\u0301@example.com":          {"josé@example.com", "josé@example.com"},
		"\u212aim@example.com":            {"Kim@example.com", "kim@example.com"},
		"İ@example.com":                   {"İ@example.com", "i\u0307@example.com"},
		"\ufeffann@example.com\u200b":     {"ann@example.com", "ann@example.com"},
		"\u202aann@example.com\u202c ":    {"ann@example.com", "ann@example.com"},
		"用户@example.com":                  {"用户@example.com", "用户@example.com"},
		"a@3m.example":                    {"a@3m.example", "a@3m.example"},
		"a@1.2.3.com":                     {"a@1.2.3.com", "a@1.2.3.com"},
	} {
		email := mustEmail(t, in)
		if email.Display() != want.display || email.Key() != want.key {
			t.Errorf("ParseEmail(%q) = %q, %q; want %q, %q", in, email.Display(), email.Key(), want.display, want.key)
		}
	}
}

func TestParseEmailRefuses(t *testing.T) {
	t.Parallel()
	for rule, in := range map[string]string{
		"nothing":                       "",
		"only space":                    "  ",
		"no at":                         "secret.example.com",
		"no local part":                 "@example.com",
		"no domain":                     "secret@",
		"two ats":                       "secret@a@example.com",
		"a display name":                "Secret <secret@example.com>",
		"angle brackets":                "<secret@example.com>",
		"a comment":                     "secret(comment)@example.com",
		"a comment in the domain":       "secret@example.com(comment)",
		"two addresses":                 "secret@example.com,other@example.com",
		"a space inside":                "sec ret@example.com",
		"a leading dot":                 ".secret@example.com",
		"a trailing dot":                "secret.@example.com",
		"two dots":                      "secret..a@example.com",
		"a single-label domain":         "secret@localhost",
		"an IPv4 literal":               "secret@[127.0.0.1]",
		"an IPv6 literal":               "secret@[IPv6:::1]",
		"a bare IPv4 address":           "secret@127.0.0.1",
		"a numeric top label":           "secret@example.123",
		"a full-width IPv4":             "secret@１２７.０.０.１",
		"an underscore":                 "secret@exa_mple.com",
		"a leading hyphen":              "secret@-example.com",
		"a trailing hyphen":             "secret@example-.com",
		"an empty label":                "secret@example..com",
		"a root dot":                    "secret@example.com.",
		"a leading dot in domain":       "secret@.example.com",
		"broken punycode":               "secret@xn--a.example",
		"a line break":                  "secret\r\nBcc: a@example.com",
		"a line break in quotes":        "\"sec\nret\"@example.com",
		"NUL":                           "sec\x00ret@example.com",
		"NUL in the domain":             "secret@exa\x00mple.com",
		"invalid UTF-8":                 "sec\xffret@example.com",
		"invalid UTF-8 in domain":       "secret@exa\xffmple.com",
		"a zero-width space":            "sec\u200bret@example.com",
		"a right-to-left override":      "sec\u202eret@example.com",
		"one in the domain":             "secret@exam\u200bple.com",
		"a soft hyphen in the domain":   "secret@exam\u00adple.com",
		"one behind the at":             "secret@\u200bexample.com",
		"one before the at":             "secret\u2060@example.com",
		"a variation selector":          "sec\ufe0fret@example.com",
		"a filler":                      "sec\u3164ret@example.com",
		"an emoji":                      "secret😀@example.com",
		"empty quotes":                  `""@example.com`,
		"open quotes":                   `"secret@example.com`,
		"a lone quote":                  `"@example.com`,
		"a quote unescaped":             `"sec"ret"@example.com`,
		"a backslash at the end":        `"secret\"@example.com`,
		"text behind quotes":            `"secret"a@example.com`,
		"non-ASCII in quotes":           `"sécret"@example.com`,
		"a local part of 65":            strings.Repeat("s", 65) + "@example.com",
		"a key with a local part of 93": strings.Repeat("Ⱥ", 31) + "@example.com",
		"a space in a wide atom":        "sé cret@example.com",
		"a label of 64":                 "secret@" + strings.Repeat("a", 64) + ".com",
		"255 bytes":                     address(255),
		"a megabyte":                    strings.Repeat("é", 1<<20) + "@example.com",
	} {
		email, err := ParseEmail(in)
		if err == nil {
			t.Errorf("%s: ParseEmail(%q) = %q, want an error", rule, in, email.Display())
			continue
		}
		e, ok := errors.AsType[*usersync.Error](err)
		if !ok || e.Code != usersync.CodeInvalid || e.Message != "User email is invalid" {
			t.Errorf("%s: ParseEmail(%q) failed with %v", rule, in, err)
		}
		if strings.Contains(err.Error(), "ecret") {
			t.Errorf("%s: the error shows the address: %v", rule, err)
		}
	}
}

// address returns a well-formed address of n bytes, n > 140.
func address(n int) string {
	tail := "@" + strings.Repeat("a", 63) + "." + strings.Repeat("b", 63) + ".com"
	local := strings.Repeat("l", min(64, n-len(tail)))
	rest := n - len(local) - len(tail)
	if rest == 0 {
		return local + tail
	}
	return local + "@" + strings.Repeat("c", rest-1) + "." + tail[1:]
}

func TestParseEmailTakesTheLongestAllowed(t *testing.T) {
	t.Parallel()
	for _, in := range []string{
		address(254),
		strings.Repeat("l", 64) + "@example.com",
		"a@" + strings.Repeat("a", 63) + ".com",
	} {
		mustEmail(t, in)
	}
}

func TestParseEmailAllocatesOnceForPlainAddresses(t *testing.T) {
	plain := testing.AllocsPerRun(100, func() { _, _ = ParseEmail("john.doe@example.com") })
	if plain > 1 {
		t.Errorf("ParseEmail allocates %v times, want 1", plain)
	}
}

// The second person's name went over the first's, and who erased one erased both.
func TestNoTwoLettersBecomeOneKeyExceptByCaseAndNFC(t *testing.T) {
	t.Parallel()
	firsts := map[string]rune{}
	for r := rune(0); r <= unicode.MaxRune; r++ {
		email, err := ParseEmail("x" + string(r) + "@example.com")
		if err != nil {
			continue
		}
		if !norm.NFC.IsNormalString(email.Display()) {
			t.Errorf("%U is shown as %q", r, email.Display())
		}
		first, taken := firsts[email.Key()]
		if !taken {
			firsts[email.Key()] = r
			continue
		}
		a, b := norm.NFC.String(string(first)), norm.NFC.String(string(r))
		if !strings.EqualFold(a, b) {
			t.Errorf("%q and %q have the key %q", first, r, email.Key())
		}
	}
	if len(firsts) < 100_000 {
		t.Errorf("%d letters were tried", len(firsts))
	}
}

func TestSheetsHoldAddressesInManyForms(t *testing.T) {
	t.Parallel()
	for _, in := range []string{
		"ann@example.com", "mailto:ann@example.com", "MAILTO:ann@example.com?subject=Hi", "<ann@example.com>", "Ann Ames <ann@example.com>",
		`"Ames, Ann" <ann@example.com>;`, "ann@example.com;", "ann@example.com,", "ann@example.com.", "ann@example.com. ;", " ann@example.com ; ",
		"<mailto:ann@example.com>", "Ann <ann@example.com>,", "ann@example.com ::: ann@example.org", "ann@example.com ::: ", "\u200bann@example.com;\u200b",
	} {
		if email, err := ParseWrittenEmail(in); err != nil || email.Key() != "ann@example.com" {
			t.Errorf("%q is %q, %v", in, email.Key(), err)
		}
	}
	for _, in := range []string{"", ";", "<>", "Ann", "ann@example.com ann@example.org", "ann@example.com, ann@example.org", "mailto:", "Ann <ann>", "<ann@example.com> Ann", "@example.com;", strings.Repeat(";", 1<<20)} {
		if email, err := ParseWrittenEmail(in); err == nil {
			t.Errorf("%q is %q", in, email.Key())
		}
	}
	for _, in := range []string{"mailto:ann@example.com", "Ann <ann@example.com>", "ann@example.com;", "ann@example.com."} {
		if email, err := ParseEmail(in); err == nil && email.Key() == "ann@example.com" {
			t.Errorf("ParseEmail takes %q", in)
		}
	}
}

func TestCanonicalKeyDropsTheTagOnly(t *testing.T) {
	t.Parallel()
	for in, want := range map[string]string{
		"john.doe@example.com":          "john.doe@example.com",
		"John.Doe+news@Example.com":     "john.doe@example.com",
		"john.doe+a+b@example.com":      "john.doe@example.com",
		"johndoe@example.com":           "johndoe@example.com",
		"+news@example.com":             "+news@example.com",
		`"john.doe"@example.com`:        "john.doe@example.com",
		`"John.Doe+news"@example.com`:   "john.doe@example.com",
		`"john doe+news"@example.com`:   `"john doe+news"@example.com`,
		"john.doe+news@bücher.example":  "john.doe@xn--bcher-kva.example",
		"john-doe+news@sub.example.com": "john-doe@sub.example.com",
	} {
		if got := CanonicalKey(mustEmail(t, in)); got != want {
			t.Errorf("CanonicalKey(%q) = %q, want %q", in, got, want)
		}
	}
	if got := CanonicalKey(usersync.Email{}); got != "" {
		t.Errorf("CanonicalKey of no address = %q", got)
	}
}

func FuzzParseEmail(f *testing.F) {
	for _, seed := range []string{
		"john.doe@example.com", "  John+tag@Example.COM ", `"a b"@example.com`, "ada@bücher.example", "ada@xn--bcher-kva.example",
		"jose\u0301@example.com", "İ@example.com", "ΑΣ@example.com", "K@example.com", "a@例え。jp", "a@[127.0.0.1]", "a\x00@b.c",
		"a@xn--a-.example", "\xff@example.com", "ῼ\u0345@example.com", "a@faß.example", "a@ab--cd.example",
	} {
		f.Add(seed)
	}
	f.Fuzz(func(t *testing.T, in string) {
		email, err := ParseEmail(in)
		if err != nil {
			return
		}
		key := email.Key()
		if len(key) > maxAddress || len(email.Display()) > maxAddress || len(email.Local()) > maxLocal {
			t.Errorf("%q: too long: %q", in, key)
		}
		if !utf8.ValidString(key) || strings.ContainsRune(key, 0) || lower(key) != key {
			t.Errorf("%q: key %q is not lower-case UTF-8", in, key)
		}
		if domain := email.Domain(); !isASCII(domain) || domain != strings.ToLower(domain) {
			t.Errorf("%q: domain %q is not lower-case ASCII", in, domain)
		}
		for _, again := range []string{email.Display(), key} {
			if got := mustEmail(t, again).Key(); got != key {
				t.Errorf("%q: key %q, parsed again %q", in, key, got)
			}
		}
		mustEmail(t, CanonicalKey(email))
		_, _ = KindOf(email), Company(email.Domain())
	})
}

func BenchmarkParseEmail(b *testing.B) {
	for name, in := range map[string]string{
		"plain": "john.doe@example.com", "capitals": "John.Doe@Example.com", "international": "ada@bücher.example", "invalid": "john.doe@localhost",
	} {
		b.Run(name, func(b *testing.B) {
			b.ReportAllocs()
			for b.Loop() {
				_, _ = ParseEmail(in)
			}
		})
	}
}
