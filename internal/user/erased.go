package user

import (
	"context"
	"database/sql"
	"errors"
	"fmt"

	"usersync/internal/store"
	"usersync/internal/usersync"
)

var erasedAmongStatement = store.Define("user.erasedAmong", `
SELECT r.person FROM {rows} JOIN erased e ON e.organization_id = r.organization_id AND e.person = r.person`,
	store.Col("organization_id", store.Text), store.Col("person", store.Text))

// ErasedAmong returns which of the e-mail keys belong to people who were erased. Only a
// request of the organization about that person may bring one back.
func ErasedAmong(ctx context.Context, tx *store.Tx, organization string, salt []byte, keys []string) (map[string]bool, error) {
	erased := map[string]bool{}
	if len(keys) == 0 {
		return erased, nil
	}
	byPerson := make(map[string]string, len(keys))
	set := erasedAmongStatement.Rows(len(keys))
	for _, key := range keys {
		person := usersync.KeyedID(usersync.PrefixErasure, salt, key)
		byPerson[person] = key
		set.Add(organization, person)
	}
	found, err := store.Collect(ctx, tx.Conn, erasedAmongStatement, set, store.ScanString)
	for _, person := range found {
		erased[byPerson[person]] = true
	}
	if err != nil {
		return erased, fmt.Errorf("read who was erased: %w", err)
	}
	return erased, nil
}

var erasedAtStatement = store.Define("user.erasedAt", `SELECT created_at FROM erased WHERE organization_id = $1 AND person = $2`)

// ErasedAt returns when the person with an address was erased; zero for never.
func ErasedAt(ctx context.Context, o *store.Org, salt []byte, email usersync.Email) (usersync.Time, error) {
	var when int64
	err := o.Reader().QueryRow(ctx, erasedAtStatement, o.ID(), usersync.KeyedID(usersync.PrefixErasure, salt, email.Key())).Scan(&when)
	if err != nil && !errors.Is(err, sql.ErrNoRows) {
		return usersync.Time{}, fmt.Errorf("read when a person was erased: %w", store.Classify(err))
	}
	return store.Stamp(when), nil
}
