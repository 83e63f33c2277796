package scim

import (
	"bytes"
	"encoding/json"
	"fmt"
	"maps"
	"slices"
	"strconv"
	"strings"

	"github.com/elimity-com/scim/schema"
)

// The bounds of a resource. A group is bounded by its members.
const (
	// MaxMembers is how many members a group may have.
	MaxMembers = 10_000
	maxText    = 32 << 10 // bytes of one text
	maxName    = 512      // bytes of userName, displayName of a group and externalId
	maxValues  = 100      // of an attribute with several, but for members
	// maxResource is how many bytes of JSON a resource may be, its members left out.
	maxResource = 64 << 10
)

// Parse reads a body as a resource of the type. What the schemas do not have, and what
// clients may not set, is left out.
func (t *Type) Parse(body []byte) (Resource, error) {
	said, err := object(body)
	if err != nil {
		return nil, err
	}
	r := Resource{}
	taken := map[string]string{} // as it was sent, by its place
	for _, name := range slices.Sorted(maps.Keys(said)) {
		if urn, ok := t.extension(name); ok {
			beneath, _ := said[name].(map[string]any)
			for _, sub := range slices.Sorted(maps.Keys(beneath)) {
				if err := t.take(r, urn, sub, beneath[sub], taken); err != nil {
					return nil, err
				}
			}
			continue
		}
		urn, attribute := t.split(name)
		if err := t.take(r, urn, attribute, said[name], taken); err != nil {
			return nil, err
		}
	}
	return r, t.check(r)
}

// split separates the URN of a schema of the type from the name behind it.
func (t *Type) split(name string) (urn, attribute string) {
	for _, known := range append(t.Extensions(), t.core.ID) {
		if len(name) > len(known) && name[len(known)] == ':' && strings.EqualFold(name[:len(known)], known) {
			return known, name[len(known)+1:]
		}
	}
	return "", name
}

// take takes an attribute of a body.
func (t *Type) take(r Resource, urn, name string, value any, taken map[string]string) error {
	p, ok := t.find(urn, name)
	if !ok || !writable(p.attribute) {
		return nil
	}
	key := p.extension + ":" + p.attribute.Name()
	if before, twice := taken[key]; twice && before != name {
		return Refuse(InvalidSyntax, p.attribute.Name()+" is there twice")
	}
	taken[key] = name
	v, err := coerce(p.attribute, value, p.attribute.Name())
	if err != nil {
		return err
	}
	if v != nil {
		p.set(r, v)
	}
	return nil
}

// check refuses a resource that lacks what it needs, or is too large.
func (t *Type) check(r Resource) error {
	needs := "userName"
	if t == Group {
		needs = "displayName"
	}
	if strings.TrimSpace(r.Text(needs)) == "" {
		return Refuse(InvalidValue, needs+" is required")
	}
	for _, name := range []string{needs, "externalId"} {
		if len(r.Text(name)) > maxName {
			return Refuse(InvalidValue, name+" must have at most "+strconv.Itoa(maxName)+" bytes")
		}
	}
	members, _ := r["members"].([]any)
	if len(members) > MaxMembers {
		return Refuse(TooMany, "a group may have at most "+strconv.Itoa(MaxMembers)+" members")
	}
	rest := maps.Clone(r)
	delete(rest, "members")
	if text, _ := json.Marshal(rest); len(text) > maxResource { // texts, numbers and booleans can always be JSON
		return Refuse(InvalidValue, "the resource must have at most "+strconv.Itoa(maxResource)+" bytes")
	}
	return nil
}

// object reads a body that is one JSON object.
func object(body []byte) (map[string]any, error) {
	decoder := json.NewDecoder(bytes.NewReader(body))
	decoder.UseNumber()
	var said map[string]any
	// The decoder's error may quote the body.
	if err := decoder.Decode(&said); err != nil || said == nil || decoder.More() {
		return nil, Refuse(InvalidSyntax, "The body must be one JSON object")
	}
	return said, nil
}

