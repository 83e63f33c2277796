package api

import (
	"context"
	"fmt"
	"log/slog"

	"usersync/internal/intake"
	"usersync/internal/store"
	"usersync/internal/telemetry"
	"usersync/internal/tenant"
)

// FindTenant returns the organization that three codes name, as the database has it or had
// it a second ago. ok is false when there is none that may call.
func (c *Call) FindTenant(codes tenant.Codes) (caller tenant.Caller, ok bool, err error) {
	key := codes.Key()
	if key == "" || len(key) > maxKey*3 {
		return caller, false, nil
	}
	caller, ok, err = c.edge.tenants.find(c.ctx, key)
	if err != nil {
		return caller, false, fmt.Errorf("find the organization: %w", err)
	}
	return caller, ok && caller.Organization.Status == tenant.Active, nil
}

// AdmitTenant lets a caller in who has shown that they speak for the organization. The
// call counts against the organization's limit of such calls, that of a key.
func (c *Call) AdmitTenant(caller tenant.Caller, actor string) error {
	if caller.Organization.Status != tenant.Active {
		return intake.ErrInvalidOrganization
	}
	c.Caller, c.Actor = caller, actor
	id := caller.Organization.ID
	c.Caller.Org = caller.Org.Guarded(func(ctx context.Context, tx *store.Tx) error { return tenant.HoldActive(ctx, tx, id) })
	telemetry.Add(c.ctx, slog.String("organization", id))
	return c.limitOf(caller.Organization.ID, "lookup", "for this organization")
}
