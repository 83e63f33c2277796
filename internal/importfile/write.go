package importfile

import (
	"strings"
	"unicode"
)

// A spreadsheet program takes a cell that begins with one of these for a formula, also
// in their full-width forms (OWASP, CSV Injection). It ends a cell at one of the
// separators, whichever of them its owner's language has, and may overlook quotes there.
const (
	formulaBegins = "=+-@\t\r\n＝＋－＠"
	separators    = ",;\t|\r\n"
)

// AppendCSV appends a line of CSV (RFC 4180) with its end. People open such a file in
// a spreadsheet program, so an apostrophe goes before whatever would begin a formula,
// at the beginning of a cell or behind a separator within it.
func AppendCSV(to []byte, cells ...string) []byte {
	for i, cell := range cells {
		if i > 0 {
			to = append(to, ',')
		}
		to = appendCell(to, harmless(cell))
	}
	return append(to, '\n')
}

// harmless returns a text without the beginning of a formula in it.
func harmless(text string) string {
	var out strings.Builder
	begins := true
	for i, r := range text {
		if begins && strings.ContainsRune(formulaBegins, r) || i == 0 && strings.ContainsRune(separators, r) {
			out.WriteByte('\'')
		}
		out.WriteRune(r)
		isBlank := unicode.IsSpace(r) || unicode.Is(unicode.Cf, r) || r == '"'
		begins = strings.ContainsRune(separators, r) || begins && isBlank
	}
	return out.String()
}

// appendCell puts a cell in quotes when it has a character of any sort of CSV.
func appendCell(to []byte, cell string) []byte {
	if !strings.ContainsAny(cell, separators+`"`) && cell == strings.TrimSpace(cell) {
		return append(to, cell...)
	}
	to = append(to, '"')
	to = append(to, strings.ReplaceAll(cell, `"`, `""`)...)
	return append(to, '"')
}
