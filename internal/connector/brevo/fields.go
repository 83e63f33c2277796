package brevo

import (
	"context"
	"fmt"
	"net/http"
	"regexp"
	"usersync/internal/connector"

	"usersync/internal/connector/ability"
)

var _ ability.FieldMaker = (*brevo)(nil)

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

// newAttribute matches the names that a new attribute may have.
var newAttribute = regexp.MustCompile(`^[A-Z][A-Z0-9_]{0,49}$`)

// FieldRules are those of contact attributes.
func (*brevo) FieldRules() ability.FieldRules {
	return ability.FieldRules{
		Name: newAttribute, NameHelp: "a capital letter, then up to 49 capital letters, digits and underscores",
		Types: map[ability.FieldType]string{ability.TypeText: "text", ability.TypeNumber: "float", ability.TypeDate: "date", ability.TypeBoolean: "boolean"},
	}
}

// MakeField makes a contact attribute.
func (b *brevo) MakeField(ctx context.Context, name, kind string) error {
	response, err := b.call(ctx, http.MethodPost, "/contacts/attributes/normal/"+name, map[string]any{"type": kind}, nil)
	if err == nil {
		err = connector.Expect(platform, response, http.StatusCreated, http.StatusNoContent)
	}
	return err
}
