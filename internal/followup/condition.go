package followup

import (
	"encoding/json"
	"fmt"
	"regexp"
	"regexp/syntax"
	"strings"

	"usersync/internal/usersync"
)

// Condition is a question about an event and its user: all, any or not, or one comparison.
// A comparison has a field and exactly one of the others.
type Condition struct {
	All []Condition `json:"all,omitempty"`
	Any []Condition `json:"any,omitempty"`
	Not *Condition  `json:"not,omitempty"`

	// Field is a path as in templates, without the dot it begins with: profile.country,
	// attributes.size. A field that is not there is not equal to anything, contains
	// nothing, and is neither less nor more.
	Field string `json:"field,omitempty"`
	// Equals and NotEquals compare numbers by their value, also where the field is a
	// number as text, as forms send it. Texts are compared letter by letter.
	Equals    *Value `json:"equals,omitempty"`
	NotEquals *Value `json:"notEquals,omitempty"`
	// Contains and NotContains look for a part of a text, or for an element of a list.
	Contains    *Value `json:"contains,omitempty"`
	NotContains *Value `json:"notContains,omitempty"`
	// Less and More compare with a number, or with a date or a time as in RFC 3339.
	Less *Value `json:"less,omitempty"`
	More *Value `json:"more,omitempty"`
	// IsSet says whether there is a value other than null, "" and an empty list.
	IsSet *bool `json:"isSet,omitempty"`
	// Matches is a regular expression in the syntax of RE2, to be found anywhere in the
	// text.
	Matches   *string `json:"matches,omitempty"`
	IsEmail   *bool   `json:"isEmail,omitempty"`
	IsNumeric *bool   `json:"isNumeric,omitempty"`
}

// The bounds of conditions.
const (
	// maxConditionDepth bounds how deep all, any and not nest.
	maxConditionDepth = 10
	// maxComparisons bounds how many comparisons a definition has in all its conditions.
	maxComparisons = 100
	maxLiteral     = 1000 // bytes of a text to compare with
	maxPattern     = 256  // bytes of a regular expression
	// maxProgram bounds the instructions of a compiled expression: how many steps it
	// costs at most for each byte of the text.
	maxProgram = 500
	maxField   = 200 // bytes
)

// question is a compiled condition.
type question interface {
	// ask answers the question; why names the comparison that decided a no.
	ask(s *Subject) (yes bool, why string)
}

// always is the condition that is not there.
type always struct{}

func (always) ask(*Subject) (bool, string) { return true, "" }

type all []question

func (q all) ask(s *Subject) (bool, string) {
	for _, one := range q {
		if yes, why := one.ask(s); !yes {
			return false, why
		}
	}
	return true, ""
}

type anyOf struct {
	questions []question
	why       string
}

func (q anyOf) ask(s *Subject) (bool, string) {
	for _, one := range q.questions {
		if yes, _ := one.ask(s); yes {
			return true, ""
		}
		if s.spent() {
			return false, whySpent
		}
	}
	return false, q.why
}

type not struct {
	question question
	why      string
}

func (q not) ask(s *Subject) (bool, string) {
	yes, _ := q.question.ask(s)
	switch {
	case s.spent():
		return false, whySpent
	case yes:
		return false, q.why
	}
	return true, ""
}

// comparison compares one field.
type comparison struct {
	field string
	holds func(s *Subject, value any) bool
	// why says that it does not hold, absent that the field is not there.
	why, absent string
}

func (q comparison) ask(s *Subject) (bool, string) {
	if !s.spend(1) {
		return false, whySpent
	}
	value := s.find(q.field)
	switch {
	case q.holds(s, value):
		return true, ""
	case s.spent():
		return false, whySpent
	case value == nil:
		return false, q.absent
	}
	return false, q.why
}

// condition compiles a condition that stands at a place of the definition.
func (c *compiler) condition(place string, in *Condition, depth int) question {
	if in == nil || in.empty() && depth == 0 {
		return always{}
	}
	if depth > maxConditionDepth {
		c.fault(place, "nests deeper than %d", maxConditionDepth)
		return always{}
	}
	forms := in.forms()
	if len(forms) != 1 {
		c.fault(place, "must have one of all, any, not and field; it has %s", orNone(forms))
		return always{}
	}
	switch forms[0] {
	case "all":
		return all(c.conditions(place+".all", in.All, depth))
	case "any":
		return anyOf{c.conditions(place+".any", in.Any, depth), fmt.Sprintf("%s: none of the %d holds", place+".any", len(in.Any))}
	case "not":
		return not{c.condition(place+".not", in.Not, depth+1), place + ".not: what must not hold does" + in.Not.told()}
	}
	return c.comparison(place, in)
}

