package scim

import (
	"encoding/json"
	"errors"
	"regexp"
	"strconv"
	"strings"
	"time"

	"github.com/elimity-com/scim/schema"
	filter "github.com/scim2/filter-parser/v2"
)

// The bounds of a filter: the parser's work grows with the square of the length.
const (
	maxFilter = 1024 // bytes
	maxDepth  = 10   // of parentheses
)

// Filter is a filter that was checked against a type of resource.
type Filter struct {
	of   *Type
	expr filter.Expression
}

// ParseFilter reads a filter (RFC 7644 §3.4.2.2).
func (t *Type) ParseFilter(text string) (*Filter, error) {
	text = strings.TrimSpace(text)
	if len(text) > maxFilter || depth(text) > maxDepth {
		return nil, Refuse(InvalidFilter, "filter must have at most "+strconv.Itoa(maxFilter)+" bytes and "+strconv.Itoa(maxDepth)+" parentheses within each other")
	}
	expr, err := filter.ParseFilter([]byte(withinBrackets(text)))
	if err != nil { // which may quote the filter
		return nil, Refuse(InvalidFilter, "filter cannot be read")
	}
	if err := t.checkExpression(expr); err != nil {
		return nil, err
	}
	return &Filter{t, expr}, nil
}

// depth returns how deep parentheses and brackets stand within each other.
func depth(text string) (deepest int) {
	open := 0
	for i := range len(text) {
		switch text[i] {
		case '(', '[':
			open++
		case ')', ']':
			open--
		}
		deepest = max(deepest, open)
	}
	return deepest
}

// chosen is a comparison in brackets with one more behind it.
var chosen = regexp.MustCompile(`^\[([^\[\]"]*"(?:[^"\\]|\\.)*")\]\.(\w+ \w+ (?:"(?:[^"\\]|\\.)*"|true|false))`)

// withinBrackets turns emails[type eq "work"].value eq "x", which Entra ID sends and the
// standard does not have, into emails[type eq "work" and value eq "x"].
func withinBrackets(text string) string {
	var out strings.Builder
	for at := 0; at < len(text); {
		if m := chosen.FindStringSubmatch(text[at:]); m != nil {
			out.WriteString("[" + m[1] + " and " + m[2] + "]")
			at += len(m[0])
			continue
		}
		end := at + 1
		if text[at] == '"' {
			end = endOfLiteral(text, at)
		}
		out.WriteString(text[at:end])
		at = end
	}
	return out.String()
}

// endOfLiteral returns where the text behind a literal begins.
func endOfLiteral(text string, begin int) int {
	for at := begin + 1; at < len(text); at++ {
		switch text[at] {
		case '\\':
			at++
		case '"':
			return at + 1
		}
	}
	return len(text)
}

// checkExpression refuses attributes that there are none of.
func (t *Type) checkExpression(e filter.Expression) error {
	switch e := e.(type) {
	case *filter.LogicalExpression:
		return errors.Join(t.checkExpression(e.Left), t.checkExpression(e.Right))
	case *filter.NotExpression:
		return t.checkExpression(e.Expression)
	case *filter.ValuePath:
		p, ok := t.find(e.AttributePath.URI(), e.AttributePath.AttributeName)
		if !ok || !p.attribute.MultiValued() || !p.attribute.HasSubAttributes() {
			return Refuse(InvalidFilter, "filter names an attribute that has no values to choose from")
		}
		if p.attribute.Name() == "members" && !byValue(e.ValueFilter) {
			return errMembers
		}
		return checkElement(p.attribute, e.ValueFilter)
	case *filter.AttributeExpression:
		p, ok := t.find(e.AttributePath.URI(), e.AttributePath.AttributeName)
		if !ok {
			return Refuse(InvalidFilter, "filter names an attribute that there is none of")
		}
		a, err := compared(p.attribute, e.AttributePath.SubAttributeName())
		if p.attribute.Name() == "members" && (a.Name() != "value" || e.Operator != filter.EQ) {
			return errMembers
		}
		return err
	}
	return Refuse(InvalidFilter, "filter cannot be read")
}

// errMembers refuses what would want all members of all groups read.
var errMembers = Refuse(InvalidFilter, "members can be compared by their value and eq alone")

// byValue reports whether an expression in brackets is value eq "…".
func byValue(e filter.Expression) bool {
	one, ok := e.(*filter.AttributeExpression)
	return ok && strings.EqualFold(one.AttributePath.AttributeName, "value") && one.Operator == filter.EQ
}

