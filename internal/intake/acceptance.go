package intake

import (
	"cmp"
	"context"
	"encoding/json"
	"fmt"
	"slices"

	"usersync/internal/idempotency"
	"usersync/internal/outbox"
	"usersync/internal/request"
	"usersync/internal/store"
	"usersync/internal/tenant"
	"usersync/internal/usersync"
)

// Submission is what one call hands in: one or more requests that are accepted
// together or not at all. They are all paid for, or all free.
type Submission struct {
	Organization string
	KeyID        string
	// Idempotency is nil when the caller sent no key.
	Idempotency *idempotency.Key
	Items       []*Acceptance

	// Err is why the submission was refused; nil when it was accepted.
	Err *usersync.Error
	// Accepted is what was accepted: Items or, when Replayed, those of the
	// earlier submission with the same key, with ids and positions only.
	Accepted []*Acceptance
	Replayed bool
}

// Acceptance is one request on its way into the database.
type Acceptance struct {
	RequestID   string
	Kind        request.Kind
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
JOIN organizations o ON o.id = k.organization_id
JOIN balances b ON b.organization_id = k.organization_id`

var (
	gateStatement = store.DefinePerEngine("intake.gate", fmt.Sprintf(gateText, `SELECT nextval('acceptance')`), fmt.Sprintf(gateText, `SELECT number FROM acceptance`),
		store.Col("id", store.Text)).Unsorted()
	// SQLite has no sequences.
	nextNumber = store.Define("intake.nextNumber", `UPDATE acceptance SET number = number + 1`)
)

var insertRequestsStatement = store.Define("intake.insertRequests", `
INSERT INTO requests (organization_id, id, kind, status, user_id, email, sequence, input, task_id, traceparent, created_at)
SELECT r.organization_id, r.id, r.kind, 'queued', r.user_id, r.email, r.sequence, r.input, r.task_id, r.traceparent, {now}
FROM {rows} WHERE true
ON CONFLICT DO NOTHING`,
	store.Col("organization_id", store.Text), store.Col("id", store.Text), store.Col("kind", store.Text), store.Col("user_id", store.Text), store.Col("email", store.Text),
	store.Col("sequence", store.Bigint), store.Col("input", store.Text), store.Col("task_id", store.Text), store.Col("traceparent", store.Text))

// Accept takes submissions in one transaction: it refuses those whose key,
// organization or balance does not allow them, replays those it has seen, and
// stores the rest with the tasks that plan makes of them. Calling it again
// with the same submissions, after a commit whose outcome is unknown, accepts
// nothing twice.
func Accept(ctx context.Context, s *store.Store, submissions []*Submission, plan func([]*Acceptance) []usersync.Task) error {
	return store.Repeat(ctx, func(try int) error {
		if s.Engine == store.Postgres && !slices.ContainsFunc(submissions, (*Submission).keyed) {
			return acceptAtOnce(ctx, s, submissions, plan, try > 0)
		}
		return s.Once(ctx, func(tx *store.Tx) error {
			open, err := admit(ctx, tx.Conn, submissions)
			if err != nil {
				return err
			}
			if open, err = keepKeys(ctx, tx, open); err != nil {
				return err
			}
			if s.Engine == store.Postgres {
				return putAtOnce(ctx, tx.Conn, open, plan, try > 0)
			}
			return put(ctx, tx, open, plan)
		})
	})
}

// keyed reports whether the caller sent an Idempotency-Key.
func (s *Submission) keyed() bool { return s.Idempotency != nil }

// admit refuses the submissions that may not pass now and numbers the rest.
func admit(ctx context.Context, c store.Conn, submissions []*Submission) ([]*Submission, error) {
	if c.Engine == store.SQLite {
		if _, err := c.Exec(ctx, nextNumber, nil); err != nil {
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
func readGates(ctx context.Context, c store.Conn, submissions []*Submission) (verdicts map[string]*usersync.Error, number int64, err error) {
	set := gateStatement.Rows(1)
	verdicts = map[string]*usersync.Error{}
	for _, sub := range submissions {
		if _, seen := verdicts[sub.KeyID]; !seen {
			verdicts[sub.KeyID] = ErrInvalidKey
			set.Add(sub.KeyID)
		}
	}
	_, err = store.Collect(ctx, c, gateStatement, set, func(scan func(...any) error) (struct{}, error) {
		var id, status string
		var balance, revoked, expires, now int64
		err := scan(&id, &status, &balance, &revoked, &expires, &now, &number)
		key := tenant.Key{RevokedAt: store.Stamp(revoked), ExpiresAt: store.Stamp(expires)}
		switch {
		case !key.ValidAt(store.At(now)):
			verdicts[id] = ErrInvalidKey
		case status != tenant.Active:
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

// keepKeys stores the idempotency keys of the submissions and returns those
// that go on: the ones without a key and the first of each key. The unique
// index decides races; who loses waits for the winner's commit and replays.
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
		return nil, err
	}
	kept, err := readKeys(ctx, tx, keyed)
	if err != nil {
		return nil, err
	}
	for _, sub := range keyed {
		row, ok := kept[sub.idempotencyKey()]
		switch {
		case !ok: // refused for want of credits and never seen: stays refused
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
			return err
		}
		set.Add(k.organization, k.scope, k.key, sub.Idempotency.BodyHash, string(acceptance))
	}
	return tx.Later(ctx, keepKeysStatement, set, nil, idempotency.KeptFor.Microseconds())
}

var dropKeysStatement = store.Define("intake.dropKeys", `
DELETE FROM idempotency_keys WHERE created_at < {now} - $1 AND (organization_id, scope, key) IN (
    SELECT organization_id, scope, key FROM idempotency_keys WHERE created_at < {now} - $1 ORDER BY created_at LIMIT $2)`)

// DropIdempotencyKeys removes up to limit keys that replay nothing any more.
func DropIdempotencyKeys(ctx context.Context, s *store.Store, limit int) (int64, error) {
	return s.Writer().Exec(ctx, dropKeysStatement, nil, idempotency.KeptFor.Microseconds(), limit)
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
func put(ctx context.Context, tx *store.Tx, open []*Submission, plan func([]*Acceptance) []usersync.Task) error {
	items, wanted := itemsOf(open)
	if len(items) == 0 {
		return nil
	}
	ids, err := resolveUsers(ctx, tx, wanted)
	if err != nil {
		return err
	}
	tasks := plan(items)
	set := insertRequestsStatement.Rows(len(items))
	for _, a := range items {
		if a.Input == nil {
			a.UserID = ids[a.userKey()]
		}
		input, err := a.input()
		if err != nil {
			return err
		}
		set.Add(a.organization, a.RequestID, string(a.Kind), a.UserID, a.User.Email.Display(), a.sequence, input, a.TaskID, a.Traceparent)
	}
	if err := tx.Later(ctx, insertRequestsStatement, set, nil); err != nil {
		return err
	}
	return outbox.Enqueue(ctx, tx, tasks...)
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

var requestUsersStatement = store.Define("intake.requestUsers", `
SELECT q.id, q.user_id FROM {rows} JOIN requests q ON q.organization_id = r.organization_id AND q.id = r.id`,
	store.Col("organization_id", store.Text), store.Col("id", store.Text))

// FillReplays sets the user ids of replayed submissions.
func FillReplays(ctx context.Context, s *store.Store, submissions []*Submission) error {
	byID := map[string][]*Acceptance{}
	set := requestUsersStatement.Rows(1)
	for _, sub := range submissions {
		if !sub.Replayed {
			continue
		}
		for _, a := range sub.Accepted {
			byID[a.RequestID] = append(byID[a.RequestID], a)
			set.Add(a.organization, a.RequestID)
		}
	}
	if set.Len() == 0 {
		return nil
	}
	type pair struct{ id, user string }
	list, err := store.Collect(ctx, s.Reader(), requestUsersStatement, set, func(scan func(...any) error) (p pair, err error) {
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
