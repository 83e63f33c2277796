// Package foreign is the one place that bounds foreign text: what a platform, a directory
// service or a receiver says, each of which may be anybody's server.
package foreign

import (
	"strings"
	"unicode"
	"unicode/utf8"
)

// Fits reports whether a foreign text may be stored, shown and logged as it is. It has
// at most that many bytes, is valid UTF-8, and holds no control character, because not
// every column and page takes one.
func Fits(text string, most int) bool {
	return len(text) <= most && utf8.ValidString(text) && !strings.ContainsFunc(text, unicode.IsControl)
}

// Fit returns the beginning of a foreign text, so that it fits. It does not suit ids,
// since half an id names something else.
func Fit(text string, most int) string {
	if Fits(text, most) {
		return text
	}
	return strings.Map(printable, strings.ToValidUTF8(text[:min(len(text), most)], ""))
}

// printable drops control characters.
func printable(r rune) rune {
	if unicode.IsControl(r) {
		return -1
	}
	return r
}
