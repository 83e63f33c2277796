package user

import (
	"context"
	"fmt"

	"usersync/internal/store"
)

var (
	knownKeysStatement = store.Define("user.knownKeys", `
SELECT u.email_key, u.id FROM {rows} JOIN users u ON u.organization_id = r.organization_id AND u.email_key = r.email_key`,
		store.Col("organization_id", store.Text), store.Col("email_key", store.Text))
	knownIDsStatement = store.Define("user.knownIDs", `
SELECT u.id FROM {rows} JOIN users u ON u.id = r.id WHERE u.organization_id = $1`, store.Col("id", store.Text))
)

// Known returns the ids of those users of an organization that have one of the e-mail
// keys, and says which of the ids are of users. Empty keys and ids name nobody.
func Known(ctx context.Context, tx *store.Tx, organization string, keys, ids []string) (byKey map[string]string, known map[string]bool, err error) {
	byKey, known = map[string]string{}, map[string]bool{}
	set := knownKeysStatement.Rows(len(keys))
	for _, key := range keys {
		if key != "" {
			set.Add(organization, key)
		}
	}
	if set.Len() > 0 {
		_, err = store.Collect(ctx, tx.Conn, knownKeysStatement, set, func(scan func(...any) error) (struct{}, error) {
			var key, id string
			err := scan(&key, &id)
			byKey[key] = id
			return struct{}{}, err
		})
	}
	if err != nil {
		return nil, nil, fmt.Errorf("find users by address: %w", err)
	}
	named := knownIDsStatement.Rows(len(ids))
	for _, id := range ids {
		if id != "" {
			named.Add(id)
		}
	}
	if named.Len() == 0 {
		return byKey, known, nil
	}
	list, err := store.Collect(ctx, tx.Conn, knownIDsStatement, named, store.ScanString, organization)
	if err != nil {
		return nil, nil, fmt.Errorf("find users by id: %w", err)
	}
	for _, id := range list {
		known[id] = true
	}
	return byKey, known, nil
}
