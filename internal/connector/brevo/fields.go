package brevo

import (
	"context"
	"fmt"
	"net/http"

	"usersync/internal/connector/ability"
)

var _ ability.FieldLister = (*brevo)(nil)

// Fields reads the contact attributes that can be written.
func (b *brevo) Fields(ctx context.Context) ([]ability.Field, error) {
	var answer struct {
		Attributes []struct{ Name, Category, Type string } `json:"attributes"`
	}
	if _, err := b.call(ctx, http.MethodGet, "/contacts/attributes", nil, &answer); err != nil {
		return nil, fmt.Errorf("read the attributes: %w", err)
	}
	var out []ability.Field
	for _, a := range answer.Attributes {
		if a.Category == "calculated" || a.Category == "global" || !writable(a.Name) {
			continue // Brevo computes them, or a push must not write them
		}
		out = append(out, ability.Field{Name: a.Name, Label: a.Name, Type: a.Type, Source: b.attributes[a.Name]})
	}
	return out, nil
}
