package sendgrid

import (
	"context"
	"fmt"
	"net/http"
	"regexp"
	"usersync/internal/connector"

	"usersync/internal/connector/ability"
)

var _ ability.FieldMaker = (*client)(nil)

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

// newField matches the names that a new custom field may have.
var newField = regexp.MustCompile(`^[A-Za-z_][A-Za-z0-9_]{0,99}$`)

// FieldRules are those of custom fields.
func (*client) FieldRules() ability.FieldRules {
	return ability.FieldRules{
		Name: newField, NameHelp: "a letter or an underscore, then up to 99 letters, digits and underscores",
		Types: map[ability.FieldType]string{ability.TypeText: "Text", ability.TypeNumber: "Number", ability.TypeDate: "Date"},
	}
}

// MakeField makes a custom field.
func (c *client) MakeField(ctx context.Context, name, kind string) error {
	var made struct {
		ID string `json:"id"`
	}
	_, err := c.call(ctx, http.MethodPost, "/v3/marketing/field_definitions", map[string]any{"name": name, "field_type": kind}, &made)
	if err == nil && made.ID == "" {
		err = connector.Unexpected(platform)
	}
	return err
}
