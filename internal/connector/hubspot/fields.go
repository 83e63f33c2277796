package hubspot

import (
	"context"
	"fmt"
	"net/http"

	"usersync/internal/connector/ability"
)

var _ ability.FieldLister = (*hubspot)(nil)

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