func (c *compiler) conditions(place string, in []Condition, depth int) []question {
	if len(in) == 0 {
		c.fault(place, "must have at least one condition")
	}
	out := make([]question, 0, len(in))
	for i := range in {
		if c.comparisons > maxComparisons || len(c.faults) >= maxFaults {
			break
		}
		out = append(out, c.condition(fmt.Sprintf("%s[%d]", place, i), &in[i], depth+1))
	}
	return out
}

// forms names which of the four forms a condition has.
func (in *Condition) forms() (names []string) {
	for _, f := range []struct {
		name string
		has  bool
	}{
		{"all", in.All != nil}, {"any", in.Any != nil}, {"not", in.Not != nil}, {"field", in.Field != "" || len(in.operators()) > 0},
	} {
		if f.has {
			names = append(names, f.name)
		}
	}
	return names
}

func (in *Condition) empty() bool { return len(in.forms()) == 0 }

// operators names the operators of a comparison.
func (in *Condition) operators() (names []string) {
	for _, o := range operators {
		if o.has(in) {
			names = append(names, o.name)
		}
	}
	return names
}

// told shows a comparison in words, behind a colon; nothing of another condition.
func (in *Condition) told() string {
	names := in.operators()
	if len(names) != 1 {
		return ""
	}
	return ": " + in.words(operatorNamed(names[0]))
}

// words shows a comparison, as in profile.country equals "NL".
func (in *Condition) words(o operator) string {
	return in.Field + " " + o.words + o.shows(in)
}

func (c *compiler) comparison(place string, in *Condition) question {
	if c.comparisons++; c.comparisons > maxComparisons {
		c.fault(place, "is one of more than %d comparisons", maxComparisons)
		return always{}
	}
	c.field(place+".field", in.Field)
	names := in.operators()
	if len(names) != 1 {
		c.fault(place, "must have one of %s; it has %s", operatorNames(), orNone(names))
		return always{}
	}
	o := operatorNamed(names[0])
	holds, fault := o.compile(in)
	if fault != "" {
		c.fault(place+"."+o.name, "%s", fault)
		return always{}
	}
	why := place + ": not so that " + in.words(o)
	return comparison{field: in.Field, holds: holds, why: why, absent: why + ", there is no such field"}
}

// operator is one way of comparing.
type operator struct {
	name, words string
	has         func(*Condition) bool
	// shows writes what is compared with.
	shows func(*Condition) string
	// compile returns the comparison, or what is wrong with it.
	compile func(*Condition) (holds func(*Subject, any) bool, fault string)
}

// operators lists them.
var operators = []operator{
	valued("equals", "equals", func(in *Condition) *Value { return in.Equals }, equality),
	valued("notEquals", "does not equal", func(in *Condition) *Value { return in.NotEquals }, negated(equality)),
	valued("contains", "contains", func(in *Condition) *Value { return in.Contains }, containment),
	valued("notContains", "does not contain", func(in *Condition) *Value { return in.NotContains }, negated(containment)),
	valued("less", "is less than", func(in *Condition) *Value { return in.Less }, ordering(-1)),
	valued("more", "is more than", func(in *Condition) *Value { return in.More }, ordering(1)),
	decided("isSet", "is set", func(in *Condition) *bool { return in.IsSet }, isSet),
	{
		name: "matches", words: "matches",
		has:     func(in *Condition) bool { return in.Matches != nil },
		shows:   func(in *Condition) string { return " " + shown(*in.Matches) },
		compile: func(in *Condition) (func(*Subject, any) bool, string) { return matching(*in.Matches) },
	},
	decided("isEmail", "is an e-mail address", func(in *Condition) *bool { return in.IsEmail }, isEmail),
	decided("isNumeric", "is a number", func(in *Condition) *bool { return in.IsNumeric }, isNumeric),
}

func operatorNamed(name string) operator {
	for _, o := range operators {
		if o.name == name {
			return o
		}
	}
	return operator{}
}

func operatorNames() string {
	names := make([]string, len(operators))
	for i, o := range operators {
		names[i] = o.name
	}
	return strings.Join(names, ", ")
}

func orNone(names []string) string {
	if len(names) == 0 {
		return "none"
	}
	return strings.Join(names, " and ")
}

