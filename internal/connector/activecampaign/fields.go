package activecampaign

import (
	"context"
	"net/http"
	"net/url"
	"regexp"
	"strconv"
	"usersync/internal/connector"

	"usersync/internal/connector/ability"
)

var _ ability.FieldMaker = (*activeCampaign)(nil)

// Fields reads the custom fields, by their personalisation tags, and adds ActiveCampaign's own.
func (a *activeCampaign) Fields(ctx context.Context) ([]ability.Field, error) {
	var out []ability.Field
	for _, name := range []string{"firstName", "lastName", "phone"} {
		out = append(out, ability.Field{Name: name, Label: name, Type: "text", Source: a.mapping[name]})
	}
	for from := 0; ; from += pageSize {
		var answer struct {
			Fields []struct {
				Title string `json:"title"`
				Tag   string `json:"perstag"`
				Type  string `json:"type"`
			} `json:"fields"`
		}
		query := url.Values{"limit": {strconv.Itoa(pageSize)}, "offset": {strconv.Itoa(from)}}
		if _, err := a.call(ctx, http.MethodGet, "/fields?"+query.Encode(), nil, &answer); err != nil {
			return nil, err
		}
		for _, f := range answer.Fields {
			source := a.mapping[f.Tag]
			if source == "" {
				source = a.mapping[f.Title]
			}
			out = append(out, ability.Field{Name: f.Tag, Label: f.Title, Type: f.Type, Source: source})
		}
		if len(answer.Fields) < pageSize || from >= maxFieldPages*pageSize {
			return out, nil
		}
	}
}

// maxFieldPages bounds the pages that are read.
const maxFieldPages = 20

// newTag matches the personalisation tags that a new field may have.
var newTag = regexp.MustCompile(`^[A-Z][A-Z0-9_]{0,99}$`)

// everyList is the number that stands for all lists.
const everyList = "0"

// FieldRules are those of custom fields. ActiveCampaign has none for numbers.
func (*activeCampaign) FieldRules() ability.FieldRules {
	return ability.FieldRules{
		Name: newTag, NameHelp: "a personalisation tag: a capital letter, then capital letters, digits and underscores",
		Types: map[ability.FieldType]string{ability.TypeText: "text", ability.TypeDate: "date", ability.TypeDateTime: "datetime"},
	}
}

// MakeField makes a custom field, whose title is its tag, and shows it with every list.
func (a *activeCampaign) MakeField(ctx context.Context, name, kind string) error {
	var made struct {
		Field struct {
			ID id `json:"id"`
		} `json:"field"`
	}
	body := map[string]any{"field": map[string]any{"type": kind, "title": name, "perstag": name, "visible": 1}}
	if _, err := a.call(ctx, http.MethodPost, "/fields", body, &made); err != nil {
		return err
	}
	if made.Field.ID == "" {
		return connector.Unexpected(platform)
	}
	related := map[string]any{"fieldRel": map[string]any{"field": made.Field.ID, "relid": everyList}}
	_, err := a.call(ctx, http.MethodPost, "/fieldRels", related, nil)
	return err
}