// checkElement refuses what stands in brackets where it names sub-attributes that there are
// none of.
func checkElement(a schema.CoreAttribute, e filter.Expression) error {
	switch e := e.(type) {
	case *filter.LogicalExpression:
		return errors.Join(checkElement(a, e.Left), checkElement(a, e.Right))
	case *filter.NotExpression:
		return checkElement(a, e.Expression)
	case *filter.AttributeExpression:
		if _, ok := a.SubAttributes().ContainsAttribute(e.AttributePath.AttributeName); ok && e.AttributePath.SubAttributeName() == "" {
			return nil
		}
	}
	return Refuse(InvalidFilter, "filter names a sub-attribute that there is none of")
}

// compared returns the attribute whose values are compared: that of the sub-attribute, or
// of value where none is named.
func compared(a schema.CoreAttribute, sub string) (schema.CoreAttribute, error) {
	if sub == "" && !a.HasSubAttributes() {
		return a, nil
	}
	if sub == "" {
		sub = "value"
		if _, ok := a.SubAttributes().ContainsAttribute(sub); !ok {
			return a, nil // only its presence can be asked for
		}
	}
	found, ok := a.SubAttributes().ContainsAttribute(sub)
	if !ok {
		return a, Refuse(InvalidFilter, "filter names a sub-attribute that there is none of")
	}
	return found, nil
}

// Matches reports whether a resource, complete with id and meta, passes the filter.
func (f *Filter) Matches(r Resource) bool { return f.matches(f.expr, r) }

func (f *Filter) matches(e filter.Expression, r Resource) bool {
	switch e := e.(type) {
	case *filter.LogicalExpression:
		if e.Operator == filter.AND {
			return f.matches(e.Left, r) && f.matches(e.Right, r)
		}
		return f.matches(e.Left, r) || f.matches(e.Right, r)
	case *filter.NotExpression:
		return !f.matches(e.Expression, r)
	case *filter.ValuePath:
		p, _ := f.of.find(e.AttributePath.URI(), e.AttributePath.AttributeName)
		list, _ := p.holder(r)[p.attribute.Name()].([]any)
		for _, one := range list {
			if m, ok := one.(map[string]any); ok && elementMatches(p.attribute, e.ValueFilter, m) {
				return true
			}
		}
	case *filter.AttributeExpression:
		p, _ := f.of.find(e.AttributePath.URI(), e.AttributePath.AttributeName)
		a, _ := compared(p.attribute, e.AttributePath.SubAttributeName())
		return passes(e, a, valuesOf(p.holder(r)[p.attribute.Name()], p.attribute, a))
	}
	return false
}

// elementMatches reports whether one value of an attribute passes what stands in brackets.
func elementMatches(a schema.CoreAttribute, e filter.Expression, one map[string]any) bool {
	switch e := e.(type) {
	case *filter.LogicalExpression:
		if e.Operator == filter.AND {
			return elementMatches(a, e.Left, one) && elementMatches(a, e.Right, one)
		}
		return elementMatches(a, e.Left, one) || elementMatches(a, e.Right, one)
	case *filter.NotExpression:
		return !elementMatches(a, e.Expression, one)
	case *filter.AttributeExpression:
		sub, _ := a.SubAttributes().ContainsAttribute(e.AttributePath.AttributeName)
		return passes(e, sub, valuesOf(one[sub.Name()], sub, sub))
	}
	return false
}

// valuesOf returns the values of an attribute that are compared: those of wanted, which is
// the attribute itself or one of its sub-attributes.
func valuesOf(value any, of, wanted schema.CoreAttribute) (out []any) {
	list, ok := value.([]any)
	if !ok {
		list = []any{value}
	}
	for _, one := range list {
		if m, ok := one.(map[string]any); ok && of.Name() != wanted.Name() {
			one = m[wanted.Name()]
		}
		if !isEmpty(one) {
			out = append(out, one)
		}
	}
	return out
}

// passes reports whether any of the values passes a comparison; ne asks that none be equal.
func passes(e *filter.AttributeExpression, a schema.CoreAttribute, values []any) bool {
	operator, want := e.Operator, e.CompareValue
	switch {
	case operator == filter.PR, operator == filter.NE && want == nil:
		return len(values) > 0
	case operator == filter.EQ && want == nil:
		return len(values) == 0
	case operator == filter.NE:
		return !anyPasses(filter.EQ, a, values, want)
	}
	return anyPasses(operator, a, values, want)
}

func anyPasses(operator filter.CompareOperator, a schema.CoreAttribute, values []any, want any) bool {
	for _, have := range values {
		if compare(operator, a, have, want) {
			return true
		}
	}
	return false
}

func compare(operator filter.CompareOperator, a schema.CoreAttribute, have, want any) bool {
	switch have := have.(type) {
	case bool:
		b, ok := truth(want)
		return ok && operator == filter.EQ && b == have
	case json.Number:
		x, err := have.Float64()
		y, ok := number(want)
		return err == nil && ok && ordered(operator, x < y, x == y)
	case string:
		text, ok := want.(string)
		return ok && compareText(operator, a, have, unescaped(text))
	}
	return false
}

