package template

import (
	"encoding/json"
	"fmt"
	"strings"
	"unicode/utf8"
)

// MaxMade bounds what one execution makes and compares on its way, in bytes: every call
// of a function costs one, and as many as its value has. It is four times what the
// output may have.
const MaxMade = 4 * MaxOutput

var errSpent = fmt.Errorf("the values that it makes have more than %d bytes together", MaxMade)

// escapedHTML is how many bytes the escapers of html/template write for one at most:
// as many as \u003c has.
const escapedHTML = 6

// budget is what is left of MaxMade in one execution.
type budget struct {
	left int
	// shown is how many bytes are made of each that is shown.
	shown int
}

// spend charges a value of so many bytes, before it is made.
func (b *budget) spend(bytes int) error {
	if b.left -= 1 + bytes; b.left < 0 {
		return errSpent
	}
	return nil
}

// These name the functions that only charge. The check puts them in.
const (
	chargedName = "charged"
	shownName   = "shown"
)

// allowed are the functions that a template may call, see functions. Go's own are
// refused, except for those in builtins.
var allowed = map[string]bool{"default": true, "json": true, "lower": true, "trim": true, "upper": true}

// functions returns the functions of an execution, which charge its budget.
func (b *budget) functions() map[string]any {
	return map[string]any{
		chargedName: b.charge, shownName: b.show, "default": b.fallback, "json": b.quote,
		"lower": b.text(strings.ToLower), "trim": b.text(strings.TrimSpace), "upper": b.text(strings.ToUpper),
	}
}

// charge is for what is compared. Numbers of any number of digits are compared as Go's
// own.
func (b *budget) charge(value any) (any, error) {
	if number, ok := value.(json.Number); ok {
		if f, err := number.Float64(); err == nil {
			value = f
		}
	}
	return value, b.spend(sizeOf(value))
}

func (b *budget) show(value any) (any, error) { return value, b.spend(b.shown * sizeOf(value)) }

// fallback is the function default. It is meant for pipes, as in {{.name | default
// "you"}}.
func (b *budget) fallback(instead, value any) (any, error) {
	if value == nil || value == "" {
		value = instead
	}
	return value, b.spend(0)
}

// quote is the function json. It writes a value as JSON, so that a template can
// produce JSON.
func (b *budget) quote(value any) (string, error) {
	if err := b.spend(jsonSize(value)); err != nil {
		return "", err
	}
	text, err := json.Marshal(value)
	if err != nil {
		return "", fmt.Errorf("write the value as JSON: %w", err)
	}
	return string(text), nil
}

// text returns a function from text to text. The other case of a character has up to
// three times its bytes.
func (b *budget) text(change func(string) string) func(string) (string, error) {
	return func(s string) (string, error) {
		if err := b.spend(len(s)); err != nil {
			return "", err
		}
		out := change(s)
		return out, b.spend(max(len(out)-len(s), 0))
	}
}

// sizeOf returns how many bytes it takes to show a value, about.
func sizeOf(value any) int {
	if text, ok := value.(string); ok {
		return len(text)
	}
	return jsonSize(value)
}

// jsonSize returns the length of what json.Marshal writes of a value of a template's
// data, without writing it.
func jsonSize(value any) int {
	switch v := value.(type) {
	case string:
		return quotedSize(v)
	case map[string]string:
		n := 2 + max(len(v)-1, 0)
		for name, one := range v {
			n += quotedSize(name) + 1 + quotedSize(one)
		}
		return n
	case map[string]any:
		n := 2 + max(len(v)-1, 0)
		for name, one := range v {
			n += quotedSize(name) + 1 + jsonSize(one)
		}
		return n
	case []any:
		n := 2 + max(len(v)-1, 0)
		for _, one := range v {
			n += jsonSize(one)
		}
		return n
	}
	text, _ := json.Marshal(value) // a number, a boolean or nothing; what cannot be written has no length
	return len(text)
}

// quotedSize returns the length of a text as a string of JSON: quote and backslash,
// and the control characters that have a letter, are two bytes; others, those that
// mean something in HTML, and what is no UTF-8 are six.
func quotedSize(s string) int {
	n := 2
	for _, r := range s {
		switch {
		case strings.ContainsRune("\"\\\b\f\n\r\t", r):
			n += 2
		case r < ' ', strings.ContainsRune("<>&\u2028\u2029\ufffd", r):
			n += 6
		default:
			n += utf8.RuneLen(r)
		}
	}
	return n
}
