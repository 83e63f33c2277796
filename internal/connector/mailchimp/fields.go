package mailchimp

import (
	"context"
	"fmt"
	"net/http"
	"net/url"

	"usersync/internal/connector"
	"usersync/internal/connector/ability"
)

var _ ability.FieldLister = (*client)(nil)

// Fields reads the merge fields of the audience.
func (c *client) Fields(ctx context.Context) ([]ability.Field, error) {
	var answer struct {
		MergeFields []struct{ Tag, Name, Type string } `json:"merge_fields"`
	}
	query := url.Values{"count": {"1000"}, "fields": {"merge_fields.tag,merge_fields.name,merge_fields.type"}}
	response, err := c.one(ctx, http.MethodGet, c.settings.ListID, "/merge-fields", query, nil, &answer)
	if connector.NotFound(response) {
		return nil, c.listMissing()
	}
	if err != nil {
		return nil, fmt.Errorf("read the merge fields: %w", err)
	}
	var out []ability.Field
	for _, f := range answer.MergeFields {
		out = append(out, ability.Field{Name: f.Tag, Label: f.Name, Type: f.Type, Source: c.mapping[f.Tag]})
	}
	return out, nil
}
