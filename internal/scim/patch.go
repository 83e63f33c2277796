package scim

import (
	"fmt"
	"maps"
	"reflect"
	"slices"
	"strconv"
	"strings"

	"github.com/elimity-com/scim/schema"
	filter "github.com/scim2/filter-parser/v2"
)

// The bounds of a PATCH: every path is parsed, within the transaction.
const (
	maxOperations = 1000 // those that the members of a value without a path stand for included
	maxPath       = 256  // bytes
)

// Operation is one operation of a PATCH (RFC 7644 §3.5.2).
type Operation struct {
	Op    string // add, replace or remove
	Path  string
	Value any
}

// ParsePatch reads the body of a PATCH. Names and operations may be in any letter case.
func ParsePatch(body []byte) ([]Operation, error) {
	said, err := object(body)
	if err != nil {
		return nil, err
	}
	list, ok := member(said, "Operations").([]any)
	if !ok || len(list) == 0 || len(list) > maxOperations {
		return nil, Refuse(InvalidSyntax, "Operations must be a list of 1 to "+strconv.Itoa(maxOperations)+" operations")
	}
	out, count := make([]Operation, len(list)), 0
	for i, one := range list {
		m, _ := one.(map[string]any)
		op, _ := member(m, "op").(string)
		path, _ := member(m, "path").(string)
		out[i] = Operation{strings.ToLower(op), strings.TrimSpace(path), member(m, "value")}
		if o := out[i]; !slices.Contains([]string{"add", "replace", "remove"}, o.Op) || len(o.Path) > maxPath || depth(o.Path) > maxDepth {
			return nil, Refuse(InvalidSyntax, fmt.Sprintf("Operations[%d] must have an op of add, replace or remove, and a path of at most %d bytes", i, maxPath))
		}
		count += out[i].paths()
	}
	if count > maxOperations {
		return nil, Refuse(InvalidSyntax, "Operations must be at most "+strconv.Itoa(maxOperations)+", the members of their values included")
	}
	return out, nil
}

// paths returns for how many paths an operation stands.
func (o Operation) paths() int {
	said, _ := o.Value.(map[string]any)
	n := 1
	for _, beneath := range said {
		n++
		if m, ok := beneath.(map[string]any); ok { // of an extension
			n += len(m)
		}
	}
	return n
}

// member returns a member of an object by its name in any letter case, the exact one first.
func member(m map[string]any, name string) any {
	if v, ok := m[name]; ok {
		return v
	}
	for _, n := range slices.Sorted(maps.Keys(m)) {
		if strings.EqualFold(n, name) {
			return m[n]
		}
	}
	return nil
}

// Patch returns the resource with the operations applied, one after the other. r stays as it
// is.
func (t *Type) Patch(r Resource, operations []Operation) (Resource, error) {
	out := r.Clone()
	for _, o := range operations {
		if err := t.apply(out, o); err != nil {
			return nil, err
		}
	}
	return out, t.check(out)
}

func (t *Type) apply(r Resource, o Operation) error {
	if o.Path != "" {
		return t.applyAt(r, o)
	}
	if o.Op == "remove" {
		return Refuse(NoTarget, "remove needs a path")
	}
	said, ok := o.Value.(map[string]any)
	if !ok {
		return Refuse(InvalidValue, "an operation without a path needs an object as its value")
	}
	for _, name := range slices.Sorted(maps.Keys(said)) {
		if err := t.applyMember(r, Operation{o.Op, name, said[name]}); err != nil {
			return err
		}
	}
	return nil
}

// applyMember applies a member of a value without a path, whose name is one. As in a body,
// id, schemas and what the schemas do not have are left out.
func (t *Type) applyMember(r Resource, o Operation) error {
	if _, ok := t.extension(o.Path); ok {
		return t.applyAt(r, o)
	}
	if len(o.Path) > maxPath || depth(o.Path) > maxDepth {
		return nil
	}
	to, err := t.target(o.Path)
	if err != nil || !writable(to.place.attribute) {
		return nil //nolint:nilerr // it is no path to anything that can be set
	}
	return to.apply(r, o)
}

