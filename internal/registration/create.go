package registration

import (
	"context"
	"errors"
	"fmt"

	"usersync/internal/event"
	"usersync/internal/login"
	"usersync/internal/lookup"
	"usersync/internal/record"
	"usersync/internal/store"
	"usersync/internal/user"
	"usersync/internal/usersync"
)

// NewUser is who is to be registered.
type NewUser struct {
	// User is what is said of them. The address says who it is.
	User usersync.UserInput
	// Password is zero for a user who has none.
	Password usersync.Secret
	// VerifyEmail has the registration count only when the address is verified. A code is
	// sent, in a letter that leads to ReturnURL.
	VerifyEmail bool
	ReturnURL   string
}

// Create registers a user. Who is known without a password may get one so, and has to
// verify the address anew. The error is ErrUnverified, ErrTaken or ErrTooMuch, has the code
// unavailable while too many passwords are hashed, and where a code is to be sent is one of
// SendCode.
func (s *Service) Create(ctx context.Context, by Caller, in NewUser) (record.Record, error) {
	if in.VerifyEmail {
		if err := s.maySend(ctx, by, in.User.Email); err != nil {
			return record.Record{}, err
		}
	}
	hash, err := s.hash(ctx, by, in.Password)
	if err != nil {
		return record.Record{}, err
	}
	err = by.Org.Tx(ctx, func(tx *store.Tx) error {
		id, err := by.register(ctx, tx, in, login.State{Password: hash, Pending: in.VerifyEmail})
		if err != nil {
			return err
		}
		if in.VerifyEmail {
			return s.begin(ctx, tx, by, login.ForVerification, in.User.Email, id, in.ReturnURL)
		}
		return by.push(ctx, tx, id, in.User.Email)
	})
	if err != nil {
		return record.Record{}, fmt.Errorf("register the user: %w", err)
	}
	return told(ctx, by, in.User.Email)
}

// register stores a user with a login, and returns the id.
func (by Caller) register(ctx context.Context, tx *store.Tx, in NewUser, state login.State) (id string, err error) {
	t := lookup.StoreCreate
	if in.VerifyEmail {
		t = lookup.StorePending
	}
	known, err := login.LockByEmail(ctx, tx, by.Org.ID(), in.User.Email)
	switch {
	case errors.Is(err, user.ErrNotFound):
		id, err = by.make(ctx, tx, t, in)
	case err == nil:
		id = known.User.ID
		err = by.claim(ctx, tx, t, known, in)
	}
	if err != nil {
		return "", err
	}
	if err := login.Save(ctx, tx, by.Org.ID(), id, state); err != nil {
		return "", err
	}
	return id, by.audit(ctx, tx, "user.register", id)
}

// make makes a user whom nobody knew. The acceptance resolves addresses: where another call
// was first, this one starts over.
func (by Caller) make(ctx context.Context, tx *store.Tx, t event.Type, in NewUser) (id string, err error) {
	a, err := by.report(ctx, tx, t, in.User)
	if err != nil {
		return "", err
	}
	made, err := login.Lock(ctx, tx, by.Org.ID(), a.UserID)
	if err != nil {
		return "", fmt.Errorf("read the new user: %w", err)
	}
	if u := made.User.User(); !u.MadeBy(a.Sequence()) {
		return "", store.ErrRace
	}
	return a.UserID, nil
}

// claim gives a known user a login. Only who has none may get one: whoever chooses the
// password has not shown that the address is theirs.
func (by Caller) claim(ctx context.Context, tx *store.Tx, t event.Type, known login.Login, in NewUser) error {
	switch {
	case known.Pending:
		return ErrUnverified
	case !known.Password.IsZero() || in.Password.IsZero():
		return ErrTaken
	}
	if known.Record().Verified {
		in.User = saying(in.User, false)
	}
	return by.change(ctx, tx, t, known.User, in.User)
}
