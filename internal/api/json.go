package api

import (
	"bytes"
	"fmt"
	"iter"
	"strconv"
	"strings"
	"unicode/utf16"
	"unicode/utf8"

	"usersync/internal/usersync"
)

// Reader reads one JSON text (RFC 8259) without building a tree. Names are
// taken exactly as they are written; the last of several equal ones counts.
// A text that is no JSON ends the reading with the place of the fault. A value
// of the wrong type is noted with its path and skipped, so that all of them
// can be told at once. null stands for an absent value.
type Reader struct {
	text   []byte
	at     int
	path   []step
	room   [8]step // path's first backing: few texts are deeper
	syntax *usersync.Error
	wrong  []usersync.FieldError
}

// step is one level of a path: a name, or an index where name is nil.
type step struct {
	name  []byte
	index int
}

const (
	// maxDepth bounds how deep values nest.
	maxDepth = 64
	// maxWrong bounds the faults told at once.
	maxWrong = 20
	// maxShownName bounds a caller's own name in a message, in bytes.
	maxShownName = 64
)

// NewReader returns a reader of text, which must not change while it is read.
func NewReader(text []byte) *Reader {
	r := &Reader{text: text}
	r.path = r.room[:0]
	if !utf8.Valid(text) {
		r.fail(invalidUTF8(text), "not UTF-8")
	}
	return r
}

func invalidUTF8(text []byte) int {
	at := 0
	for at < len(text) {
		c, size := utf8.DecodeRune(text[at:])
		if c == utf8.RuneError && size == 1 {
			break
		}
		at += size
	}
	return at
}

// End checks that nothing follows the value and returns what was wrong: first
// the syntax, then the fields.
func (r *Reader) End() error {
	if r.syntax == nil && r.space() < len(r.text) {
		r.fail(r.at, "text behind the end")
	}
	if r.syntax != nil {
		return r.syntax
	}
	if len(r.wrong) == 0 {
		return nil
	}
	first := r.wrong[0]
	return &usersync.Error{Code: usersync.CodeInvalid, Message: first.Field + " " + first.Message, Fields: r.wrong}
}

// Wrong notes a fault of the value being read: "must be a string".
func (r *Reader) Wrong(message string) {
	if r.syntax == nil && len(r.wrong) < maxWrong {
		r.wrong = append(r.wrong, usersync.FieldError{Field: r.where(), Message: message})
	}
}

// TakeWrong returns the faults noted so far and forgets them: for lists whose
// elements are refused one by one.
func (r *Reader) TakeWrong() []usersync.FieldError {
	taken := r.wrong
	r.wrong = nil
	return taken
}

// where renders the path of the value being read: user.attributes.size,
// users[3].email; "The body" at the top.
func (r *Reader) where() string {
	if len(r.path) == 0 {
		return "The body"
	}
	var out strings.Builder
	for i, s := range r.path {
		switch {
		case s.name == nil:
			fmt.Fprintf(&out, "[%d]", s.index)
			continue
		case i > 0:
			out.WriteByte('.')
		}
		out.Write(shown(s.name))
	}
	return out.String()
}

func shown(name []byte) []byte {
	if len(name) <= maxShownName {
		return name
	}
	return append(bytes.ToValidUTF8(name[:maxShownName:maxShownName], nil), "…"...)
}

// fail notes the first fault of the syntax: nothing is read after it.
func (r *Reader) fail(at int, what string) {
	if r.syntax != nil {
		return
	}
	before := r.text[:min(at, len(r.text))]
	line := 1 + bytes.Count(before, []byte("\n"))
	column := 1 + utf8.RuneCount(before[bytes.LastIndexByte(before, '\n')+1:])
	r.syntax = usersync.Errorf(usersync.CodeInvalid, "Malformed JSON at line %d, column %d: %s", line, column, what)
}

// space skips white space and returns the place after it.
func (r *Reader) space() int {
	for r.at < len(r.text) {
		switch r.text[r.at] {
		case ' ', '\t', '\n', '\r':
			r.at++
		default:
			return r.at
		}
	}
	return r.at
}

// peek returns the first byte of what comes next, 0 at the end.
func (r *Reader) peek() byte {
	if r.syntax != nil || r.space() >= len(r.text) {
		return 0
	}
	return r.text[r.at]
}

// Kind is the type of a JSON value.
type Kind byte