func number(v any) (float64, bool) {
	switch v := v.(type) {
	case int:
		return float64(v), true
	case float64:
		return v, true
	}
	return 0, false
}

func compareText(operator filter.CompareOperator, a schema.CoreAttribute, have, want string) bool {
	if a.AttributeType() == "dateTime" {
		x, err := time.Parse(time.RFC3339, have)
		y, wrong := time.Parse(time.RFC3339, want)
		return err == nil && wrong == nil && ordered(operator, x.Before(y), x.Equal(y))
	}
	if !a.CaseExact() {
		have, want = strings.ToLower(have), strings.ToLower(want)
	}
	switch operator {
	case filter.CO:
		return strings.Contains(have, want)
	case filter.SW:
		return strings.HasPrefix(have, want)
	case filter.EW:
		return strings.HasSuffix(have, want)
	}
	return ordered(operator, have < want, have == want)
}

func ordered(operator filter.CompareOperator, less, equal bool) bool {
	switch operator {
	case filter.EQ:
		return equal
	case filter.GT:
		return !less && !equal
	case filter.GE:
		return !less
	case filter.LT:
		return less
	case filter.LE:
		return less || equal
	}
	return false
}

// unescaped returns the text of a literal, which is one of JSON; the parser leaves its
// escapes as they are.
func unescaped(text string) string {
	var out string
	if !strings.Contains(text, `\`) || json.Unmarshal([]byte(`"`+text+`"`), &out) != nil || strings.IndexByte(out, 0) >= 0 {
		return text
	}
	return out
}

// Term is a comparison that every resource has to pass which passes the filter: the
// attribute Name, as its schema spells it, or its value, equals Value.
type Term struct{ Name, Value string }

// Terms returns those comparisons by which resources can be looked up.
func (f *Filter) Terms() []Term { return f.terms(f.expr) }

func (f *Filter) terms(e filter.Expression) []Term {
	switch e := e.(type) {
	case *filter.LogicalExpression:
		if e.Operator == filter.AND {
			return append(f.terms(e.Left), f.terms(e.Right)...)
		}
	case *filter.ValuePath:
		p, _ := f.of.find(e.AttributePath.URI(), e.AttributePath.AttributeName)
		return termsWithin(p, e.ValueFilter)
	case *filter.AttributeExpression:
		p, _ := f.of.find(e.AttributePath.URI(), e.AttributePath.AttributeName)
		sub := e.AttributePath.SubAttributeName()
		if text, ok := e.CompareValue.(string); ok && e.Operator == filter.EQ && p.extension == "" && (sub == "" || strings.EqualFold(sub, "value")) {
			return []Term{{p.attribute.Name(), unescaped(text)}}
		}
	}
	return nil
}

// termsWithin are the terms of what stands in brackets.
func termsWithin(p place, e filter.Expression) []Term {
	switch e := e.(type) {
	case *filter.LogicalExpression:
		if e.Operator == filter.AND {
			return append(termsWithin(p, e.Left), termsWithin(p, e.Right)...)
		}
	case *filter.AttributeExpression:
		if text, ok := e.CompareValue.(string); ok && e.Operator == filter.EQ && p.extension == "" && strings.EqualFold(e.AttributePath.AttributeName, "value") {
			return []Term{{p.attribute.Name(), unescaped(text)}}
		}
	}
	return nil
}

// Named returns the values that a filter compares an attribute with, or its value.
func (f *Filter) Named(name string) []string { return f.named(f.expr, name) }

func (f *Filter) named(e filter.Expression, name string) []string {
	switch e := e.(type) {
	case *filter.LogicalExpression:
		return append(f.named(e.Left, name), f.named(e.Right, name)...)
	case *filter.NotExpression:
		return f.named(e.Expression, name)
	case *filter.ValuePath:
		if strings.EqualFold(e.AttributePath.AttributeName, name) {
			return texts(e.ValueFilter)
		}
	case *filter.AttributeExpression:
		if strings.EqualFold(e.AttributePath.AttributeName, name) {
			return texts(e)
		}
	}
	return nil
}

// texts returns the texts that an expression compares with.
func texts(e filter.Expression) []string {
	switch e := e.(type) {
	case *filter.LogicalExpression:
		return append(texts(e.Left), texts(e.Right)...)
	case *filter.NotExpression:
		return texts(e.Expression)
	case *filter.AttributeExpression:
		if text, ok := e.CompareValue.(string); ok {
			return []string{unescaped(text)}
		}
	}
	return nil
}
