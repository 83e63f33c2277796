package identity

import (
	"strings"
	"unicode"
	"unicode/utf8"

	"golang.org/x/text/unicode/norm"

	"usersync/internal/usersync"
)

const (
	// maxAddress is the longest address in bytes: RFC 5321 §4.5.3.1.3 allows a
	// path of 256, of which two are the angle brackets.
	maxAddress = 254
	// maxLocal is the longest local part in bytes: RFC 5321 §4.5.3.1.1.
	maxLocal = 64
	// maxInput bounds the work done on what cannot become an address: a domain
	// of 253 punycode bytes comes from fewer than 1,024 bytes of UTF-8.
	maxInput = 1024
)

// ParseEmail checks s as an addr-spec (RFC 5321 §4.1.2, RFC 5322 §3.4.1) and
// returns it. White space and invisible characters around it are dropped; within
// they are refused. The local part is a dot-atom or a quoted string; letters,
// marks and digits of any script count as atom text (RFC 6531). The domain
// becomes lower-case punycode and has two labels at least. Display names,
// comments and IP literals are refused.
//
// What is shown is in Unicode form NFC, and the key is that in lower case. Every
// error is CodeInvalid and does not contain the address.
func ParseEmail(s string) (usersync.Email, error) {
	s = trimInvisible(s)
	if len(s) > maxInput {
		return usersync.Email{}, invalidEmail()
	}
	if !isASCII(s) {
		s = norm.NFC.String(s)
	}
	at := strings.LastIndexByte(s, '@')
	if at < 0 || !isLocal(s[:at]) || strings.ContainsFunc(s[at:], isInvisible) {
		return usersync.Email{}, invalidEmail()
	}
	domain, ok := parseDomain(s[at+1:])
	if !ok {
		return usersync.Email{}, invalidEmail()
	}
	display := s
	if domain != s[at+1:] {
		display = s[:at+1] + domain
	}
	key := lower(display)
	if tooLong(display, domain) || tooLong(key, domain) {
		return usersync.Email{}, invalidEmail()
	}
	return usersync.NewEmail(display, key), nil
}

func invalidEmail() error {
	return usersync.Errorf(usersync.CodeInvalid, "User email is invalid")
}

// CanonicalKey returns the key of e without its +tag and without quotes that
// change nothing: two addresses with the same canonical key are taken for the
// same person's. Dots are not folded, for they matter at most providers. It is
// no address to write to.
func CanonicalKey(e usersync.Email) string {
	key, local := e.Key(), unquoted(e.Local())
	if tag := strings.IndexByte(local, '+'); tag > 0 && local[0] != '"' && isDotAtom(local[:tag]) {
		local = local[:tag]
	}
	if local == e.Local() {
		return key
	}
	return local + "@" + e.Domain()
}

// unquoted drops the quotes of a local part that is a dot-atom without them.
func unquoted(local string) string {
	if len(local) > 2 && local[0] == '"' && isDotAtom(local[1:len(local)-1]) {
		return local[1 : len(local)-1]
	}
	return local
}

// lower returns s in lower case, and in NFC when it is not plain ASCII. The lower
// case of İ is two characters, of which strings.ToLower keeps an i alone: somebody
// else's address. A test tries all letters for others like it.
func lower(s string) string {
	if isASCII(s) {
		return strings.ToLower(s)
	}
	return norm.NFC.String(strings.ToLower(strings.ReplaceAll(norm.NFC.String(s), "İ", "i\u0307")))
}

// isInvisible reports whether a character shows nothing: format characters, such
// as zero-width spaces and marks of direction, fillers and variation selectors.
func isInvisible(r rune) bool {
	return r >= utf8.RuneSelf && unicode.In(r, unicode.Cf, unicode.Other_Default_Ignorable_Code_Point, unicode.Variation_Selector)
}

// trimInvisible drops white space and invisible characters around s: they come
// along when text is copied from a page.
func trimInvisible(s string) string {
	return strings.TrimFunc(s, func(r rune) bool { return unicode.IsSpace(r) || isInvisible(r) })
}

func tooLong(address, domain string) bool {
	return len(address) > maxAddress || len(address)-len(domain)-1 > maxLocal
}

func isLocal(s string) bool {
	if strings.HasPrefix(s, `"`) {
		return isQuoted(s)
	}
	return isDotAtom(s)
}

// isDotAtom reports whether s is atoms joined by single dots (RFC 5322 §3.2.3).
func isDotAtom(s string) bool {
	for {
		atom, rest, more := strings.Cut(s, ".")
		if !isAtom(atom) {
			return false
		}
		if !more {
			return true
		}
		s = rest
	}
}

func isAtom(s string) bool {
	for i := 0; i < len(s); i++ {
		if s[i] >= utf8.RuneSelf {
			return isWideAtom(s)
		}
		if !isAtomByte(s[i]) {
			return false
		}
	}
	return s != ""
}

// isWideAtom is isAtom for a text that is not plain ASCII.
func isWideAtom(s string) bool {
	if !utf8.ValidString(s) {
		return false
	}
	for _, r := range s {
		if r < utf8.RuneSelf && !isAtomByte(byte(r)) {
			return false
		}
		if r >= utf8.RuneSelf && (!unicode.In(r, unicode.L, unicode.M, unicode.N) || isInvisible(r)) {
			return false
		}
	}
	return true
}

func isAtomByte(c byte) bool {
	return isAlphanumeric(c) || c != 0 && strings.IndexByte("!#$%&'*+-/=?^_`{|}~", c) >= 0
}

// isQuoted reports whether s is a Quoted-string that holds something
// (RFC 5321 §4.1.2): printable ASCII, with backslash before quote and backslash.
func isQuoted(s string) bool {
	if len(s) < 3 || s[len(s)-1] != '"' {
		return false
	}
	escaped := false
	for _, c := range []byte(s[1 : len(s)-1]) {
		switch {
		case c < ' ' || c > '~':
			return false
		case escaped:
			escaped = false
		case c == '\\':
			escaped = true
		case c == '"':
			return false
		}
	}
	return !escaped
}

func isAlphanumeric(c byte) bool {
	return 'a' <= c && c <= 'z' || 'A' <= c && c <= 'Z' || '0' <= c && c <= '9'
}

func isASCII(s string) bool {
	for i := 0; i < len(s); i++ {
		if s[i] >= utf8.RuneSelf {
			return false
		}
	}
	return true
}
