package platform

import (
	"context"

	"usersync/internal/store"
)

var awayStatement = store.Define("platform.away", `
UPDATE pushes SET away = $1 FROM {rows} WHERE pushes.connection_id = r.connection_id AND pushes.user_id = r.user_id AND pushes.removal = ''`,
	store.Col("connection_id", store.Text), store.Col("user_id", store.Text))

// SetAway notes that users were taken off a connection's list by a call, so that pushes
// which nobody asks for do not bring them back, or that one has brought them back.
func SetAway(ctx context.Context, tx *store.Tx, connection string, users []string, away bool) error { //lint:flag away is the state that is set
	if len(users) == 0 {
		return nil
	}
	value := int64(0)
	if away {
		value = 1
	}
	return tx.Later(ctx, awayStatement, placeRows(awayStatement, connection, users), nil, value)
}
