package importfile

import (
	"encoding/csv"
	"encoding/json"
	"errors"
	"io"
	"strings"
	"testing"
	"unicode/utf8"
)

// FuzzReader checks rules that hold for any bytes. Reading ends. Line numbers rise.
// Every line that is not blank is a row or an error. Texts are valid.
func FuzzReader(f *testing.F) {
	for _, seed := range []string{
		"email,name\na@x.example,Ann\n", "email;name\r\n\"a\";\"b\nc\"\r\n", "\xff\xfee\x00m\x00a\x00i\x00l\x00\n\x00a\x00\n\x00",
		"{\"email\":\"a\"}\n{\"x\":{}}\n", "email\n\"\"\"\n\"\"\"\n\"\n", "sep=;\nmail;x\n1;2", "email\n\xe4\n\xc3\xa4\n", "\xef\xbb\xbfemail\na",
	} {
		f.Add([]byte(seed), true)
		f.Add([]byte(seed), false)
	}
	f.Fuzz(func(t *testing.T, file []byte, others bool) {
		r, err := Open(strings.NewReader(string(file)), Options{Fields: People, Others: others})
		if err != nil {
			return
		}
		last := int64(0)
		for n := 0; ; n++ {
			if n > len(file)+1 {
				t.Fatal("reading does not end")
			}
			row, err := r.Next()
			if errors.Is(err, io.EOF) {
				return
			}
			number := row.Line
			if wrong, ok := errors.AsType[*LineError](err); ok {
				number = wrong.Line
			} else if err != nil {
				t.Fatal(err)
			}
			if number <= last {
				t.Fatalf("line %d after line %d", number, last)
			}
			last = number
			for field, value := range row.Values {
				if value == "" || value != strings.TrimSpace(value) || !utf8.ValidString(value) || strings.ContainsRune(value, 0) {
					t.Fatalf("%s is %q", field, value)
				}
			}
		}
	})
}

// FuzzWrittenRowsReadBack writes two people as CSV, by every delimiter, and as
// NDJSON. Reading must return the same people.
func FuzzWrittenRowsReadBack(f *testing.F) {
	for _, seed := range [][4]string{
		{"a@b.example", "Ann", "c@d.example", "Bob"}, {"a@b.example", "A \"B\" C", "x", "1,2;3\t4"}, {"a", "line\nbreak", "b", "\r\n"},
		{"ä", "日本", "\ufeff", "=SUM(A1)"}, {"'", "\"", "\"\"", ","}, {"e", "{", "{}", "[1]"}, {"", "x", "y", ""},
	} {
		f.Add(seed[0], seed[1], seed[2], seed[3])
	}
	f.Fuzz(func(t *testing.T, email1, name1, email2, name2 string) {
		people := [][]string{{email1, name1}, {email2, name2}}
		for _, text := range []string{email1, name1, email2, name2} {
			if !utf8.ValidString(text) || strings.ContainsAny(text, "\x00\r\ufeff") || len(text) > 200 {
				return // other tests cover these
			}
		}
		files := map[string]string{"ndjson": ndjsonOf(t, people)}
		for _, delimiter := range delimiters {
			files[string(delimiter)] = csvOf(t, delimiter, people)
		}
		for name, file := range files {
			format := CSV
			if name == "ndjson" {
				format = NDJSON
			}
			r, err := Open(strings.NewReader(file), Options{Format: format, Charset: "utf-8", Fields: People})
			if err != nil {
				t.Fatalf("%s %q: %v", name, file, err)
			}
			for _, p := range people {
				row, err := r.Next()
				if err != nil {
					t.Fatalf("%s %q: %v", name, file, err)
				}
				if row.Values[Email] != strings.TrimSpace(p[0]) || row.Values[Name] != strings.TrimSpace(p[1]) {
					t.Fatalf("%s %q: read %q, want %q", name, file, row.Values, p)
				}
			}
			if _, err := r.Next(); !errors.Is(err, io.EOF) {
				t.Fatalf("%s %q: something is left: %v", name, file, err)
			}
		}
	})
}

// csvOf writes people with a third column, so that no line of them is blank.
func csvOf(t *testing.T, delimiter rune, people [][]string) string {
	t.Helper()
	var out strings.Builder
	w := csv.NewWriter(&out)
	w.Comma = delimiter
	for _, p := range append([][]string{{"email", "name"}}, people...) {
		if err := w.Write(append(p[:2:2], "x")); err != nil {
			t.Fatal(err)
		}
	}
	w.Flush()
	return out.String()
}

func ndjsonOf(t *testing.T, people [][]string) string {
	t.Helper()
	var out strings.Builder
	for _, p := range people {
		line, err := json.Marshal(map[string]string{"email": p[0], "name": p[1]})
		if err != nil {
			t.Fatal(err)
		}
		out.Write(append(line, '\n'))
	}
	return out.String()
}