// The kinds of values. None stands for the end and for what is no value.
const (
	KindNone Kind = iota
	KindNull
	KindBool
	KindNumber
	KindString
	KindArray
	KindObject
)

// Kind returns the type of the next value without reading it.
func (r *Reader) Kind() Kind {
	switch b := r.peek(); b {
	case '"':
		return KindString
	case '{':
		return KindObject
	case '[':
		return KindArray
	case 'n':
		return KindNull
	case 't', 'f':
		return KindBool
	default:
		if b == '-' || '0' <= b && b <= '9' {
			return KindNumber
		}
		return KindNone
	}
}

// want reports whether the next value is of kind k. null is read and counts
// as absent; another kind is noted as wrong and skipped.
func (r *Reader) want(k Kind, message string) bool {
	switch r.Kind() {
	case k:
		return true
	case KindNull:
		r.literal("null")
	case KindNone:
		r.unexpected()
	default:
		r.Wrong(message)
		r.Skip()
	}
	return false
}

func (r *Reader) unexpected() {
	if r.at >= len(r.text) {
		r.fail(r.at, "the text ends too early")
		return
	}
	r.fail(r.at, "a value was expected")
}

// Object yields the name of each member of an object. The loop reads the
// member's value or leaves it to be skipped; it must not break. The name is
// valid until the next one.
func (r *Reader) Object() iter.Seq[[]byte] {
	return func(yield func([]byte) bool) {
		if !r.want(KindObject, "must be an object") || !r.enter() {
			return
		}
		for more := r.first('}'); more; more = r.next('}') {
			if r.peek() != '"' {
				r.fail(r.at, "a name in quotes was expected")
				return
			}
			name := r.quoted()
			if r.peek() != ':' {
				r.fail(r.at, "a colon was expected")
				return
			}
			r.at++
			r.path[len(r.path)-1] = step{name: name}
			if from := r.space(); !yield(name) || !r.passed(from) {
				return
			}
		}
		r.leave()
	}
}

// Array yields the index of each element of an array, on the same terms.
func (r *Reader) Array() iter.Seq[int] {
	return func(yield func(int) bool) {
		if !r.want(KindArray, "must be an array") || !r.enter() {
			return
		}
		i := 0
		for more := r.first(']'); more; more = r.next(']') {
			r.path[len(r.path)-1] = step{index: i}
			if from := r.space(); !yield(i) || !r.passed(from) {
				return
			}
			i++
		}
		r.leave()
	}
}

// enter steps into an object or an array.
func (r *Reader) enter() bool {
	if len(r.path) >= maxDepth {
		r.fail(r.at, "values nest too deep")
		return false
	}
	r.at++
	r.path = append(r.path, step{})
	return true
}

func (r *Reader) leave() {
	if r.syntax == nil {
		r.path = r.path[:len(r.path)-1]
	}
}

// first reports whether there is a first member; it reads the closing bracket
// when there is none.
func (r *Reader) first(closing byte) bool {
	if r.peek() == closing {
		r.at++
		return false
	}
	return r.syntax == nil
}

// next reads the comma before the next member, or the closing bracket.
func (r *Reader) next(closing byte) bool {
	switch r.peek() {
	case ',':
		r.at++
		return true
	case closing:
		r.at++
	default:
		r.fail(r.at, "a comma or "+string(closing)+" was expected")
	}
	return false
}

// passed skips the value that begins at from, when nobody has read it.
func (r *Reader) passed(from int) bool {
	if r.at == from {
		r.Skip()
	}
	return r.syntax == nil
}

// Skip reads the next value and forgets it.
func (r *Reader) Skip() {
	switch r.Kind() {
	case KindObject:
		for range r.Object() {
			continue
		}
	case KindArray:
		for range r.Array() {
			continue
		}
	case KindString:
		r.quoted()
	case KindNumber:
		r.digits()
	case KindBool:
		r.Bool()
	case KindNull:
		r.literal("null")
	default:
		r.unexpected()
	}
}

// Raw returns the text of the next value.
func (r *Reader) Raw() []byte {
	from := r.space()
	r.Skip()
	return r.text[from:r.at]
}

// Text reads a string; "" for null.
func (r *Reader) Text() string {
	if !r.want(KindString, "must be a string") {
		return ""
	}
	return string(r.quoted())
}