// valued is an operator that compares with a value.
func valued(name, words string, of func(*Condition) *Value, compile func(Value) (func(*Subject, any) bool, string)) operator {
	return operator{
		name: name, words: words,
		has:   func(in *Condition) bool { return of(in) != nil },
		shows: func(in *Condition) string { return " " + shown(of(in).Any()) },
		compile: func(in *Condition) (func(*Subject, any) bool, string) {
			v := *of(in)
			if text, ok := v.Any().(string); ok && len(text) > maxLiteral {
				return nil, fmt.Sprintf("must have at most %d bytes", maxLiteral)
			}
			if number, ok := v.Any().(json.Number); ok && !isNumeric(nil, number) {
				return nil, "is out of range"
			}
			return compile(v)
		},
	}
}

// decided is an operator that says of a field that it is so, or is not.
func decided(name, words string, of func(*Condition) *bool, is func(*Subject, any) bool) operator {
	return operator{
		name: name, words: words,
		has: func(in *Condition) bool { return of(in) != nil },
		shows: func(in *Condition) string {
			if *of(in) {
				return ""
			}
			return ": false"
		},
		compile: func(in *Condition) (func(*Subject, any) bool, string) {
			want := *of(in)
			return func(s *Subject, value any) bool { return is(s, value) == want }, ""
		},
	}
}

func negated(compile func(Value) (func(*Subject, any) bool, string)) func(Value) (func(*Subject, any) bool, string) {
	return func(v Value) (func(*Subject, any) bool, string) {
		holds, fault := compile(v)
		if fault != "" {
			return nil, fault
		}
		return func(s *Subject, value any) bool { return !holds(s, value) }, ""
	}
}

// matching compiles a regular expression whose cost is bounded.
func matching(pattern string) (func(*Subject, any) bool, string) {
	if len(pattern) > maxPattern {
		return nil, fmt.Sprintf("must have at most %d bytes", maxPattern)
	}
	parsed, err := syntax.Parse(pattern, syntax.Perl)
	if err != nil {
		return nil, "is no regular expression: " + strings.TrimPrefix(err.Error(), "error parsing regexp: ")
	}
	program, err := syntax.Compile(parsed.Simplify())
	if err != nil || len(program.Inst) > maxProgram {
		return nil, fmt.Sprintf("costs too much: it has more than %d instructions", maxProgram)
	}
	compiled, err := regexp.Compile(pattern)
	if err != nil {
		return nil, "is no regular expression"
	}
	instructions := len(program.Inst)
	return func(s *Subject, value any) bool {
		text, ok := textOf(value)
		return ok && len(text) <= maxMatched && s.spend(1+len(text)*instructions/stepsInOne) && compiled.MatchString(text)
	}, ""
}

// shown writes a value as it stands in JSON, cut off where it is long.
func shown(v any) string {
	const most = 60
	text, err := json.Marshal(v)
	if err != nil {
		return ""
	}
	if len(text) <= most {
		return string(text)
	}
	return strings.ToValidUTF8(string(text[:most]), "") + "…"
}

// field checks a path.
func (c *compiler) field(place, path string) {
	switch fault := faultOfPath(path); {
	case path == "":
		c.fault(place, "must be set")
	case len(path) > maxField:
		c.fault(place, "must have at most %d bytes", maxField)
	case fault != "":
		c.fault(place, "%s", fault)
	}
}

func faultOfPath(path string) string {
	root, rest, nested := strings.Cut(path, ".")
	switch root {
	case "type", "timestamp", "source":
		if nested {
			return "has nothing beneath " + root
		}
	case "profile":
		return faultOfProfile(rest)
	case "attributes", "trigger", "responses":
		if rest == "" {
			return "must name a field of " + root
		}
	default:
		return "must begin with one of " + strings.Join(Roots, ", ")
	}
	return ""
}

func faultOfProfile(path string) string {
	name, rest, nested := strings.Cut(path, ".")
	switch {
	case name == "attributes" && rest != "", name == "consent" && rest != "":
		return ""
	case !nested:
		for _, known := range ProfileFields {
			if name == known {
				return ""
			}
		}
	}
	return "must name a field of the profile: attributes.…, consent.… or one of " + strings.Join(ProfileFields, ", ")
}

// Roots are what the data of an event begins with.
var Roots = []string{"type", "timestamp", "source", "profile", "attributes", "trigger", "responses"}

// ProfileFields are what conditions and templates know of a user, beside their attributes
// and their consent by channel.
var ProfileFields = []string{
	"userId", string(usersync.FieldEmail), string(usersync.FieldFirstName), string(usersync.FieldLastName), string(usersync.FieldName),
	string(usersync.FieldCountry), string(usersync.FieldJobTitle), string(usersync.FieldInviteLink), "tags", "removed",
}
