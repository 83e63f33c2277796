package management

import (
	"context"
	"fmt"
	"time"

	"usersync/internal/bulk"
	"usersync/internal/connector"
	"usersync/internal/platform"
	"usersync/internal/store"
	"usersync/internal/user"
	"usersync/internal/usersync"
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

// overrideWithin bounds the calls that look whether a platform has what a bulk names. A
// caller waits for them, and then for the bulk.
const overrideWithin = 10 * time.Second

// WrongOverride returns what of a patch a connection's platform does not have: list or
// tags, with the reason. It returns "" where all is well, and where the platform cannot be
// asked or has something else to say: then the bulk tells. It changes nothing, and no
// connection is disconnected by what a call names.
func (s *Service) WrongOverride(ctx context.Context, org *store.Org, id string, kind connector.Platform, patch usersync.PlatformSync) (part, why string, err error) {
	if patch.List == "" && len(patch.Tags) == 0 {
		return "", "", nil
	}
	c, err := platform.GetConnection(ctx, org, id)
	if err != nil {
		return "", "", fmt.Errorf("read the connection: %w", err)
	}
	if c.Settings, err = kind.Patch(c.Settings, patch); err != nil {
		return "", "", fmt.Errorf("apply what the call overrides: %w", err)
	}
	opened, err := s.open(kind, c)
	if err == nil {
		within, cancel := context.WithTimeout(ctx, overrideWithin)
		defer cancel()
		_, err = opened.Check(within)
	}
	part, why = kind.Blames(err)
	if part == "list" && patch.List == "" || part == "tags" && len(patch.Tags) == 0 {
		return "", "", nil // a setting of the connection's own
	}
	return part, why, nil
}
