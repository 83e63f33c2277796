package registration

import (
	"context"
	"errors"
	"fmt"

	"usersync/internal/login"
	"usersync/internal/lookup"
	"usersync/internal/record"
	"usersync/internal/store"
	"usersync/internal/user"
	"usersync/internal/usersync"
)

// Authenticate compares a password with that of whoever has an address, and returns the
// user. The error is ErrCredentials, after the same work whether somebody has the address
// or not, ErrUnverified for a password that is right, has the code rate_limited after too
// many guesses, or unavailable while too many passwords are hashed.
func (s *Service) Authenticate(ctx context.Context, by Caller, email usersync.Email, text usersync.Secret) (record.Record, error) {
	if err := guessing.take(ctx, by, email); err != nil {
		return record.Record{}, fmt.Errorf("count the guess: %w", err)
	}
	l, _, err := login.Find(ctx, by.Org, email)
	if err != nil {
		return record.Record{}, fmt.Errorf("read the login: %w", err)
	}
	verdict, err := s.Passwords.Compare(ctx, by.Org.ID(), text, l.Password)
	if err != nil {
		return record.Record{}, fmt.Errorf("compare the password: %w", err)
	}
	if !verdict.Fits || l.User.Removed {
		s.log(ctx, by, lookup.StoreAuthenticate, l.User.ID, lookup.Failed)
		return record.Record{}, ErrCredentials
	}
	if err := guessing.giveBack(ctx, by, email); err != nil {
		return record.Record{}, fmt.Errorf("take the guess back: %w", err)
	}
	if l.Pending {
		return record.Record{}, ErrUnverified
	}
	if verdict.Outdated {
		if err := s.rehash(ctx, by, l, text); err != nil {
			return record.Record{}, err
		}
	}
	s.log(ctx, by, lookup.StoreAuthenticate, l.User.ID, lookup.Done)
	return l.Record(), nil
}

// rehash stores a password that is known to be right under a hash of today's parameters,
// unless it was changed meanwhile.
func (s *Service) rehash(ctx context.Context, by Caller, l login.Login, text usersync.Secret) error {
	hash, err := s.hash(ctx, by, text)
	if err != nil {
		return err
	}
	err = by.Org.Tx(ctx, func(tx *store.Tx) error {
		now, err := login.Lock(ctx, tx, by.Org.ID(), l.User.ID)
		if errors.Is(err, user.ErrNotFound) || err == nil && now.Password != l.Password {
			return nil
		}
		if err != nil {
			return fmt.Errorf("read the login again: %w", err)
		}
		state := now.State
		state.Password = hash
		return login.Save(ctx, tx, by.Org.ID(), l.User.ID, state)
	})
	if err != nil {
		return fmt.Errorf("store the new hash: %w", err)
	}
	return nil
}
