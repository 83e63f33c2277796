package platform

import (
	"context"

	"usersync/internal/store"
)

var (
	restStatement = store.Define("platform.rest", `
UPDATE pushes SET status = 'idle', due_at = 0, job = '' WHERE connection_id = $1 AND due_at > 0`)
	clearPushesStatement = store.Define("platform.clearPushes", `
DELETE FROM pushes WHERE {row} {any}SELECT p.{row} FROM pushes p WHERE p.connection_id = $1 LIMIT $2{/any} RETURNING user_id, erasure_id`)
)

// RestPushes has nothing be due at a connection that is not active.
func RestPushes(ctx context.Context, tx *store.Tx, connection string) error {
	return tx.Later(ctx, restStatement, nil, nil, connection)
}

// ClearPushes forgets up to limit users at a connection that was deleted, and
// returns how many, and the erasures that waited for it.
func ClearPushes(ctx context.Context, tx *store.Tx, connection string, limit int) (n int, erasures []string, err error) {
	list, err := store.Collect(ctx, tx.Conn, clearPushesStatement, nil, func(scan func(...any) error) (erasure string, err error) {
		var user string
		return erasure, scan(&user, &erasure)
	}, connection, limit)
	for _, erasure := range list {
		if erasure != "" {
			erasures = append(erasures, erasure)
		}
	}
	return len(list), erasures, err
}
