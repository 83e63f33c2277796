package action

import (
	"context"
	"fmt"

	"usersync/internal/event"
	"usersync/internal/intake"
	"usersync/internal/request"
	"usersync/internal/store"
	"usersync/internal/usersync"
)

// triggerEvent has another event happen to the same user. It carries what caused it, so
// that loops end.
func triggerEvent(_ context.Context, d Doing) (Done, error) {
	attributes := make(map[string]any, len(d.Action.Attributes))
	for name, value := range d.Action.Attributes {
		attributes[name] = value.Any()
	}
	id := d.ID(usersync.PrefixRequest)
	a := &intake.Acceptance{
		RequestID: id, Kind: request.KindEvent, Input: []byte("{}"), Traceparent: d.Traceparent,
		Event: &intake.NewEvent{Type: string(d.Action.Event), Attributes: attributes, Trigger: &event.Trigger{
			FollowUpID: d.Run.FollowUpID, RunID: d.Run.ID, EventID: d.Event.ID, RootID: d.Run.RootID, Hops: d.Run.Hops + 1,
		}},
	}
	if d.User != nil {
		a.UserID, a.User.Email = d.User.ID, d.User.Email
	}
	return Done{Details: fmt.Sprintf("Triggered the event %s of type %s", a.EventID(), d.Action.Event), Write: func(ctx context.Context, tx *store.Tx) error {
		again := *a
		return intake.AcceptOwn(ctx, tx, d.Org.ID(), &again)
	}}, nil
}
