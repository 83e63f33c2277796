package api

import (
	"bytes"
	"errors"
	"io"
	"strings"
	"sync"
	"unicode/utf8"

	"github.com/go-json-experiment/json/jsontext"

	"usersync/internal/usersync"
)

// decoder is the library's decoder with what it reads from, and with room for
// the beginning of a path and for a string without its escapes.
type decoder struct {
	jsontext.Decoder
	source bytes.Buffer
	path   [8]step
	value  [256]byte
}

// decoders keeps decoders for reuse: making one costs more than reading a user.
var decoders = sync.Pool{New: func() any {
	d := &decoder{}
	d.empty()
	return d
}}

func newDecoder(text []byte) *decoder {
	d := decoders.Get().(*decoder)
	d.source = *bytes.NewBuffer(text) // The decoder reads a buffer's bytes where they are.
	return d
}

// empty makes the decoder ready for another text and lets go of the last one.
// Equal names may stand in one object (RFC 8259 §4).
func (d *decoder) empty() {
	d.source, d.path = bytes.Buffer{}, [8]step{}
	d.Reset(&d.source, jsontext.AllowDuplicateNames(true))
}

func (r *Reader) release() {
	r.tokens.empty()
	decoders.Put(r.tokens)
	r.tokens = nil
}

// offset returns the place behind the last token.
func (r *Reader) offset() int { return int(r.tokens.InputOffset()) }

// start returns where the token begins that follows the place at.
func (r *Reader) start(at int) int {
	at = r.skipSpace(at)
	if b := r.byteAt(at); b == ',' || b == ':' {
		at = r.skipSpace(at + 1)
	}
	return at
}

// skipSpace returns the first place from at on that holds no white space.
func (r *Reader) skipSpace(at int) int {
	for at < len(r.text) && isSpace(r.text[at]) {
		at++
	}
	return at
}

func isSpace(b byte) bool { return b <= ' ' && (b == ' ' || b == '\t' || b == '\n' || b == '\r') }

// byteAt returns the byte at a place, 0 at the end.
func (r *Reader) byteAt(at int) byte {
	if at >= len(r.text) {
		return 0
	}
	return r.text[at]
}

// token reads the next string, number, literal, or bracket and returns its text.
func (r *Reader) token() string {
	if _, err := r.tokens.ReadToken(); err != nil {
		r.malformed(err)
		return ""
	}
	from, end := r.at, r.offset()
	r.at = r.start(end)
	return r.text[from:end]
}

// quoted reads a string and returns its value. NUL is refused, since PostgreSQL
// cannot store it.
func (r *Reader) quoted() string {
	from := r.at
	written := r.token()
	if r.syntax != nil {
		return ""
	}
	if strings.IndexByte(written, '\\') < 0 {
		return written[1 : len(written)-1]
	}
	value, err := jsontext.AppendUnquote(r.tokens.value[:0], written)
	if err != nil || bytes.IndexByte(value, 0) >= 0 {
		r.fail(from+nulEscape(written), "a wrong escape in a string")
		return ""
	}
	return string(value)
}

// nulEscape returns the place of the first escape of NUL in a string as it was
// written.
func nulEscape(written string) int {
	for i := 0; i < len(written); i++ {
		if strings.HasPrefix(written[i:], `\u0000`) {
			return i
		}
		if written[i] == '\\' {
			i++ // The escaped character may be a backslash.
		}
	}
	return 0
}

// fail notes the first fault of the syntax: nothing is read after it.
func (r *Reader) fail(at int, what string) {
	if r.syntax != nil {
		return
	}
	before := r.text[:min(at, len(r.text))]
	line := 1 + strings.Count(before, "\n")
	column := 1 + utf8.RuneCountInString(before[strings.LastIndexByte(before, '\n')+1:])
	r.syntax = usersync.Errorf(usersync.CodeInvalid, "Malformed JSON at line %d, column %d: %s", line, column, what)
}

// malformed notes why the next token cannot be read. It derives that from what
// stands behind the last token, since the decoder's messages may change; err is
// what the decoder says of a string or a number.
func (r *Reader) malformed(err error) {
	at := r.skipSpace(r.offset())
	kind, length := r.tokens.StackIndex(r.tokens.StackDepth())
	named := kind == jsontext.KindBeginObject && length%2 == 1 // The last token is a name.
	if delimiter, missing := delimiterBefore(kind, length); delimiter != 0 {
		if r.byteAt(at) != delimiter {
			r.fail(at, missing)
			return
		}
		at = r.skipSpace(at + 1)
	}
	b := r.byteAt(at)
	switch {
	case kind == jsontext.KindBeginObject && !named && b != '"':
		r.fail(at, "a name in quotes was expected")
	case at >= len(r.text):
		r.fail(at, "the text ends too early")
	case b == '"':
		r.malformedString(at, err)
	case b == '-', '0' <= b && b <= '9':
		r.fail(r.placeOf(err, len(r.text)), "a digit was expected")
	default:
		r.fail(at, "a value was expected")
	}
}

// delimiterBefore returns what must stand before the next token within an
// object or array that has so many names and values, 0 for nothing, and what
// to say when it is missing.
func delimiterBefore(kind jsontext.Kind, length int64) (delimiter byte, missing string) {
	switch {
	case kind == jsontext.KindInvalid, length == 0:
		return 0, ""
	case kind == jsontext.KindBeginArray:
		return ',', "a comma or ] was expected"
	case length%2 == 1:
		return ':', "a colon was expected"
	default:
		return ',', "a comma or } was expected"
	}
}

// malformedString notes what is wrong with the string that begins at from.
func (r *Reader) malformedString(from int, err error) {
	at := r.placeOf(err, from)
	switch b := r.byteAt(at); {
	case at == from:
		r.fail(from, "a string is not closed")
	case b == '\\':
		r.fail(at, "a wrong escape in a string")
	case b < ' ':
		r.fail(at, "a control character in a string")
	default:
		r.fail(at, "not UTF-8")
	}
}

// placeOf returns the place of a fault that the decoder reports, or atEnd when
// the text ended within a token.
func (r *Reader) placeOf(err error, atEnd int) int {
	syntactic, ok := errors.AsType[*jsontext.SyntacticError](err)
	if !ok || errors.Is(err, io.ErrUnexpectedEOF) {
		return atEnd
	}
	return int(syntactic.ByteOffset)
}
