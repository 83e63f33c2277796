// Package action works the runs of follow-ups: one action after the other, each with its
// outcome written before the next one begins. What the actions of each type do is in a
// file each.
package action

import (
	"context"
	"strconv"
	"time"

	"usersync/internal/event"
	"usersync/internal/followup"
	"usersync/internal/reaction"
	"usersync/internal/store"
	"usersync/internal/user"
	"usersync/internal/usersync"
)

// Doing is one action of a run that is being done: what it may know.
type Doing struct {
	Org *store.Org
	Run *reaction.Run
	// Event is the one that set off the run.
	Event event.Event
	// User is whom the event is about, as they are now; nil where it is about nobody.
	User *user.Stored
	// Action is the action with its templates filled in, and Place where it stands in the
	// definition.
	Action followup.Action
	Place  string
	// At is the database's time when the action began.
	At          time.Time
	Traceparent string
}

// ID returns the id of what the action makes. It is the same each time the action is
// tried, and no other action of the run has it, nor one of another run.
func (d Doing) ID(p usersync.Prefix, parts ...string) string {
	return usersync.DeriveID(p, d.Run.ID, append([]string{strconv.Itoa(d.Run.Position)}, parts...)...)
}

// Done is what came of an action.
type Done struct {
	// Details tell it in one sentence, for the story of the event.
	Details string
	// Response is what later actions may read: maps, lists, texts, numbers and booleans. It
	// is kept where the action has a name for it.
	Response any
	// Write writes what the action changes, in the transaction that moves the run on; nil
	// where there is nothing. It may be called more than once, and only what the last call
	// has written is kept.
	Write func(ctx context.Context, tx *store.Tx) error
}

// Doer does the actions of one type. It may call others, but what it writes goes into
// Done.Write. An error that can pass (usersync.Code.Retryable) has the action tried
// again by itself; any other ends the run. A call that was made and whose outcome could not
// be written is made again, so it should carry an id of Doing.ID.
type Doer func(ctx context.Context, d Doing) (Done, error)

// errNobody is the refusal of an action on a user for an event that is about nobody.
var errNobody = usersync.Errorf(usersync.CodeInvalid, "The event is about nobody.")
