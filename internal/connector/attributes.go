package connector

import (
	"encoding/json"
	"fmt"
	"maps"
	"math/big"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"unicode/utf8"

	"usersync/internal/foreign"
	"usersync/internal/usersync"
)

// Mapping says which of a person's fields goes into which field of a platform. Its
// keys are the platform's names and its values are ours, such as "FNAME":
// "firstName" or "COMPANY": "attributes.company".
type Mapping map[string]string

// Sources are the names that a Mapping may take values from, beside
// "attributes." and the name of an attribute.
var Sources = []string{"userId", "email", "firstName", "lastName", "name", "country", "jobTitle", "inviteLink"}

// Value returns what a source holds. It returns nil for a source without a value.
func (p Profile) Value(source string) any {
	text := ""
	switch source {
	case "userId":
		text = p.UserID
	case "email":
		text = p.Email.Display()
	case "firstName":
		text = p.FirstName
	case "lastName":
		text = p.LastName
	case "name":
		text = p.Name
	case "country":
		text = p.Country
	case "jobTitle":
		text = p.JobTitle
	case "inviteLink":
		text = p.InviteLink
	default:
		name, _ := strings.CutPrefix(source, "attributes.")
		return p.Attributes[name]
	}
	if text == "" {
		return nil
	}
	return text
}

// Clears reports whether the caller has cleared what a source held. A full name is
// cleared with its parts.
func (p Profile) Clears(source string) bool {
	named := func(f usersync.Field) bool { return slices.Contains(p.Cleared, f) }
	if source == "name" {
		return named(usersync.FieldName) || named(usersync.FieldFirstName) || named(usersync.FieldLastName)
	}
	return named(usersync.Field(source))
}

// Text returns a value for a platform that knows texts only. A number has all its
// digits and no exponent, nil is the empty text, and the members of a list stand between
// commas.
func Text(value any) string {
	switch v := value.(type) {
	case nil:
		return ""
	case []any:
		texts := make([]string, len(v))
		for i, one := range v {
			texts[i] = Text(one)
		}
		return strings.Join(texts, ", ")
	case json.Number:
		return digits(v.String())
	}
	return fmt.Sprint(value)
}

// digits writes a number without an exponent.
func digits(number string) string {
	mantissa, exponent, found := strings.Cut(strings.ToLower(number), "e")
	if !found {
		return number
	}
	exact, ok := new(big.Rat).SetString(number)
	if !ok {
		return number
	}
	_, decimals, _ := strings.Cut(mantissa, ".")
	shift, err := strconv.Atoi(exponent)
	if err != nil {
		return number
	}
	text := exact.FloatString(max(len(decimals)-shift, 0))
	if strings.Contains(text, ".") {
		text = strings.TrimRight(strings.TrimRight(text, "0"), ".")
	}
	return text
}

// Values returns the platform's fields with their values. A field that the caller has
// cleared has nil. A field of which nothing is known is left out.
func (m Mapping) Values(p Profile) map[string]any {
	out := map[string]any{}
	for field, source := range m {
		if v := p.Value(source); v != nil || p.Clears(source) {
			out[field] = v
		}
	}
	return out
}

// Or returns m with the fields of defaults that it does not mention. A field
// mapped to "" is not sent.
func (m Mapping) Or(defaults Mapping) Mapping {
	out := maps.Clone(defaults)
	if out == nil {
		out = Mapping{}
	}
	maps.Copy(out, m)
	maps.DeleteFunc(out, func(_, source string) bool { return source == "" })
	return out
}

// Check returns the faults of a mapping that stands in the setting field.
func (m Mapping) Check(field string) []usersync.FieldError {
	var out []usersync.FieldError
	for _, name := range slices.Sorted(maps.Keys(m)) {
		source := m[name]
		attribute, isAttribute := strings.CutPrefix(source, "attributes.")
		if source == "" || slices.Contains(Sources, source) || isAttribute && attribute != "" {
			continue
		}
		out = append(out, usersync.FieldError{Field: field + "." + name,
			Message: "must be one of " + strings.Join(Sources, ", ") + ", or attributes. and a name"})
	}
	return out
}

const (
	// quoted bounds what is shown of a platform's own words, in runes.
	quoted = 300
	// quotedFrom is how many bytes of them are looked at.
	quotedFrom = 64 << 10
)

var address = regexp.MustCompile(`[^\s"'<>()\[\]{},;:=]+@[^\s"'<>()\[\]{},;:=]+`)

// Quote makes what a platform said fit to be shown and logged. The result is one
// short line without addresses, which may be anybody's.
func Quote(text string) string {
	text = address.ReplaceAllString(strings.ToValidUTF8(text[:min(len(text), quotedFrom)], ""), "(address)")
	text = strings.Join(strings.Fields(text), " ")
	text = foreign.Fit(text, len(text))
	if utf8.RuneCountInString(text) > quoted {
		text = string([]rune(text)[:quoted]) + "…"
	}
	return text
}
