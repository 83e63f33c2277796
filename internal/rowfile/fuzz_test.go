package rowfile

import (
	"errors"
	"io"
	"strings"
	"testing"
	"unicode/utf8"
)

// FuzzReader checks what holds for any bytes: reading ends, line numbers rise,
// every line but blank ones is a row or an error, texts are texts.
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
