package store

import (
	"context"
	"database/sql"
	"errors"
	"time"
)

// keyHeldFor is how long a key whose answer has not come belongs to the call
// that took it: longer than any call may take.
const keyHeldFor = time.Minute

// answerMark opens a kept answer, which shares its column with acceptances.
const answerMark = "answer:"

// takeKeyStatement takes a key that nobody has, or that was left without an
// answer.
var takeKeyStatement = define(`
INSERT INTO idempotency_keys (organization_id, scope, key, body_hash, acceptance, created_at)
VALUES ($1, $2, $3, $4, '', {now})
ON CONFLICT (organization_id, scope, key) DO UPDATE SET created_at = excluded.created_at, body_hash = excluded.body_hash
WHERE idempotency_keys.acceptance = '' AND idempotency_keys.created_at < {now} - $5
RETURNING 1`)

var keptAnswerStatement = define(`
SELECT body_hash, acceptance FROM idempotency_keys WHERE organization_id = $1 AND scope = $2 AND key = $3`)

// TakeKey gives an Idempotency-Key to the first call that asks. For the others
// it returns the answer kept for the key, nil while there is none. The error is
// ErrKeyReused for another body.
func (s *Store) TakeKey(ctx context.Context, organization string, key Idempotency) (answer []byte, mine bool, err error) {
	var one int
	err = s.writer().row(ctx, takeKeyStatement, organization, key.Scope, key.Key, key.BodyHash, keyHeldFor.Microseconds()).Scan(&one)
	if err == nil {
		return nil, true, nil
	}
	if !errors.Is(err, sql.ErrNoRows) {
		return nil, false, classify(err)
	}
	var hash, kept string
	err = s.reader().row(ctx, keptAnswerStatement, organization, key.Scope, key.Key).Scan(&hash, &kept)
	switch {
	case errors.Is(err, sql.ErrNoRows): // given back meanwhile
		return nil, false, nil
	case err != nil:
		return nil, false, classify(err)
	case hash != key.BodyHash:
		return nil, false, ErrKeyReused
	case kept == "":
		return nil, false, nil
	}
	answer, err = s.sealer().Open(kept[len(answerMark):], answerPlace(organization, key))
	return answer, false, err
}

func answerPlace(organization string, key Idempotency) string {
	return "idempotency_keys/" + organization + "/" + key.Scope + "/" + key.Key
}

var keepAnswerStatement = define(`
UPDATE idempotency_keys SET acceptance = $4 WHERE organization_id = $1 AND scope = $2 AND key = $3 AND acceptance = ''`)

// KeepAnswer keeps the answer to a key that TakeKey gave; it is sealed, as it
// may hold a new secret.
func (s *Store) KeepAnswer(ctx context.Context, organization string, key Idempotency, answer []byte) error {
	sealed, err := s.sealer().Seal(answer, answerPlace(organization, key))
	if err != nil {
		return err
	}
	_, err = s.writer().exec(ctx, keepAnswerStatement, nil, organization, key.Scope, key.Key, answerMark+sealed)
	return err
}

var dropKeyStatement = define(`
DELETE FROM idempotency_keys WHERE organization_id = $1 AND scope = $2 AND key = $3 AND acceptance = ''`)

// DropKey gives back a key whose call came to nothing.
func (s *Store) DropKey(ctx context.Context, organization string, key Idempotency) error {
	_, err := s.writer().exec(ctx, dropKeyStatement, nil, organization, key.Scope, key.Key)
	return err
}