// ShortText reads a string of at most limit characters.
func (r *Reader) ShortText(limit int) string {
	s := r.Text()
	if len(s) > limit && utf8.RuneCountInString(s) > limit {
		r.Wrong("must have at most " + strconv.Itoa(limit) + " characters")
		return ""
	}
	return s
}

// Bool reads true or false; false for null.
func (r *Reader) Bool() bool {
	if !r.want(KindBool, "must be true or false") {
		return false
	}
	if r.text[r.at] == 't' {
		r.literal("true")
		return true
	}
	r.literal("false")
	return false
}

// Number reads a number; 0 for null.
func (r *Reader) Number() float64 {
	if !r.want(KindNumber, "must be a number") {
		return 0
	}
	n, err := strconv.ParseFloat(string(r.digits()), 64)
	if err != nil && r.syntax == nil {
		r.Wrong("is out of range")
		return 0
	}
	return n
}

func (r *Reader) literal(word string) {
	if !bytes.HasPrefix(r.text[r.at:], []byte(word)) {
		r.fail(r.at, "a value was expected")
		return
	}
	r.at += len(word)
}

// digits reads a number (RFC 8259 §6) and returns its text.
func (r *Reader) digits() []byte {
	from := r.at
	if r.text[r.at] == '-' {
		r.at++
	}
	switch {
	case r.byte() == '0':
		r.at++
	default:
		r.row()
	}
	if r.byte() == '.' {
		r.at++
		r.row()
	}
	if b := r.byte(); b == 'e' || b == 'E' {
		r.at++
		if b := r.byte(); b == '+' || b == '-' {
			r.at++
		}
		r.row()
	}
	return r.text[from:r.at]
}

// row reads one digit or more.
func (r *Reader) row() {
	from := r.at
	for b := r.byte(); '0' <= b && b <= '9'; b = r.byte() {
		r.at++
	}
	if r.at == from {
		r.fail(r.at, "a digit was expected")
	}
}

func (r *Reader) byte() byte {
	if r.at >= len(r.text) {
		return 0
	}
	return r.text[r.at]
}

// quoted reads a string and returns its value: a piece of the text when it
// holds no escape.
func (r *Reader) quoted() []byte {
	from := r.at + 1
	for i := from; i < len(r.text); i++ {
		switch b := r.text[i]; {
		case b == '"':
			r.at = i + 1
			return r.text[from:i]
		case b == '\\':
			return r.escaped(from, i)
		case b < ' ':
			r.fail(i, "a control character in a string")
			return nil
		}
	}
	r.fail(r.at, "a string is not closed")
	return nil
}

// escaped goes on with a string from its first escape.
func (r *Reader) escaped(from, i int) []byte {
	value := append([]byte{}, r.text[from:i]...)
	for i < len(r.text) {
		switch b := r.text[i]; {
		case b == '"':
			r.at = i + 1
			return value
		case b < ' ':
			r.fail(i, "a control character in a string")
			return nil
		case b == '\\':
			c, size := unescape(r.text[i:])
			if size == 0 {
				r.fail(i, "a wrong escape in a string")
				return nil
			}
			value = utf8.AppendRune(value, c)
			i += size
		default:
			value = append(value, b)
			i++
		}
	}
	r.fail(r.at, "a string is not closed")
	return nil
}

// unescape returns the character of the escape that text begins with, and the
// escape's length: 0 for none, for NUL, and for half a surrogate pair.
func unescape(text []byte) (c rune, size int) {
	if len(text) < 2 {
		return 0, 0
	}
	if text[1] == 'u' {
		return unescapeHex(text)
	}
	i := strings.IndexByte(`"\/bfnrt`, text[1])
	if i < 0 {
		return 0, 0
	}
	return rune("\"\\/\b\f\n\r\t"[i]), 2
}

func unescapeHex(text []byte) (c rune, size int) {
	c = hexRune(text)
	if c <= 0 {
		return 0, 0
	}
	if !utf16.IsSurrogate(c) {
		return c, 6
	}
	c = utf16.DecodeRune(c, hexRune(text[6:]))
	if c == utf8.RuneError {
		return 0, 0
	}
	return c, 12
}

// hexRune returns what \uXXXX at the beginning of text stands for, -1 when it
// is not there.
func hexRune(text []byte) rune {
	if len(text) < 6 || text[0] != '\\' || text[1] != 'u' {
		return -1
	}
	n, err := strconv.ParseUint(string(text[2:6]), 16, 16)
	if err != nil {
		return -1
	}
	return rune(n)
}
