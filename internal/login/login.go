// Package login keeps what users sign in with: their passwords as hashes, and whether
// they have shown that their address is theirs.
package login

import (
	"context"
	"fmt"

	"usersync/internal/record"
	"usersync/internal/store"
	"usersync/internal/user"
	"usersync/internal/usersync"
)

// Bits of what is read of a login.
const (
	hasPassword = 1
	isVerified  = 2
)

// recordText reads users with what is known of how they sign in, 0 where nothing is: one
// trip for a look-up.
const recordText = `
SELECT ` + user.Columns + `, coalesce((SELECT CASE WHEN l.password = '' THEN 0 ELSE 1 END + CASE WHEN l.verified_at > 0 THEN 2 ELSE 0 END
    FROM logins l WHERE l.user_id = users.id AND l.organization_id = users.organization_id), 0)
FROM users WHERE organization_id = $1 AND `

var (
	byEmailStatement = store.Define("login.byEmail", recordText+`email_key = $2`)
	byIDStatement    = store.Define("login.byID", recordText+`id = $2`)
)

// ByEmail returns what our store knows of the user with an address: a list of none or one.
func ByEmail(ctx context.Context, o *store.Org, email usersync.Email) ([]record.Record, error) {
	return records(ctx, o, byEmailStatement, email.Key())
}

// ByID is ByEmail for an id.
func ByID(ctx context.Context, o *store.Org, id string) ([]record.Record, error) {
	return records(ctx, o, byIDStatement, id)
}

func records(ctx context.Context, o *store.Org, st *store.Statement, by string) ([]record.Record, error) {
	found, err := store.Collect(ctx, o.Reader(), st, nil, func(scan func(...any) error) (record.Record, error) {
		var login int
		u, err := user.Scan(func(to ...any) error { return scan(append(to, &login)...) })
		return record.OfUser(u, record.Login{Password: login&hasPassword > 0, Verified: login&isVerified > 0}), err
	}, o.ID(), by)
	if err != nil {
		return nil, fmt.Errorf("read the user with the login: %w", err)
	}
	return found, nil
}

var saveStatement = store.Define("login.save", `
INSERT INTO logins (user_id, organization_id, password, verified_at, updated_at) VALUES ($1, $2, $3, CASE WHEN $4 = 1 THEN {now} ELSE 0 END, {now})
ON CONFLICT (user_id, organization_id) DO UPDATE SET password = excluded.password, verified_at = CASE WHEN $4 = 0 THEN 0 WHEN logins.verified_at > 0 THEN logins.verified_at ELSE excluded.verified_at END,
    updated_at = excluded.updated_at`)

// Save gives a user a password, as its hash, or takes it away with "", and says whether
// the address is verified. The row goes with the user.
func Save(ctx context.Context, tx *store.Tx, organization, userID string, hash usersync.Secret, verified int) error {
	if _, err := tx.Exec(ctx, saveStatement, nil, userID, organization, hash.Reveal(), verified); err != nil {
		return fmt.Errorf("save the login: %w", err)
	}
	return nil
}
