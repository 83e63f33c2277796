package api

import (
	"log/slog"

	"usersync/internal/intake"
	"usersync/internal/store"
	"usersync/internal/telemetry"
	"usersync/internal/tenant"
)

// Admit takes in a call that proves by something else than an API key whose it is. It
// counts against a limit of its own for the organization, as high as that of a key.
func (c *Call) Admit(organization tenant.Organization, org *store.Org, actor string) error {
	c.Caller = tenant.Caller{Key: tenant.Key{ID: organization.ID + ":" + actor, Organization: organization.ID}, Organization: organization, Org: org}
	c.Actor = actor
	telemetry.Add(c.ctx, slog.String("organization", organization.ID))
	if organization.Status != tenant.Active {
		return intake.ErrInvalidOrganization
	}
	return c.limit()
}
