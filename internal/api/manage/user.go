package manage

import (
	"fmt"
	"io"
	"net/http"

	"usersync/internal/api"
	"usersync/internal/identity"
	"usersync/internal/management"
	"usersync/internal/usersync"
)

// listUsers lists the users by id, or the one that has an address.
func (h *Handlers) listUsers(c *api.Call) error {
	query, err := c.Query()
	if err != nil {
		return fmt.Errorf("read the query: %w", err)
	}
	load := func(after string, limit int) ([]management.UserView, error) {
		return h.Management.ListUsers(c.Context(), c.Caller.Org, after, limit)
	}
	if text := query.Get("email"); text != "" {
		email, err := identity.ParseEmail(text)
		if err != nil {
			return api.Invalid("email", "must be an e-mail address")
		}
		load = func(string, int) ([]management.UserView, error) {
			return h.Management.ListUsersByEmail(c.Context(), c.Caller.Org, email)
		}
	}
	return page(c, usersync.PrefixUser, load, func(u management.UserView) string { return u.ID })
}

func (h *Handlers) getUser(c *api.Call) error {
	u, err := h.Management.GetUser(c.Context(), c.Caller.Org, c.Param("id"))
	return c.Answer(http.StatusOK, u, err)
}

func (h *Handlers) updateUser(c *api.Call) error {
	in, err := decode[management.UserChange](c)
	if err != nil {
		return err
	}
	u, err := h.Management.UpdateUser(c.Context(), c.Actor, c.Caller.Org, c.Param("id"), in)
	return c.Answer(http.StatusOK, u, err)
}

func (h *Handlers) exportUser(c *api.Call) error {
	return c.WriteStream("application/json", func(w io.Writer) error {
		return h.Management.Export(c.Context(), c.Caller.Organization, c.Param("id"), w)
	})
}

func (h *Handlers) eraseUser(c *api.Call) error {
	e, err := h.Management.EraseUser(c.Context(), c.Actor, c.Caller.Org, c.Caller.Organization.Salt, c.Param("id"))
	return answerErasure(c, e, err)
}
