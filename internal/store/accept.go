package store

import (
	"cmp"
	"context"
	"encoding/json"
	"fmt"
	"slices"
	"time"

	"usersync/internal/usersync"
)

// Submission is what one call hands in: one or more requests that are accepted
// together or not at all. They are all paid for, or all free.
type Submission struct {
	Organization string
	KeyID        string
	// Idempotency is nil when the caller sent no key.
	Idempotency *Idempotency
	Items       []*Acceptance

	// Err is why the submission was refused; nil when it was accepted.
	Err *usersync.Error
	// Accepted is what was accepted: Items or, when Replayed, those of the
	// earlier submission with the same key, with ids and positions only.
	Accepted []*Acceptance
	Replayed bool
}

// Idempotency identifies a call that must not be accepted twice.
type Idempotency struct {
	Scope    string // method and path
	Key      string
	BodyHash string
	// Refused holds what the call answers for its refused users, by position,
	// so that a replay can answer the same.
	Refused map[int]string
}

// IdempotencyKept is how long an Idempotency-Key replays its first answer.
const IdempotencyKept = 24 * time.Hour

// Acceptance is one request on its way into the database.
type Acceptance struct {
	RequestID   string
	Kind        usersync.RequestKind
	Salt        []byte // of the organization, for the id of a new user
	User        NewUser
	Traceparent string
	// TaskID is the task that will work the request.
	TaskID string
	// Position is the place in the caller's list.
	Position int
	// Input is what is asked for, as JSON. A request with an input of its own
	// stores no user: UserID names one that is known, or is empty. Without it the
	// request tells of User.
	Input json.RawMessage

	// UserID is set by Accept where there is no Input.
	UserID string

	organization string
	sequence     int64
	fresh        string // the id of a new user whose derived id may not be used
}

// numbersPerCommit is how many acceptance sequences one commit may give out:
// more than intake ever puts into one.
const numbersPerCommit = 4096

// The gate tells of the keys and hands out the commit's number.
const gateText = `
SELECT k.id, o.status, b.balance, k.revoked_at, k.expires_at, {now}, (%s) FROM {rows}
JOIN api_keys k ON k.id = r.id
JOIN organizations o ON o.ID() = k.organization_id
JOIN balances b ON b.organization_id = k.organization_id`

var (
	gateStatement = perEngine(fmt.Sprintf(gateText, `SELECT nextval('acceptance')`), fmt.Sprintf(gateText, `SELECT number FROM acceptance`),
		col("id", text))
	// SQLite has no sequences.
	nextNumber = define(`UPDATE acceptance SET number = number + 1`)
)

var insertRequestsStatement = define(`
INSERT INTO requests (organization_id, id, kind, status, user_id, email, sequence, input, task_id, traceparent, created_at)
SELECT r.organization_id, r.id, r.kind, 'queued', r.user_id, r.email, r.sequence, r.input, r.task_id, r.traceparent, {now}
FROM {rows} WHERE true
ON CONFLICT DO NOTHING`,
	col("organization_id", text), col("id", text), col("kind", text), col("user_id", text), col("email", text),
	col("sequence", bigint), col("input", text), col("task_id", text), col("traceparent", text))

// Accept takes submissions in one transaction: it refuses those whose key,
// organization or balance does not allow them, replays those it has seen, and
// stores the rest with the tasks that plan makes of them. Calling it again
// with the same submissions, after a commit whose outcome is unknown, accepts
// nothing twice.
func (s *Store) Accept(ctx context.Context, submissions []*Submission, plan func([]*Acceptance) []usersync.Task) error {
	return repeat(ctx, func(try int) error {
		if s.engine == postgres && !slices.ContainsFunc(submissions, (*Submission).keyed) {
			return s.acceptAtOnce(ctx, submissions, plan, try > 0)
		}
		return s.once(ctx, func(tx *Tx) error {
			open, err := admit(ctx, tx.conn, submissions)
			if err != nil {
				return err
			}
			if open, err = tx.keepKeys(ctx, open); err != nil {
				return err
			}
			if s.engine == postgres {
				return putAtOnce(ctx, tx.conn, open, plan, try > 0)
			}
			return tx.put(ctx, open, plan)
		})
	})
}

// keyed reports whether the caller sent an Idempotency-Key.
func (s *Submission) keyed() bool { return s.Idempotency != nil }

// admit refuses the submissions that may not pass now and numbers the rest.
func admit(ctx context.Context, c conn, submissions []*Submission) ([]*Submission, error) {
	if c.engine == sqlite {
		if _, err := c.exec(ctx, nextNumber, nil); err != nil {
			return nil, err
		}
	}
	verdicts, number, err := readGates(ctx, c, submissions)
	if err != nil {
		return nil, err
	}
	sequence := number * numbersPerCommit
	open := make([]*Submission, 0, len(submissions))
	for _, sub := range submissions {
		verdict := verdicts[sub.KeyID]
		if verdict == ErrNoCredits && sub.free() {
			verdict = nil
		}
		sub.Err, sub.Accepted, sub.Replayed = verdict, nil, false
		// A replay is answered whatever the balance says now.
		if verdict != nil && (verdict != ErrNoCredits || sub.Idempotency == nil) {
			continue
		}
		for _, a := range sub.Items {
			sequence++
			a.sequence, a.organization = sequence, sub.Organization
		}
		open = append(open, sub)
	}
	return open, nil
}

