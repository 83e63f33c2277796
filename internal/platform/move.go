package platform

import (
	"context"

	"usersync/internal/store"
)

var formerStatement = store.Define("platform.former", `
UPDATE pushes SET former = $3 WHERE user_id = $2 AND organization_id = $1 AND former = '' AND removal = ''
    AND (pushed_version > 0 OR pushed_at > 0 OR status IN ('calling', 'confirming') OR attempts > 0)`)

// NoteMove remembers at every connection that may know a user which address it knows
// them by. Of several moves before a push the first counts.
func NoteMove(ctx context.Context, tx *store.Tx, organization, user, former string) error {
	_, err := tx.Exec(ctx, formerStatement, nil, organization, user, former)
	return err
}
