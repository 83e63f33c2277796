package user

import (
	"context"
	"database/sql"
	"errors"
	"fmt"

	"usersync/internal/identity"
	"usersync/internal/store"
	"usersync/internal/usersync"
)

var (
	lockAddressStatement = store.Define("user.lockAddress", `SELECT email, email_key, sequences FROM users WHERE id = $2 AND organization_id = $1 {for update}`)
	takenStatement       = store.Define("user.taken", `SELECT id FROM users WHERE organization_id = $1 AND email_key = $2`)
	addressStatement     = store.Define("user.address", `
UPDATE users SET email = $2, email_key = $3, person_key = $4, company = $5, sequences = $6, version = version + 1,
    updated_at = CASE WHEN {now} > updated_at THEN {now} ELSE updated_at + 1 END WHERE id = $1`)
)

// ErrTaken is the refusal of an address that another user has.
var ErrTaken = usersync.Errorf(usersync.CodeConflict, "Another user has this address")

// ChangeAddress gives a user another address, and returns the former one; it is the zero
// Email where the user has the address already, or got one by a request that was accepted
// later than sequence. A change that no request asks for has the sequence 0 and is made in
// any case. The error is ErrNotFound, or ErrTaken.
func ChangeAddress(ctx context.Context, tx *store.Tx, organization, id string, to usersync.Email, sequence int64) (former usersync.Email, err error) {
	var email, key, said, other string
	err = tx.QueryRow(ctx, lockAddressStatement, organization, id).Scan(&email, &key, &said)
	if errors.Is(err, sql.ErrNoRows) {
		return former, ErrNotFound
	}
	if err != nil {
		return former, fmt.Errorf("read the address: %w", store.Classify(err))
	}
	sequences := map[usersync.Field]int64{}
	if err := store.Decode(said, &sequences); err != nil {
		return former, err
	}
	if key == to.Key() || sequence > 0 && sequences[usersync.FieldAddress] >= sequence {
		return former, nil
	}
	err = tx.QueryRow(ctx, takenStatement, organization, to.Key()).Scan(&other)
	if err == nil {
		return former, ErrTaken
	}
	if !errors.Is(err, sql.ErrNoRows) {
		return former, fmt.Errorf("find who has the address: %w", store.Classify(err))
	}
	company := ""
	if identity.KindOf(to) == identity.Work {
		company = identity.Company(to.Domain())
	}
	if sequence > 0 {
		sequences[usersync.FieldAddress] = sequence
	}
	_, err = tx.Exec(ctx, addressStatement, nil, id, to.Display(), to.Key(), identity.CanonicalKey(to), company, store.Encode(sequences))
	return usersync.NewEmail(email, key), err
}