// readGates returns why the submissions of a key may not pass now, nil where
// they may, by the ids of the keys, and a number greater than any before; 0 when
// none of the keys exists.
func readGates(ctx context.Context, c conn, submissions []*Submission) (verdicts map[string]*usersync.Error, number int64, err error) {
	set := gateStatement.rows(1)
	verdicts = map[string]*usersync.Error{}
	for _, sub := range submissions {
		if _, seen := verdicts[sub.KeyID]; !seen {
			verdicts[sub.KeyID] = ErrInvalidKey
			set.add(sub.KeyID)
		}
	}
	_, err = collect(ctx, c, gateStatement, set, func(scan func(...any) error) (struct{}, error) {
		var id, status string
		var balance, revoked, expires, now int64
		err := scan(&id, &status, &balance, &revoked, &expires, &now, &number)
		key := usersync.Key{RevokedAt: stamp(revoked), ExpiresAt: stamp(expires)}
		switch {
		case !key.ValidAt(at(now)):
			verdicts[id] = ErrInvalidKey
		case status != usersync.OrganizationActive:
			verdicts[id] = ErrInvalidOrganization
		case balance == 0:
			verdicts[id] = ErrNoCredits
		default:
			verdicts[id] = nil
		}
		return struct{}{}, err
	})
	return verdicts, number, err
}

// free reports whether the submission needs no credits.
func (s *Submission) free() bool { return len(s.Items) > 0 && !s.Items[0].Kind.Paid() }

// The refusals of Accept, in the words of the contract.
var (
	ErrInvalidKey          = usersync.Errorf(usersync.CodeUnauthorized, "Invalid API Key")
	ErrInvalidOrganization = usersync.Errorf(usersync.CodeUnauthorized, "Invalid organization ID")
	ErrNoCredits           = usersync.Errorf(usersync.CodeNoCredit, "API Key has no remaining credits.")
)

// ErrKeyReused is the refusal of a key that another call was made with.
var ErrKeyReused = usersync.Errorf(usersync.CodeConflict, "The Idempotency-Key was used with another request.")

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

var keepKeysStatement = define(`
INSERT INTO idempotency_keys (organization_id, scope, key, body_hash, acceptance, created_at)
SELECT r.organization_id, r.scope, r.key, r.body_hash, r.acceptance, {now} FROM {rows} WHERE true
ON CONFLICT (organization_id, scope, key) DO UPDATE
SET body_hash = excluded.body_hash, acceptance = excluded.acceptance, created_at = excluded.created_at
WHERE idempotency_keys.created_at < {now} - $1`,
	col("organization_id", text), col("scope", text), col("key", text), col("body_hash", text), col("acceptance", text))

var readKeysStatement = define(`
SELECT k.organization_id, k.scope, k.key, k.body_hash, k.acceptance FROM {rows}
JOIN idempotency_keys k ON k.organization_id = r.organization_id AND k.scope = r.scope AND k.key = r.key`,
	col("organization_id", text), col("scope", text), col("key", text))

// keepKeys stores the idempotency keys of the submissions and returns those
// that go on: the ones without a key and the first of each key. The unique
// index decides races; who loses waits for the winner's commit and replays.
func (tx *Tx) keepKeys(ctx context.Context, submissions []*Submission) ([]*Submission, error) {
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
	if err := tx.insertKeys(ctx, mine); err != nil {
		return nil, err
	}
	kept, err := tx.readKeys(ctx, keyed)
	if err != nil {
		return nil, err
	}
	for _, sub := range keyed {
		row, ok := kept[sub.idempotencyKey()]
		switch {
		case !ok: // refused for want of credits and never seen: stays refused
		case row.hash != sub.Idempotency.BodyHash:
			sub.Err = ErrKeyReused
		case sub.Err == nil && len(sub.Items) > 0 && row.Requests[0] == sub.Items[0].RequestID:
			open = append(open, sub)
		default:
			sub.replay(row.acceptedIDs)
		}
	}
	return open, nil
}

func (tx *Tx) insertKeys(ctx context.Context, mine map[idempotencyKey]*Submission) error {
	if len(mine) == 0 {
		return nil
	}
	set := keepKeysStatement.rows(len(mine))
	for _, k := range sortedIdempotency(mine) {
		sub := mine[k]
		ids := acceptedIDs{Refused: sub.Idempotency.Refused}
		for _, a := range sub.Items {
			ids.Requests = append(ids.Requests, a.RequestID)
			ids.Positions = append(ids.Positions, a.Position)
		}
		acceptance, err := json.Marshal(ids)
		if err != nil {
			return err
		}
		set.add(k.organization, k.scope, k.key, sub.Idempotency.BodyHash, string(acceptance))
	}
	return tx.later(ctx, keepKeysStatement, set, nil, IdempotencyKept.Microseconds())
}

