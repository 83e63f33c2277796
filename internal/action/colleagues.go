package action

import (
	"context"

	"usersync/internal/intake"
	"usersync/internal/request"
	"usersync/internal/store"
	"usersync/internal/usersync"
)

// findColleagues has the user's colleagues searched, as a request of its own that says
// nothing new of them. It is charged as any other search.
func findColleagues(_ context.Context, d Doing) (Done, error) {
	if d.User == nil {
		return Done{}, errNobody
	}
	a := intake.Acceptance{
		RequestID: d.ID(usersync.PrefixRequest), Kind: request.KindUserSync, Traceparent: d.Traceparent, Input: []byte("{}"),
		UserID: d.User.ID, User: intake.NewUser{UserInput: usersync.UserInput{Email: d.User.Email}},
	}
	return Done{Details: "Asked for the search by request " + a.RequestID, Write: func(ctx context.Context, tx *store.Tx) error {
		again := a
		return intake.AcceptOwn(ctx, tx, d.Org.ID(), &again)
	}}, nil
}
