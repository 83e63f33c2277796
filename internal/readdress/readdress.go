// Package readdress gives a user another address, everywhere where the former one is known:
// in the user's own row, in the records of colleagues, and at the platforms, whose contacts
// move before the next push.
package readdress

import (
	"context"
	"fmt"

	"usersync/internal/colleague"
	"usersync/internal/event"
	"usersync/internal/platform"
	"usersync/internal/store"
	"usersync/internal/user"
	"usersync/internal/usersync"
)

// Move is a user's way to another address.
type Move struct {
	UserID string
	To     usersync.Email
	// Sequence is that of the request that asks for it. An older request than the one that
	// last named an address changes nothing. 0 is of a call that is no request.
	Sequence int64
	// EventID is the id of the event that tells of it, and Source who caused it.
	EventID, Source string
}

// Apply moves a user, within one transaction and so as a whole or not at all. It has nobody
// pushed: the caller does, so that a step that waits for the push tells of the move. It reports
// false where the user has the address already, or a newer one. The error is
// user.ErrNotFound, or user.ErrTaken.
func Apply(ctx context.Context, tx *store.Tx, organization string, m Move) (moved bool, err error) {
	from, err := user.ChangeAddress(ctx, tx, organization, m.UserID, m.To, m.Sequence)
	if err != nil || from.IsZero() {
		return false, err
	}
	if err := colleague.ChangeAddress(ctx, tx, organization, from, m.To); err != nil {
		return false, err
	}
	if err := platform.NoteMove(ctx, tx, organization, m.UserID, from.Display()); err != nil {
		return false, fmt.Errorf("note the former address: %w", err)
	}
	told := event.Event{ID: m.EventID, Type: event.UserMoved, Source: m.Source, UserID: m.UserID}
	if err := event.Save(ctx, tx, organization, []event.Event{told}); err != nil {
		return false, fmt.Errorf("record the move: %w", err)
	}
	return true, nil
}
