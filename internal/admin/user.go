package admin

import (
	"context"

	"usersync/internal/erasure"
	"usersync/internal/person"
	"usersync/internal/store"
	"usersync/internal/usersync"
)

// EraseUser erases a user: what says who they are at once, the rest by a task.
func (s *Service) EraseUser(ctx context.Context, actor string, o usersync.Organization, id string) (usersync.Erasure, error) {
	return s.erase(ctx, actor, o, store.Subject{UserID: id})
}

// EraseEmail erases whoever has an address: a user, an entry of the directory,
// a colleague, or nobody yet.
func (s *Service) EraseEmail(ctx context.Context, actor string, o usersync.Organization, email string) (usersync.Erasure, error) {
	var v invalid
	address, err := person.ParseEmail(email)
	if err != nil {
		v.add("email", "must be an e-mail address")
		return usersync.Erasure{}, v.err()
	}
	subject := store.Subject{Email: address}
	if person.KindOf(address) == person.Work {
		subject.Company = person.Company(address.Domain())
	}
	return s.erase(ctx, actor, o, subject)
}

func (s *Service) erase(ctx context.Context, actor string, o usersync.Organization, subject store.Subject) (usersync.Erasure, error) {
	return s.Store.Org(o.ID).Erase(ctx, actor, o.Salt, subject, func(t store.Traces) usersync.Task { return erasure.Task(o.ID, t) })
}
