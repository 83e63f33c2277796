package sendgrid

import (
	"context"
	"fmt"
	"net/http"

	"usersync/internal/connector/ability"
)

var _ ability.FieldLister = (*client)(nil)

// Fields reads the custom fields, and adds the reserved ones that may be written.
func (c *client) Fields(ctx context.Context) ([]ability.Field, error) {
	var answer struct {
		Custom []struct {
			Name string `json:"name"`
			Type string `json:"field_type"`
		} `json:"custom_fields"`
	}
	if _, err := c.call(ctx, http.MethodGet, "/v3/marketing/field_definitions", nil, &answer); err != nil {
		return nil, fmt.Errorf("read the fields: %w", err)
	}
	var out []ability.Field
	for _, f := range answer.Custom {
		out = append(out, ability.Field{Name: f.Name, Label: f.Name, Type: f.Type, Source: c.mapping[f.Name]})
	}
	for name := range reserved {
		out = append(out, ability.Field{Name: name, Label: name, Type: "Text", Source: c.mapping[name]})
	}
	return out, nil
}
