package platform

import (
	"context"
	"fmt"

	"usersync/internal/store"
)

var (
	restStatement = store.Define("platform.rest", `
UPDATE pushes SET status = 'idle', due_at = 0, job = '' WHERE connection_id = $1 AND due_at > 0`)
	restWaitsStatement = store.Define("platform.restWaits", `
UPDATE push_waits SET due_at = 0, job = '' WHERE connection_id = $1 AND due_at > 0`)
	duePreviewsStatement = store.Define("platform.duePreviews", `
SELECT `+waitColumns+` FROM push_waits w WHERE w.connection_id = $1 AND w.due_at > 0 AND w.mode = 'preview' ORDER BY w.user_id, w.request_id LIMIT $2`)
	askedStatement = store.Define("platform.asked", `
SELECT w.request_id FROM push_waits w WHERE w.connection_id = $1 AND w.rank = 0 AND w.due_at > 0
UNION ALL SELECT w.request_id FROM pushes p JOIN push_waits w ON w.connection_id = p.connection_id AND w.user_id = p.user_id
WHERE p.connection_id = $1 AND p.rank = 0 AND p.due_at > 0 AND w.rank = 0 LIMIT $2`)
	clearPushesStatement = store.Define("platform.clearPushes", `
DELETE FROM pushes WHERE {row} {any}SELECT p.{row} FROM pushes p WHERE p.connection_id = $1 LIMIT $2{/any} RETURNING user_id, erasure_id`)
)

// RestPushes has nothing be due at a connection that is not active, and whoever waits for
// it goes on waiting.
func RestPushes(ctx context.Context, tx *store.Tx, connection string) error {
	if err := tx.Later(ctx, restStatement, nil, nil, connection); err != nil {
		return fmt.Errorf("rest the pushes: %w", err)
	}
	return tx.Later(ctx, restWaitsStatement, nil, nil, connection)
}

// AskedPushes returns the requests of up to limit pushes that are due at a connection and
// that a person may wait for.
func AskedPushes(ctx context.Context, tx *store.Tx, connection string, limit int) ([]string, error) {
	return store.Collect(ctx, tx.Conn, askedStatement, nil, store.ScanString, connection, limit)
}

// DuePreviews returns up to limit previews that are due at a connection.
func DuePreviews(ctx context.Context, tx *store.Tx, connection string, limit int) ([]Wait, error) {
	return store.Collect(ctx, tx.Conn, duePreviewsStatement, nil, scanWait, connection, limit)
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
