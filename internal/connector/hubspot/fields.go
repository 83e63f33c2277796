package hubspot

import (
	"context"
	"fmt"
	"net/http"
	"regexp"
	"usersync/internal/connector"

	"usersync/internal/connector/ability"
)

var _ ability.FieldMaker = (*hubspot)(nil)

// Fields reads the contact properties that can be written.
func (h *hubspot) Fields(ctx context.Context) ([]ability.Field, error) {
	var answer struct {
		Results []struct {
			Name         string `json:"name"`
			Label        string `json:"label"`
			Type         string `json:"type"`
			Modification struct {
				ReadOnly bool `json:"readOnlyValue"`
			} `json:"modificationMetadata"`
		} `json:"results"`
	}
	if _, err := h.call(ctx, http.MethodGet, h.path("properties", "/contacts"), nil, &answer); err != nil {
		return nil, fmt.Errorf("read the properties: %w", err)
	}
	var out []ability.Field
	for _, p := range answer.Results {
		if p.Modification.ReadOnly || consent(p.Name) {
			continue // HubSpot computes them, or only the person may change them
		}
		out = append(out, ability.Field{Name: p.Name, Label: p.Label, Type: p.Type, Source: h.properties[p.Name]})
	}
	return out, nil
}

// newProperty matches the names that a new property may have.
var newProperty = regexp.MustCompile(`^[a-z][a-z0-9_]{0,99}$`)

// fieldTypes are how HubSpot shows a property of a type.
var fieldTypes = map[string]string{"string": "text", "number": "number", "date": "date", "datetime": "date", "bool": "booleancheckbox"}

// group is the group of properties that every account has.
const group = "contactinformation"

// FieldRules are those of contact properties.
func (*hubspot) FieldRules() ability.FieldRules {
	return ability.FieldRules{
		Name: newProperty, NameHelp: "the internal name of a property: a lower case letter, then lower case letters, digits and underscores",
		Types: map[ability.FieldType]string{ability.TypeText: "string", ability.TypeNumber: "number", ability.TypeDate: "date",
			ability.TypeDateTime: "datetime", ability.TypeBoolean: "bool"},
	}
}

// MakeField makes a contact property, whose label is its name.
func (h *hubspot) MakeField(ctx context.Context, name, kind string) error {
	body := map[string]any{"name": name, "label": name, "type": kind, "fieldType": fieldTypes[kind], "groupName": group}
	if kind == "bool" {
		body["options"] = []map[string]any{
			{"label": "Yes", "value": "true", "displayOrder": 0, "hidden": false}, {"label": "No", "value": "false", "displayOrder": 1, "hidden": false},
		}
	}
	var made property
	if _, err := h.call(ctx, http.MethodPost, h.path("properties", "/contacts"), body, &made); err != nil {
		return err
	}
	if made.Name == "" {
		return connector.Unexpected("HubSpot")
	}
	return nil
}
