package followup

import (
	"encoding/json"
	"math/big"
	"strconv"
	"strings"
	"time"

	"usersync/internal/identity"
)

const (
	// maxMatched is the longest text that a regular expression is tried on, in bytes. It
	// is that of an attribute's value.
	maxMatched = 4 << 10
	// stepsInOne is how many steps of a regular expression count as one comparison: they
	// cost about a nanosecond each, and a comparison a hundred.
	stepsInOne = 64
	// exact is how many digits a float64 holds without rounding.
	exact = 15
	// precision is that of longer numbers, in bits: some 150 digits.
	precision = 512
	// maxDigits is the longest number that is compared as one, in bytes.
	maxDigits = 200
)

// textOf returns a text, a number or a boolean as text.
func textOf(value any) (string, bool) {
	switch v := value.(type) {
	case string:
		return v, true
	case json.Number:
		return v.String(), true
	case bool:
		return strconv.FormatBool(v), true
	case int64:
		return strconv.FormatInt(v, 10), true
	case int:
		return strconv.Itoa(v), true
	case float64:
		return strconv.FormatFloat(v, 'g', -1, 64), true
	}
	return "", false
}

// isNumeral reports whether a text is what JSON calls a number; forms send it as text. A
// plus sign and zeroes ahead are not part of one, since telephone numbers and postal codes
// have them.
func isNumeral(text string) bool {
	rest := strings.TrimPrefix(text, "-")
	whole := digits(rest)
	if whole == 0 || whole > 1 && rest[0] == '0' {
		return false
	}
	rest = rest[whole:]
	if strings.HasPrefix(rest, ".") {
		part := digits(rest[1:])
		if part == 0 {
			return false
		}
		rest = rest[1+part:]
	}
	if rest == "" {
		return true
	}
	if rest[0] != 'e' && rest[0] != 'E' {
		return false
	}
	if rest = rest[1:]; strings.HasPrefix(rest, "-") || strings.HasPrefix(rest, "+") {
		rest = rest[1:]
	}
	// Three digits reach beyond the largest number; more would take long to compute.
	return len(rest) > 0 && len(rest) <= 3 && digits(rest) == len(rest)
}

// digits counts the digits that a text begins with.
func digits(text string) int {
	for i := range len(text) {
		if text[i] < '0' || text[i] > '9' {
			return i
		}
	}
	return len(text)
}

// number is a number that can be compared with another one.
type number struct {
	float float64
	// long has all the digits; nil where float has them too.
	long *big.Float
}

// numberOf returns a number, or a text that is one.
func numberOf(value any) (number, bool) {
	if _, isBool := value.(bool); isBool {
		return number{}, false
	}
	text, ok := textOf(value)
	if !ok || len(text) > maxDigits || !isNumeral(text) {
		return number{}, false
	}
	f, err := strconv.ParseFloat(text, 64)
	if err != nil {
		return number{}, false
	}
	if len(text) <= exact {
		return number{float: f}, true
	}
	long, _, err := big.ParseFloat(text, 10, precision, big.ToNearestEven)
	return number{f, long}, err == nil
}

// compare returns -1, 0 or 1.
func (n number) compare(other number) int {
	if n.long == nil && other.long == nil {
		switch {
		case n.float < other.float:
			return -1
		case n.float > other.float:
			return 1
		}
		return 0
	}
	return n.all().Cmp(other.all())
}

func (n number) all() *big.Float {
	if n.long != nil {
		return n.long
	}
	// The shortest text of the float is what was read: 0.1, and not what stands for it.
	long, _, _ := big.ParseFloat(strconv.FormatFloat(n.float, 'g', -1, 64), 10, precision, big.ToNearestEven)
	return long
}

func equality(want Value) (func(*Subject, any) bool, string) {
	return equalTo(want), ""
}

// equalTo compares with a number by value, and otherwise by text. A boolean equals the
// text that a form sends for it.
func equalTo(want Value) func(*Subject, any) bool {
	if _, ok := want.Any().(json.Number); ok {
		wanted, _ := numberOf(want.Any())
		return func(_ *Subject, value any) bool {
			n, ok := numberOf(value)
			return ok && n.compare(wanted) == 0
		}
	}
	wanted, _ := textOf(want.Any())
	return func(s *Subject, value any) bool {
		text, ok := textOf(value)
		return ok && text == wanted
	}
}

func containment(want Value) (func(*Subject, any) bool, string) {
	wanted, _ := textOf(want.Any())
	if wanted == "" {
		return nil, "must not be empty"
	}
	equal := equalTo(want)
	return func(s *Subject, value any) bool {
		switch list := value.(type) {
		case []any:
			for _, one := range list {
				if s.spend(1) && equal(s, one) {
					return true
				}
			}
			return false
		case []string:
			for _, one := range list {
				if s.spend(1) && one == wanted {
					return true
				}
			}
			return false
		}
		text, ok := textOf(value)
		return ok && s.spend(len(text)/stepsInOne) && strings.Contains(text, wanted)
	}, ""
}

// ordering compares with a number or with a moment. sign is -1 for less, 1 for more.
func ordering(sign int) func(Value) (func(*Subject, any) bool, string) {
	return func(want Value) (func(*Subject, any) bool, string) {
		if wanted, ok := numberOf(want.Any()); ok {
			return func(_ *Subject, value any) bool {
				n, ok := numberOf(value)
				return ok && n.compare(wanted) == sign
			}, ""
		}
		wanted, ok := momentOf(want.Any())
		if !ok {
			return nil, "must be a number, a date as 2026-11-22, or a time as 2026-11-22T10:00:00Z"
		}
		return func(_ *Subject, value any) bool {
			moment, ok := momentOf(value)
			return ok && moment.Compare(wanted) == sign
		}, ""
	}
}

// momentOf returns the time that a text says, or the beginning of its day in UTC.
func momentOf(value any) (time.Time, bool) {
	text, ok := value.(string)
	if !ok || len(text) < len(time.DateOnly) || len(text) > len(time.RFC3339Nano) {
		return time.Time{}, false
	}
	for _, layout := range []string{time.RFC3339, time.DateOnly} {
		if t, err := time.Parse(layout, text); err == nil {
			return t, true
		}
	}
	return time.Time{}, false
}

func isSet(_ *Subject, value any) bool {
	switch v := value.(type) {
	case nil:
		return false
	case string:
		return v != ""
	case []any:
		return len(v) > 0
	case []string:
		return len(v) > 0
	case map[string]any:
		return len(v) > 0
	}
	return true
}

func isEmail(s *Subject, value any) bool {
	text, ok := value.(string)
	if !ok || !strings.Contains(text, "@") || !s.spend(len(text)/8) {
		return false
	}
	_, err := identity.ParseEmail(text)
	return err == nil
}

func isNumeric(_ *Subject, value any) bool {
	_, ok := numberOf(value)
	return ok
}
