package manage

import (
	"net/http"

	"usersync/internal/api"
	"usersync/internal/store"
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
	load := func(before string, limit int) ([]usersync.Event, error) {
		f := store.EventFilter{UserID: user, Type: usersync.EventType(query.Get("type")), Before: before, Limit: limit}
		return c.Caller.Org.Events(c.Context(), f)
	}
	return page(c, usersync.PrefixEvent, load, func(e usersync.Event) string { return e.ID })
}

func showEvent(c *api.Call) error {
	e, err := c.Caller.Org.Event(c.Context(), c.Param("id"))
	if err != nil {
		return err
	}
	return c.JSON(http.StatusOK, e)
}
