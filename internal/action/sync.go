package action

import (
	"context"
	"encoding/json"
	"fmt"

	"usersync/internal/intake"
	"usersync/internal/request"
	"usersync/internal/store"
	"usersync/internal/usersync"
)

// syncToPlatforms has the user pushed to the organization's connections, or to those that
// the action names, as a request of its own.
func syncToPlatforms(_ context.Context, d Doing) (Done, error) {
	return askPlatforms(d, usersync.PlatformSync{Connections: d.Action.Connections}, "Asked for the sync by request ")
}

// removeFromPlatforms has the user taken off the platforms of the organization's
// connections, or of those that the action names, as a request of its own. The user stays
// a user here, and the next sync brings them back.
func removeFromPlatforms(_ context.Context, d Doing) (Done, error) {
	return askPlatforms(d, usersync.PlatformSync{Connections: d.Action.Connections, Absent: true}, "Asked for the removal by request ")
}

func askPlatforms(d Doing, what usersync.PlatformSync, said string) (Done, error) {
	if d.User == nil {
		return Done{}, errNobody
	}
	input, err := json.Marshal(what)
	if err != nil {
		return Done{}, fmt.Errorf("encode what is asked for: %w", err)
	}
	a := intake.Acceptance{
		RequestID: d.ID(usersync.PrefixRequest), Kind: request.KindPlatformSync, Traceparent: d.Traceparent, Input: input,
		UserID: d.User.ID, User: intake.NewUser{UserInput: usersync.UserInput{Email: d.User.Email}},
	}
	return Done{Details: said + a.RequestID, Write: func(ctx context.Context, tx *store.Tx) error {
		again := a
		return intake.AcceptOwn(ctx, tx, d.Org.ID(), &again)
	}}, nil
}
