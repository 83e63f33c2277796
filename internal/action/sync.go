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

// errChosen refuses to sync to some of the platforms: a request syncs to all.
var errChosen = usersync.Errorf(usersync.CodeInvalid, "Connections cannot be chosen yet; leave them out to sync to all.")

// syncToPlatforms has the user pushed to the organization's active connections, as a
// request of its own.
func syncToPlatforms(_ context.Context, d Doing) (Done, error) {
	if d.User == nil {
		return Done{}, errNobody
	}
	if len(d.Action.Connections) > 0 {
		return Done{}, errChosen
	}
	input, err := json.Marshal(usersync.PlatformSync{})
	if err != nil {
		return Done{}, fmt.Errorf("encode what is asked for: %w", err)
	}
	a := intake.Acceptance{
		RequestID: d.ID(usersync.PrefixRequest), Kind: request.KindPlatformSync, Traceparent: d.Traceparent, Input: input,
		UserID: d.User.ID, User: intake.NewUser{UserInput: usersync.UserInput{Email: d.User.Email}},
	}
	return Done{Details: "Asked for the sync by request " + a.RequestID, Write: func(ctx context.Context, tx *store.Tx) error {
		again := a
		return intake.AcceptOwn(ctx, tx, d.Org.ID(), &again)
	}}, nil
}