// target is what a path points to.
type target struct {
	place place
	// choice is what stands in brackets; nil where nothing does.
	choice filter.Expression
	// sub is the sub-attribute; ok says that the path names one.
	sub schema.CoreAttribute
	ok  bool
}

func (t *Type) target(path string) (to target, err error) {
	if strings.Contains(path, "[") {
		return t.chosenTarget(path)
	}
	found, sub, ok := t.parts(path)
	if !ok {
		return to, Refuse(InvalidPath, "a path names an attribute that there is none of")
	}
	to.place = found
	if sub != "" {
		to.sub, to.ok = found.attribute.SubAttributes().ContainsAttribute(sub)
	}
	return to, nil
}

// chosenTarget is target for a path with brackets.
func (t *Type) chosenTarget(path string) (to target, err error) {
	parsed, err := filter.ParsePath([]byte(path))
	if err != nil { // which may quote the path
		return to, Refuse(InvalidPath, "a path cannot be read")
	}
	found, ok := t.find(parsed.AttributePath.URI(), parsed.AttributePath.AttributeName)
	if !ok {
		return to, Refuse(InvalidPath, "a path names an attribute that there is none of")
	}
	to.place, to.choice = found, parsed.ValueExpression
	if !found.attribute.MultiValued() || !found.attribute.HasSubAttributes() {
		return to, Refuse(InvalidPath, "a path chooses among the values of an attribute that has one")
	}
	if err := checkElement(found.attribute, parsed.ValueExpression); err != nil {
		return to, Refuse(InvalidPath, "a path chooses by a sub-attribute that there is none of")
	}
	name := parsed.SubAttributeName()
	if name == "" {
		return to, nil
	}
	if to.sub, to.ok = found.attribute.SubAttributes().ContainsAttribute(name); !to.ok {
		return to, Refuse(InvalidPath, "a path names a sub-attribute that there is none of")
	}
	return to, nil
}

func (t *Type) applyAt(r Resource, o Operation) error {
	if urn, ok := t.extension(o.Path); ok {
		return t.applyExtension(r, urn, o)
	}
	to, err := t.target(o.Path)
	if err != nil {
		return err
	}
	if a := to.place.attribute; a.Returned() == "never" {
		return nil // a password
	} else if !writable(a) {
		return Refuse(Mutability, a.Name()+" cannot be changed")
	}
	return to.apply(r, o)
}

func (to target) apply(r Resource, o Operation) error {
	switch {
	case to.choice != nil:
		return to.applyToChosen(r, o)
	case to.ok:
		return to.applyToSub(r, o)
	}
	return to.applyToAll(r, o)
}

// applyExtension applies an operation to a whole extension.
func (t *Type) applyExtension(r Resource, urn string, o Operation) error {
	if o.Op == "remove" {
		delete(r, urn)
		return nil
	}
	said, ok := o.Value.(map[string]any)
	if !ok {
		return Refuse(InvalidValue, "an extension must be an object")
	}
	for _, name := range slices.Sorted(maps.Keys(said)) {
		if len(name) > maxPath {
			return Refuse(InvalidPath, "a path cannot be read")
		}
		if err := t.applyAt(r, Operation{o.Op, urn + ":" + name, said[name]}); err != nil {
			return err
		}
	}
	return nil
}

// now returns the present value of the attribute.
func (to target) now(r Resource) any { return to.place.holder(r)[to.place.attribute.Name()] }

// list returns the present values of the attribute.
func (to target) list(r Resource) []any {
	list, _ := to.now(r).([]any)
	return list
}

// applyToAll applies an operation to an attribute as a whole.
func (to target) applyToAll(r Resource, o Operation) error {
	a := to.place.attribute
	if o.Op == "remove" && (!a.MultiValued() || o.Value == nil) {
		to.place.set(r, nil)
		return nil
	}
	value, err := coerce(a, o.Value, a.Name())
	if err != nil {
		return err
	}
	switch {
	case o.Op == "remove":
		// Entra ID removes members so: by a list of them.
		named, _ := value.([]any)
		value = without(to.list(r), named)
	case o.Op == "add" && a.MultiValued():
		added, _ := value.([]any)
		value = joined(to.list(r), added)
	case a.HasSubAttributes() && !a.MultiValued() && value != nil:
		value = merged(to.now(r), value)
	}
	if list, ok := value.([]any); ok && len(list) == 0 {
		value = nil
	}
	if list, ok := value.([]any); ok && len(list) > maxOf(a) {
		return Refuse(TooMany, a.Name()+" must have at most "+strconv.Itoa(maxOf(a))+" values")
	}
	to.place.set(r, value)
	return nil
}

