package admin

import (
	"context"
	"slices"
	"time"

	"usersync/internal/usersync"
)

// KeyInput is what an operator says of a new API key.
type KeyInput struct {
	Name      string           `json:"name"`
	Scopes    []usersync.Scope `json:"scopes"`    // none: all
	ExpiresAt time.Time        `json:"expiresAt"` // zero: never
}

func (in KeyInput) validate(now time.Time) error {
	var v invalid
	if len(in.Name) > maxName {
		v.add("name", "must have at most %d characters", maxName)
	}
	for _, s := range in.Scopes {
		if !slices.Contains(usersync.Scopes, s) {
			v.add("scopes", "has the unknown scope %q; known are %v", s, usersync.Scopes)
		}
	}
	if !in.ExpiresAt.IsZero() && !in.ExpiresAt.After(now) {
		v.add("expiresAt", "must be in the future")
	}
	return v.err()
}

// CreateKey makes an API key of an organization. The key itself is returned
// here and never again.
func (s *Service) CreateKey(ctx context.Context, actor, organization string, in KeyInput) (usersync.Key, usersync.Secret, error) {
	if err := in.validate(time.Now()); err != nil {
		return usersync.Key{}, usersync.Secret{}, err
	}
	if _, err := s.Store.Organization(ctx, organization); err != nil {
		return usersync.Key{}, usersync.Secret{}, err
	}
	return s.Store.CreateKey(ctx, actor, organization, usersync.Key{Name: in.Name, Scopes: in.Scopes, ExpiresAt: usersync.Time{Time: in.ExpiresAt}})
}

// RevokeKey ends a key now.
func (s *Service) RevokeKey(ctx context.Context, actor, organization, id string) (usersync.Key, error) {
	return s.Store.Org(organization).RevokeKey(ctx, actor, id, time.Now())
}

// DefaultOverlap is how long a rotated key still works beside its successor.
const DefaultOverlap = 24 * time.Hour

// RotateKey makes a key like the given one and ends that after overlap.
func (s *Service) RotateKey(ctx context.Context, actor, organization, id string, overlap time.Duration) (usersync.Key, usersync.Secret, error) {
	old, err := s.Store.Org(organization).RevokeKey(ctx, actor, id, time.Now().Add(overlap))
	if err != nil {
		return usersync.Key{}, usersync.Secret{}, err
	}
	return s.Store.CreateKey(ctx, actor, organization, usersync.Key{Name: old.Name, Scopes: old.Scopes, ExpiresAt: old.ExpiresAt})
}
