package console

import (
	"net/http"
	"strings"

	"usersync/internal/api"
	"usersync/internal/delivery"
	"usersync/internal/identity"
	"usersync/internal/management"
	"usersync/internal/usersync"
)

func (h *Handlers) searchPages() []api.Route {
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
func (h *Handlers) search(c *api.Call) error {
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
	if usersync.HasPrefix(text, usersync.PrefixMessage) {
		if path, err := h.deliveryOf(c, text); path != "" || err != nil {
			return leadTo(c, path, err)
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

// deliveryOf returns the page of a message's delivery, "" where there is none.
func (h *Handlers) deliveryOf(c *api.Call, message string) (path string, err error) {
	if !may(c, read) && !may(c, manage) {
		return "", nil
	}
	endpoints, err := h.Management.ListEndpoints(c.Context(), c.Caller.Org, "", attended)
	if err != nil {
		return "", err
	}
	for _, e := range endpoints { //lint:loop a message goes to a few endpoints, and ends at the first
		d, err := h.Management.GetDelivery(c.Context(), c.Caller.Org, delivery.IDOf(message, e.ID))
		if usersync.CodeOf(err) == usersync.CodeNotFound {
			continue
		}
		return "/deliveries/" + d.ID, err
	}
	return "", nil
}

// leadTo leads to a page that was found, unless the look for it failed.
func leadTo(c *api.Call, path string, err error) error {
	if err != nil {
		return err
	}
	return c.Redirect(http.StatusSeeOther, path)
}

// found returns the users that a text finds.
func (h *Handlers) found(c *api.Call, text string) ([]management.UserView, error) {
	email, err := identity.ParseEmail(text)
	if err != nil || !may(c, read) && !may(c, manage) {
		return nil, nil
	}
	return h.Management.ListUsersByEmail(c.Context(), c.Caller.Org, email)
}
