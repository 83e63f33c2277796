package importfile

import (
	"bufio"
	"bytes"
	"errors"
	"fmt"
	"io"
	"strings"
	"unicode/utf8"

	"golang.org/x/text/encoding"
	"golang.org/x/text/encoding/charmap"
	"golang.org/x/text/encoding/htmlindex"
	"golang.org/x/text/encoding/unicode"
	"golang.org/x/text/transform"

	"usersync/internal/usersync"
)

// These encodings are detected. Others must be declared.
const (
	utf8Name    = "utf-8"
	utf16leName = "utf-16le"
	utf16beName = "utf-16be"
	latinName   = "windows-1252" // Latin-1 with further characters in its gaps
)

// source is a file as UTF-8, or as bytes whose encoding is not known yet.
type source struct {
	*bufio.Reader
	name string // of the encoding; "" while only ASCII was read
	// decoded says that the text went through a decoder. A decoder writes U+FFFD in
	// place of bytes that are no characters.
	decoded bool
}

var boms = []struct{ bytes, name string }{
	{"\xef\xbb\xbf", utf8Name}, {"\xff\xfe", utf16leName}, {"\xfe\xff", utf16beName},
}

// open finds the encoding of a file. A byte order mark decides first, then the
// charset that the caller declared, then the bytes themselves.
func open(r io.Reader, charset string) (*source, error) {
	buffer := bufio.NewReaderSize(r, bufferSize)
	sample, err := buffer.Peek(maxLine)
	if len(sample) == 0 && err != nil && !errors.Is(err, io.EOF) {
		return nil, fmt.Errorf("read the beginning of the file: %w", err)
	}
	for _, bom := range boms {
		if bytes.HasPrefix(sample, []byte(bom.bytes)) {
			_, _ = buffer.Discard(len(bom.bytes)) // no error is possible, as these bytes were peeked at
			return decoding(buffer, bom.name)
		}
	}
	name, err := declared(charset)
	if err != nil {
		return nil, fmt.Errorf("find the declared charset: %w", err)
	}
	if detected := detect(sample); name == "" || isUTF16(detected) && isUTF16(name) {
		name = detected
	}
	return decoding(buffer, name)
}

func isUTF16(name string) bool { return strings.HasPrefix(name, "utf-16") }

// declared returns the usual name of a character set, or "" if none was declared.
func declared(charset string) (string, error) {
	charset = strings.Trim(strings.TrimSpace(charset), `"`)
	if charset == "" || strings.EqualFold(charset, "us-ascii") {
		return "", nil
	}
	e, err := htmlindex.Get(charset)
	if err != nil {
		return "", usersync.Errorf(usersync.CodeInvalid, "The charset that was declared is not known; send UTF-8, UTF-16 or Windows-1252, or declare one of the Encoding Standard.")
	}
	name, err := htmlindex.Name(e)
	if err != nil || name == "replacement" {
		return "", usersync.Errorf(usersync.CodeInvalid, "The charset that was declared is not supported; send the file as UTF-8.")
	}
	return name, nil
}

// decoding returns the source in an encoding. If the name is "", the lines decide.
func decoding(from *bufio.Reader, name string) (*source, error) {
	switch name {
	case "", utf8Name:
		return &source{Reader: from, name: name}, nil
	case latinName:
		return decoded(from, name, charmap.Windows1252), nil
	case utf16leName:
		return decoded(from, name, unicode.UTF16(unicode.LittleEndian, unicode.IgnoreBOM)), nil
	case utf16beName:
		return decoded(from, name, unicode.UTF16(unicode.BigEndian, unicode.IgnoreBOM)), nil
	}
	e, err := htmlindex.Get(name)
	if err != nil {
		return nil, fmt.Errorf("find the encoding %q: %w", name, err)
	}
	return decoded(from, name, e), nil
}

func decoded(from *bufio.Reader, name string, e encoding.Encoding) *source {
	return &source{Reader: bufio.NewReaderSize(transform.NewReader(from, e.NewDecoder()), bufferSize), name: name, decoded: true}
}

// detect derives the encoding from the beginning of a file. It returns "" if that is
// all ASCII.
func detect(sample []byte) string {
	if name := detectUTF16(sample); name != "" {
		return name
	}
	several, wrong := 0, 0
	for rest := sample; len(rest) > 0; {
		r, size := utf8.DecodeRune(rest)
		switch {
		case r == utf8.RuneError && size == 1:
			if !utf8.FullRune(rest) {
				rest = nil // the sample ends within a character
				continue
			}
			wrong++
		case size > 1:
			several++
		}
		rest = rest[size:]
	}
	switch {
	case several == 0 && wrong == 0:
		return ""
	case several > wrong: // a damaged line does not change the encoding
		return utf8Name
	}
	return latinName
}

// detectUTF16 looks for the zero bytes beside ASCII characters. Every file has ASCII
// characters, such as delimiters, line ends and names of columns.
func detectUTF16(sample []byte) string {
	const enough = 4096
	sample = sample[:min(len(sample), enough)]
	var zeros [2]int
	for i, b := range sample {
		if b == 0 {
			zeros[i%2]++
		}
	}
	often := max(len(sample)/20, 1)
	switch {
	case zeros[0] == 0 && zeros[1] >= often:
		return utf16leName
	case zeros[1] == 0 && zeros[0] >= often:
		return utf16beName
	}
	return ""
}
