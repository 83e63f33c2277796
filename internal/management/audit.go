package management

import (
	"context"

	"usersync/internal/audit"
)

// ListAuditEntries returns who changed what, newest first: in all organizations,
// or in one. Before is the id that the entries are older than; "" begins with
// the newest.
func (s *Service) ListAuditEntries(ctx context.Context, organization, before string, limit int) ([]audit.Entry, error) {
	return audit.List(ctx, s.Store, organization, before, limit)
}
