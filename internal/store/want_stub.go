package store

import (
	"context"

	"usersync/internal/usersync"
)

// Want is a push that a step, or a user of a bulk (Position -1), waits for.
type Want struct {
	ConnectionID, UserID, RequestID string
	Position                        int
	Mode                            usersync.PushMode
	Version                         int64
	Rank                            int
}

// WantPushes writes what is wanted.
func (tx *Tx) WantPushes(context.Context, string, []Want) error { return nil }
