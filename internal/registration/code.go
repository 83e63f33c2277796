package registration

import (
	"context"
	"errors"
	"fmt"

	"usersync/internal/delivery"
	"usersync/internal/login"
	"usersync/internal/lookup"
	"usersync/internal/outbox"
	"usersync/internal/record"
	"usersync/internal/store"
	"usersync/internal/user"
	"usersync/internal/usersync"
)

// ErrNoWay is the refusal to send a code for an organization that has no way to.
var ErrNoWay = usersync.Errorf(usersync.CodeInvalid,
	"The organization has no way to send codes: set settings.smtp, or make a webhook endpoint whose eventTypes name %s.", delivery.MessageCode)

// maySend refuses a code where there is no way to send it, whoever it is for, or where too
// many were asked for.
func (s *Service) maySend(ctx context.Context, by Caller, email usersync.Email) error {
	if by.Organization.Settings.SMTP == nil {
		wanted, err := delivery.Wanted(ctx, by.Org, delivery.MessageCode)
		if err != nil {
			return fmt.Errorf("look for a way to send codes: %w", err)
		}
		if !wanted {
			return ErrNoWay
		}
	}
	if err := sending.take(ctx, by, email); err != nil {
		return fmt.Errorf("count the code: %w", err)
	}
	return nil
}

// begin has a code sent to a user, or to nobody where id is "": the same rows are written,
// so that the answer takes as long.
func (s *Service) begin(ctx context.Context, tx *store.Tx, by Caller, p login.Purpose, email usersync.Email, id, returnURL string) error {
	c := login.NewCode(s.Keys, login.Person(by.Organization.Salt, email), p)
	if c.UserID = id; id != "" {
		c.ReturnURL = returnURL
	}
	if err := login.SaveCode(ctx, tx, by.Org.ID(), c); err != nil {
		return err
	}
	task := Send.Task(usersync.DeriveID(usersync.PrefixTask, c.Nonce, "code"), by.Org.ID(), by.Org.ID(), SendArgs{Person: c.Person, Purpose: p, Nonce: c.Nonce})
	task.Traceparent = by.Traceparent
	if err := outbox.Enqueue(ctx, tx, task); err != nil {
		return fmt.Errorf("have the code sent: %w", err)
	}
	return nil
}

// SendCode sends a user a code by which they verify the address. The error is
// ErrUnregistered, ErrVerified or ErrNoWay, or has the code rate_limited.
func (s *Service) SendCode(ctx context.Context, by Caller, email usersync.Email, returnURL string) error {
	if err := s.maySend(ctx, by, email); err != nil {
		return err
	}
	l, err := unverified(ctx, by, email)
	if err != nil {
		return err
	}
	err = by.Org.Tx(ctx, func(tx *store.Tx) error {
		return s.begin(ctx, tx, by, login.ForVerification, email, l.User.ID, returnURL)
	})
	if err != nil {
		return fmt.Errorf("begin the verification: %w", err)
	}
	s.log(ctx, by, lookup.StorePending, l.User.ID, lookup.Done)
	return nil
}

// unverified returns the user with an address that is not verified yet.
func unverified(ctx context.Context, by Caller, email usersync.Email) (login.Login, error) {
	l, found, err := login.Find(ctx, by.Org, email)
	switch {
	case err != nil:
		return l, fmt.Errorf("read the login: %w", err)
	case !found || l.User.Removed:
		return l, ErrUnregistered
	case l.Record().Verified && !l.Pending:
		return l, ErrVerified
	}
	return l, nil
}

// Verify takes the code that SendCode or Create has sent. From then on the registration
// counts. The error is ErrUnregistered, ErrVerified or ErrCode, or has the code
// rate_limited after too many guesses.
func (s *Service) Verify(ctx context.Context, by Caller, email usersync.Email, sent usersync.Secret) (record.Record, error) {
	if err := guessing.take(ctx, by, email); err != nil {
		return record.Record{}, fmt.Errorf("count the guess: %w", err)
	}
	if _, err := unverified(ctx, by, email); err != nil {
		return record.Record{}, err
	}
	c, err := s.guess(ctx, by, login.ForVerification, email, sent)
	if err != nil {
		return record.Record{}, err
	}
	err = by.Org.Tx(ctx, func(tx *store.Tx) error {
		known, err := by.redeem(ctx, tx, c, email)
		if err != nil {
			return err
		}
		return by.verified(ctx, tx, known, known.State)
	})
	if err != nil {
		return record.Record{}, fmt.Errorf("verify the address: %w", err)
	}
	if err := guessing.giveBack(ctx, by, email); err != nil {
		return record.Record{}, fmt.Errorf("take the guess back: %w", err)
	}
	return told(ctx, by, email)
}

