package console

import (
	"net/http"
	"strings"

	"usersync/internal/api"
	"usersync/internal/identity"
	"usersync/internal/management"
	"usersync/internal/usersync"
)

func (h *Console) searchPages() []api.Route {
	return []api.Route{{Method: http.MethodGet, Path: "/search", Handler: h.search}}
}

// places are the pages of things by how their ids begin. Whoever may not see the thing is
// told there.
var places = []struct {
	prefix usersync.Prefix
	path   string
}{
	{usersync.PrefixRequest, "/requests/"}, {usersync.PrefixUser, "/users/"}, {usersync.PrefixDelivery, "/deliveries/"}, {usersync.PrefixConnection, "/connections/"},
	{usersync.PrefixEndpoint, "/webhooks/"}, {usersync.PrefixErasure, "/erasures/"}, {usersync.PrefixImport, "/imports/"},
}

// search leads to what an id or an address names. Parts of addresses and names come here
// when the API finds them.
func (h *Console) search(c *api.Call) error {
	query, err := c.Query()
	if err != nil {
		return err
	}
	text := strings.TrimSpace(query.Get("q"))
	for _, p := range places {
		if usersync.HasPrefix(text, p.prefix) {
			return c.Redirect(http.StatusSeeOther, p.path+text)
		}
	}
	list, err := h.found(c, text)
	if err != nil {
		return err
	}
	if len(list) == 1 {
		return c.Redirect(http.StatusSeeOther, "/users/"+list[0].ID)
	}
	return h.render(c, http.StatusOK, view{title: "Search", query: text, still: searchView(text)})
}

// found returns the users that a text finds.
func (h *Console) found(c *api.Call, text string) ([]management.UserView, error) {
	email, err := identity.ParseEmail(text)
	if err != nil || !may(c, read) && !may(c, manage) {
		return nil, nil
	}
	return h.Management.ListUsersByEmail(c.Context(), c.Caller.Org, email)
}
