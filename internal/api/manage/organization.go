package manage

import (
	"net/http"

	"usersync/internal/api"
	"usersync/internal/management"
	"usersync/internal/tenant"
	"usersync/internal/usersync"
)

func (h *Handlers) createOrganization(c *api.Call) error {
	in, err := decode[management.OrganizationInput](c)
	if err != nil {
		return err
	}
	org, err := h.Management.CreateOrganization(c.Context(), c.Actor, in)
	return created(c, "/admin/v1/organizations/"+org.ID, org, err)
}

func (h *Handlers) listOrganizations(c *api.Call) error {
	load := func(before string, limit int) ([]tenant.Organization, error) {
		return h.Management.ListOrganizations(c.Context(), before, limit)
	}
	return page(c, usersync.PrefixOrganization, load, func(org tenant.Organization) string { return org.ID })
}

func (h *Handlers) getOrganization(c *api.Call) error {
	org, err := h.Management.GetOrganization(c.Context(), c.Param("id"))
	return c.Answer(http.StatusOK, org, err)
}

func (h *Handlers) updateOrganization(c *api.Call) error {
	in, err := decode[management.OrganizationInput](c)
	if err != nil {
		return err
	}
	org, err := h.Management.UpdateOrganization(c.Context(), c.Actor, c.Param("id"), in)
	return c.Answer(http.StatusOK, org, err)
}

func (h *Handlers) disableOrganization(c *api.Call) error {
	_, err := h.Management.DisableOrganization(c.Context(), c.Actor, c.Param("id"))
	return removed(c, err)
}

func (h *Handlers) enableOrganization(c *api.Call) error {
	org, err := h.Management.EnableOrganization(c.Context(), c.Actor, c.Param("id"))
	return c.Answer(http.StatusOK, org, err)
}

func (h *Handlers) getOwnOrganization(c *api.Call) error {
	org, err := h.Management.GetOwnOrganization(c.Context(), c.Caller.Org)
	return c.Answer(http.StatusOK, org, err)
}

func (h *Handlers) updateOwnOrganization(c *api.Call) error {
	in, err := decode[management.OwnOrganizationInput](c)
	if err != nil {
		return err
	}
	org, err := h.Management.UpdateOwnOrganization(c.Context(), c.Actor, c.Caller.Org, in)
	return c.Answer(http.StatusOK, org, err)
}

func (h *Handlers) suggestAliases(c *api.Call) error {
	suggestions, err := h.Management.SuggestAliases(c.Context(), c.Caller.Org)
	return c.Answer(http.StatusOK, suggestions, err)
}

func (h *Handlers) decideAliases(c *api.Call) error {
	in, err := decode[management.AliasDecision](c)
	if err != nil {
		return err
	}
	org, err := h.Management.DecideAliases(c.Context(), c.Actor, c.Caller.Org, in)
	return c.Answer(http.StatusOK, org, err)
}
