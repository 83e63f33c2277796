package klaviyo

import (
	"cmp"
	"context"
	"fmt"
	"net/http"
	"net/url"
	"strings"

	"usersync/internal/connector"
	"usersync/internal/usersync"
)

var _ connector.AudienceMaker = (*klaviyo)(nil)

// CheckAudience refuses a name without letters. Klaviyo takes any other.
func (*klaviyo) CheckAudience(_ context.Context, name string) error {
	return connector.CheckName(name)
}

// MakeAudience finds the list with a name, or makes it. Klaviyo's lists have no
// description.
func (k *klaviyo) MakeAudience(ctx context.Context, name, _ string) (string, usersync.PlatformSync, error) {
	var found struct {
		Data []resource `json:"data"`
	}
	query := url.Values{"filter": {"equals(name," + quoted(name) + ")"}}
	if _, err := k.call(ctx, http.MethodGet, "/api/lists?"+query.Encode(), nil, &found); err != nil {
		return "", usersync.PlatformSync{}, fmt.Errorf("look for the list: %w", err)
	}
	if found.Data == nil {
		return "", usersync.PlatformSync{}, connector.Unexpected(platform)
	}
	if len(found.Data) > 0 {
		return found.Data[0].ID, usersync.PlatformSync{List: found.Data[0].ID}, nil
	}
	var made struct {
		Data resource `json:"data"`
	}
	body := document{Data: map[string]any{"type": "list", "attributes": map[string]any{"name": name}}}
	if _, err := k.call(ctx, http.MethodPost, "/api/lists", body, &made); err != nil {
		return "", usersync.PlatformSync{}, fmt.Errorf("make the list: %w", err)
	}
	if made.Data.ID == "" {
		return "", usersync.PlatformSync{}, usersync.Errorf(usersync.CodeUnavailable, "Klaviyo did not name the list it made.")
	}
	return made.Data.ID, usersync.PlatformSync{List: made.Data.ID}, nil
}

func (k *klaviyo) listName(ctx context.Context) (string, error) {
	var list struct {
		Data struct {
			resource
			Attributes struct {
				Name string `json:"name"`
			} `json:"attributes"`
		} `json:"data"`
	}
	response, err := k.call(ctx, http.MethodGet, "/api/lists/"+url.PathEscape(k.settings.List), nil, &list)
	if err != nil {
		return "", k.noList(response, err)
	}
	if list.Data.ID == "" {
		return "", connector.Unexpected(platform)
	}
	return cmp.Or(list.Data.Attributes.Name, k.settings.List), nil
}

// quoted writes a text as a string of a filter.
func quoted(text string) string {
	return `"` + strings.NewReplacer(`\`, `\\`, `"`, `\"`).Replace(text) + `"`
}
