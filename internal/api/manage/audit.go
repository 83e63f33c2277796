package manage

import (
	"usersync/internal/api"
	"usersync/internal/audit"
	"usersync/internal/usersync"
)

// listAuditEntries lists the changes of all organizations, or of the one that the
// query names.
func (h *Handlers) listAuditEntries(c *api.Call) error {
	organization, err := queryID(c, "organizationId", usersync.PrefixOrganization, "must be the id of an organization")
	if err != nil {
		return err
	}
	load := func(before string, limit int) ([]audit.Entry, error) {
		return h.Management.ListAuditEntries(c.Context(), organization, before, limit)
	}
	return page(c, usersync.PrefixAudit, load, func(e audit.Entry) string { return e.ID })
}
