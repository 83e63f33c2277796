package intake

import (
	"cmp"
	"context"
	"encoding/json"
	"fmt"
	"slices"

	"usersync/internal/idempotency"
	"usersync/internal/store"
)

type idempotencyKey struct{ organization, scope, key string }

func (s *Submission) idempotencyKey() idempotencyKey {
	return idempotencyKey{s.Organization, s.Idempotency.Scope, s.Idempotency.Key}
}

// acceptedIDs is what an idempotency key keeps of an acceptance.
type acceptedIDs struct {
	Requests  []string       `json:"requests"`
	Positions []int          `json:"positions"`
	Refused   map[int]string `json:"refused,omitempty"`
}

var keepKeysStatement = store.Define("intake.keepKeys", `
INSERT INTO idempotency_keys (organization_id, scope, key, body_hash, acceptance, created_at)
SELECT r.organization_id, r.scope, r.key, r.body_hash, r.acceptance, {now} FROM {rows} WHERE true
ON CONFLICT (organization_id, scope, key) DO UPDATE
SET body_hash = excluded.body_hash, acceptance = excluded.acceptance, created_at = excluded.created_at
WHERE idempotency_keys.created_at < {now} - $1`,
	store.Col("organization_id", store.Text), store.Col("scope", store.Text), store.Col("key", store.Text), store.Col("body_hash", store.Text), store.Col("acceptance", store.Text))

var readKeysStatement = store.Define("intake.readKeys", `
SELECT k.organization_id, k.scope, k.key, k.body_hash, k.acceptance FROM {rows}
JOIN idempotency_keys k ON k.organization_id = r.organization_id AND k.scope = r.scope AND k.key = r.key`,
	store.Col("organization_id", store.Text), store.Col("scope", store.Text), store.Col("key", store.Text))

// keepKeys stores the idempotency keys of the submissions. It returns the
// submissions that are to be stored: those without a key and the first of each key.
// The unique index decides races. The loser waits for the winner's commit and
// replays its acceptance.
func keepKeys(ctx context.Context, tx *store.Tx, submissions []*Submission) ([]*Submission, error) {
	mine := map[idempotencyKey]*Submission{}
	var open, keyed []*Submission
	for _, sub := range submissions {
		if sub.Idempotency == nil {
			open = append(open, sub)
			continue
		}
		keyed = append(keyed, sub)
		if _, ok := mine[sub.idempotencyKey()]; !ok && sub.Err == nil {
			mine[sub.idempotencyKey()] = sub
		}
	}
	if len(keyed) == 0 {
		return open, nil
	}
	if err := insertKeys(ctx, tx, mine); err != nil {
		return nil, fmt.Errorf("store the keys: %w", err)
	}
	kept, err := readKeys(ctx, tx, keyed)
	if err != nil {
		return nil, err
	}
	for _, sub := range keyed {
		row, ok := kept[sub.idempotencyKey()]
		switch {
		case !ok: // it was refused for want of credits, and its key is new: it stays refused
		case row.hash != sub.Idempotency.BodyHash:
			sub.Err = idempotency.ErrReused
		case sub.Err == nil && len(sub.Items) > 0 && row.Requests[0] == sub.Items[0].RequestID:
			open = append(open, sub)
		default:
			sub.replay(row.acceptedIDs)
		}
	}
	return open, nil
}

func insertKeys(ctx context.Context, tx *store.Tx, mine map[idempotencyKey]*Submission) error {
	if len(mine) == 0 {
		return nil
	}
	set := keepKeysStatement.Rows(len(mine))
	for _, k := range sortedIdempotency(mine) {
		sub := mine[k]
		ids := acceptedIDs{Refused: sub.Idempotency.Refused}
		for _, a := range sub.Items {
			ids.Requests = append(ids.Requests, a.RequestID)
			ids.Positions = append(ids.Positions, a.Position)
		}
		acceptance, err := json.Marshal(ids)
		if err != nil {
			return fmt.Errorf("encode an acceptance: %w", err)
		}
		set.Add(k.organization, k.scope, k.key, sub.Idempotency.BodyHash, string(acceptance))
	}
	return tx.Later(ctx, keepKeysStatement, set, nil, idempotency.KeptFor.Microseconds())
}

var dropKeysStatement = store.Define("intake.dropKeys", `
DELETE FROM idempotency_keys WHERE {row} {any}
    SELECT {row} FROM idempotency_keys WHERE created_at < (SELECT {now}) - $1 ORDER BY created_at LIMIT $2 {skip locked}{/any}`)

// DropIdempotencyKeys removes up to limit keys that are older than
// idempotency.KeptFor, and passes those that somebody has locked. It returns how many it
// removed.
func DropIdempotencyKeys(ctx context.Context, s *store.Store, limit int) (int64, error) {
	dropped, err := s.Writer().Exec(ctx, dropKeysStatement, nil, idempotency.KeptFor.Microseconds(), limit)
	if err != nil {
		return 0, fmt.Errorf("delete old idempotency keys: %w", err)
	}
	return dropped, nil
}

type keptKey struct {
	key  idempotencyKey
	hash string
	acceptedIDs
}

func readKeys(ctx context.Context, tx *store.Tx, keyed []*Submission) (map[idempotencyKey]keptKey, error) {
	set := readKeysStatement.Rows(len(keyed))
	for _, sub := range keyed {
		k := sub.idempotencyKey()
		set.Add(k.organization, k.scope, k.key)
	}
	list, err := store.Collect(ctx, tx.Conn, readKeysStatement, set, func(scan func(...any) error) (k keptKey, err error) {
		var acceptance string
		if err = scan(&k.key.organization, &k.key.scope, &k.key.key, &k.hash, &acceptance); err != nil {
			return k, fmt.Errorf("scan a key: %w", err)
		}
		if err = json.Unmarshal([]byte(acceptance), &k.acceptedIDs); err != nil {
			return k, fmt.Errorf("decode an acceptance: %w", err)
		}
		return k, nil
	})
	if err != nil {
		return nil, fmt.Errorf("look up the keys: %w", err)
	}
	kept := make(map[idempotencyKey]keptKey, len(list))
	for _, k := range list {
		kept[k.key] = k
	}
	return kept, nil
}

// replay makes s answer with what the earlier submission accepted.
func (s *Submission) replay(ids acceptedIDs) {
	s.Err, s.Replayed, s.Idempotency.Refused = nil, true, ids.Refused
	for i, id := range ids.Requests {
		s.Accepted = append(s.Accepted, &Acceptance{RequestID: id, Position: ids.Positions[i], organization: s.Organization})
	}
}

func sortedIdempotency(mine map[idempotencyKey]*Submission) []idempotencyKey {
	keys := make([]idempotencyKey, 0, len(mine))
	for k := range mine {
		keys = append(keys, k)
	}
	slices.SortFunc(keys, func(a, b idempotencyKey) int {
		return cmp.Or(cmp.Compare(a.organization, b.organization), cmp.Compare(a.scope, b.scope), cmp.Compare(a.key, b.key))
	})
	return keys
}