// guess compares what was sent with a person's code. The guess counts whatever comes of it.
func (s *Service) guess(ctx context.Context, by Caller, p login.Purpose, email usersync.Email, sent usersync.Secret) (c login.Code, err error) {
	there := false
	err = by.Org.Tx(ctx, func(tx *store.Tx) (err error) {
		c, there, err = login.Try(ctx, tx, by.Org.ID(), login.Person(by.Organization.Salt, email), p)
		return err
	})
	if err != nil {
		return c, fmt.Errorf("take the code: %w", err)
	}
	if fits := c.Fits(s.Keys, by.Org.ID(), sent); !there || !fits || c.UserID == "" {
		return c, ErrCode
	}
	return c, nil
}

// redeem uses a code up that was right, and returns its user, who is locked and still has
// the address. Of two calls with one code the second gets ErrCode.
func (by Caller) redeem(ctx context.Context, tx *store.Tx, c login.Code, email usersync.Email) (login.Login, error) {
	known, err := login.Lock(ctx, tx, by.Org.ID(), c.UserID)
	if errors.Is(err, user.ErrNotFound) {
		return known, ErrCode
	}
	if err != nil {
		return known, fmt.Errorf("read the login: %w", err)
	}
	used, err := login.Use(ctx, tx, by.Org.ID(), c)
	if err != nil {
		return known, err
	}
	if !used || known.User.Removed || known.User.Email.Key() != email.Key() {
		return known, ErrCode
	}
	return known, nil
}

// verified notes that a user has shown that the address is theirs. A registration that
// waited for that counts, and the user is pushed to the platforms.
func (by Caller) verified(ctx context.Context, tx *store.Tx, known login.Login, state login.State) error {
	t := lookup.StoreUpdate
	if state.Pending {
		t = lookup.StoreCreate
	}
	state.Verified, state.Pending = true, false
	id := known.User.ID
	if err := login.Save(ctx, tx, by.Org.ID(), id, state); err != nil {
		return err
	}
	if err := by.change(ctx, tx, t, known.User, saying(usersync.UserInput{Email: known.User.Email}, true)); err != nil {
		return err
	}
	if err := by.push(ctx, tx, id, known.User.Email); err != nil {
		return err
	}
	return by.audit(ctx, tx, "user.verify", id)
}

// BeginPassword sends a code by which whoever has an address replaces a forgotten password.
// It does the same whether somebody has it or not. The error is ErrNoWay, or has the code
// rate_limited.
func (s *Service) BeginPassword(ctx context.Context, by Caller, email usersync.Email, returnURL string) error {
	if err := s.maySend(ctx, by, email); err != nil {
		return err
	}
	l, _, err := login.Find(ctx, by.Org, email)
	if err != nil {
		return fmt.Errorf("read the login: %w", err)
	}
	id := l.User.ID
	if l.User.Removed {
		id = ""
	}
	err = by.Org.Tx(ctx, func(tx *store.Tx) error {
		return s.begin(ctx, tx, by, login.ForPassword, email, id, returnURL)
	})
	if err != nil {
		return fmt.Errorf("begin the replacement: %w", err)
	}
	s.log(ctx, by, lookup.StoreForgot, id, lookup.Done)
	return nil
}

// EndPassword replaces a forgotten password by the code that BeginPassword has sent. Who
// got the code has shown that the address is theirs, so it is verified as well. The error
// is ErrCode, also where nobody has the address, or has the code rate_limited after too
// many guesses, or unavailable while too many passwords are hashed.
func (s *Service) EndPassword(ctx context.Context, by Caller, email usersync.Email, sent, text usersync.Secret) error {
	if err := guessing.take(ctx, by, email); err != nil {
		return fmt.Errorf("count the guess: %w", err)
	}
	c, err := s.guess(ctx, by, login.ForPassword, email, sent)
	if err != nil {
		return err
	}
	hash, err := s.hash(ctx, by, text)
	if err != nil {
		return err
	}
	err = by.Org.Tx(ctx, func(tx *store.Tx) error {
		known, err := by.redeem(ctx, tx, c, email)
		if err != nil {
			return err
		}
		state := known.State
		state.Password = hash
		if err := by.setPassword(ctx, tx, known, state); err != nil {
			return err
		}
		if known.Record().Verified && !known.Pending {
			return nil
		}
		return by.verified(ctx, tx, known, state)
	})
	if err != nil {
		return fmt.Errorf("replace the password: %w", err)
	}
	if err := guessing.giveBack(ctx, by, email); err != nil {
		return fmt.Errorf("take the guess back: %w", err)
	}
	return nil
}