// merged returns what a complex value is after further sub-attributes.
func merged(now, further any) any {
	m, ok := now.(map[string]any)
	more, also := further.(map[string]any)
	if !ok || !also {
		return further
	}
	out := maps.Clone(m)
	maps.Copy(out, more)
	return out
}

// identity tells the values of an attribute apart: by value where they have one.
func identity(one any) any {
	m, ok := one.(map[string]any)
	if !ok {
		return one
	}
	if v, ok := m["value"].(string); ok {
		kind, _ := m["type"].(string)
		return [2]string{v, strings.ToLower(kind)}
	}
	return nil
}

// joined returns the values with further ones, of which those that are there already are
// left out. A new primary value is the only one.
func joined(list, further []any) []any {
	out := slices.Clone(list)
	known := map[any]int{}
	for i, one := range out {
		if id := identity(one); id != nil {
			known[id] = i
		}
	}
	for _, one := range further {
		at := placeOf(out, known, one)
		switch id := identity(one); {
		case at < 0:
			out = append(out, one)
			at = len(out) - 1
			if id != nil {
				known[id] = at
			}
		default:
			out[at] = merged(out[at], one)
		}
		demote(out, at)
	}
	return out
}

// placeOf returns where a value stands in a list, -1 where it does not. known are the places
// of those that have an identity.
func placeOf(list []any, known map[any]int, one any) int {
	if id := identity(one); id != nil {
		if at, there := known[id]; there {
			return at
		}
		return -1
	}
	return slices.IndexFunc(list, func(x any) bool { return reflect.DeepEqual(x, one) })
}

// demote takes the mark primary from all values but the one at a place, where that has it.
func demote(list []any, at int) {
	if m, ok := list[at].(map[string]any); !ok || m["primary"] != true {
		return
	}
	for i, one := range list {
		if m, ok := one.(map[string]any); ok && i != at && m["primary"] == true {
			list[i] = withSub(m, "primary", false)
		}
	}
}

// without returns the values without those that are named by their value.
func without(list, named []any) []any {
	gone := map[string]bool{}
	for _, one := range named {
		if v := valueOf(one); v != "" {
			gone[v] = true
		}
	}
	return slices.DeleteFunc(slices.Clone(list), func(one any) bool { return gone[valueOf(one)] })
}

// valueOf returns the sub-attribute value of a value, or the value itself where it is a text.
func valueOf(one any) string {
	if m, ok := one.(map[string]any); ok {
		one = m["value"]
	}
	text, _ := one.(string)
	return text
}

// applyToSub applies an operation to a sub-attribute: of the one value, or of all.
func (to target) applyToSub(r Resource, o Operation) error {
	a := to.place.attribute
	value, err := to.subValue(o)
	if err != nil {
		return err
	}
	if !a.MultiValued() {
		m, _ := to.now(r).(map[string]any)
		to.place.set(r, nilIfEmpty(withSub(m, to.sub.Name(), value)))
		return nil
	}
	list := to.list(r)
	if len(list) == 0 && value != nil {
		list = []any{map[string]any{}}
	}
	return to.save(r, list, func(map[string]any) bool { return true }, value)
}

// subValue is the value that the sub-attribute gets, nil for none.
func (to target) subValue(o Operation) (any, error) {
	if o.Op == "remove" {
		return nil, nil
	}
	value := o.Value
	if list, ok := value.([]any); ok && len(list) == 1 && !to.sub.MultiValued() {
		value = list[0]
	}
	if m, ok := value.(map[string]any); ok && member(m, to.sub.Name()) != nil {
		value = member(m, to.sub.Name())
	}
	return coerce(to.sub, value, to.place.attribute.Name()+"."+to.sub.Name())
}

