package apptest

import (
	"encoding/json"
	"fmt"
	"net/http"
	"net/url"
	"regexp"
	"slices"
	"strings"

	"github.com/getkin/kin-openapi/openapi3"
)

// Operation is a described call, with everything that is needed to make it.
type Operation struct {
	Method string
	Path   string // with its parameters: /v1/requests/{requestId}
	// Schemes are the security schemes of the call. There are none if everybody may
	// make it.
	Schemes []string
	// Scopes are the scopes of which a key must have one. There are none if the call
	// takes no key.
	Scopes []string
	// InPath and InQuery are its parameters by name.
	InPath, InQuery []string
	// MediaType is the media type of the body, or "" if the call takes none.
	MediaType string
	// Writes says that a GET changes something.
	Writes bool

	operation *openapi3.Operation
	doc       *openapi3.T
}

// String is the method and the path.
func (o Operation) String() string { return o.Method + " " + o.Path }

// Operations returns all described calls. It fails if a description lacks what a
// caller needs.
func (d *Description) Operations() (list []Operation, err error) {
	for path, item := range d.doc.Paths.Map() {
		for method, operation := range item.Operations() {
			o := Operation{Method: method, Path: path, Writes: writes(operation), operation: operation, doc: d.doc}
			if err := o.read(item.Parameters); err != nil {
				return nil, fmt.Errorf("%s: %w", o, err)
			}
			list = append(list, o)
		}
	}
	slices.SortFunc(list, func(a, b Operation) int { return strings.Compare(a.String(), b.String()) })
	return list, nil
}

func (o *Operation) read(shared openapi3.Parameters) error {
	for _, p := range slices.Concat(shared, o.operation.Parameters) {
		switch p.Value.In {
		case openapi3.ParameterInPath:
			o.InPath = append(o.InPath, p.Value.Name)
		case openapi3.ParameterInQuery:
			o.InQuery = append(o.InQuery, p.Value.Name)
		}
	}
	for _, name := range parameter.FindAllString(o.Path, -1) {
		if !slices.Contains(o.InPath, strings.Trim(name, "{}")) {
			return fmt.Errorf("the parameter %s of the path is not described", name)
		}
	}
	o.readSchemes()
	if err := o.readScopes(); err != nil {
		return err
	}
	return o.readMediaType()
}

func (o *Operation) readSchemes() {
	security := o.doc.Security
	if o.operation.Security != nil {
		security = *o.operation.Security
	}
	for _, one := range security {
		for name := range one {
			o.Schemes = append(o.Schemes, name)
		}
	}
}

var (
	scopeLine = regexp.MustCompile("Scope: ((?:`\\w+`(?:, | or )?)+)")
	scopeName = regexp.MustCompile("`(\\w+)`")
)

// readScopes reads the scopes from the description of the call. The tag manage gives
// the scopes of calls without their own.
func (o *Operation) readScopes() error {
	// Operators and issuers have no scopes.
	unscoped := slices.Contains(o.operation.Tags, "operator") || slices.Contains(o.operation.Tags, "directory")
	if len(o.Schemes) == 0 || unscoped {
		return nil
	}
	if m := scopeLine.FindStringSubmatch(o.operation.Description); m != nil {
		for _, name := range scopeName.FindAllStringSubmatch(m[1], -1) {
			o.Scopes = append(o.Scopes, name[1])
		}
		return nil
	}
	switch {
	case !slices.Contains(o.operation.Tags, "manage"):
		return fmt.Errorf("it does not say which scope it takes")
	case o.Method == http.MethodGet:
		o.Scopes = []string{"read", "manage"}
	default:
		o.Scopes = []string{"manage"}
	}
	return nil
}

func (o *Operation) readMediaType() error {
	body := o.operation.RequestBody
	if body == nil {
		return nil
	}
	for _, known := range []string{"application/json", "text/csv", "application/x-www-form-urlencoded"} {
		if body.Value.Content[known] != nil {
			o.MediaType = known
			return nil
		}
	}
	return fmt.Errorf("nobody can write a body of its media types")
}

// Carry returns a call with a credential in the place that a scheme names, and with
// no other credential.
func (d *Description) Carry(c Call, scheme, credential string) (Call, error) {
	c.Header = c.Header.Clone()
	if c.Header == nil {
		c.Header = http.Header{}
	}
	s := d.doc.Components.SecuritySchemes[scheme]
	switch {
	case s == nil:
		return c, fmt.Errorf("there is no security scheme %s", scheme)
	case s.Value.Type == "http" && strings.EqualFold(s.Value.Scheme, "bearer"):
		c.Header.Set("Authorization", "Bearer "+credential)
	case s.Value.Type == "apiKey" && s.Value.In == openapi3.ParameterInHeader:
		c.Header.Set(s.Value.Name, credential)
	case s.Value.Type == "apiKey" && s.Value.In == openapi3.ParameterInQuery:
		c.Path = withQuery(c.Path, s.Value.Name, credential)
	default:
		return c, fmt.Errorf("nobody knows how the security scheme %s carries a credential", scheme)
	}
	return c, nil
}

