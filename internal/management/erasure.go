package management

import (
	"context"
	"fmt"

	"usersync/internal/erasure"
	"usersync/internal/identity"
	"usersync/internal/store"
	"usersync/internal/usersync"
)

// EraseUser erases a user; salt is the organization's. What says who they are is gone
// when it returns; a task erases the rest.
func (s *Service) EraseUser(ctx context.Context, actor string, org *store.Org, salt []byte, id string) (erasure.Erasure, error) {
	return erase(ctx, actor, org, salt, erasure.Subject{UserID: id})
}

// EraseEmail erases whoever has an address: a user, an entry of the directory,
// a colleague, or nobody yet. salt is the organization's.
func (s *Service) EraseEmail(ctx context.Context, actor string, org *store.Org, salt []byte, email string) (erasure.Erasure, error) {
	var v invalid
	address, err := identity.ParseEmail(email)
	if err != nil {
		v.add("email", "must be an e-mail address")
		return erasure.Erasure{}, v.err()
	}
	return erase(ctx, actor, org, salt, erasure.Subject{Email: address, Company: identity.CompanyOf(address)})
}

func erase(ctx context.Context, actor string, org *store.Org, salt []byte, subject erasure.Subject) (erasure.Erasure, error) {
	plan := func(t erasure.Traces) usersync.Task { return erasure.Task(org.ID(), t) }
	e, err := erasure.Begin(ctx, org, actor, salt, subject, plan)
	if err != nil {
		return e, fmt.Errorf("begin the erasure: %w", err)
	}
	return e, nil
}

// ListErasures returns the erasures, newest first.
func (s *Service) ListErasures(ctx context.Context, org *store.Org, before string, limit int) ([]erasure.Erasure, error) {
	return erasure.List(ctx, org, before, limit)
}

// GetErasure returns how far an erasure is.
func (s *Service) GetErasure(ctx context.Context, org *store.Org, id string) (erasure.Erasure, error) {
	return erasure.Get(ctx, org, id)
}
