package registration

import (
	"context"
	"time"

	"usersync/internal/login"
	"usersync/internal/store"
	"usersync/internal/usersync"
)

// Guesses at passwords and codes are bounded for each person, whether somebody has the
// address or not, and for each network that they come from. Those that were right do not
// count. A network may be the front end that all of a tenant's users sign in through, so it
// has room for their mistakes.
var (
	guessesAtOne    = login.Limit{What: "guess/person", Burst: 10, Every: time.Minute}
	guessesFromOne  = login.Limit{What: "guess/network", Burst: 300, Every: time.Second}
	messagesToOne   = login.Limit{What: "send/person", Burst: 3, Every: 10 * time.Minute}
	messagesFromOne = login.Limit{What: "send/network", Burst: 300, Every: time.Second}
)

// throttle bounds one sort of calls.
type throttle struct{ person, network login.Limit }

var (
	guessing = throttle{guessesAtOne, guessesFromOne}
	sending  = throttle{messagesToOne, messagesFromOne}
)

// places returns under what a call about an address is counted.
func (by Caller) places(email usersync.Email) (person, network string) {
	salt := by.Organization.Salt
	return login.Person(salt, email), login.Hash(salt, "network", by.Network)
}

// take counts a call, or refuses it with the code rate_limited.
func (t throttle) take(ctx context.Context, by Caller, email usersync.Email) error {
	person, network := by.places(email)
	return by.Org.Tx(ctx, func(tx *store.Tx) error {
		if err := login.Take(ctx, tx, by.Org.ID(), t.person, person); err != nil {
			return err
		}
		return login.Take(ctx, tx, by.Org.ID(), t.network, network)
	})
}

// giveBack takes a call out of the count.
func (t throttle) giveBack(ctx context.Context, by Caller, email usersync.Email) error {
	person, network := by.places(email)
	return by.Org.Tx(ctx, func(tx *store.Tx) error {
		if err := login.GiveBack(ctx, tx, by.Org.ID(), t.person, person); err != nil {
			return err
		}
		return login.GiveBack(ctx, tx, by.Org.ID(), t.network, network)
	})
}
