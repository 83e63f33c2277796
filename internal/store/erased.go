package store

import (
	"context"

	"usersync/internal/usersync"
)

var erasedAmongStatement = define(`
SELECT r.person FROM {rows} JOIN erased e ON e.organization_id = r.organization_id AND e.person = r.person`,
	col("organization_id", text), col("person", text))

// erasedAmong returns which of the e-mail keys are those of people who were
// erased: nothing but the organization's own word may bring them back.
func (tx *Tx) erasedAmong(ctx context.Context, organization string, salt []byte, keys []string) (map[string]bool, error) {
	erased := map[string]bool{}
	if len(keys) == 0 {
		return erased, nil
	}
	byPerson := make(map[string]string, len(keys))
	set := erasedAmongStatement.rows(len(keys))
	for _, key := range keys {
		person := usersync.KeyedID(usersync.PrefixErasure, salt, key)
		byPerson[person] = key
		set.add(organization, person)
	}
	found, err := collect(ctx, tx.conn, erasedAmongStatement, set, scanString)
	for _, person := range found {
		erased[byPerson[person]] = true
	}
	return erased, err
}
