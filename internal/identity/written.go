package identity

import (
	"strings"

	"usersync/internal/usersync"
)

// severalAddresses parts the addresses of one person in the exports of address
// books.
const severalAddresses = ":::"

// ParseWrittenEmail is ParseEmail for what people and their programs write into
// sheets: it also takes the first of several addresses parted by ":::", a link
// (mailto:), an address in angle brackets, with or without a name before it, and
// a semicolon, comma or full stop behind it.
func ParseWrittenEmail(s string) (usersync.Email, error) {
	if len(s) > maxWritten {
		return usersync.Email{}, invalidEmail()
	}
	s, _, _ = strings.Cut(s, severalAddresses)
	s = withoutStops(s)
	if open := strings.LastIndexByte(s, '<'); open >= 0 && strings.HasSuffix(s, ">") {
		s = withoutStops(s[open+1 : len(s)-1])
	}
	const link = "mailto:"
	if len(s) > len(link) && strings.EqualFold(s[:len(link)], link) {
		s, _, _ = strings.Cut(s[len(link):], "?") // a link may have a subject
		s = withoutStops(s)
	}
	return ParseEmail(s)
}

// maxWritten bounds what is looked through, in bytes: an address with a name.
const maxWritten = 4 * maxInput

func withoutStops(s string) string {
	for {
		short := strings.TrimRight(trimInvisible(s), ";,.")
		if short == s {
			return s
		}
		s = short
	}
}
