package identity

import (
	"unicode"
	"unicode/utf8"

	"golang.org/x/text/unicode/norm"
)

// undecomposed are the letters that lose their mark only by a table: Unicode
// does not decompose them.
var undecomposed = map[rune]string{
	'ß': "ss", 'æ': "ae", 'œ': "oe", 'ø': "o", 'đ': "d", 'ð': "d", 'þ': "th", 'ł': "l", 'ı': "i",
}

// appendFolded appends the words of s in lower case and without accents, one
// space between them. Full stops vanish (U.S.A. is usa), & is "and", all other
// punctuation parts words.
func appendFolded(dst []byte, s string) []byte {
	if !isASCII(s) {
		s = norm.NFKD.String(s)
	}
	start := len(dst)
	for _, r := range s {
		switch {
		case r == '.' || unicode.Is(unicode.Mn, r):
		case r == '&':
			dst = append(appendGap(dst, start), "and "...)
		case unicode.IsLetter(r) || unicode.IsNumber(r) || unicode.IsMark(r):
			dst = appendLetter(dst, unicode.ToLower(r))
		default:
			dst = appendGap(dst, start)
		}
	}
	if len(dst) > start && dst[len(dst)-1] == ' ' {
		dst = dst[:len(dst)-1]
	}
	return dst
}

func appendLetter(dst []byte, r rune) []byte {
	if r < utf8.RuneSelf {
		return append(dst, byte(r))
	}
	if plain, ok := undecomposed[r]; ok {
		return append(dst, plain...)
	}
	return utf8.AppendRune(dst, r)
}

// appendGap appends a space unless there is one or nothing before it.
func appendGap(dst []byte, start int) []byte {
	if len(dst) == start || dst[len(dst)-1] == ' ' {
		return dst
	}
	return append(dst, ' ')
}
