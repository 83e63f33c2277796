package store

import (
	"context"

	"usersync/internal/usersync"
)

// erasedKey is what the table erased holds of a person: a hash under the
// organization's salt, of which the address cannot be told.
func erasedKey(salt []byte, emailKey string) string {
	return usersync.KeyedID(usersync.PrefixErasure, salt, emailKey)
}

var erasedStatement = define(`
SELECT r.email_key FROM {rows} JOIN erased e ON e.organization_id = $1 AND e.person = r.person`,
	col("email_key", text), col("person", text))

// erasedAmong returns which of the e-mail keys are those of erased people.
func (tx *Tx) erasedAmong(ctx context.Context, organization string, salt []byte, keys []string) (map[string]bool, error) {
	set := erasedStatement.rows(len(keys))
	for _, key := range keys {
		set.add(key, erasedKey(salt, key))
	}
	found, err := collect(ctx, tx.conn, erasedStatement, set, func(scan func(...any) error) (key string, err error) {
		return key, scan(&key)
	}, organization)
	erased := make(map[string]bool, len(found))
	for _, key := range found {
		erased[key] = true
	}
	return erased, err
}
