package importfile

import (
	"encoding/csv"
	"slices"
	"strings"
	"testing"
	"unicode"
)

func TestWrittenCellsAreNoFormulas(t *testing.T) {
	t.Parallel()
	for text, want := range map[string]string{
		"":                `,x`,
		"plain":           `plain,x`,
		"=1+1":            `'=1+1,x`,
		"+1":              `'+1,x`,
		"-1":              `'-1,x`,
		"@SUM(A1)":        `'@SUM(A1),x`,
		"＝1":              `'＝1,x`,
		";x":              `"';x",x`,
		";=1":             `"';'=1",x`,
		"a;=1":            `"a;'=1",x`,
		"a; =1":           `"a; '=1",x`,
		`a;"=1`:           `"a;""'=1",x`,
		"a,=1":            `"a,'=1",x`,
		"a\t=1":           "\"a\t'=1\",x",
		"a|-1":            `"a|'-1",x`,
		"a\n=1":           "\"a\n'=1\",x",
		"a-b+c@d.example": `a-b+c@d.example,x`,
		"two; words":      `"two; words",x`,
		"two words":       `two words,x`,
		" x":              `" x",x`,
		`say "x"`:         `"say ""x""",x`,
	} {
		if got := string(AppendCSV(nil, text, "x")); got != want+"\n" {
			t.Errorf("%q is written as %q, want %q", text, got, want)
		}
	}
}

// FuzzAppendCSV writes any two texts. By RFC 4180 they read back, apart from the
// apostrophes; and however a program splits the line, with or without heed to quotes,
// no piece of it begins a formula.
func FuzzAppendCSV(f *testing.F) {
	for _, seed := range []string{"=1", "a;=1", "a\t@x", "\"=1", "' =1", "；＝1", "\ufeff=1", "\u00a0-1", "a,\"=1\"", "\r\n=1"} {
		f.Add(seed, "b")
		f.Add("b", seed)
	}
	f.Fuzz(func(t *testing.T, a, b string) {
		line := string(AppendCSV(nil, a, b))
		for _, pieces := range [][]string{
			strings.FieldsFunc(line, func(r rune) bool { return strings.ContainsRune(separators, r) }),
			splitQuoted(line, ','), splitQuoted(line, ';'), splitQuoted(line, '\t'), splitQuoted(line, '|'),
		} {
			for _, piece := range pieces {
				piece = strings.TrimLeftFunc(piece, func(r rune) bool { return unicode.IsSpace(r) || unicode.Is(unicode.Cf, r) || r == '"' })
				if strings.IndexAny(piece, "=+-@＝＋－＠") == 0 {
					t.Fatalf("%q and %q are written as %q, of which %q begins a formula", a, b, line, piece)
				}
			}
		}
		if strings.ContainsRune(a+b, '\r') {
			return // the reader turns CR LF into LF
		}
		got, err := csv.NewReader(strings.NewReader(line)).Read()
		if want := []string{harmless(a), harmless(b)}; a+b != "" && (err != nil || !slices.Equal(got, want)) {
			t.Fatalf("%q reads back as %q, %v", line, got, err)
		}
	})
}

// splitQuoted splits a line as a program does that heeds quotes.
func splitQuoted(line string, comma rune) []string {
	r := csv.NewReader(strings.NewReader(line))
	r.Comma, r.LazyQuotes, r.FieldsPerRecord = comma, true, -1
	all, _ := r.ReadAll()
	return slices.Concat(all...)
}
