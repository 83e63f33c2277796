package copernica

import (
	"context"
	"fmt"
	"net/http"
	"strings"

	"usersync/internal/connector"
	"usersync/internal/connector/ability"
)

var _ ability.FieldMaker = (*copernica)(nil)

// Fields reads the fields of the database.
func (c *copernica) Fields(ctx context.Context) ([]ability.Field, error) {
	var database struct {
		ID     id    `json:"id"`
		Fields named `json:"fields"`
	}
	if _, err := c.call(ctx, http.MethodGet, "/database/"+c.settings.Database, nil, &database); err != nil {
		return nil, fmt.Errorf("read the database: %w", err)
	}
	if database.ID == "" {
		return nil, connector.Unexpected(platform)
	}
	var out []ability.Field
	for _, one := range database.Fields.Data {
		f := ability.Field{Name: one.Name, Label: one.Name, Type: one.Type}
		for mapped, source := range c.mapping {
			if strings.EqualFold(mapped, one.Name) {
				f.Source = source
			}
		}
		out = append(out, f)
	}
	return out, nil
}

// FieldRules are those of the fields of a database. Fields of dates may be empty.
func (*copernica) FieldRules() ability.FieldRules {
	return ability.FieldRules{
		Name: fieldName, NameHelp: "1 to 64 letters, digits, hyphens and underscores",
		Types: map[ability.FieldType]string{ability.TypeText: "text", ability.TypeNumber: "float", ability.TypeDate: "empty_date",
			ability.TypeDateTime: "empty_datetime", ability.TypePhone: "phone_gsm"},
	}
}

// MakeField makes a field of the database.
func (c *copernica) MakeField(ctx context.Context, name, kind string) error {
	response, err := c.call(ctx, http.MethodPost, "/database/"+c.settings.Database+"/fields", map[string]any{"name": name, "type": kind}, nil)
	if err == nil {
		err = connector.Expect(platform, response, http.StatusCreated)
	}
	return err
}
