package scim

import (
	"maps"
	"slices"
	"strings"
)

// Choice says which attributes of a resource are shown (RFC 7644 §3.4.2.5): those of Only
// where it names any, without those of Except. Names are in any letter case, and may be
// dotted or begin with the URN of a schema. id and schemas are always shown.
type Choice struct{ Only, Except []string }

// ParseChoice reads the parameters attributes and excludedAttributes.
func ParseChoice(only, except string) Choice { return Choice{names(only), names(except)} }

func names(list string) (out []string) {
	for name := range strings.SplitSeq(list, ",") {
		if name = strings.TrimSpace(name); name != "" {
			out = append(out, name)
		}
	}
	return out
}

// Shows reports whether any of an attribute may be shown.
func (c Choice) Shows(name string) bool {
	if slices.ContainsFunc(c.Except, func(n string) bool { return strings.EqualFold(n, name) }) {
		return false
	}
	return len(c.Only) == 0 || slices.ContainsFunc(c.Only, func(n string) bool {
		first, _, _ := strings.Cut(n, ".")
		return strings.EqualFold(first, name)
	})
}

// Show returns what is shown of a resource of the type, with the list of its schemas.
func (t *Type) Show(r Resource, c Choice) map[string]any {
	schemas := []string{t.core.ID}
	for _, urn := range t.Extensions() {
		if r[urn] != nil {
			schemas = append(schemas, urn)
		}
	}
	out := map[string]any(r.Clone())
	if len(c.Only) > 0 {
		out = map[string]any{}
		for _, name := range c.Only {
			t.copyTo(out, r, name)
		}
	}
	for _, name := range c.Except {
		t.leaveOut(out, name)
	}
	out["schemas"] = schemas
	if r["id"] != nil {
		out["id"] = r["id"]
	}
	return out
}

// parts returns the place of a name that may be dotted or begin with a URN, and the name of
// the sub-attribute, "" for none.
func (t *Type) parts(name string) (p place, sub string, ok bool) {
	urn, rest := t.split(name)
	rest, sub, _ = strings.Cut(rest, ".")
	p, ok = t.find(urn, rest)
	if !ok || sub == "" {
		return p, "", ok
	}
	a, ok := p.attribute.SubAttributes().ContainsAttribute(sub)
	return p, a.Name(), ok
}

func (t *Type) copyTo(out map[string]any, r Resource, name string) {
	if urn, ok := t.extension(name); ok {
		if r[urn] != nil {
			out[urn] = clone(r[urn])
		}
		return
	}
	p, sub, ok := t.parts(name)
	value := p.holder(r)[p.attribute.Name()]
	if !ok || value == nil {
		return
	}
	if sub != "" {
		before := p.holder(Resource(out))[p.attribute.Name()]
		value = onlySub(value, before, sub)
	}
	p.set(Resource(out), clone(value))
}

// onlySub returns a value with one sub-attribute alone, beside those shown before.
func onlySub(value, before any, sub string) any {
	switch v := value.(type) {
	case map[string]any:
		out, _ := clone(before).(map[string]any)
		if out == nil {
			out = map[string]any{}
		}
		if v[sub] != nil {
			out[sub] = v[sub]
		}
		return out
	case []any:
		shown, _ := before.([]any)
		out := make([]any, len(v))
		for i, one := range v {
			var had any
			if i < len(shown) {
				had = shown[i]
			}
			out[i] = onlySub(one, had, sub)
		}
		return out
	}
	return value
}

func (t *Type) leaveOut(out map[string]any, name string) {
	if urn, ok := t.extension(name); ok {
		delete(out, urn)
		return
	}
	p, sub, ok := t.parts(name)
	if !ok {
		return
	}
	if sub == "" {
		p.set(Resource(out), nil)
		return
	}
	switch v := p.holder(Resource(out))[p.attribute.Name()].(type) {
	case map[string]any:
		delete(v, sub)
	case []any:
		for _, one := range v {
			if m, ok := one.(map[string]any); ok {
				delete(m, sub)
			}
		}
	}
}

// Equal reports whether two resources say the same.
func Equal(a, b Resource) bool {
	return maps.EqualFunc(a, b, equal)
}

func equal(a, b any) bool {
	switch a := a.(type) {
	case map[string]any:
		m, ok := b.(map[string]any)
		return ok && maps.EqualFunc(a, m, equal)
	case []any:
		list, ok := b.([]any)
		return ok && slices.EqualFunc(a, list, equal)
	}
	return a == b
}
