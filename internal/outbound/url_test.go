package outbound_test

import (
	"net/netip"
	"net/url"
	"strings"
	"testing"

	"usersync/internal/outbound"
	"usersync/internal/usersync"
)

func TestCheckURL(t *testing.T) {
	t.Parallel()
	none, local := &outbound.Guard{}, loopback()
	local.Own = []netip.AddrPort{netip.MustParseAddrPort("127.0.0.1:8080")}
	for _, c := range []struct {
		name  string
		guard *outbound.Guard
		raw   string
		want  string // in the message; "" when it is taken
	}{
		{"plain", none, "https://example.com", ""},
		{"path and query", none, "https://hooks.example.com:8443/a/b?c=d%20e", ""},
		{"highest port", none, "https://example.com:65535", ""},
		{"public address", none, "https://8.8.8.8/x", ""},
		{"public IPv6 address", none, "https://[2606:4700::1111]:444/", ""},
		{"trailing dot", none, "https://example.com./", ""},
		{"punycode", none, "https://xn--bcher-kva.example/", ""},
		{"underscore", none, "https://my_hook.example.com/", ""},
		{"digits in a name", none, "https://1.2.example.com/", ""},
		{"scheme in capitals", none, "HTTPS://example.com", ""},
		{"longest", none, "https://example.com/" + strings.Repeat("a", 2028), ""},
		{"too long", none, "https://example.com/" + strings.Repeat("a", 2029), "at most 2048 bytes"},
		{"empty", none, "", "https://"},
		{"no scheme", none, "example.com/hook", "https://"},
		{"other scheme", none, "ftp://example.com", "https://"},
		{"file", none, "file:///etc/passwd", "https://"},
		{"javascript", none, "javascript:alert(1)", "https://"},
		{"opaque", none, "https:example.com", "a host"},
		{"no host", none, "https:///path", "a host"},
		{"port only", none, "https://:443/", "a host"},
		{"user", none, "https://user@example.com", "no user name"},
		{"user and password", none, "https://user:pass@example.com", "no user name"},
		{"empty user", none, "https://@example.com", "no user name"},
		{"fragment", none, "https://example.com/#x", "no fragment"},
		{"empty fragment", none, "https://example.com/#", "no fragment"},
		{"space in front", none, " https://example.com", "no spaces"},
		{"line break", none, "https://example.com/\r\nX: y", "no spaces"},
		{"backslash", none, `https://example.com\@10.0.0.1/`, "backslashes"},
		{"port zero", none, "https://example.com:0", "from 1 to 65535"},
		{"port too high", none, "https://example.com:65536", "from 1 to 65535"},
		{"no port behind the colon", none, "https://example.com:/", "a port behind the colon"},
		{"port that is a word", none, "https://example.com:https/", "a URL like"},
		{"decimal address", none, "https://2130706433/", "four decimal numbers"},
		{"hexadecimal address", none, "https://0x7f000001/", "four decimal numbers"},
		{"hexadecimal parts", none, "https://0x7f.1/", "four decimal numbers"},
		{"hexadecimal last part", none, "https://127.0.0.0x1/", "four decimal numbers"},
		{"bare hexadecimal prefix", none, "https://127.0.0.0X/", "four decimal numbers"},
		{"octal address", none, "https://0177.0.0.1/", "four decimal numbers"},
		{"short address", none, "https://127.1/", "four decimal numbers"},
		{"address with a trailing dot", none, "https://127.0.0.1./", "four decimal numbers"},
		{"address too large", none, "https://256.0.0.1/", "four decimal numbers"},
		{"unicode name", none, "https://bücher.example/", "punycode"},
		{"unicode dot", none, "https://127。0。0。1/", "punycode"},
		{"escaped unicode dot", none, "https://example%E3%80%82com/", "punycode"},
		{"wide digits", none, "https://１２７.0.0.1/", "punycode"},
		{"circled letters", none, "https://ⓔxample.com/", "punycode"},
		{"soft hyphen", none, "https://exam\u00adple.com/", "punycode"},
		{"empty label", none, "https://a..example.com/", "ASCII letters"},
		{"only dots", none, "https://./", "ASCII letters"},
		{"long label", none, "https://" + strings.Repeat("a", 64) + ".example/", "ASCII letters"},
		{"long name", none, "https://" + strings.Repeat("a.", 127) + "example/", "at most 253 bytes"},
		{"IPv4 in brackets", none, "https://[127.0.0.1]/", "expected"},
		{"word in brackets", none, "https://[example.com]/", "expected"},
		{"zone", none, "https://[fe80::1%25eth0]/", "without a zone"},
		{"loopback", none, "https://127.0.0.1/", "not allowed"},
		{"private", none, "https://10.0.0.1/", "not allowed"},
		{"metadata", none, "https://169.254.169.254/latest", "not allowed"},
		{"mapped loopback", none, "https://[::ffff:127.0.0.1]/", "not allowed"},
		{"mapped loopback in hexadecimal", none, "https://[::ffff:7f00:1]/", "not allowed"},
		{"NAT64", none, "https://[64:ff9b::7f00:1]/", "not allowed"},
		{"http", none, "http://example.com/", "https://"},
		{"http to a public address", none, "http://8.8.8.8/", "not allowed"},

		{"allowed loopback", local, "https://127.0.0.1:8443/", ""},
		{"http to allowed loopback", local, "http://127.0.0.1:9000/hook", ""},
		{"http to allowed IPv6 loopback", local, "http://[::1]:9000/hook", ""},
		{"http to a name", local, "http://localhost:9000/hook", ""},
		{"http to an address outside", local, "http://8.8.8.8/", "not allowed"},
		{"http to a private address outside", local, "http://10.0.0.1/", "not allowed"},
		{"own listener", local, "http://127.0.0.1:8080/v1/", "not allowed"},
		{"own listener by https", local, "https://127.0.0.1:8080/v1/", "not allowed"},
		{"decimal address, though allowed", local, "http://2130706433:9000/", "four decimal numbers"},
	} {
		t.Run(c.name, func(t *testing.T) {
			t.Parallel()
			u, err := c.guard.CheckURL(c.raw)
			if c.want == "" {
				if err != nil || u == nil {
					t.Errorf("%s: %v", c.raw, err)
				}
				return
			}
			if usersync.CodeOf(err) != usersync.CodeInvalid || !strings.Contains(usersync.AsError(err).Message, c.want) {
				t.Errorf("%s: %v, want %q", c.raw, err, c.want)
			}
		})
	}
}

