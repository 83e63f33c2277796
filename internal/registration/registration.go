// Package registration does what the directory dialect asks for beside look-ups: users are
// registered and changed, sign in, and show that an address is theirs. What it writes takes
// the way of every other write: an event of the organization that sets off follow-ups, and
// a request that pushes the user to the platforms.
package registration

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"

	"usersync/internal/audit"
	"usersync/internal/event"
	"usersync/internal/intake"
	"usersync/internal/login"
	"usersync/internal/lookup"
	"usersync/internal/password"
	"usersync/internal/record"
	"usersync/internal/request"
	"usersync/internal/seal"
	"usersync/internal/store"
	"usersync/internal/tenant"
	"usersync/internal/user"
	"usersync/internal/usersync"
)

// Service registers and changes users.
type Service struct {
	// Keys are what codes follow from.
	Keys      *seal.Keys
	Passwords *password.Hasher
	// Recorder writes the events that are logged behind an answer.
	Recorder *lookup.Recorder
}

// Caller is who asks for something, and for which organization.
type Caller struct {
	Organization tenant.Organization
	Org          *store.Org
	// Actor is named in the audit log, SourceSystem in the event log.
	Actor, SourceSystem string
	// Cause is the id of the call.
	Cause, Traceparent string
	// Network is where the call came from.
	Network string
}

// The refusals.
var (
	// ErrUnverified: the registration waits until the address is verified.
	ErrUnverified = usersync.Errorf(usersync.CodeInvalid, "This address is registered, but not verified yet.")
	// ErrTaken: another user has the address.
	ErrTaken = usersync.Errorf(usersync.CodeInvalid, "This address is in use by another user.")
	// ErrUnregistered: nobody has the address.
	ErrUnregistered = usersync.Errorf(usersync.CodeInvalid, "This address is not registered.")
	// ErrCode: the code is wrong, was used, has expired, or was guessed at too often.
	ErrCode = usersync.Errorf(usersync.CodeInvalid, "The code is not valid. Ask for a new one.")
	// ErrVerified: the address is verified already.
	ErrVerified = usersync.Errorf(usersync.CodeInvalid, "This address is verified already.")
	// ErrNotUpdated: nobody has the id.
	ErrNotUpdated = usersync.Errorf(usersync.CodeInvalid, "The user could not be updated: nobody has this id.")
	// ErrTooMuch: the user would have more attributes than a user may.
	ErrTooMuch = usersync.Errorf(usersync.CodeInvalid, "The user could not be updated: the metadata would have more than %d bytes in all.", usersync.MaxAttributes)
	// ErrCredentials does not tell whether somebody has the address.
	ErrCredentials = usersync.Errorf(usersync.CodeInvalid, "The address or the password is wrong.")
)

// log writes an event behind the answer.
func (s *Service) log(ctx context.Context, by Caller, t event.Type, about, outcome string) {
	s.Recorder.Log(ctx, by.Org.ID(), lookup.Event(t, by.SourceSystem, by.Cause, about, outcome))
}

// report accepts the event that tells of a change, with what it says of the user. The
// event has the id of the call.
func (by Caller) report(ctx context.Context, tx *store.Tx, t event.Type, in usersync.UserInput) (intake.Acceptance, error) {
	a := intake.Acceptance{
		RequestID: by.Cause, Kind: request.KindEvent, Salt: by.Organization.Salt, Traceparent: by.Traceparent,
		User:  intake.NewUser{UserInput: in, Identity: user.IdentityOf(in)},
		Event: &intake.NewEvent{Type: string(t), Attributes: lookup.Attributes(t, by.SourceSystem, lookup.Done)},
	}
	if err := intake.AcceptOwn(ctx, tx, by.Org.ID(), &a); err != nil {
		return a, fmt.Errorf("accept the event: %w", err)
	}
	return a, nil
}

// change reports what is said of a user who is locked, and merges it at once: whoever asks
// next sees it. The run of the event finds it done.
func (by Caller) change(ctx context.Context, tx *store.Tx, t event.Type, known user.Stored, in usersync.UserInput) error {
	a, err := by.report(ctx, tx, t, in)
	if err != nil {
		return err
	}
	u := known.User()
	fitting, left := u.Fitting(in, a.Sequence())
	if len(left) > 0 {
		return ErrTooMuch
	}
	fields := u.Changes(fitting, a.Sequence())
	if u.Apply(fitting, a.Sequence()) {
		if err := user.Save(ctx, tx, []user.Update{{User: u, Identity: user.IdentityOf(u.UserInput)}}); err != nil {
			return fmt.Errorf("save the user: %w", err)
		}
	}
	if len(fields) == 0 {
		return nil
	}
	return event.Save(ctx, tx, by.Org.ID(), []event.Event{{
		ID: usersync.DeriveID(usersync.PrefixEvent, a.RequestID, string(event.UserUpdated)), Type: event.UserUpdated,
		Source: string(a.Kind), UserID: u.ID, Cause: a.RequestID, Attributes: map[string]any{"fields": fields},
	}})
}

// push has a user pushed to the platforms.
func (by Caller) push(ctx context.Context, tx *store.Tx, id string, email usersync.Email) error {
	a := intake.Acceptance{
		RequestID: usersync.DeriveID(usersync.PrefixRequest, by.Cause, "platforms"), Kind: request.KindPlatformSync, Traceparent: by.Traceparent,
		Input: json.RawMessage("{}"), UserID: id, User: intake.NewUser{UserInput: usersync.UserInput{Email: email}},
	}
	if err := intake.AcceptOwn(ctx, tx, by.Org.ID(), &a); err != nil {
		return fmt.Errorf("accept the push to the platforms: %w", err)
	}
	return nil
}

func (by Caller) audit(ctx context.Context, tx *store.Tx, action, id string, fields ...string) error {
	if err := audit.Record(ctx, tx, by.Org.ID(), by.Actor, action, id, fields...); err != nil {
		return fmt.Errorf("note the change: %w", err)
	}
	return nil
}

// hash returns the hash of a password, zero for none.
func (s *Service) hash(ctx context.Context, by Caller, text usersync.Secret) (usersync.Secret, error) {
	if text.IsZero() {
		return usersync.Secret{}, nil
	}
	hash, err := s.Passwords.Hash(ctx, by.Org.ID(), text)
	if err != nil {
		return hash, fmt.Errorf("hash the password: %w", err)
	}
	return hash, nil
}

// told returns the user with an address as look-ups in our store tell of them.
func told(ctx context.Context, by Caller, email usersync.Email) (record.Record, error) {
	l, found, err := login.Find(ctx, by.Org, email)
	if err != nil {
		return record.Record{}, fmt.Errorf("read the user: %w", err)
	}
	if !found { // erased or moved meanwhile
		return record.Record{}, ErrNotUpdated
	}
	return l.Record(), nil
}

// saying returns the input with what it says of whether the address is verified.
func saying(in usersync.UserInput, verified bool) usersync.UserInput {
	attributes := map[string]any{record.VerifiedAttribute: verified}
	for name, value := range in.Attributes {
		if name != record.VerifiedAttribute {
			attributes[name] = value
		}
	}
	in.Attributes = attributes
	return in
}

// absent turns the error that nobody has an id into the dialect's own.
func absent(err error) error {
	if errors.Is(err, user.ErrNotFound) {
		return ErrNotUpdated
	}
	return err
}
