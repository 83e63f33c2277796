package outbound

import (
	"net/netip"
	"net/url"
	"strconv"
	"strings"

	"usersync/internal/usersync"
)

// maxURL is the longest URL that is accepted, in bytes.
const maxURL = 2048

// These are the longest host name and the longest label, in bytes (RFC 1035, section
// 2.3.4).
const (
	maxHost  = 253
	maxLabel = 63
)

// CheckURL parses a URL that is to be saved and called later. It requires https and a
// host. It refuses everything that could be read as another host: a user, a fragment,
// a host outside ASCII (names in other scripts come in punycode) and an IPv4 address
// in any form but four decimal numbers. An address in it is checked like a dialled
// one, its port included. A name is not resolved.
//
// http is accepted for an address that Allow covers. If Allow covers anything, http
// is accepted for a name too, and Client then dials the name only at an address that
// Allow covers. Errors have code invalid and say what was expected.
func (g *Guard) CheckURL(raw string) (*url.URL, error) {
	if len(raw) > maxURL {
		return nil, badURL("at most %d bytes", maxURL)
	}
	if strings.ContainsFunc(raw, func(r rune) bool { return r <= ' ' || r == 0x7f || r == '\\' }) {
		return nil, badURL("no spaces, control characters or backslashes")
	}
	if strings.Contains(raw, "#") {
		return nil, badURL("no fragment")
	}
	u, err := url.Parse(raw)
	if err != nil {
		return nil, badURL("a URL like https://example.com/path") // err repeats the URL
	}
	if u.Scheme != "https" && u.Scheme != "http" {
		return nil, badURL("https://")
	}
	if u.User != nil {
		return nil, badURL("no user name or password")
	}
	if u.Opaque != "" || u.Hostname() == "" {
		return nil, badURL("a host")
	}
	port, err := portOf(u)
	if err != nil {
		return nil, err
	}
	if err := g.checkHost(u, port); err != nil {
		return nil, err
	}
	return u, nil
}

func portOf(u *url.URL) (uint16, error) {
	if strings.HasSuffix(u.Host, ":") {
		return 0, badURL("a port behind the colon")
	}
	text := u.Port()
	if text == "" {
		return map[string]uint16{"https": 443, "http": 80}[u.Scheme], nil
	}
	port, err := strconv.ParseUint(text, 10, 16)
	if err != nil || port == 0 {
		return 0, badURL("a port from 1 to 65535")
	}
	return uint16(port), nil
}

func (g *Guard) checkHost(u *url.URL, port uint16) error {
	host := u.Hostname()
	if addr, err := netip.ParseAddr(host); err == nil {
		return g.checkLiteral(u.Scheme, netip.AddrPortFrom(addr, port))
	}
	if strings.HasPrefix(u.Host, "[") {
		return badURL("an IPv6 address between the brackets")
	}
	if u.Scheme == "http" && len(g.Allow) == 0 {
		return badURL("https://")
	}
	return checkName(host)
}

func (g *Guard) checkLiteral(scheme string, target netip.AddrPort) error {
	if target.Addr().Zone() != "" {
		return badURL("an IPv6 address without a zone")
	}
	if scheme == "http" {
		return g.checkPlain(target)
	}
	return g.check(target)
}

// CheckHost checks a host that is to be saved and connected to later, without a URL.
// It must be a name, or an address that may be dialled at this port. Errors have code
// invalid.
func (g *Guard) CheckHost(host string, port uint16) error {
	if addr, err := netip.ParseAddr(host); err == nil {
		return g.checkLiteral("", netip.AddrPortFrom(addr, port))
	}
	return checkName(host)
}

func checkName(host string) error {
	name := strings.TrimSuffix(host, ".")
	if len(name) > maxHost {
		return badURL("a host of at most %d bytes", maxHost)
	}
	last := ""
	for label := range strings.SplitSeq(name, ".") {
		if !validLabel(label) {
			return badURL("a host of ASCII letters, digits, hyphens and dots (other scripts in punycode)")
		}
		last = label
	}
	if isNumber(last) {
		return badURL("an IPv4 address as four decimal numbers")
	}
	return nil
}

// validLabel accepts the underscore too, because host names in use have it.
func validLabel(label string) bool {
	const allowed = "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789-_"
	return label != "" && len(label) <= maxLabel && strings.Trim(label, allowed) == ""
}

// isNumber reports whether some resolver takes a host that ends in label for an IPv4
// address, such as 2130706433, 0x7f000001 or 0177.1 (WHATWG URL, "ends in a number").
func isNumber(label string) bool {
	if digits, found := strings.CutPrefix(strings.ToLower(label), "0x"); found {
		return strings.Trim(digits, "0123456789abcdef") == ""
	}
	return strings.Trim(label, "0123456789") == ""
}

func badURL(expected string, args ...any) error {
	return usersync.Errorf(usersync.CodeInvalid, "The URL is not valid: expected "+expected+".", args...)
}
