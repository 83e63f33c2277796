package management

import (
	"context"
	"fmt"
	"maps"
	"slices"
	"time"

	"usersync/internal/audit"
	"usersync/internal/consent"
	"usersync/internal/identity"
	"usersync/internal/platform"
	"usersync/internal/readdress"
	"usersync/internal/store"
	"usersync/internal/user"
	"usersync/internal/usersync"
)

// UserView is a user as callers see them.
type UserView struct {
	user.Stored
	// Consent says by channel whether the user wants to be written to.
	Consent usersync.Consents `json:"consent"`
	// Platforms says how the user stands at each connection; nil in lists.
	Platforms []platform.Standing `json:"platforms,omitzero"`
}

// ListUsers returns the users by id; after is the id that they follow.
func (s *Service) ListUsers(ctx context.Context, org *store.Org, after string, limit int) ([]UserView, error) {
	list, err := user.List(ctx, org, after, limit)
	return withConsents(ctx, org, list, err)
}

// ListUsersByEmail returns the user with an address, or nobody.
func (s *Service) ListUsersByEmail(ctx context.Context, org *store.Org, email usersync.Email) ([]UserView, error) {
	list, err := user.ByEmail(ctx, org, email)
	return withConsents(ctx, org, list, err)
}

// GetUser returns a user.
func (s *Service) GetUser(ctx context.Context, org *store.Org, id string) (UserView, error) {
	u, err := user.Get(ctx, org, id)
	list, err := withConsents(ctx, org, []user.Stored{u}, err)
	if err != nil {
		return UserView{}, err
	}
	list[0].Platforms, err = platform.Standings(ctx, org, id)
	return list[0], err
}

// withConsents adds to users what is known of their wishes, unless they could not be read.
func withConsents(ctx context.Context, org *store.Org, users []user.Stored, err error) ([]UserView, error) {
	if err != nil {
		return nil, err
	}
	ids := make([]string, len(users))
	for i, u := range users {
		ids[i] = u.ID
	}
	consents, err := consent.Of(ctx, org, ids...)
	if err != nil {
		return nil, err
	}
	out := make([]UserView, len(users))
	for i, u := range users {
		out[i] = UserView{Stored: u, Consent: consents[u.ID]}
		if out[i].Consent == nil {
			out[i].Consent = usersync.Consents{}
		}
	}
	return out, nil
}

// UserChange is what a caller changes of a user; nil leaves a field as it is.
type UserChange struct {
	// Email is the user's new address. The user stays the same one.
	Email   *string                           `json:"email"`
	Consent map[usersync.Channel]ConsentInput `json:"consent"`
}

// ConsentInput is what the organization says of a user's wish for one channel.
type ConsentInput struct {
	Status usersync.ConsentStatus `json:"status"`
	// Source says who or what told it. The default is "api".
	Source string `json:"source"`
	// At is when the user said it. The default is now.
	At *time.Time `json:"at"`
}

// UpdateUser changes a user, and has every connection that knows the user follow.
func (s *Service) UpdateUser(ctx context.Context, actor string, org *store.Org, id string, in UserChange) (UserView, error) {
	if err := in.validate(); err != nil {
		return UserView{}, err
	}
	err := org.Tx(ctx, func(tx *store.Tx) error {
		_, known, err := user.Known(ctx, tx, org.ID(), nil, []string{id})
		if err != nil {
			return fmt.Errorf("find the user: %w", err)
		}
		if !known[id] {
			return user.ErrNotFound
		}
		if err := in.move(ctx, tx, org.ID(), actor, id); err != nil {
			return err
		}
		return in.apply(ctx, tx, org.ID(), actor, id)
	})
	if err != nil {
		return UserView{}, err
	}
	return s.GetUser(ctx, org, id)
}

// move changes the address, and has every platform that knows the user move its contact.
func (in UserChange) move(ctx context.Context, tx *store.Tx, organization, actor, id string) error {
	if in.Email == nil {
		return nil
	}
	to, err := identity.ParseEmail(*in.Email)
	if err != nil {
		return err
	}
	moved, err := readdress.Apply(ctx, tx, organization, readdress.Move{UserID: id, To: to, EventID: usersync.NewID(usersync.PrefixEvent), Source: actor})
	if err != nil || !moved {
		return err
	}
	if err := platform.PushAgain(ctx, tx, organization, []string{id}, ""); err != nil {
		return fmt.Errorf("have the connections follow: %w", err)
	}
	return audit.Record(ctx, tx, organization, actor, "user.move", id, "email")
}

func (in UserChange) validate() error {
	var v invalid
	if in.Email != nil {
		if _, err := identity.ParseEmail(*in.Email); err != nil {
			v.add("email", "must be an e-mail address")
		}
	}
	for _, channel := range slices.Sorted(maps.Keys(in.Consent)) {
		one, place := in.Consent[channel], "consent."+string(channel)
		if !slices.Contains(consent.Channels, channel) {
			v.add(place, "must be one of %v", consent.Channels)
		}
		if !slices.Contains(consent.Statuses, one.Status) {
			v.add(place+".status", "must be one of %v", consent.Statuses)
		}
		if tooLong(one.Source) {
			v.add(place+".source", "must have at most %d characters", maxText)
		}
		if one.At != nil && one.At.Year() < 1990 {
			v.add(place+".at", "must be when the user said it")
		}
	}
	return v.err()
}

func (in UserChange) apply(ctx context.Context, tx *store.Tx, organization, actor, id string) error {
	now, err := tx.Now(ctx)
	if err != nil {
		return fmt.Errorf("ask the database for its time: %w", err)
	}
	var said []consent.Statement
	var fields []string
	for _, channel := range slices.Sorted(maps.Keys(in.Consent)) {
		one := in.Consent[channel]
		at := now
		if one.At != nil {
			at = one.At.UTC().Truncate(time.Microsecond)
		}
		if at.After(now.Add(time.Minute)) {
			return invalid{{Field: "consent." + string(channel) + ".at", Message: "must not be in the future"}}.err()
		}
		source := one.Source
		if source == "" {
			source = "api"
		}
		said = append(said, consent.Statement{UserID: id, Channel: channel, Actor: actor,
			Consent: usersync.Consent{Status: one.Status, Source: source, At: usersync.Time{Time: at}}})
		fields = append(fields, "consent."+string(channel))
	}
	changed, err := consent.Save(ctx, tx, organization, said)
	if err != nil || len(changed) == 0 {
		return err
	}
	if err := platform.PushAgain(ctx, tx, organization, []string{id}, ""); err != nil {
		return fmt.Errorf("have the connections follow: %w", err)
	}
	return audit.Record(ctx, tx, organization, actor, "user.update", id, fields...)
}
