package activecampaign

import (
	"context"
	"net/http"
	"net/url"
	"strconv"

	"usersync/internal/connector/ability"
)

var _ ability.FieldLister = (*activeCampaign)(nil)

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
