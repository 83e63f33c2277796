package platform

import (
	"context"
	"fmt"

	"usersync/internal/request"
	"usersync/internal/store"
	"usersync/internal/usersync"
)

// State says how a user stands at a connection.
type State string

// The states of a user at a connection.
const (
	StateNone     State = "none"      // nothing was ever to be pushed there
	StateSynced   State = "synced"    // the platform has the user's newest state
	StatePending  State = "pending"   // something is to be pushed, or the user to be taken off
	StateRetrying State = "retrying"  // a try did not go well, and there is another one
	StateFailed   State = "failed"    // the platform refuses the user's newest state
	StateWaiting  State = "waiting"   // something is to be pushed when the connection comes back
	StateTakenOff State = "taken_off" // the user was taken off the connection's list by a call
)

// States lists every state.
var States = []State{StateNone, StateSynced, StatePending, StateRetrying, StateFailed, StateWaiting, StateTakenOff}

// Standing is how a user stands at one connection.
type Standing struct {
	ConnectionID string `json:"connectionId"`
	Platform     string `json:"platform"`
	Name         string `json:"name"`
	// ConnectionStatus says whether anything is pushed to the connection.
	ConnectionStatus string `json:"connectionStatus"`
	State            State  `json:"state"`
	// PushedAt is when the platform was last told something of the user.
	PushedAt usersync.Time `json:"pushedAt,omitzero"`
	// Attempts are those that failed in a row, and NextAttemptAt is when the next one is.
	Attempts      int                `json:"attempts"`
	NextAttemptAt usersync.Time      `json:"nextAttemptAt,omitzero"`
	Error         *request.ErrorView `json:"error,omitempty"`
}

var standingsStatement = store.Define("platform.standings", `
SELECT c.id, c.platform, c.name, c.status, CASE WHEN p.user_id IS NULL THEN 0 ELSE 1 END, coalesce(p.status, ''), coalesce(p.due_at, 0),
    CASE WHEN p.wanted_version > p.pushed_version OR p.absent = 1 OR p.dirty = 1 THEN 1 ELSE 0 END, coalesce(p.pushed_version, 0),
    coalesce(p.pushed_at, 0), coalesce(p.attempts, 0), coalesce(p.away, 0), coalesce(p.error_code, ''), coalesce(p.error_message, '')
FROM connections c LEFT JOIN pushes p ON p.connection_id = c.id AND p.user_id = $2 AND p.organization_id = c.organization_id
WHERE c.organization_id = $1 AND c.status <> 'deleted' ORDER BY c.id`)

// standing is a row of standingsStatement.
type standing struct {
	Standing
	known, wanted, away    int
	status                 PushStatus
	due, pushedAt, version int64
	code                   usersync.Code
	message                string
}

// Standings returns how a user stands at every connection, oldest first.
func Standings(ctx context.Context, o *store.Org, userID string) ([]Standing, error) {
	list, err := store.Collect(ctx, o.Reader(), standingsStatement, nil, func(scan func(...any) error) (Standing, error) {
		var s standing
		err := scan(&s.ConnectionID, &s.Platform, &s.Name, &s.ConnectionStatus, &s.known, &s.status, &s.due, &s.wanted, &s.version,
			&s.pushedAt, &s.Attempts, &s.away, &s.code, &s.message)
		return s.shown(), err
	}, o.ID(), userID)
	if err != nil {
		return nil, fmt.Errorf("read how the user stands at the connections: %w", err)
	}
	return append([]Standing{}, list...), nil
}

func (s standing) shown() Standing {
	out := s.Standing
	out.State, out.PushedAt = s.state(), store.Stamp(s.pushedAt)
	if out.State == StateRetrying {
		out.NextAttemptAt = store.Stamp(s.due)
	}
	if s.code != "" {
		info := s.code.Info()
		out.Error = &request.ErrorView{Code: s.code, Owner: info.Owner, Message: s.message, Hint: info.Hint}
	}
	return out
}

func (s standing) state() State {
	open := s.due > 0 || s.wanted == 1
	switch {
	case s.known == 0:
		return StateNone
	case open && SkipReason(s.ConnectionStatus) != "":
		return StateWaiting
	case s.due > 0 && s.Attempts > 0:
		return StateRetrying
	case open:
		return StatePending
	case s.away == 1:
		return StateTakenOff
	case s.code != "":
		return StateFailed
	case s.version > 0 || s.pushedAt > 0:
		return StateSynced
	}
	return StateNone
}
