package mailchimp

import (
	"context"
	"fmt"
	"net/http"
	"net/url"
	"regexp"

	"usersync/internal/connector"
	"usersync/internal/connector/ability"
)

var _ ability.FieldMaker = (*client)(nil)

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

// mergeTag matches the merge tags that Mailchimp takes.
var mergeTag = regexp.MustCompile(`^[A-Z0-9_]{1,10}$`)

// FieldRules are those of merge fields.
func (*client) FieldRules() ability.FieldRules {
	return ability.FieldRules{
		Name: mergeTag, NameHelp: "a merge tag of 1 to 10 capital letters, digits and underscores",
		Types: map[ability.FieldType]string{ability.TypeText: "text", ability.TypeNumber: "number", ability.TypeDate: "date", ability.TypePhone: "phone"},
	}
}

// MakeField makes a merge field, whose label is its tag.
func (c *client) MakeField(ctx context.Context, name, kind string) error {
	var made struct {
		Tag string `json:"tag"`
	}
	body := map[string]any{"tag": name, "name": name, "type": kind}
	response, err := c.one(ctx, http.MethodPost, c.settings.ListID, "/merge-fields", nil, body, &made)
	if connector.NotFound(response) {
		return c.listMissing()
	}
	if err == nil && made.Tag == "" {
		err = connector.Unexpected(platform)
	}
	return err
}