// applyToChosen applies an operation to the values that the brackets choose.
func (to target) applyToChosen(r Resource, o Operation) error {
	a, list := to.place.attribute, to.list(r)
	chosen := func(m map[string]any) bool { return elementMatches(a, to.choice, m) }
	if o.Op == "remove" && !to.ok {
		left := slices.DeleteFunc(slices.Clone(list), func(one any) bool {
			m, ok := one.(map[string]any)
			return ok && chosen(m)
		})
		if len(left) == 0 {
			to.place.set(r, nil)
			return nil
		}
		to.place.set(r, left)
		return nil
	}
	if o.Op != "remove" && !slices.ContainsFunc(list, func(one any) bool { m, ok := one.(map[string]any); return ok && chosen(m) }) {
		// Entra ID sets the mobile number of somebody who has none: the brackets say what
		// the new value is to be like.
		made := map[string]any{}
		if !describe(made, a, to.choice) {
			return Refuse(NoTarget, "a path chooses no value")
		}
		list = append(slices.Clone(list), made)
	}
	if to.ok {
		value, err := to.subValue(o)
		if err != nil {
			return err
		}
		return to.save(r, list, chosen, value)
	}
	value, err := coerceOne(a, o.Value, a.Name())
	if err != nil {
		return err
	}
	return to.store(r, list, chosen, func(m map[string]any) map[string]any {
		changed, _ := merged(m, value).(map[string]any)
		return changed
	})
}

// describe writes what an expression says that a value is like, and reports false where it
// does not say it by equality alone.
func describe(m map[string]any, a schema.CoreAttribute, e filter.Expression) bool {
	switch e := e.(type) {
	case *filter.LogicalExpression:
		return e.Operator == filter.AND && describe(m, a, e.Left) && describe(m, a, e.Right)
	case *filter.AttributeExpression:
		sub, ok := a.SubAttributes().ContainsAttribute(e.AttributePath.AttributeName)
		want := e.CompareValue
		if text, isText := want.(string); isText {
			want = unescaped(text)
		}
		value, err := coerce(sub, want, sub.Name())
		if !ok || e.Operator != filter.EQ || err != nil || value == nil || !writable(sub) {
			return false
		}
		m[sub.Name()] = value
		return true
	}
	return false
}

// save gives the sub-attribute of all chosen values a value, nil for none.
func (to target) save(r Resource, list []any, chosen func(map[string]any) bool, value any) error {
	return to.store(r, list, chosen, func(m map[string]any) map[string]any { return withSub(m, to.sub.Name(), value) })
}

// store changes all chosen values. One of which nothing is left but its kind goes.
func (to target) store(r Resource, list []any, chosen func(map[string]any) bool, change func(map[string]any) map[string]any) error {
	a, out, primary := to.place.attribute, make([]any, 0, len(list)), -1
	for _, one := range list {
		m, ok := one.(map[string]any)
		if !ok || !chosen(m) {
			out = append(out, one)
			continue
		}
		changed := change(m)
		if !says(changed) {
			continue
		}
		out = append(out, changed)
		if changed["primary"] == true {
			primary = len(out) - 1
		}
	}
	if primary >= 0 {
		demote(out, primary)
	}
	if most := maxOf(a); len(out) > most {
		return Refuse(TooMany, a.Name()+" must have at most "+strconv.Itoa(most)+" values")
	}
	if len(out) == 0 {
		to.place.set(r, nil)
		return nil
	}
	to.place.set(r, out)
	return nil
}

// says reports whether a value has more than its kind.
func says(m map[string]any) bool {
	for name := range m {
		if name != "type" && name != "primary" {
			return true
		}
	}
	return false
}

func withSub(m map[string]any, name string, value any) map[string]any {
	out := maps.Clone(m)
	if out == nil {
		out = map[string]any{}
	}
	if value == nil {
		delete(out, name)
		return out
	}
	out[name] = value
	return out
}

func nilIfEmpty(m map[string]any) any {
	if len(m) == 0 {
		return nil
	}
	return m
}
