package colleague

import (
	"context"
	"fmt"

	"usersync/internal/store"
	"usersync/internal/usersync"
)

var (
	addressStatement = store.Define("colleague.address", `
UPDATE colleagues SET email = $3, email_key = $4, updated_at = {now} WHERE organization_id = $1 AND email_key = $2
    AND NOT EXISTS (SELECT 1 FROM colleagues c WHERE c.organization_id = $1 AND c.email_key = $4)`)
	inviterStatement = store.Define("colleague.inviter", `
UPDATE colleagues SET invited_by = $3 WHERE organization_id = $1 AND invited_by = $2 AND invited_by <> ''`)
)

// ChangeAddress has the record of a person follow to another address, and what they have
// made. Where there is a record of the new address already, the former one stays.
func ChangeAddress(ctx context.Context, tx *store.Tx, organization string, from, to usersync.Email) error {
	if _, err := tx.Exec(ctx, addressStatement, nil, organization, from.Key(), to.Display(), to.Key()); err != nil {
		return fmt.Errorf("change the address of the record: %w", err)
	}
	_, err := tx.Exec(ctx, inviterStatement, nil, organization, from.Key(), to.Key())
	return err
}
