package management

import (
	"context"
	"time"

	"usersync/internal/bulk"
	"usersync/internal/store"
	"usersync/internal/user"
)

// GetBulkInput returns what a bulk was asked for.
func (s *Service) GetBulkInput(ctx context.Context, org *store.Org, id string) (bulk.Input, error) {
	return bulk.LoadInput(ctx, org, id)
}

// PreviewBulk counts the users that a bulk would push, which are those that were
// last reported since then, or all of them for the zero time. It returns the
// first of them too, at most limit.
func (s *Service) PreviewBulk(ctx context.Context, org *store.Org, since time.Time, limit int) (count int64, first []user.Stored, err error) {
	return user.UpdatedSince(ctx, org, since, limit)
}
