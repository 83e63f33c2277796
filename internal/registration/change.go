package registration

import (
	"context"
	"errors"
	"fmt"

	"usersync/internal/event"
	"usersync/internal/intake"
	"usersync/internal/login"
	"usersync/internal/lookup"
	"usersync/internal/platform"
	"usersync/internal/readdress"
	"usersync/internal/record"
	"usersync/internal/store"
	"usersync/internal/user"
	"usersync/internal/usersync"
)

// Change is what is said of a known user. What is not said stays.
type Change struct {
	// User is without an address.
	User usersync.UserInput
	// Verified says whether the address is verified; nil says nothing.
	Verified *bool
}

// Update changes a user. The error is ErrNotUpdated or ErrTooMuch.
func (s *Service) Update(ctx context.Context, by Caller, id string, in Change) (record.Record, error) {
	var email usersync.Email
	err := by.Org.Tx(ctx, func(tx *store.Tx) error {
		known, err := login.Lock(ctx, tx, by.Org.ID(), id)
		if err != nil {
			return absent(err)
		}
		said, state := in.User, known.State
		email = known.User.Email
		said.Email = email
		if in.Verified != nil {
			said = saying(said, *in.Verified)
			state.Verified, state.Pending = *in.Verified, state.Pending && !*in.Verified
			if err := login.Save(ctx, tx, by.Org.ID(), id, state); err != nil {
				return err
			}
		}
		if err := by.change(ctx, tx, lookup.StoreUpdate, known.User, said); err != nil {
			return err
		}
		if err := by.audit(ctx, tx, "user.update", id, fieldsOf(said)...); err != nil {
			return err
		}
		if state.Pending {
			return nil // who has not verified the address is pushed nowhere
		}
		return by.push(ctx, tx, id, email)
	})
	if err != nil {
		return record.Record{}, fmt.Errorf("update the user: %w", err)
	}
	return told(ctx, by, email)
}

// fieldsOf names what is said of a user.
func fieldsOf(in usersync.UserInput) (names []string) {
	for _, f := range new(usersync.User).Changes(in, 1) {
		names = append(names, string(f))
	}
	return names
}

// ChangeEmail gives a user another address, which they have not verified. Contacts at the
// platforms move. The error is ErrNotUpdated or ErrTaken.
func (s *Service) ChangeEmail(ctx context.Context, by Caller, id string, to usersync.Email) error {
	err := by.Org.Tx(ctx, func(tx *store.Tx) error {
		known, err := login.Lock(ctx, tx, by.Org.ID(), id)
		if err != nil {
			return absent(err)
		}
		moved, err := by.move(ctx, tx, id, to)
		if err != nil || !moved {
			return err
		}
		if err := login.DropCodes(ctx, tx, by.Org.ID(), login.Person(by.Organization.Salt, known.User.Email)); err != nil {
			return err
		}
		state := known.State
		state.Verified = false
		if err := login.Save(ctx, tx, by.Org.ID(), id, state); err != nil {
			return err
		}
		moving, err := login.Lock(ctx, tx, by.Org.ID(), id) // with the new address
		if err != nil {
			return fmt.Errorf("read the user again: %w", err)
		}
		said := usersync.UserInput{Email: to}
		if known.Record().Verified {
			said = saying(said, false)
		}
		if err := by.change(ctx, tx, lookup.StoreEmail, moving.User, said); err != nil {
			return err
		}
		if err := platform.PushAgain(ctx, tx, by.Org.ID(), []string{id}, ""); err != nil {
			return fmt.Errorf("have the connections follow: %w", err)
		}
		return by.audit(ctx, tx, "user.move", id, "email")
	})
	if err != nil {
		return fmt.Errorf("change the address: %w", err)
	}
	return nil
}

// move gives a user another address, here and at the platforms. It reports false where the
// user has it already.
func (by Caller) move(ctx context.Context, tx *store.Tx, id string, to usersync.Email) (bool, error) {
	sequence, err := intake.NextSequence(ctx, tx)
	if err != nil {
		return false, fmt.Errorf("number the move: %w", err)
	}
	moved, err := readdress.Apply(ctx, tx, by.Org.ID(), readdress.Move{UserID: id, To: to, Sequence: sequence,
		EventID: usersync.DeriveID(usersync.PrefixEvent, by.Cause, string(event.UserMoved)), Source: by.Actor})
	if errors.Is(err, user.ErrTaken) {
		return false, ErrTaken
	}
	if err != nil {
		return false, fmt.Errorf("move the user: %w", absent(err))
	}
	return moved, nil
}

// ChangePassword gives a user another password. Codes that were sent to replace the former
// one are good no longer. The error is ErrNotUpdated, or has the code unavailable while too
// many passwords are hashed.
func (s *Service) ChangePassword(ctx context.Context, by Caller, id string, text usersync.Secret) error {
	hash, err := s.hash(ctx, by, text)
	if err != nil {
		return err
	}
	err = by.Org.Tx(ctx, func(tx *store.Tx) error {
		known, err := login.Lock(ctx, tx, by.Org.ID(), id)
		if err != nil {
			return absent(err)
		}
		state := known.State
		state.Password = hash
		return by.setPassword(ctx, tx, known, state)
	})
	if err != nil {
		return fmt.Errorf("change the password: %w", err)
	}
	return nil
}

// setPassword stores a login with another password, and tells of it.
func (by Caller) setPassword(ctx context.Context, tx *store.Tx, known login.Login, state login.State) error {
	id := known.User.ID
	if err := login.Save(ctx, tx, by.Org.ID(), id, state); err != nil {
		return err
	}
	if err := login.DropCodes(ctx, tx, by.Org.ID(), login.Person(by.Organization.Salt, known.User.Email)); err != nil {
		return err
	}
	told := lookup.Event(lookup.StorePassword, by.SourceSystem, by.Cause, id, lookup.Done)
	if err := event.Save(ctx, tx, by.Org.ID(), []event.Event{told}); err != nil {
		return fmt.Errorf("record the change: %w", err)
	}
	return by.audit(ctx, tx, "user.password", id)
}
