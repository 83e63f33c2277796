package httpdest

import (
	"context"

	"usersync/internal/connector/ability"
)

var _ ability.FieldLister = (*destination)(nil)

// Fields returns the attributes that the settings name: a destination has no fields of
// its own.
func (d *destination) Fields(context.Context) ([]ability.Field, error) {
	var out []ability.Field
	for _, name := range d.settings.Attributes {
		out = append(out, ability.Field{Name: name, Label: name, Type: "any", Source: "attributes." + name})
	}
	return out, nil
}
