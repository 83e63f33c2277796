package sendgrid

import (
	"context"
	"fmt"
	"net/http"
	"net/url"
	"strings"

	"usersync/internal/connector"
	"usersync/internal/usersync"
)

var _ connector.AudienceMaker = (*client)(nil)

// maxName is the longest name of a list, in characters. maxPages bounds the search for
// a list.
const (
	maxName  = 100
	maxPages = 10
)

// CheckAudience refuses a name without letters. One that is too long is cut.
func (*client) CheckAudience(_ context.Context, name string) error { return connector.CheckName(name) }

// MakeAudience makes a list, or finds the one with that name.
func (c *client) MakeAudience(ctx context.Context, name, _ string) (string, usersync.PlatformSync, error) {
	name = strings.TrimSpace(cut(strings.TrimSpace(name), maxName))
	if name == "" {
		return "", usersync.PlatformSync{}, usersync.Errorf(usersync.CodeInvalid, "The audience needs a name.")
	}
	id, err := c.findList(ctx, name)
	if err == nil && id == "" {
		var list struct {
			ID string `json:"id"`
		}
		_, err = c.call(ctx, http.MethodPost, "/v3/marketing/lists", map[string]any{"name": name}, &list)
		id = list.ID
	}
	if err == nil && !listID.MatchString(id) {
		err = usersync.Errorf(usersync.CodeUnavailable, "SendGrid's answer names no list.")
	}
	return id, usersync.PlatformSync{List: id}, err
}

func (c *client) findList(ctx context.Context, name string) (id string, err error) {
	query := url.Values{"page_size": {"1000"}}
	for range maxPages {
		var page struct {
			Result   []struct{ ID, Name string } `json:"result"`
			Metadata struct {
				Next string `json:"next"`
			} `json:"_metadata"`
		}
		if _, err := c.call(ctx, http.MethodGet, "/v3/marketing/lists?"+query.Encode(), nil, &page); err != nil {
			return "", fmt.Errorf("read a page of lists: %w", err)
		}
		if page.Result == nil {
			return "", connector.Unexpected(platform)
		}
		for _, list := range page.Result {
			if list.Name == name {
				return list.ID, nil
			}
		}
		next, err := url.Parse(page.Metadata.Next)
		if err != nil || next.Query().Get("page_token") == "" {
			break
		}
		query.Set("page_token", next.Query().Get("page_token"))
	}
	return "", nil
}

// findLists adds the names of the lists that have no label yet. It returns the faults
// of lists that the account does not have.
func (c *client) findLists(ctx context.Context, labels map[string]string) ([]usersync.FieldError, error) {
	if labels == nil {
		labels = map[string]string{}
	}
	var faults []usersync.FieldError
	for _, id := range c.settings.ListIDs {
		if labels["list:"+id] != "" {
			continue
		}
		var list struct {
			ID   string `json:"id"`
			Name string `json:"name"`
		}
		answer, err := c.call(ctx, http.MethodGet, "/v3/marketing/lists/"+url.PathEscape(id), nil, &list)
		switch {
		case connector.NotFound(answer):
			faults = append(faults, usersync.FieldError{Field: "settings.listIds", Message: "the account has no list " + id})
		case err != nil:
			return nil, fmt.Errorf("read a list: %w", err)
		case list.ID == "":
			return nil, connector.Unexpected(platform)
		}
		labels["list:"+id] = list.Name
	}
	return faults, nil
}