var dropKeysStatement = define(`
DELETE FROM idempotency_keys WHERE created_at < {now} - $1 AND (organization_id, scope, key) IN (
    SELECT organization_id, scope, key FROM idempotency_keys WHERE created_at < {now} - $1 ORDER BY created_at LIMIT $2)`)

// DropIdempotencyKeys removes up to limit keys that replay nothing any more.
func (s *Store) DropIdempotencyKeys(ctx context.Context, limit int) (int64, error) {
	return s.writer().exec(ctx, dropKeysStatement, nil, IdempotencyKept.Microseconds(), limit)
}

type keptKey struct {
	key  idempotencyKey
	hash string
	acceptedIDs
}

func (tx *Tx) readKeys(ctx context.Context, keyed []*Submission) (map[idempotencyKey]keptKey, error) {
	set := readKeysStatement.rows(len(keyed))
	for _, sub := range keyed {
		k := sub.idempotencyKey()
		set.add(k.organization, k.scope, k.key)
	}
	list, err := collect(ctx, tx.conn, readKeysStatement, set, func(scan func(...any) error) (k keptKey, err error) {
		var acceptance string
		if err = scan(&k.key.organization, &k.key.scope, &k.key.key, &k.hash, &acceptance); err != nil {
			return k, err
		}
		return k, json.Unmarshal([]byte(acceptance), &k.acceptedIDs)
	})
	kept := make(map[idempotencyKey]keptKey, len(list))
	for _, k := range list {
		kept[k.key] = k
	}
	return kept, err
}

// replay makes s answer with what was accepted earlier.
func (s *Submission) replay(ids acceptedIDs) {
	s.Err, s.Replayed, s.Idempotency.Refused = nil, true, ids.Refused
	for i, id := range ids.Requests {
		s.Accepted = append(s.Accepted, &Acceptance{RequestID: id, Position: ids.Positions[i], organization: s.Organization})
	}
}

// put writes the users, requests and tasks of the submissions that passed.
func (tx *Tx) put(ctx context.Context, open []*Submission, plan func([]*Acceptance) []usersync.Task) error {
	items, wanted := itemsOf(open)
	if len(items) == 0 {
		return nil
	}
	ids, err := tx.resolveUsers(ctx, wanted)
	if err != nil {
		return err
	}
	tasks := plan(items)
	set := insertRequestsStatement.rows(len(items))
	for _, a := range items {
		if a.Input == nil {
			a.UserID = ids[a.userKey()]
		}
		input, err := a.input()
		if err != nil {
			return err
		}
		set.add(a.organization, a.RequestID, string(a.Kind), a.UserID, a.User.Email.Display(), a.sequence, input, a.TaskID, a.Traceparent)
	}
	if err := tx.later(ctx, insertRequestsStatement, set, nil); err != nil {
		return err
	}
	return tx.Enqueue(ctx, tasks...)
}

// itemsOf returns what is to be accepted, and the first of each user among it.
func itemsOf(open []*Submission) (items []*Acceptance, wanted map[userKey]*Acceptance) {
	items, wanted = make([]*Acceptance, 0, len(open)), make(map[userKey]*Acceptance, len(open))
	for _, sub := range open {
		sub.Accepted = sub.Items
		for _, a := range sub.Items {
			items = append(items, a)
			if k := a.userKey(); a.Input == nil && wanted[k] == nil {
				wanted[k] = a
			}
		}
	}
	return items, wanted
}

// input is what the request asks for, as JSON.
func (a *Acceptance) input() (string, error) {
	if a.Input != nil {
		return string(a.Input), nil
	}
	input, err := json.Marshal(a.User.UserInput)
	return string(input), err
}

func (a *Acceptance) userKey() userKey { return userKey{a.organization, a.User.Email.Key()} }

// Organization is the tenant the request belongs to; known after Accept began.
func (a *Acceptance) Organization() string { return a.organization }

var requestUsersStatement = define(`
SELECT q.id, q.user_id FROM {rows} JOIN requests q ON q.organization_id = r.organization_id AND q.id = r.id`,
	col("organization_id", text), col("id", text))

// FillReplays sets the user ids of replayed submissions.
func (s *Store) FillReplays(ctx context.Context, submissions []*Submission) error {
	byID := map[string][]*Acceptance{}
	set := requestUsersStatement.rows(1)
	for _, sub := range submissions {
		if !sub.Replayed {
			continue
		}
		for _, a := range sub.Accepted {
			byID[a.RequestID] = append(byID[a.RequestID], a)
			set.add(a.organization, a.RequestID)
		}
	}
	if set.len() == 0 {
		return nil
	}
	type pair struct{ id, user string }
	list, err := collect(ctx, s.reader(), requestUsersStatement, set, func(scan func(...any) error) (p pair, err error) {
		return p, scan(&p.id, &p.user)
	})
	for _, p := range list {
		for _, a := range byID[p.id] {
			a.UserID = p.user
		}
	}
	return err
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
