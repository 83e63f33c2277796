package manage

import (
	"net/http"

	"usersync/internal/api"
	"usersync/internal/management"
	"usersync/internal/store"
	"usersync/internal/tenant"
	"usersync/internal/usersync"
)

func (o Options) createOrganization(c *api.Call) error {
	var in management.OrganizationInput
	if err := c.Decode(&in); err != nil {
		return err
	}
	org, err := o.Admin.CreateOrganization(c.Context(), c.Actor, in)
	if err != nil {
		return err
	}
	return created(c, "/admin/v1/organizations/"+org.ID, org)
}

func (o Options) listOrganizations(c *api.Call) error {
	load := func(before string, limit int) ([]tenant.Organization, error) {
		return tenant.List(c.Context(), o.Admin.Store, before, limit)
	}
	return page(c, usersync.PrefixOrganization, load, func(org tenant.Organization) string { return org.ID })
}

func (o Options) showOrganization(c *api.Call) error {
	org, err := tenant.Get(c.Context(), o.Admin.Store, c.Param("id"))
	if err != nil {
		return err
	}
	return c.JSON(http.StatusOK, org)
}

func (o Options) updateOrganization(c *api.Call) error {
	var in management.OrganizationInput
	if err := c.Decode(&in); err != nil {
		return err
	}
	org, err := o.Admin.UpdateOrganization(c.Context(), c.Actor, c.Param("id"), in)
	if err != nil {
		return err
	}
	return c.JSON(http.StatusOK, org)
}

func (o Options) disableOrganization(c *api.Call) error {
	if _, err := o.Admin.DisableOrganization(c.Context(), c.Actor, c.Param("id")); err != nil {
		return err
	}
	return c.NoContent(http.StatusNoContent)
}

// organization returns the view of the organization that the path names, when
// there is one.
func (o Options) organization(c *api.Call) (*store.Org, error) {
	org, err := tenant.Get(c.Context(), o.Admin.Store, c.Param("id"))
	if err != nil {
		return nil, err
	}
	return o.Admin.Store.Org(org.ID), nil
}

func (o Options) showOwn(c *api.Call) error {
	org, err := o.Admin.Organization(c.Context(), c.Caller.Org)
	if err != nil {
		return err
	}
	return own(c, org)
}

func (o Options) updateOwn(c *api.Call) error {
	var in management.OwnOrganizationInput
	if err := c.Decode(&in); err != nil {
		return err
	}
	org, err := o.Admin.UpdateOwnOrganization(c.Context(), c.Actor, c.Caller.Org, in)
	if err != nil {
		return err
	}
	return own(c, org)
}

// own shows a tenant what is theirs: the rate limit is the operator's.
func own(c *api.Call, org tenant.Organization) error {
	org.Settings.RateLimit = tenant.RateLimit{}
	return c.JSON(http.StatusOK, org)
}
