package identity

import (
	"strings"
	"testing"
)

func TestCompanyIsTheRegistrableDomain(t *testing.T) {
	t.Parallel()
	for domain, want := range map[string]string{
		"example.com":                     "example.com",
		"us.example.com":                  "example.com",
		"a.b.c.example.com":               "example.com",
		"example.co.uk":                   "example.co.uk",
		"mail.example.co.uk":              "example.co.uk",
		"Mail.EXAMPLE.com":                "example.com",
		"example.com.au":                  "example.com.au",
		"bücher.example":                  "xn--bcher-kva.example",
		"www.xn--bcher-kva.de":            "xn--bcher-kva.de",
		"foo.github.io":                   "foo.github.io",
		"bar.foo.github.io":               "foo.github.io",
		"foo.blogspot.com":                "foo.blogspot.com",
		"example.unknownending":           "example.unknownending",
		"a.example.unknownending":         "example.unknownending",
		"co.uk":                           "",
		"com":                             "",
		"github.io":                       "",
		"localhost":                       "",
		"":                                "",
		"127.0.0.1":                       "",
		"exa mple.com":                    "",
		".com":                            "",
		strings.Repeat("a.", 126) + "com": "",
	} {
		if got := Company(domain); got != want {
			t.Errorf("Company(%q) = %q, want %q", domain, got, want)
		}
	}
}

func TestCutSuffixTakesTheSuffixesOfRegistriesOnly(t *testing.T) {
	t.Parallel()
	for company, want := range map[string]string{"example.com": "example", "example.co.uk": "example", "example.unknown": "", "example.github.io": "", "com": ""} {
		name, ok := CutSuffix(company)
		if ok != (want != "") || ok && name != want {
			t.Errorf("%s: %q, %v, want %q", company, name, ok, want)
		}
	}
}

func BenchmarkCompany(b *testing.B) {
	b.ReportAllocs()
	for b.Loop() {
		Company("mail.example.co.uk")
	}
}
