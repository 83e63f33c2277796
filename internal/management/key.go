package management

import (
	"context"
	"fmt"
	"slices"
	"time"

	"usersync/internal/tenant"
	"usersync/internal/usersync"
)

// KeyInput is what an operator says of a new API key.
type KeyInput struct {
	Name      string         `json:"name"`
	Scopes    []tenant.Scope `json:"scopes"`    // nil: all
	ExpiresAt time.Time      `json:"expiresAt"` // zero: never
}

func (in KeyInput) validate(now time.Time) error {
	var v invalid
	if tooLong(in.Name) {
		v.add("name", "must have at most %d characters", maxText)
	}
	if in.Scopes != nil && len(in.Scopes) == 0 {
		v.add("scopes", "must name at least one scope, or be left out for all")
	}
	if i := slices.IndexFunc(in.Scopes, unknownScope); i >= 0 {
		v.add(fmt.Sprintf("scopes[%d]", i), "must be one of %v", tenant.Scopes)
	}
	if !in.ExpiresAt.IsZero() && !in.ExpiresAt.After(now) {
		v.add("expiresAt", "must be in the future")
	}
	return v.err()
}

func unknownScope(s tenant.Scope) bool { return !slices.Contains(tenant.Scopes, s) }

// CreateKey makes an API key of an organization. The key itself is returned
// here and never again.
func (s *Service) CreateKey(ctx context.Context, actor, organization string, in KeyInput) (tenant.Key, usersync.Secret, error) {
	now, err := s.now(ctx)
	if err != nil {
		return tenant.Key{}, usersync.Secret{}, err
	}
	if err := in.validate(now); err != nil {
		return tenant.Key{}, usersync.Secret{}, err
	}
	if _, err := s.viewOf(ctx, organization); err != nil {
		return tenant.Key{}, usersync.Secret{}, err
	}
	return tenant.CreateKey(ctx, s.Store, actor, organization, tenant.Key{Name: in.Name, Scopes: in.Scopes, ExpiresAt: usersync.Time{Time: in.ExpiresAt}})
}

// ListKeys returns the API keys of an organization, newest first. It returns
// tenant.ErrNotFound when there is no such organization.
func (s *Service) ListKeys(ctx context.Context, organization, before string, limit int) ([]tenant.Key, error) {
	org, err := s.viewOf(ctx, organization)
	if err != nil {
		return nil, err
	}
	return tenant.ListKeys(ctx, org, before, limit)
}

// GetKey returns an API key, masked.
func (s *Service) GetKey(ctx context.Context, organization, id string) (tenant.Key, error) {
	return tenant.GetKey(ctx, s.Store.Org(organization), id)
}

// RevokeKey ends a key now.
func (s *Service) RevokeKey(ctx context.Context, actor, organization, id string) (tenant.Key, error) {
	now, err := s.now(ctx)
	if err != nil {
		return tenant.Key{}, err
	}
	return tenant.RevokeKey(ctx, s.Store.Org(organization), actor, id, now)
}

// now returns the database's time, by which keys end.
func (s *Service) now(ctx context.Context) (time.Time, error) {
	now, err := s.Store.Now(ctx)
	if err != nil {
		return now, fmt.Errorf("ask for the time: %w", err)
	}
	return now, nil
}

// Bounds of how long a rotated key still works beside its successor.
const (
	DefaultOverlap = 24 * time.Hour
	maxOverlap     = 30 * 24 * time.Hour
)

// errEnded is the refusal to rotate a key that works no more.
var errEnded = usersync.Errorf(usersync.CodeConflict, "The API key is revoked or expired; make a new one.")

// RotateKey makes a key with the name, the scopes and the length of life of
// the given one, which ends after overlap. It makes the new one first: whatever
// breaks in between, the organization has a key that works.
func (s *Service) RotateKey(ctx context.Context, actor, organization, id string, overlap time.Duration) (tenant.Key, usersync.Secret, error) {
	if overlap < 0 || overlap > maxOverlap {
		var v invalid
		v.add("overlap", "must be 0 to %d hours, written like 24h or 90m", int(maxOverlap.Hours()))
		return tenant.Key{}, usersync.Secret{}, v.err()
	}
	org := s.Store.Org(organization)
	now, err := s.now(ctx)
	if err != nil {
		return tenant.Key{}, usersync.Secret{}, err
	}
	old, err := tenant.GetKey(ctx, org, id)
	if err != nil {
		return tenant.Key{}, usersync.Secret{}, fmt.Errorf("read the key: %w", err)
	}
	if !old.ValidAt(now) {
		return tenant.Key{}, usersync.Secret{}, errEnded
	}
	next := tenant.Key{Name: old.Name, Scopes: old.Scopes}
	if !old.ExpiresAt.IsZero() {
		next.ExpiresAt.Time = now.Add(old.ExpiresAt.Sub(old.CreatedAt.Time))
	}
	next, secret, err := tenant.CreateKey(ctx, s.Store, actor, organization, next)
	if err != nil {
		return tenant.Key{}, usersync.Secret{}, fmt.Errorf("make the next key: %w", err)
	}
	if _, err := tenant.RevokeKey(ctx, org, actor, id, now.Add(overlap)); err != nil {
		return tenant.Key{}, usersync.Secret{}, fmt.Errorf("end the key before: %w", err)
	}
	return next, secret, nil
}
