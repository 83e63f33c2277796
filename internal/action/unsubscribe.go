package action

import (
	"cmp"
	"context"
	"fmt"

	"usersync/internal/consent"
	"usersync/internal/platform"
	"usersync/internal/store"
	"usersync/internal/usersync"
)

// sourceOfFollowUp is who told the consent that a follow-up states.
const sourceOfFollowUp = "follow-up"

// unsubscribe states, as of now, that the user does not want to be written to, and has the
// platforms that know them follow.
func unsubscribe(_ context.Context, d Doing) (Done, error) {
	if d.User == nil {
		return Done{}, errNobody
	}
	channel := cmp.Or(d.Action.Channel, usersync.ChannelEmail)
	write := func(ctx context.Context, tx *store.Tx) error {
		now, err := tx.Now(ctx)
		if err != nil {
			return fmt.Errorf("ask for the time: %w", err)
		}
		changed, err := consent.Save(ctx, tx, d.Org.ID(), []consent.Statement{{
			UserID: d.User.ID, Channel: channel, Cause: d.Run.ID, Actor: d.Run.FollowUpID,
			Consent: usersync.Consent{Status: usersync.Unsubscribed, Source: sourceOfFollowUp, At: usersync.Time{Time: now}},
		}})
		if err != nil || len(changed) == 0 {
			return err
		}
		return platform.PushAgain(ctx, tx, d.Org.ID(), []string{d.User.ID}, "")
	}
	return Done{Details: fmt.Sprintf("Unsubscribed from %s", channel), Write: write}, nil
}
