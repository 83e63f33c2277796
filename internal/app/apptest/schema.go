package apptest

import (
	"encoding/json"
	"sync"

	"github.com/getkin/kin-openapi/openapi3"
	"github.com/santhosh-tekuri/jsonschema/v6"
)

// schemas compares values with the schemas of a description. Each schema is compiled
// only once, because that takes longer than a comparison.
type schemas struct {
	components any // what $refs lead to

	mu       sync.Mutex
	compiled map[*openapi3.Schema]*jsonschema.Schema
}

func newSchemas(doc *openapi3.T) (*schemas, error) {
	s := &schemas{compiled: map[*openapi3.Schema]*jsonschema.Schema{}}
	list, err := plain(doc.Components.Schemas)
	s.components = map[string]any{"schemas": list}
	return s, err
}

// plain returns what JSON makes of a value.
func plain(value any) (out any, err error) {
	text, err := json.Marshal(value)
	if err != nil {
		return nil, err
	}
	return out, json.Unmarshal(text, &out)
}

// visit returns the differences between a value and its schema.
func (s *schemas) visit(schema *openapi3.Schema, value any) []string {
	compiled, err := s.compile(schema)
	if err == nil {
		err = compiled.Validate(value)
	}
	if err != nil {
		return []string{err.Error()}
	}
	return nil
}

func (s *schemas) compile(schema *openapi3.Schema) (*jsonschema.Schema, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if c := s.compiled[schema]; c != nil {
		return c, nil
	}
	resource, err := plain(schema)
	if err != nil {
		return nil, err
	}
	if object, ok := resource.(map[string]any); ok {
		object["components"] = s.components
	}
	const location = "https://description.example.com/schema"
	compiler := jsonschema.NewCompiler()
	compiler.DefaultDraft(jsonschema.Draft2020) // OpenAPI 3.1
	compiler.AssertFormat()
	if err := compiler.AddResource(location, resource); err != nil {
		return nil, err
	}
	c, err := compiler.Compile(location)
	if err != nil {
		return nil, err
	}
	s.compiled[schema] = c
	return c, nil
}
