// Package scim has what SCIM 2.0 (RFC 7643, RFC 7644) says of resources, as pure code: what
// a user and a group consist of, how a body becomes a resource, filters, PATCH and the choice
// of attributes. It takes what Okta and Microsoft Entra ID send beside the standard: names
// and operations in any letter case, true and false as texts, dotted names in values.
package scim

import (
	"maps"
	"slices"
	"strings"

	"github.com/elimity-com/scim/schema"

	"usersync/internal/usersync"
)

// Fault is the scimType of an error (RFC 7644 §3.12). It is the cause of the refusals of
// this package and of package provision.
type Fault string

// The faults.
const (
	InvalidFilter Fault = "invalidFilter"
	TooMany       Fault = "tooMany"
	Uniqueness    Fault = "uniqueness"
	Mutability    Fault = "mutability"
	InvalidSyntax Fault = "invalidSyntax"
	InvalidPath   Fault = "invalidPath"
	NoTarget      Fault = "noTarget"
	InvalidValue  Fault = "invalidValue"
)

func (f Fault) Error() string { return string(f) }

// Refuse returns the refusal of an input.
func Refuse(f Fault, message string) error {
	return usersync.Errorf(usersync.CodeInvalid, "%s", message).Because(f)
}

// The schemas of messages.
const (
	ListSchema  = "urn:ietf:params:scim:api:messages:2.0:ListResponse"
	ErrorSchema = "urn:ietf:params:scim:api:messages:2.0:Error"
	PatchSchema = "urn:ietf:params:scim:api:messages:2.0:PatchOp"
)

// EnterpriseUser is the schema of the extension that users have.
const EnterpriseUser = "urn:ietf:params:scim:schemas:extension:enterprise:2.0:User"

// Resource holds the attributes of a resource by their names as the schema spells them, and
// those of an extension in a map under its URN. Values are string, bool, json.Number,
// map[string]any and []any. Attributes without a value are missing.
type Resource map[string]any

// Text returns an attribute that is a text, "" where there is none.
func (r Resource) Text(name string) string {
	text, _ := r[name].(string)
	return text
}

// Clone returns a copy: nothing that is changed of it changes r.
func (r Resource) Clone() Resource {
	out, _ := clone(map[string]any(r)).(map[string]any)
	return out
}

func clone(v any) any {
	switch v := v.(type) {
	case map[string]any:
		out := maps.Clone(v)
		for name, one := range out {
			out[name] = clone(one)
		}
		return out
	case []any:
		out := slices.Clone(v)
		for i, one := range out {
			out[i] = clone(one)
		}
		return out
	}
	return v
}

// Type is a type of resource.
type Type struct {
	// Name and Endpoint are as in /ResourceTypes.
	Name, Endpoint string
	core           schema.Schema
	extensions     []schema.Schema
}

// The types of resources.
var (
	User  = &Type{Name: "User", Endpoint: "/Users", core: schema.CoreUserSchema(), extensions: []schema.Schema{schema.ExtensionEnterpriseUser()}}
	Group = &Type{Name: "Group", Endpoint: "/Groups", core: schema.CoreGroupSchema()}
)

// Types lists them.
func Types() []*Type { return []*Type{User, Group} }

// Schema is the URN of the type's own schema.
func (t *Type) Schema() string { return t.core.ID }

// Extensions are the URNs of its extensions.
func (t *Type) Extensions() []string {
	out := []string{}
	for _, x := range t.extensions {
		out = append(out, x.ID)
	}
	return out
}

// Schemas returns the definitions of all schemas by their URNs.
func Schemas() []map[string]any {
	var out []map[string]any
	for _, t := range Types() {
		out = append(out, t.core.ToMap())
		for _, x := range t.extensions {
			out = append(out, x.ToMap())
		}
	}
	return out
}

// common are the attributes that every resource has (RFC 7643 §3.1).
var common = schema.Attributes(schema.CommonAttributes())

// place is where an attribute lies: extension is the URN of its schema, "" for the core.
type place struct {
	extension string
	attribute schema.CoreAttribute
}

// find returns the attribute of a name, in any letter case, of the schema of a URN; "" is
// the type's own.
func (t *Type) find(urn, name string) (place, bool) {
	if urn == "" || strings.EqualFold(urn, t.core.ID) {
		if a, ok := t.core.Attributes.ContainsAttribute(name); ok {
			return place{"", a}, true
		}
		a, ok := common.ContainsAttribute(name)
		return place{"", a}, ok
	}
	for _, x := range t.extensions {
		if strings.EqualFold(urn, x.ID) {
			a, ok := x.Attributes.ContainsAttribute(name)
			return place{x.ID, a}, ok
		}
	}
	return place{}, false
}

// extension returns the URN of the extension that a text names in any letter case.
func (t *Type) extension(text string) (urn string, ok bool) {
	for _, x := range t.extensions {
		if strings.EqualFold(text, x.ID) {
			return x.ID, true
		}
	}
	return "", false
}

// holder returns the map that holds an attribute, which may be missing.
func (p place) holder(r Resource) map[string]any {
	if p.extension == "" {
		return r
	}
	m, _ := r[p.extension].(map[string]any)
	return m
}

// set gives an attribute a value, and takes it away with nil.
func (p place) set(r Resource, value any) {
	name, m := p.attribute.Name(), p.holder(r)
	switch {
	case value != nil && m == nil:
		r[p.extension] = map[string]any{name: value}
	case value != nil:
		m[name] = value
	default:
		delete(m, name)
		if p.extension != "" && len(m) == 0 {
			delete(r, p.extension)
		}
	}
}

// writable reports whether clients may set an attribute that is kept. Passwords are not:
// nobody signs in with what an identity provider sends here.
func writable(a schema.CoreAttribute) bool {
	return a.Mutability() != "readOnly" && a.Returned() != "never" && a.Name() != "schemas"
}
