// Package idempotency keeps the answers of calls that must not be made twice, by the
// key that their caller sent (docs/adr/0010).
package idempotency

import (
	"context"
	"crypto/hmac"
	"crypto/sha256"
	"database/sql"
	"encoding/hex"
	"errors"
	"fmt"
	"time"

	"usersync/internal/store"
	"usersync/internal/usersync"
)

// Key identifies a call that must not be accepted twice. It holds nothing that a caller
// wrote, which may be an address or a name, but keyed hashes of it.
type Key struct {
	Scope    string // the method
	Key      string // hash of the path and of what the caller sent as key
	BodyHash string
	// Refused holds what the call answers for its refused users, by position,
	// so that a replay can answer the same.
	Refused map[int]string
}

// Said is a call as its caller made it, for NewKey.
type Said struct {
	Method, Path, Key string
	// Body and Query are what a repeated call must say again.
	Body  []byte
	Query string
}

// NewKey returns the key of a call; salt is that of the organization, nil for the
// operator.
func NewKey(salt []byte, said Said) Key {
	return Key{
		Scope: said.Method, Key: keyed(salt, []byte(said.Path), []byte(said.Key)), BodyHash: keyed(salt, said.Body, []byte(said.Query)),
	}
}

// keyed returns a hash of two texts, of which the second holds no NUL.
func keyed(salt, one, other []byte) string {
	mac := hmac.New(sha256.New, salt)
	mac.Write(one)
	mac.Write([]byte{0})
	mac.Write(other)
	return hex.EncodeToString(mac.Sum(nil))
}

// KeptFor is how long an Idempotency-Key replays its first answer.
const KeptFor = 24 * time.Hour

// ErrReused is the refusal of a key that another call was made with.
var ErrReused = usersync.Errorf(usersync.CodeConflict, "The Idempotency-Key was used with another request.")

// keyHeldFor is how long a key without an answer belongs to the call that took it. It is
// longer than any call may take.
const keyHeldFor = time.Minute

// AnswerPrefix stands before a sealed answer in the column acceptance, which also
// holds acceptances that are not sealed.
const AnswerPrefix = "answer:"

// takeKeyStatement takes a key that nobody has, or that was left without an
// answer.
var takeKeyStatement = store.Define("idempotency.takeKey", `
INSERT INTO idempotency_keys (organization_id, scope, key, body_hash, acceptance, created_at)
VALUES ($1, $2, $3, $4, '', {now})
ON CONFLICT (organization_id, scope, key) DO UPDATE SET created_at = excluded.created_at, body_hash = excluded.body_hash
WHERE idempotency_keys.acceptance = '' AND idempotency_keys.created_at < {now} - $5
RETURNING 1`)

var keptAnswerStatement = store.Define("idempotency.keptAnswer", `
SELECT body_hash, acceptance FROM idempotency_keys WHERE organization_id = $1 AND scope = $2 AND key = $3`)

// Take gives an Idempotency-Key to the first call that asks: mine is true. The others
// get the answer that is kept for the key, nil while there is none. The error is
// ErrReused for another body. The view of the operator is that of no organization.
func Take(ctx context.Context, o *store.Org, key Key) (answer []byte, mine bool, err error) {
	var hash, kept string
	err = o.Tx(ctx, func(tx *store.Tx) error {
		mine, hash, kept = false, "", ""
		var one int
		err := tx.QueryRow(ctx, takeKeyStatement, o.ID(), key.Scope, key.Key, key.BodyHash, keyHeldFor.Microseconds()).Scan(&one)
		if mine = err == nil; mine {
			return nil
		}
		if !errors.Is(err, sql.ErrNoRows) {
			return store.Classify(err)
		}
		err = tx.QueryRow(ctx, keptAnswerStatement, o.ID(), key.Scope, key.Key).Scan(&hash, &kept)
		if err != nil && !errors.Is(err, sql.ErrNoRows) { // no row: the key was given back meanwhile
			return store.Classify(err)
		}
		return nil
	})
	switch {
	case err != nil:
		return nil, false, err
	case mine || hash == "":
		return nil, mine, nil
	case hash != key.BodyHash:
		return nil, false, ErrReused
	case kept == "":
		return nil, false, nil
	}
	if answer, err = o.Sealer().Open(kept[len(AnswerPrefix):], AnswerPlace(o.ID(), key)); err != nil {
		return answer, false, fmt.Errorf("open the kept answer: %w", err)
	}
	return answer, false, nil
}

var heldStatement = store.Define("idempotency.held", `
SELECT 1 FROM idempotency_keys WHERE organization_id = $1 AND scope = $2 AND key = $3 AND acceptance <> '' AND created_at >= {now} - $4`)

// Held reports whether an acceptance or an answer is kept for a key, and will be for as
// long as a call may take.
func Held(ctx context.Context, o *store.Org, key Key) (bool, error) {
	var one int
	err := o.Reader().QueryRow(ctx, heldStatement, o.ID(), key.Scope, key.Key, (KeptFor - keyHeldFor).Microseconds()).Scan(&one)
	if errors.Is(err, sql.ErrNoRows) {
		return false, nil
	}
	return err == nil, store.Classify(err)
}

// AnswerPlace returns the place that a sealed answer is bound to: sealed for one key,
// it cannot be opened for another.
func AnswerPlace(organization string, key Key) string {
	return "idempotency_keys/" + organization + "/" + key.Scope + "/" + key.Key
}

var keepAnswerStatement = store.Define("idempotency.keepAnswer", `
UPDATE idempotency_keys SET acceptance = $4 WHERE organization_id = $1 AND scope = $2 AND key = $3 AND acceptance = ''`)

// Keep keeps the answer to a key that Take gave; it is sealed, as it
// may hold a new secret.
func Keep(ctx context.Context, s *store.Store, organization string, key Key, answer []byte) error {
	sealed, err := s.Sealer().Seal(answer, AnswerPlace(organization, key))
	if err != nil {
		return fmt.Errorf("seal the answer: %w", err)
	}
	if _, err := s.Writer().Exec(ctx, keepAnswerStatement, nil, organization, key.Scope, key.Key, AnswerPrefix+sealed); err != nil {
		return fmt.Errorf("keep the answer: %w", err)
	}
	return nil
}

var dropKeyStatement = store.Define("idempotency.dropKey", `
DELETE FROM idempotency_keys WHERE organization_id = $1 AND scope = $2 AND key = $3 AND acceptance = ''`)

// Drop gives back a key whose call failed without an answer to keep.
func Drop(ctx context.Context, s *store.Store, organization string, key Key) error {
	if _, err := s.Writer().Exec(ctx, dropKeyStatement, nil, organization, key.Scope, key.Key); err != nil {
		return fmt.Errorf("give the Idempotency-Key back: %w", err)
	}
	return nil
}
