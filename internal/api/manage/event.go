package manage

import (
	"net/http"

	"usersync/internal/api"
	"usersync/internal/event"
	"usersync/internal/usersync"
)

// listEvents lists the events of all users, or of one, of all types, or of one.
func listEvents(c *api.Call) error {
	query, err := c.Query()
	if err != nil {
		return err
	}
	user := query.Get("userId")
	if user != "" && !usersync.HasPrefix(user, usersync.PrefixUser) {
		return api.Invalid("userId", "must be the id of a user")
	}
	load := func(before string, limit int) ([]event.Event, error) {
		f := event.Filter{UserID: user, Type: event.Type(query.Get("type")), Before: before, Limit: limit}
		return event.List(c.Context(), c.Caller.Org, f)
	}
	return page(c, usersync.PrefixEvent, load, func(e event.Event) string { return e.ID })
}

func showEvent(c *api.Call) error {
	e, err := event.Get(c.Context(), c.Caller.Org, c.Param("id"))
	if err != nil {
		return err
	}
	return c.JSON(http.StatusOK, e)
}