// coerce returns a value as the schema has it, nil for none. at is where it stands.
func coerce(a schema.CoreAttribute, value any, at string) (any, error) {
	if isEmpty(value) {
		return nil, nil
	}
	if !a.MultiValued() {
		return coerceOne(a, value, at)
	}
	list, ok := value.([]any)
	if !ok {
		list = []any{value}
	}
	if most := maxOf(a); len(list) > most {
		return nil, Refuse(TooMany, at+" must have at most "+strconv.Itoa(most)+" values")
	}
	out := make([]any, 0, len(list))
	for i, one := range list {
		if isEmpty(one) {
			continue
		}
		v, err := coerceOne(a, one, at+"["+strconv.Itoa(i)+"]")
		if err != nil {
			return nil, err
		}
		if v != nil {
			out = append(out, v)
		}
	}
	if len(out) == 0 {
		return nil, nil
	}
	return onePrimary(out), nil
}

func maxOf(a schema.CoreAttribute) int {
	if a.Name() == "members" {
		return MaxMembers
	}
	return maxValues
}

// isEmpty reports whether a value says that there is none (RFC 7643 §2.5).
func isEmpty(value any) bool {
	switch v := value.(type) {
	case nil:
		return true
	case string:
		return v == ""
	case []any:
		return len(v) == 0
	case map[string]any:
		return len(v) == 0
	}
	return false
}

func coerceOne(a schema.CoreAttribute, value any, at string) (any, error) {
	switch a.AttributeType() {
	case "complex":
		return coerceComplex(a, value, at)
	case "boolean":
		if b, ok := truth(value); ok {
			return b, nil
		}
		return nil, Refuse(InvalidValue, at+" must be true or false")
	case "integer", "decimal":
		if n, ok := value.(json.Number); ok && len(n) <= 32 {
			return n, nil
		}
		return nil, Refuse(InvalidValue, at+" must be a number")
	}
	text, ok := textOf(value)
	if !ok {
		return nil, Refuse(InvalidValue, at+" must be a text")
	}
	if len(text) > maxText || strings.IndexByte(text, 0) >= 0 {
		return nil, Refuse(InvalidValue, fmt.Sprintf("%s must have at most %d bytes, and no NUL", at, maxText))
	}
	return text, nil
}

// truth reads a boolean, which Entra ID may send as a text.
func truth(value any) (is, ok bool) {
	switch v := value.(type) {
	case bool:
		return v, true
	case string:
		switch strings.ToLower(v) {
		case "true":
			return true, true
		case "false":
			return false, true
		}
	}
	return false, false
}

// textOf reads a text, which may be sent as a number or a boolean.
func textOf(value any) (text string, ok bool) {
	switch v := value.(type) {
	case string:
		return v, true
	case json.Number:
		return v.String(), true
	case bool:
		return strconv.FormatBool(v), true
	}
	return "", false
}

// coerceComplex reads an object. A bare value stands for the sub-attribute value: Entra ID
// sends the id of a manager so.
func coerceComplex(a schema.CoreAttribute, value any, at string) (any, error) {
	said, ok := value.(map[string]any)
	if _, listed := value.([]any); listed {
		return nil, Refuse(InvalidValue, at+" must be an object")
	}
	if !ok {
		said = map[string]any{"value": value}
	}
	out := map[string]any{}
	for _, name := range slices.Sorted(maps.Keys(said)) {
		sub, known := a.SubAttributes().ContainsAttribute(name)
		if !known || !writable(sub) {
			continue
		}
		v, err := coerce(sub, said[name], at+"."+sub.Name())
		if err != nil {
			return nil, err
		}
		if v != nil {
			out[sub.Name()] = v
		}
	}
	if !ok && len(out) == 0 {
		return nil, Refuse(InvalidValue, at+" must be an object")
	}
	if len(out) == 0 {
		return nil, nil
	}
	return out, nil
}

// onePrimary leaves the mark primary to the first value that has it (RFC 7643 §2.4).
func onePrimary(list []any) []any {
	found := false
	for _, one := range list {
		if m, ok := one.(map[string]any); ok && m["primary"] == true {
			if found {
				m["primary"] = false
			}
			found = true
		}
	}
	return list
}
