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

var findStatement = store.Define("login.find", `SELECT CASE WHEN password = '' THEN 0 ELSE 1 END, verified_at FROM logins WHERE user_id = $1 AND organization_id = $2`)

// Find returns what is known of how a user signs in; the zero Login where nothing is.
func Find(ctx context.Context, o *store.Org, userID string) (l record.Login, err error) {
	found, err := store.Collect(ctx, o.Reader(), findStatement, nil, func(scan func(...any) error) (l record.Login, err error) {
		var password, verified int64
		err = scan(&password, &verified)
		return record.Login{Password: password == 1, Verified: verified > 0}, err
	}, userID, o.ID())
	if err != nil {
		return l, fmt.Errorf("read the login: %w", err)
	}
	if len(found) > 0 {
		l = found[0]
	}
	return l, nil
}

// Records returns what our store knows of users.
func Records(ctx context.Context, o *store.Org, users []user.Stored) ([]record.Record, error) {
	out := make([]record.Record, 0, len(users))
	for _, u := range users { //lint:loop one user, as there is one for an address
		l, err := Find(ctx, o, u.ID)
		if err != nil {
			return nil, err
		}
		out = append(out, record.OfUser(u, l))
	}
	return out, nil
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
