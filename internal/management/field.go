package management

import (
	"context"
	"fmt"

	"usersync/internal/connector/ability"
	"usersync/internal/platform"
	"usersync/internal/store"
	"usersync/internal/usersync"
)

// ListFields asks a connection's platform what fields its contacts have.
func (s *Service) ListFields(ctx context.Context, org *store.Org, id string) ([]ability.Field, error) {
	c, err := platform.GetConnection(ctx, org, id)
	if err != nil {
		return nil, fmt.Errorf("read the connection: %w", err)
	}
	kind, err := s.kindOf(c)
	if err != nil {
		return nil, fmt.Errorf("find the platform: %w", err)
	}
	opened, err := s.open(kind, c)
	if err != nil {
		return nil, fmt.Errorf("open the connection: %w", err)
	}
	lister, ok := ability.FieldListerOf(opened)
	if !ok {
		return nil, usersync.Errorf(usersync.CodeConflict, "%s does not say what fields it has.", kind.Title)
	}
	ctx, cancel := context.WithTimeout(ctx, checkWithin)
	defer cancel()
	list, err := lister.Fields(ctx)
	switch usersync.CodeOf(err) {
	case usersync.CodeDisconnected, usersync.CodeRejected:
		return nil, usersync.Errorf(usersync.CodeConflict, "%s refuses the connection: %s", kind.Title, usersync.AsError(err).Message).Because(err)
	case usersync.CodeRateLimited:
		out := usersync.Errorf(usersync.CodeUnavailable, "%s takes no more calls for now.", kind.Title).Because(err)
		out.RetryAfter = usersync.AsError(err).RetryAfter
		return nil, out
	}
	return list, err
}
