package api

import (
	"encoding/json"
	"fmt"
	"iter"
	"strconv"
	"strings"
	"unicode/utf8"

	"usersync/internal/usersync"
)

// Reader reads one JSON text (RFC 8259) without building a tree. Names are
// taken exactly as they are written; the last of several equal ones counts.
// A text that is not JSON ends the reading with the place of the fault. A value
// of the wrong type is noted with its path and skipped, so that all of them
// can be reported at once. null stands for an absent value.
type Reader struct {
	text   string // Names and values without escapes are pieces of text.
	tokens *decoder
	at     int // at is where the next token begins.
	path   []step
	syntax *usersync.Error
	wrong  []usersync.FieldError
}

// step is one level of a path: the name of a member, or the index of an element
// of an array.
type step struct {
	name    string
	index   int
	inArray bool
}

const (
	// maxDepth bounds how deep values nest.
	maxDepth = 64
	// maxWrong bounds the faults that are reported at once.
	maxWrong = 20
	// maxShownName bounds a caller's own name in a message, in bytes.
	maxShownName = 64
)

// NewReader returns a reader of text, which must not change while it is read.
func NewReader(text []byte) *Reader {
	tokens := newDecoder(text)
	r := &Reader{text: string(text), tokens: tokens, path: tokens.path[:0]}
	r.at = r.start(0)
	return r
}

// End checks that nothing follows the value and returns what was wrong: first
// the syntax, then the fields. It is the last call to a reader.
func (r *Reader) End() error {
	defer r.release()
	if at := r.skipSpace(r.offset()); r.syntax == nil && at < len(r.text) {
		r.fail(at, "text behind the end")
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

// Wrong notes a fault of the value being read, like "must be a string".
func (r *Reader) Wrong(message string) {
	if r.syntax == nil && len(r.wrong) < maxWrong {
		r.wrong = append(r.wrong, usersync.FieldError{Field: r.where(), Message: message})
	}
}

// TakeWrong returns the faults noted so far and forgets them. It is for lists whose
// elements are refused one by one.
func (r *Reader) TakeWrong() []usersync.FieldError {
	taken := r.wrong
	r.wrong = nil
	return taken
}

// where renders the path of the value being read, like user.attributes.size or
// users[3].email. At the top it is "The body".
func (r *Reader) where() string {
	if len(r.path) == 0 {
		return "The body"
	}
	var out strings.Builder
	for i, s := range r.path {
		switch {
		case s.inArray:
			fmt.Fprintf(&out, "[%d]", s.index)
			continue
		case i > 0:
			out.WriteByte('.')
		}
		out.WriteString(shown(s.name))
	}
	return out.String()
}

func shown(name string) string {
	if len(name) <= maxShownName {
		return name
	}
	return strings.ToValidUTF8(name[:maxShownName], "") + "…"
}

// Kind is the type of a JSON value.
type Kind byte

// The kinds of values. None stands for the end and for what is not a value.
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
	if r.syntax != nil {
		return KindNone
	}
	return kinds[r.byteAt(r.at)]
}

// kinds tells the kind of a value by its first byte.
var kinds = [256]Kind{
	'n': KindNull, 't': KindBool, 'f': KindBool, '"': KindString, '[': KindArray, '{': KindObject, '-': KindNumber,
	'0': KindNumber, '1': KindNumber, '2': KindNumber, '3': KindNumber, '4': KindNumber,
	'5': KindNumber, '6': KindNumber, '7': KindNumber, '8': KindNumber, '9': KindNumber,
}

// want reports whether the next value is of kind k. null is read and counts
// as absent; another kind is noted as wrong and skipped.
func (r *Reader) want(k Kind, message string) bool {
	switch r.Kind() {
	case k:
		return true
	case KindNull:
		r.token()
	case KindNone:
		r.malformed(nil)
	default:
		r.Wrong(message)
		r.Skip()
	}
	return false
}

// Object yields the name of each member of an object. The loop reads the
// member's value or leaves it to be skipped; it must not break.
func (r *Reader) Object() iter.Seq[string] {
	return func(yield func(string) bool) {
		if !r.want(KindObject, "must be an object") || !r.enter() {
			return
		}
		for r.more('}') {
			name := r.quoted()
			if r.syntax != nil {
				return
			}
			r.path[len(r.path)-1] = step{name: name}
			if from := r.at; !yield(name) || !r.passed(from) {
				return
			}
		}
		r.leave()
	}
}

// Array yields the index of each element of an array. The loop treats elements as
// that of Object treats members.
func (r *Reader) Array() iter.Seq[int] {
	return func(yield func(int) bool) {
		if !r.want(KindArray, "must be an array") || !r.enter() {
			return
		}
		for i := 0; r.more(']'); i++ {
			r.path[len(r.path)-1] = step{index: i, inArray: true}
			if from := r.at; !yield(i) || !r.passed(from) {
				return
			}
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
	r.token()
	r.path = append(r.path, step{})
	return true
}

func (r *Reader) leave() {
	if r.syntax == nil {
		r.path = r.path[:len(r.path)-1]
	}
}

// more reports whether another member follows. It reads the closing bracket
// when none does.
func (r *Reader) more(closing byte) bool {
	if r.syntax != nil {
		return false
	}
	if r.byteAt(r.at) == closing {
		r.token()
		return false
	}
	return true
}

// passed skips the value that follows the place from, when nobody has read it.
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
	case KindNumber, KindBool, KindNull:
		r.token()
	default:
		r.malformed(nil)
	}
}

// Raw returns the text of the next value.
func (r *Reader) Raw() []byte {
	from := r.at
	r.Skip()
	return []byte(r.text[from:max(from, r.offset())])
}

// Text reads a string. It returns "" for null.
func (r *Reader) Text() string {
	if !r.want(KindString, "must be a string") {
		return ""
	}
	return r.quoted()
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

// Bool reads true or false. It returns false for null.
func (r *Reader) Bool() bool {
	if !r.want(KindBool, "must be true or false") {
		return false
	}
	return len(r.token()) == len("true")
}

// Digits reads a number as it is written, so that no digit is lost. It has at most limit
// characters and is no larger than a float64 can be. It returns "" for null.
func (r *Reader) Digits(limit int) json.Number {
	if !r.want(KindNumber, "must be a number") {
		return ""
	}
	text := r.token()
	if r.syntax != nil {
		return ""
	}
	if len(text) > limit {
		r.Wrong("must have at most " + strconv.Itoa(limit) + " characters")
		return ""
	}
	if _, err := strconv.ParseFloat(text, 64); err != nil {
		r.Wrong("is out of range")
		return ""
	}
	return json.Number(text)
}

// Number reads a number. It returns 0 for null.
func (r *Reader) Number() float64 {
	if !r.want(KindNumber, "must be a number") {
		return 0
	}
	n, err := strconv.ParseFloat(r.token(), 64)
	if err != nil && r.syntax == nil {
		r.Wrong("is out of range")
		return 0
	}
	return n
}
