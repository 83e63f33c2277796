package pusher

import (
	"context"
	"fmt"

	"usersync/internal/credit"
	"usersync/internal/delivery"
	"usersync/internal/platform"
	"usersync/internal/store"
	"usersync/internal/usersync"
)

// DisconnectedData is the data of a connection.disconnected message.
type DisconnectedData struct {
	ConnectionID string        `json:"connectionId"`
	Platform     string        `json:"platform"`
	Name         string        `json:"name"`
	Reason       string        `json:"reason"`
	At           usersync.Time `json:"disconnectedAt"`
}

// tellDisconnected enqueues the message about a connection whose credentials the
// platform refuses.
func tellDisconnected(ctx context.Context, tx *store.Tx, c platform.Connection, reason string) error {
	endpoints, err := delivery.EnabledEndpoints(ctx, tx, c.Organization)
	if err != nil {
		return fmt.Errorf("read the enabled endpoints: %w", err)
	}
	var account credit.Account
	messages := delivery.NewMessages(&account, endpoints)
	if !messages.Wanted(delivery.MessageDisconnected) {
		return nil
	}
	if account, err = credit.Lock(ctx, tx, c.Organization); err != nil {
		return fmt.Errorf("lock the account: %w", err)
	}
	data := DisconnectedData{ConnectionID: c.ID, Platform: c.Platform, Name: c.Name, Reason: reason, At: usersync.Time{Time: account.Now}}
	if err := messages.Add(delivery.AboutOrganization(delivery.MessageDisconnected), data); err != nil {
		return fmt.Errorf("make the message: %w", err)
	}
	return messages.Enqueue(ctx, tx)
}
