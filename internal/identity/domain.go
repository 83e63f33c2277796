package identity

import (
	"strings"
	"unicode/utf8"

	"golang.org/x/net/idna"
	"golang.org/x/net/publicsuffix"
)

// Company returns the registrable domain of domain by the public suffix list
// (its private section included: a site under github.io is a company of its
// own) and by sharedHosts: what colleagues' addresses have in common. It
// returns "" when there is none: for a bare public suffix, a single label, or
// no domain at all.
func Company(domain string) string {
	name, ok := parseDomain(domain)
	if !ok {
		return ""
	}
	company, err := publicsuffix.EffectiveTLDPlusOne(name)
	if err != nil {
		return ""
	}
	if sharedHosts[company] {
		return tenant(name, company)
	}
	return company
}

// sharedHosts are domains of one company under which its customers have a
// subdomain each, and which the public suffix list lacks. Addresses at the
// domain itself are the host's own.
var sharedHosts = wordSet(`onmicrosoft.com mail.onmicrosoft.com sharepoint.com atlassian.net zendesk.com freshdesk.com freshservice.com
	helpscoutapp.com intercom-mail.com service-now.com mailgun.org wordpress.com squarespace.com weebly.com tumblr.com typepad.com
	livejournal.com`)

// tenant returns the customer's part of a name under a shared host.
func tenant(name, host string) string {
	for name != host {
		label, parent, _ := strings.Cut(name, ".")
		if sharedHosts[parent] && !sharedHosts[name] {
			return label + "." + parent
		}
		name = parent
	}
	return host
}

// parseDomain returns s in lower case and punycode (IDNA 2008 lookup), and
// whether it is a host name of two labels or more.
func parseDomain(s string) (string, bool) {
	if len(s) > maxInput || !utf8.ValidString(s) {
		return "", false
	}
	name := strings.ToLower(s)
	if isASCII(s) && !strings.Contains(name, "xn--") {
		return name, isDomain(name)
	}
	name, err := idna.Lookup.ToASCII(s)
	if err != nil {
		return "", false
	}
	return name, isDomain(name)
}

// isDomain checks a lower-case name by RFC 1035 §2.3 and RFC 1123 §2.1. The top
// label must not be all digits, which keeps IPv4 addresses out (RFC 3696 §2).
func isDomain(s string) bool {
	if len(s) > 253 {
		return false
	}
	for labels := 1; ; labels++ {
		label, rest, more := strings.Cut(s, ".")
		if !isLabel(label) {
			return false
		}
		if !more {
			return labels > 1 && strings.Trim(label, "0123456789") != ""
		}
		s = rest
	}
}

func isLabel(s string) bool {
	if s == "" || len(s) > 63 || s[0] == '-' || s[len(s)-1] == '-' {
		return false
	}
	for i := 0; i < len(s); i++ {
		if s[i] != '-' && !isAlphanumeric(s[i]) {
			return false
		}
	}
	return true
}

// CutSuffix returns the name of a company without its public suffix: example of
// example.co.uk. ok is false where the list of public suffixes does not know the suffix, or it is
// that of a private registry.
func CutSuffix(company string) (name string, ok bool) {
	suffix, icann := publicsuffix.PublicSuffix(company)
	name, cut := strings.CutSuffix(company, "."+suffix)
	return name, icann && cut
}
