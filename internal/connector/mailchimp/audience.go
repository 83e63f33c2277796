package mailchimp

import (
	"context"
	"net/http"
	"net/url"
	"strings"

	"usersync/internal/connector"
	"usersync/internal/usersync"
)

var _ connector.AudienceMaker = (*client)(nil)

// list is what is read of an audience.
type list struct {
	ID   string `json:"id"`
	Name string `json:"name"`
	// Subscribe is the address of its form.
	Subscribe string `json:"subscribe_url_long"`
}

func (c *client) list(ctx context.Context) (list, error) {
	var l list
	answer, err := c.one(ctx, http.MethodGet, c.settings.ListID, "", url.Values{"fields": {"id,name,subscribe_url_long"}}, nil, &l)
	if connector.NotFound(answer) {
		return l, c.listMissing()
	}
	if err == nil && l.ID == "" {
		err = connector.Unexpected(platform)
	}
	return l, err
}

// CheckAudience refuses a name without letters. One that is too long is cut.
func (*client) CheckAudience(_ context.Context, name string) error { return connector.CheckName(name) }

// MakeAudience makes a tag. Mailchimp shows a tag as a segment of the list, and bills
// nobody twice for it, as it would for a second list. A tag begins to exist with the
// first member that has it.
func (c *client) MakeAudience(_ context.Context, name, _ string) (string, usersync.PlatformSync, error) {
	name = strings.TrimSpace(name)
	if runes := []rune(name); len(runes) > maxTag {
		name = strings.TrimSpace(string(runes[:maxTag]))
	}
	if name == "" {
		return "", usersync.PlatformSync{}, usersync.Errorf(usersync.CodeInvalid, "The audience needs a name.")
	}
	return name, usersync.PlatformSync{Tags: []string{name}}, nil
}
