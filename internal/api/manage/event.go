package manage

import (
	"fmt"
	"net/http"

	"usersync/internal/api"
	"usersync/internal/event"
	"usersync/internal/usersync"
)

// listEvents lists the events of all users, or of one, of all types, or of one.
func (h *Handlers) listEvents(c *api.Call) error {
	user, err := queryID(c, "userId", usersync.PrefixUser, "must be the id of a user")
	if err != nil {
		return err
	}
	query, err := c.Query()
	if err != nil {
		return fmt.Errorf("read the query: %w", err)
	}
	load := func(before string, limit int) ([]event.Event, error) {
		f := event.Filter{UserID: user, Type: event.Type(query.Get("type")), Before: before, Limit: limit}
		return h.Management.ListEvents(c.Context(), c.Caller.Org, f)
	}
	return page(c, usersync.PrefixEvent, load, func(e event.Event) string { return e.ID })
}

func (h *Handlers) getEvent(c *api.Call) error {
	e, err := h.Management.GetEvent(c.Context(), c.Caller.Org, c.Param("id"))
	return c.Answer(http.StatusOK, e, err)
}