func TestCheckURLDoesNotRepeatTheURL(t *testing.T) {
	t.Parallel()
	for _, raw := range []string{
		"https://u:hunter2@example.com/", "https://example.com:hunter2/", "https://example.com/%zz?hunter2",
		"https://10.0.0.1/?token=hunter2", "http://example.com/?hunter2", "https://hunter2..example/", "hunter2://x",
	} {
		_, err := new(outbound.Guard).CheckURL(raw)
		if err == nil || strings.Contains(err.Error(), "hunter2") {
			t.Errorf("%s: %v", raw, err)
		}
	}
}

func FuzzCheckURL(f *testing.F) {
	for _, seed := range []string{
		"https://example.com/a?b=c", "http://127.0.0.1:1/", "https://[::1]:443", "https://0x7f.1/", "https://a%41.example",
		"https://u:p@h/#f", "https://[fe80::1%25a]/", "https://127。0。0。1", "https://2130706433", "//h", "https://h:99999",
	} {
		f.Add(seed)
	}
	f.Fuzz(func(t *testing.T, raw string) {
		strict := &outbound.Guard{}
		u, err := strict.CheckURL(raw)
		if err != nil {
			if usersync.CodeOf(err) != usersync.CodeInvalid {
				t.Fatalf("%q: code of %v", raw, err)
			}
			return
		}
		if u.Scheme != "https" || u.User != nil || u.Fragment != "" || u.Opaque != "" || len(raw) > 2048 {
			t.Fatalf("%q is taken as %#v", raw, u)
		}
		checkSafeHost(t, u)
		again, err := strict.CheckURL(u.String())
		if len(u.String()) <= 2048 && (err != nil || again.Host != u.Host) {
			t.Fatalf("%q reads back as %v, %v", raw, again, err)
		}
		if _, err := loopback().CheckURL(raw); err != nil {
			t.Fatalf("%q is refused where more is allowed: %v", raw, err)
		}
	})
}

// checkSafeHost fails if a resolver could read the host as another address than the
// one that was checked.
func checkSafeHost(t *testing.T, u *url.URL) {
	t.Helper()
	host := u.Hostname()
	if addr, err := netip.ParseAddr(host); err == nil {
		if addr.Unmap().IsPrivate() || addr.Unmap().IsLoopback() || addr.Zone() != "" {
			t.Fatalf("%s is taken", addr)
		}
		return
	}
	for _, r := range host {
		if r <= ' ' || r > '~' {
			t.Fatalf("host %q is taken", host)
		}
	}
	labels := strings.Split(strings.TrimSuffix(host, "."), ".")
	if last := strings.ToLower(labels[len(labels)-1]); last == "" || last[0] >= '0' && last[0] <= '9' && strings.Trim(last, "0123456789abcdefx") == "" && isWholeNumber(last) {
		t.Fatalf("host %q is taken", host)
	}
}

func isWholeNumber(text string) bool {
	digits, hexadecimal := strings.CutPrefix(text, "0x")
	if hexadecimal {
		return strings.Trim(digits, "0123456789abcdef") == ""
	}
	return strings.Trim(digits, "0123456789") == ""
}
