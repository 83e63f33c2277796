package manage

import (
	"io"
	"net/http"

	"usersync/internal/api"
	"usersync/internal/erasure"
	"usersync/internal/identity"
	"usersync/internal/user"
	"usersync/internal/usersync"
)

// listUsers lists the users by id, or the one that has an address.
func listUsers(c *api.Call) error {
	query, err := c.Query()
	if err != nil {
		return err
	}
	load := func(before string, limit int) ([]user.Stored, error) {
		return user.List(c.Context(), c.Caller.Org, before, limit)
	}
	if text := query.Get("email"); text != "" {
		email, err := identity.ParseEmail(text)
		if err != nil {
			return api.Invalid("email", "must be an e-mail address")
		}
		load = func(string, int) ([]user.Stored, error) { return user.ByEmail(c.Context(), c.Caller.Org, email) }
	}
	return page(c, usersync.PrefixUser, load, func(u user.Stored) string { return u.ID })
}

func showUser(c *api.Call) error {
	u, err := user.Get(c.Context(), c.Caller.Org, c.Param("id"))
	if err != nil {
		return err
	}
	return c.JSON(http.StatusOK, u)
}

func (o Options) exportUser(c *api.Call) error {
	return c.WriteStream("application/json", func(w io.Writer) error {
		return o.Admin.Export(c.Context(), c.Caller.Organization, c.Param("id"), w)
	})
}

func (o Options) eraseUser(c *api.Call) error {
	e, err := o.Admin.EraseUser(c.Context(), c.Actor, c.Caller.Organization, c.Param("id"))
	if err != nil {
		return err
	}
	return o.erasing(c, e)
}

// subject is who is to be erased.
type subject struct {
	Email string `json:"email"`
}

func (o Options) createErasure(c *api.Call) error {
	var in subject
	if err := c.Decode(&in); err != nil {
		return err
	}
	e, err := o.Admin.EraseEmail(c.Context(), c.Actor, c.Caller.Organization, in.Email)
	if err != nil {
		return err
	}
	return o.erasing(c, e)
}

// erasing answers with an erasure that has begun.
func (o Options) erasing(c *api.Call, e erasure.Erasure) error {
	o.Wake()
	c.Header().Set("Location", "/v1/erasures/"+e.ID)
	return c.JSON(http.StatusAccepted, e)
}

func listErasures(c *api.Call) error {
	load := func(before string, limit int) ([]erasure.Erasure, error) {
		return erasure.List(c.Context(), c.Caller.Org, before, limit)
	}
	return page(c, usersync.PrefixErasure, load, func(e erasure.Erasure) string { return e.ID })
}

func showErasure(c *api.Call) error {
	e, err := erasure.Get(c.Context(), c.Caller.Org, c.Param("id"))
	if err != nil {
		return err
	}
	return c.JSON(http.StatusOK, e)
}
