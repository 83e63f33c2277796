package manage

import (
	"io"
	"net/http"

	"usersync/internal/api"
	"usersync/internal/person"
	"usersync/internal/store"
	"usersync/internal/usersync"
)

// listUsers lists the users by id, or the one that has an address.
func listUsers(c *api.Call) error {
	query, err := c.Query()
	if err != nil {
		return err
	}
	load := func(before string, limit int) ([]store.StoredUser, error) {
		return c.Caller.Org.Users(c.Context(), before, limit)
	}
	if text := query.Get("email"); text != "" {
		email, err := person.ParseEmail(text)
		if err != nil {
			return api.Invalid("email", "must be an e-mail address")
		}
		load = func(string, int) ([]store.StoredUser, error) { return c.Caller.Org.UserByEmail(c.Context(), email) }
	}
	return page(c, usersync.PrefixUser, load, func(u store.StoredUser) string { return u.ID })
}

func showUser(c *api.Call) error {
	u, err := c.Caller.Org.User(c.Context(), c.Param("id"))
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
func (o Options) erasing(c *api.Call, e usersync.Erasure) error {
	o.Wake()
	c.Header().Set("Location", "/v1/erasures/"+e.ID)
	return c.JSON(http.StatusAccepted, e)
}

func listErasures(c *api.Call) error {
	load := func(before string, limit int) ([]usersync.Erasure, error) {
		return c.Caller.Org.Erasures(c.Context(), before, limit)
	}
	return page(c, usersync.PrefixErasure, load, func(e usersync.Erasure) string { return e.ID })
}

func showErasure(c *api.Call) error {
	e, err := c.Caller.Org.Erasure(c.Context(), c.Param("id"))
	if err != nil {
		return err
	}
	return c.JSON(http.StatusOK, e)
}
