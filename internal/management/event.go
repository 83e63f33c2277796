package management

import (
	"context"

	"usersync/internal/event"
	"usersync/internal/reaction"
	"usersync/internal/store"
)

// ListEvents returns what happened to users, newest first.
func (s *Service) ListEvents(ctx context.Context, org *store.Org, f event.Filter) ([]event.Event, error) {
	return event.List(ctx, org, f)
}

// GetEvent returns an event with what came of it.
func (s *Service) GetEvent(ctx context.Context, org *store.Org, id string) (reaction.EventView, error) {
	return reaction.Show(ctx, org, id)
}