// Schemes returns the names of all security schemes.
func (d *Description) Schemes() (names []string) {
	for name := range d.doc.Components.SecuritySchemes {
		names = append(names, name)
	}
	slices.Sort(names)
	return names
}

func withQuery(path, name, value string) string {
	separator := "?"
	if strings.Contains(path, "?") {
		separator = "&"
	}
	return path + separator + name + "=" + url.QueryEscape(value)
}

// Call writes a call that the description accepts. values fill parameters of the path
// and fields of the body by name. The other fields of the body are examples. It fails
// if the description does not say enough to write the call.
func (o Operation) Call(values, query map[string]string) (Call, error) {
	c := Call{Method: o.Method, Path: o.Path, Header: http.Header{}}
	for _, name := range o.InPath {
		value, ok := values[name]
		if !ok {
			return c, fmt.Errorf("%s: nobody knows a value of the parameter %s", o, name)
		}
		c.Path = strings.ReplaceAll(c.Path, "{"+name+"}", url.PathEscape(value))
	}
	for name, value := range query {
		c.Path = withQuery(c.Path, name, value)
	}
	if o.MediaType == "" {
		return c, nil
	}
	c.Header.Set("Content-Type", o.MediaType)
	body, err := o.body(values)
	c.Body = body
	return c, err
}

// Fields returns the names of the fields that a JSON body may have, at its top.
func (o Operation) Fields() (names []string) {
	if o.MediaType != "application/json" {
		return nil
	}
	for name := range o.schema().Properties {
		names = append(names, name)
	}
	slices.Sort(names)
	return names
}

func (o Operation) schema() *openapi3.Schema {
	return o.operation.RequestBody.Value.Content[o.MediaType].Schema.Value
}

func (o Operation) body(values map[string]string) ([]byte, error) {
	media := o.operation.RequestBody.Value.Content[o.MediaType]
	if o.MediaType == "text/csv" {
		text, ok := media.Example.(string)
		if !ok {
			return nil, fmt.Errorf("%s: the file has no example", o)
		}
		return []byte(text), nil
	}
	value, err := sample(media.Schema.Value, "", values)
	if err != nil {
		return nil, fmt.Errorf("%s: %w", o, err)
	}
	if o.MediaType == "application/json" {
		return json.Marshal(value)
	}
	form := url.Values{}
	fields, _ := value.(map[string]any)
	for name, v := range fields {
		form.Set(name, fmt.Sprint(v))
	}
	return []byte(form.Encode()), nil
}

// sample returns a value that a schema accepts. That is the one that values has for
// the name, an example, or a value of the type. An object gets its required fields
// and those that values names.
func sample(s *openapi3.Schema, name string, values map[string]string) (any, error) {
	if value, ok := values[name]; ok && (s.Type == nil || s.Type.Includes(openapi3.TypeString)) {
		return value, nil
	}
	switch {
	case s.Example != nil:
		return s.Example, nil
	case len(s.Enum) > 0:
		return s.Enum[0], nil
	case len(s.OneOf) > 0:
		return sample(s.OneOf[0].Value, name, values)
	case len(s.AllOf) > 0:
		return sampleAll(s.AllOf, values)
	case s.Type == nil: // anything
		return map[string]any{}, nil
	case s.Type.Includes(openapi3.TypeObject):
		return sampleObject(s, values)
	case s.Type.Includes(openapi3.TypeArray):
		item, err := sample(s.Items.Value, name, values)
		return []any{item}, err
	case s.Type.Includes(openapi3.TypeInteger), s.Type.Includes(openapi3.TypeNumber):
		if s.Min != nil {
			return *s.Min, nil
		}
		return 1, nil
	case s.Type.Includes(openapi3.TypeBoolean):
		return true, nil
	case s.Type.Includes(openapi3.TypeString) && s.Format == "date-time":
		return "2026-11-22T10:00:00Z", nil
	case s.Type.Includes(openapi3.TypeString) && s.Pattern == "":
		return "example", nil
	}
	return nil, fmt.Errorf("nobody can write the field %s: give it an example", name)
}

func sampleObject(s *openapi3.Schema, values map[string]string) (any, error) {
	object := map[string]any{}
	for name, property := range s.Properties {
		if _, wanted := values[name]; !wanted && !slices.Contains(s.Required, name) {
			continue
		}
		value, err := sample(property.Value, name, values)
		if err != nil {
			return nil, err
		}
		object[name] = value
	}
	return object, nil
}

func sampleAll(parts openapi3.SchemaRefs, values map[string]string) (any, error) {
	all := map[string]any{}
	for _, part := range parts {
		value, err := sampleObject(part.Value, values)
		if err != nil {
			return nil, err
		}
		fields, _ := value.(map[string]any)
		for name, v := range fields {
			all[name] = v
		}
	}
	return all, nil
}
