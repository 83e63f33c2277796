package management

import (
	"context"

	"usersync/internal/store"
	"usersync/internal/user"
	"usersync/internal/usersync"
)

// ListUsers returns the users by id; after is the id that they follow.
func (s *Service) ListUsers(ctx context.Context, org *store.Org, after string, limit int) ([]user.Stored, error) {
	return user.List(ctx, org, after, limit)
}

// ListUsersByEmail returns the user with an address, or nobody.
func (s *Service) ListUsersByEmail(ctx context.Context, org *store.Org, email usersync.Email) ([]user.Stored, error) {
	return user.ByEmail(ctx, org, email)
}

// GetUser returns a user.
func (s *Service) GetUser(ctx context.Context, org *store.Org, id string) (user.Stored, error) {
	return user.Get(ctx, org, id)
}
