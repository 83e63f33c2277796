package management

import (
	"context"

	"usersync/internal/erasure"
	"usersync/internal/identity"
	"usersync/internal/tenant"
	"usersync/internal/usersync"
)

// EraseUser erases a user: what says who they are at once, the rest by a task.
func (s *Service) EraseUser(ctx context.Context, actor string, o tenant.Organization, id string) (erasure.Erasure, error) {
	return s.erase(ctx, actor, o, erasure.Subject{UserID: id})
}

// EraseEmail erases whoever has an address: a user, an entry of the directory,
// a colleague, or nobody yet.
func (s *Service) EraseEmail(ctx context.Context, actor string, o tenant.Organization, email string) (erasure.Erasure, error) {
	var v invalid
	address, err := identity.ParseEmail(email)
	if err != nil {
		v.add("email", "must be an e-mail address")
		return erasure.Erasure{}, v.err()
	}
	subject := erasure.Subject{Email: address}
	if identity.KindOf(address) == identity.Work {
		subject.Company = identity.Company(address.Domain())
	}
	return s.erase(ctx, actor, o, subject)
}

func (s *Service) erase(ctx context.Context, actor string, o tenant.Organization, subject erasure.Subject) (erasure.Erasure, error) {
	return erasure.Begin(ctx, s.Store.Org(o.ID), actor, o.Salt, subject, func(t erasure.Traces) usersync.Task { return erasure.Task(o.ID, t) })
}
