package outbox

import (
	"cmp"
	"context"
	"database/sql"
	"encoding/json"
	"errors"
	"slices"
	"strings"
	"time"

	"usersync/internal/store"
	"usersync/internal/usersync"
)

// ErrClaimLost says that another worker has the task now: stop, write nothing.
var ErrClaimLost = errors.New("store: the claim was lost")

// States of an outbox row.
const (
	stateReady     = "ready"
	stateSent      = "sent"
	stateScheduled = "scheduled"
	stateParked    = "parked"
	stateHeld      = "held"
	statePoisoned  = "poisoned"
)

// ClaimFor is how long a claim holds unless it is renewed: it bounds how long
// the tasks of a killed worker take up their fairness key; see docs/adr/0008.
const ClaimFor = 30 * time.Second

// LostAfter is how long a task may be on the queue, unclaimed, before it counts as lost.
// It is longer than a message waits there behind calls that run into their timeouts.
const LostAfter = time.Minute

// Envelope is a task on its way to the queue.
type Envelope struct {
	ID         string
	Generation int64
	Kind       string
	Queue      string
	// Organization is whose task it is.
	Organization string
	FairnessKey  string
	Traceparent  string
}

var enqueueStatement = store.Define("outbox.enqueue", `
INSERT INTO outbox (id, organization_id, kind, queue, fairness_key, args, traceparent, state, look_at, created_at)
SELECT r.id, r.organization_id, r.kind, r.queue, r.fairness_key, r.args, r.traceparent,
       CASE WHEN r.due <= {now} THEN 'ready' ELSE r.later END, r.due, {now}
FROM {rows} WHERE true
ON CONFLICT (id, organization_id) DO NOTHING`,
	store.Col("id", store.Text), store.Col("organization_id", store.Text), store.Col("kind", store.Text), store.Col("queue", store.Text), store.Col("fairness_key", store.Text),
	store.Col("args", store.Text), store.Col("traceparent", store.Text), store.Col("due", store.Bigint), store.Col("later", store.Text))

// Enqueue writes tasks to the outbox. A task whose id is already there is the
// same task.
func Enqueue(ctx context.Context, tx *store.Tx, tasks ...usersync.Task) error {
	return enqueue(ctx, tx, stateScheduled, tasks)
}

// Park writes tasks that wait for credits until their DueAt.
func Park(ctx context.Context, tx *store.Tx, tasks ...usersync.Task) error {
	return enqueue(ctx, tx, stateParked, tasks)
}

func enqueue(ctx context.Context, tx *store.Tx, later string, tasks []usersync.Task) error {
	if len(tasks) == 0 {
		return nil
	}
	for _, t := range tasks {
		if t.DueAt.IsZero() { // Another that is due already is found by the sweep.
			tx.Readied(t.Queue)
		}
	}
	return tx.Later(ctx, enqueueStatement, taskRows(tasks, later), nil)
}

// taskRows returns tasks as enqueueStatement takes them; those whose time has not
// come get the state later.
func taskRows(tasks []usersync.Task, later string) *store.Rows {
	slices.SortFunc(tasks, func(a, b usersync.Task) int { return cmp.Compare(a.ID, b.ID) })
	set := enqueueStatement.Rows(len(tasks))
	for _, t := range tasks {
		set.Add(t.ID, t.Organization, t.Kind, t.Queue, t.FairnessKey, string(t.Args), t.Traceparent, store.Micros(t.DueAt), later)
	}
	return set
}

var enqueueClaimedStatement = store.Define("outbox.enqueueClaimed", `
INSERT INTO outbox (id, organization_id, kind, queue, fairness_key, args, traceparent, state, look_at, created_at, started_at, claim_token, claimed_until)
SELECT r.id, r.organization_id, r.kind, r.queue, r.fairness_key, r.args, r.traceparent, 'sent', {now} + $2, {now}, {now}, $1, {now} + $2
FROM {rows} WHERE true
{again}ON CONFLICT (id, organization_id) DO NOTHING{/again}`,
	store.Col("id", store.Text), store.Col("organization_id", store.Text), store.Col("kind", store.Text), store.Col("queue", store.Text), store.Col("fairness_key", store.Text),
	store.Col("args", store.Text), store.Col("traceparent", store.Text))

// EnqueueClaimed writes tasks that this process works itself as soon as they are
// committed, under the claims that are returned. A task must not overtake what waits
// under its fairness key: the caller has seen that nothing does. The claim on a task
// whose id was there already does not hold. Should the process die, the claims run out
// as any other.
func EnqueueClaimed(ctx context.Context, tx *store.Tx, tasks ...usersync.Task) ([]usersync.Claim, error) {
	if len(tasks) == 0 {
		return nil, nil
	}
	slices.SortFunc(tasks, func(a, b usersync.Task) int { return cmp.Compare(a.ID, b.ID) })
	set, claims := enqueueClaimedStatement.Rows(len(tasks)), make([]usersync.Claim, len(tasks))
	token, now := newToken(tx.Attending()), time.Now() //lint:clock a run is told, and nobody decides by it, when it began
	for i, t := range tasks {
		set.Add(t.ID, t.Organization, t.Kind, t.Queue, t.FairnessKey, string(t.Args), t.Traceparent)
		claims[i] = usersync.Claim{TaskID: t.ID, Token: token, Organization: t.Organization, Queue: t.Queue, FairnessKey: t.FairnessKey, Args: t.Args,
			Traceparent: t.Traceparent, StartedAt: now}
	}
	return claims, tx.Later(ctx, enqueueClaimedStatement, set, nil, token, ClaimFor.Microseconds())
}

// takeStatement picks what may go out next: organization by organization, beginning
// behind the one that was served last, and within each fairness key by fairness key.
//
// An organization may fill half of the slots that are then free, so that however many
// keys its work has, a part of the slots stays free for others: the dynamic threshold
// of Choudhury and Hahne (IEEE/ACM Transactions on Networking 6, 1998) with α = 1. Each
// may have one task in flight in any case. Which keys of an organization go first is
// left to chance where not all can go, so that none waits for those before it.
//
// The recursion hops over the index outbox_ready: into an organization, with an empty
// fairness_key, where it counts what the organization holds, to up to keysLooked of its
// keys, and out of it (NULL). So neither a million rows of one key nor thousands of keys
// of one organization cost more than that.
var takeStatement = store.Define("outbox.take", `
WITH RECURSIVE free AS MATERIALIZED (
    SELECT $6 - (SELECT count(*) FROM (SELECT 1 FROM outbox s WHERE s.state = 'sent' AND s.queue = $1 LIMIT $6) AS taken) AS slots
), hop(organization_id, fairness_key, held, keys, n) AS (
    SELECT coalesce((SELECT o.organization_id FROM outbox o WHERE false), $2), CASE WHEN $2 <> '' THEN (SELECT o.fairness_key FROM outbox o WHERE false) ELSE '' END,
        CAST(0 AS bigint), CAST(0 AS bigint), 0
    UNION ALL
    SELECT CASE WHEN hop.fairness_key IS NOT NULL THEN hop.organization_id
            ELSE (SELECT min(o.organization_id) FROM outbox o WHERE o.state = 'ready' AND o.queue = $1 AND o.organization_id > hop.organization_id) END,
        CASE WHEN hop.fairness_key IS NULL THEN '' WHEN hop.fairness_key = '' OR hop.keys > 0 THEN
            (SELECT min(o.fairness_key) FROM outbox o WHERE o.state = 'ready' AND o.queue = $1 AND o.organization_id = hop.organization_id AND o.fairness_key > hop.fairness_key) END,
        CASE WHEN hop.fairness_key = '' THEN
            (SELECT count(*) FROM (SELECT 1 FROM outbox s WHERE s.state = 'sent' AND s.queue = $1 AND s.organization_id = hop.organization_id LIMIT $6) AS taken)
            ELSE hop.held END,
        CASE WHEN hop.fairness_key = '' THEN $7 ELSE hop.keys - 1 END,
        hop.n + 1
    FROM hop WHERE hop.organization_id IS NOT NULL AND hop.n < 3 * $3 + 4 * $7
), room AS MATERIALIZED (
    SELECT hop.organization_id, hop.fairness_key, hop.n, CASE WHEN free.slots > hop.held THEN (free.slots - hop.held + 1) / 2 ELSE 1 - hop.held END AS organization,
        $4 - (SELECT count(*) FROM (SELECT 1 FROM outbox s WHERE s.state = 'sent' AND s.queue = $1
            AND s.organization_id = hop.organization_id AND s.fairness_key = hop.fairness_key LIMIT $4) AS taken) AS key
    FROM hop CROSS JOIN free WHERE hop.fairness_key <> ''
), numbered AS MATERIALIZED (
    SELECT each.value AS id, room.organization_id, room.organization, room.n, room.key, row_number() OVER (PARTITION BY room.n ORDER BY each.value) AS k
    FROM room {each}SELECT x.id AS one FROM outbox x WHERE x.state = 'ready' AND x.queue = $1 AND x.organization_id = room.organization_id
        AND x.fairness_key = room.fairness_key ORDER BY x.id LIMIT $4 {skip locked}{/each}
), ranked AS MATERIALIZED (
    SELECT id, organization, n, row_number() OVER (PARTITION BY organization_id ORDER BY k, random()) AS place FROM numbered WHERE k <= key
)
UPDATE outbox SET state = 'sent', look_at = {now} + $5, claim_token = '', claimed_until = 0
WHERE id {any}SELECT id FROM ranked WHERE place <= organization ORDER BY n, id LIMIT $3{/any}
RETURNING id, generation, kind, queue, organization_id, fairness_key, traceparent`)

// keysLooked is at how many fairness keys of an organization one statement looks: ten
// times as many as it may have endpoints or connections by default.
const keysLooked = 500

// Shares say how the slots of a queue are shared.
type Shares struct {
	// Slots is how many tasks of the queue the workers can work at once.
	Slots int
	// Key is how many tasks of one fairness key may be in flight.
	Key int
}

// TakeReady marks up to limit ready tasks of a queue as sent and returns them,
// ordered by id. Of each fairness key and of each organization no more are in flight
// than their share. It goes round the organizations and begins with the one after
// after, "" for the first. The caller puts the tasks on the queue or gives them back
// with Unsend. If it dies in between, the reconciler finds them.
func TakeReady(ctx context.Context, s *store.Store, queue, after string, shares Shares, limit int) ([]Envelope, error) {
	taken, err := store.Collect(ctx, s.AsyncCommit(), takeStatement, nil, scanEnvelope, queue, after, limit, shares.Key, LostAfter.Microseconds(), shares.Slots, keysLooked)
	slices.SortFunc(taken, func(a, b Envelope) int { return cmp.Compare(a.ID, b.ID) })
	return taken, err
}

var readyQueuesStatement = store.Define("outbox.readyQueues", `
SELECT r.queue, (SELECT count(*) FROM (SELECT 1 FROM outbox o WHERE o.state = 'ready' AND o.queue = r.queue LIMIT 1) AS one) = 1,
    COALESCE((SELECT min(l.look_at) FROM outbox l WHERE l.state <> 'ready'), 0), {now}
FROM {rows}`,
	store.Col("queue", store.Text))

// nothingToCome is how long nothing is to come where no task has a time.
const nothingToCome = 24 * time.Hour

// ReadyQueues returns those of the queues that have ready tasks, and how long it is
// until the next task is to be looked at, in whatever queue: a scheduled or parked one
// is due then, a sent one counts as lost. It is negative when that time is over.
func ReadyQueues(ctx context.Context, s *store.Store, queues []string) (ready []string, next time.Duration, err error) {
	next = nothingToCome
	_, err = store.Collect(ctx, s.AsyncCommit(), readyQueuesStatement, store.IDRows(readyQueuesStatement, queues), func(scan func(...any) error) (struct{}, error) {
		var queue string
		var has bool
		var lookAt, now int64
		err := scan(&queue, &has, &lookAt, &now)
		if has {
			ready = append(ready, queue)
		}
		if lookAt > 0 {
			next = time.Duration(min(lookAt-now, nothingToCome.Microseconds())) * time.Microsecond // a Duration ends before the year 9999
		}
		return struct{}{}, err
	})
	return ready, next, err
}

func scanEnvelope(scan func(...any) error) (e Envelope, err error) {
	return e, scan(&e.ID, &e.Generation, &e.Kind, &e.Queue, &e.Organization, &e.FairnessKey, &e.Traceparent)
}

var unsendStatement = store.Define("outbox.unsend", `
UPDATE outbox SET state = 'ready' WHERE id {any}
    SELECT o.id FROM {rows} JOIN outbox o ON o.id = r.id AND o.generation = r.generation
    WHERE `+isSent+` AND o.claim_token = '' ORDER BY o.id {skip locked}{/any}`,
	store.Col("id", store.Text), store.Col("generation", store.Bigint))

// Unsend makes tasks ready again that could not be put on the queue. One whose row
// somebody has locked is left to the reconciler.
func Unsend(ctx context.Context, s *store.Store, sent []Envelope) error {
	return change(ctx, s, unsendStatement, sent)
}

// change executes a statement on tasks; where there are none, it does nothing.
func change(ctx context.Context, s *store.Store, st *store.Statement, tasks []Envelope) error {
	if len(tasks) == 0 {
		return nil
	}
	_, err := s.AsyncCommit().Exec(ctx, st, envelopeRows(st, tasks))
	return err
}

func envelopeRows(st *store.Statement, sent []Envelope) *store.Rows {
	set := st.Rows(len(sent))
	for _, e := range sent {
		set.Add(e.ID, e.Generation)
	}
	return set
}

var unsendAllStatement = store.Define("outbox.unsendAll", `
UPDATE outbox SET generation = generation + 1, state = 'ready', deaths = `+deathsNow+`, claim_token = '', claimed_until = 0
WHERE id {any}SELECT id FROM outbox WHERE state = 'sent' AND (claimed_until < {now} OR $1 = 1) ORDER BY id {skip locked}{/any}`)

// UnsendAll makes every sent task ready again that no living worker holds, under a new
// generation: what to do when the queue has lost its contents, or parts of them. One whose
// row somebody has locked is left to the reconciler. With dead, the claims count
// for nothing either, because the only process that could hold one is gone.
func UnsendAll(ctx context.Context, s *store.Store, dead bool) (int64, error) {
	flag := 0
	if dead {
		flag = 1
	}
	return s.AsyncCommit().Exec(ctx, unsendAllStatement, nil, flag)
}

// The clock is asked once, as a value of its own: one that is asked for every
// row bounds no index, and every task that waits would be read.
var promoteStatement = store.Define("outbox.promote", `
UPDATE outbox SET state = 'ready' WHERE id {any}
    SELECT id FROM outbox WHERE state <> 'ready' AND look_at <= (SELECT {now}) AND state IN ('scheduled', 'parked')
    ORDER BY look_at LIMIT $1 {skip locked}{/any}`)

// Promote makes up to limit scheduled tasks ready whose time has come.
func Promote(ctx context.Context, s *store.Store, limit int) (int64, error) {
	return s.AsyncCommit().Exec(ctx, promoteStatement, nil, limit)
}

var reviveStatement = store.Define("outbox.revive", `
UPDATE outbox SET generation = generation + 1, state = 'ready', deaths = `+deathsNow+`, claim_token = '', claimed_until = 0 WHERE id {any}
    SELECT id FROM outbox WHERE state <> 'ready' AND look_at <= (SELECT {now}) AND `+isSent+` AND claimed_until <= {now}
    ORDER BY look_at LIMIT $1 {skip locked}{/any}
RETURNING queue`)

// Revive makes up to limit sent tasks ready under a new generation that should have been
// finished or claimed by now: their message is lost, or their worker died. The queue is
// not asked, since it may hold half of a message for ever. Where it still has a whole
// one, that message finds nothing to do. Revive returns how many there were.
func Revive(ctx context.Context, s *store.Store, limit int) (int, error) {
	queues, err := store.Collect(ctx, s.AsyncCommit(), reviveStatement, nil, store.ScanString, limit)
	s.Ready().Raise(queues...)
	return len(queues), err
}

var retakeStatement = store.Define("outbox.retake", `
UPDATE outbox SET generation = generation + 1, state = 'ready'
WHERE id = $1 AND generation = $2 AND `+isSent+` AND claim_token = ''
RETURNING queue`)

// Retake makes a task ready again whose claim a crash of the database undid.
func Retake(ctx context.Context, s *store.Store, taskID string, generation int64) error {
	queues, err := store.Collect(ctx, s.AsyncCommit(), retakeStatement, nil, store.ScanString, taskID, generation)
	s.Ready().Raise(queues...)
	return err
}

var claimStatement = store.Define("outbox.claim", `
UPDATE outbox SET claim_token = $3, claimed_until = {now} + $4, look_at = {now} + $4, deaths = `+deathsNow+`,
    started_at = CASE WHEN started_at = 0 THEN {now} ELSE started_at END
WHERE id = $1 AND generation = $2 AND `+isSent+` AND claimed_until < {now} AND NOT `+isDisabled+`
RETURNING organization_id, queue, fairness_key, args, traceparent, failures, deaths, started_at`)

// isSent asks for the state of a row that is found by its id. Said plainly,
// PostgreSQL would rather read the index of all that are sent, which is short
// but for the remains of those that were.
const isSent = `state || '' = 'sent'`

// deathsNow is deaths where the worker of an earlier claim has died: only a claim that
// nobody ended is still on its row.
const deathsNow = `deaths + CASE WHEN claim_token = '' THEN 0 ELSE 1 END`

// Claim gives the caller the right to work a task. ok is false when the task
// is finished, moved on, or worked by another, or its organization is disabled: nothing
// to do.
func Claim(ctx context.Context, s *store.Store, taskID string, generation int64) (c usersync.Claim, ok bool, err error) {
	c = usersync.Claim{TaskID: taskID, Token: newToken(s.AsyncCommit().Attending())}
	var args string
	var started int64
	err = s.AsyncCommit().QueryRow(ctx, claimStatement, taskID, generation, c.Token, ClaimFor.Microseconds()).
		Scan(&c.Organization, &c.Queue, &c.FairnessKey, &args, &c.Traceparent, &c.Failures, &c.Deaths, &started)
	if errors.Is(err, sql.ErrNoRows) {
		return usersync.Claim{}, false, nil
	}
	c.Args, c.StartedAt = json.RawMessage(args), store.At(started)
	return c, err == nil, store.Classify(err)
}

// besideLimit bounds the tasks of a fairness key that one claim looks at.
const besideLimit = 32

// chosenText and claimText claim a task and those that wait in its fairness key, oldest
// first, as far as their arguments are short enough together. What is near is
// cut before it is chosen from, so that the cost is bounded. One that has failed
// before, or whose worker has died, goes alone.
const chosenText = `
WITH main AS (
    SELECT id, kind, queue, organization_id, fairness_key, failures + ` + deathsNow + ` AS spoilt
    FROM outbox WHERE id = $1 AND generation = $2 AND ` + isSent + ` AND claimed_until < {now} AND NOT ` + isDisabled + `
), near AS MATERIALIZED (
    SELECT each.value AS id, main.kind FROM main {each}SELECT x.id AS one FROM outbox x WHERE x.state = 'ready' AND x.queue = main.queue
        AND x.organization_id = main.organization_id AND x.fairness_key = main.fairness_key
        ORDER BY x.id LIMIT $6 {skip locked}{/each} WHERE main.spoilt = 0
), beside AS (
    SELECT x.id, sum(length(x.args)) OVER (ORDER BY x.id) AS size FROM near JOIN outbox x ON x.id = near.id WHERE x.kind = near.kind AND x.failures + x.deaths = 0
)`

const claimText = `
UPDATE outbox SET state = 'sent', claim_token = $3, claimed_until = {now} + $4, look_at = {now} + $4, deaths = ` + deathsNow + `,
    started_at = CASE WHEN started_at = 0 THEN {now} ELSE started_at END
WHERE id {any}SELECT id FROM main UNION ALL SELECT id FROM beside WHERE size <= $5{/any} AND claimed_until < {now}
RETURNING id, organization_id, queue, fairness_key, args, traceparent, failures, deaths, started_at`

var claimCoalescedStatement = store.Define("outbox.claimCoalesced", chosenText+claimText)

// ClaimColumns are the columns of a claimed task in the table claimed, as c. NoClaim
// stands in their place in rows that hold no task.
const (
	ClaimColumns = `c.id, c.organization_id, c.queue, c.fairness_key, c.args, c.traceparent, c.failures, c.deaths, c.started_at`
	NoClaim      = `'', '', '', '', '', '', 0, 0, 0`
)

// DefineClaim defines a statement for ClaimWith, which PostgreSQL alone runs. Query
// reads the claimed tasks from the table claimed. Its rows begin with ClaimColumns or
// NoClaim, and every claimed task must have a row, once. $1 is the id of the task that
// was asked for; $1 to $6 are taken.
func DefineClaim(name, query string) *store.Statement {
	return store.DefinePerEngine(name, chosenText+", claimed AS ("+claimText+")"+query, "")
}

// ClaimCoalesced is Claim for a task and for those of its kind that are ready in its
// fairness key and need no more than room bytes of arguments together: they become Coalesced.
func ClaimCoalesced(ctx context.Context, s *store.Store, taskID string, generation int64, room int) (c usersync.Claim, ok bool, err error) {
	return ClaimWith(ctx, s, claimCoalescedStatement, taskID, generation, room, nil, func() {})
}

// ClaimWith is ClaimCoalesced by a statement of DefineClaim. Columns are where the
// columns of a row go that stand behind those of the claim, and row is called when they
// are filled, once for each row.
func ClaimWith(ctx context.Context, s *store.Store, st *store.Statement, taskID string, generation int64, room int, columns []any, row func()) (c usersync.Claim, ok bool, err error) {
	token := newToken(s.AsyncCommit().Attending())
	list, err := store.Collect(ctx, s.AsyncCommit(), st, nil, func(scan func(...any) error) (usersync.Claim, error) {
		c := usersync.Claim{Token: token}
		var args string
		var started int64
		to := append([]any{&c.TaskID, &c.Organization, &c.Queue, &c.FairnessKey, &args, &c.Traceparent, &c.Failures, &c.Deaths, &started}, columns...)
		if err := scan(to...); err != nil {
			return c, err
		}
		row()
		c.Args, c.StartedAt = json.RawMessage(args), store.At(started)
		return c, nil
	}, taskID, generation, token, ClaimFor.Microseconds(), room, besideLimit)
	list = slices.DeleteFunc(list, func(c usersync.Claim) bool { return c.TaskID == "" })
	if err != nil || len(list) == 0 {
		return usersync.Claim{}, false, err
	}
	slices.SortFunc(list, func(a, b usersync.Claim) int { return cmp.Compare(a.TaskID, b.TaskID) })
	if own := slices.IndexFunc(list, func(c usersync.Claim) bool { return c.TaskID == taskID }); own > 0 {
		list = slices.Concat(list[own:own+1], list[:own], list[own+1:])
	}
	c, c.Coalesced = list[0], list[1:]
	return c, true, nil
}

// TaskWords names the tasks of a claim for {words}.
func TaskWords(c usersync.Claim) string { return strings.Join(c.TaskIDs(), " ") }

var renewStatement = store.Define("outbox.renew", `
UPDATE outbox SET claimed_until = {now} + $3, look_at = {now} + $3 WHERE id {words}$1{/words} AND claim_token = $2
RETURNING CASE WHEN `+isDisabled+` THEN 1 ELSE 0 END`)

// Renew holds a claim for another ClaimFor. It returns ErrClaimLost when
// another has it, and ErrDisabled when the claim holds but its work is to stop.
func Renew(ctx context.Context, s *store.Store, c usersync.Claim) error {
	renewed, err := store.Collect(ctx, s.AsyncCommit(), renewStatement, nil, func(scan func(...any) error) (disabled int, err error) {
		return disabled, scan(&disabled)
	}, TaskWords(c), c.Token, ClaimFor.Microseconds())
	switch {
	case err != nil:
		return err
	case len(renewed) < fence(c).Least:
		return ErrClaimLost
	case slices.Contains(renewed, 1):
		return ErrDisabled
	}
	return nil
}

// Held says of a fence that changed n rows whether the claim was lost.
func Held(n int64, err error) error {
	if err == nil && n == 0 {
		return ErrClaimLost
	}
	return err
}

// fence refuses a transaction that has lost one of a claim's tasks.
func fence(c usersync.Claim) *store.Fence {
	return &store.Fence{Least: 1 + len(c.Coalesced), Refusal: ErrClaimLost}
}

// oneHeld is fence for the first task of a claim.
var oneHeld = &store.Fence{Least: 1, Refusal: ErrClaimLost}

var waitingStatement = store.Define("outbox.waiting", `SELECT 1 FROM outbox WHERE state = 'ready' AND queue = $1 LIMIT 1`)

// leaveRoom has the relay look at the queue after the commit where tasks wait: the end
// of a claim leaves room under its fairness key, for its organization, and for
// everybody. A task that becomes ready later is seen by the relay of the process that
// commits it: it finds the room that is left here.
func leaveRoom(ctx context.Context, tx *store.Tx, c usersync.Claim) error {
	return tx.ReadiedIf(ctx, c.Queue, waitingStatement, c.Queue)
}

var finishStatement = store.Define("outbox.finish", `DELETE FROM outbox WHERE id {words}$1{/words} AND claim_token = $2`)

// Finish ends all tasks of a claim. It is the first write of the transaction
// that holds the outcome, and its fence: ErrClaimLost undoes everything behind it.
func Finish(ctx context.Context, tx *store.Tx, c usersync.Claim) error {
	if err := tx.Later(ctx, finishStatement, nil, fence(c), TaskWords(c), c.Token); err != nil {
		return err
	}
	return leaveRoom(ctx, tx, c)
}

// $4 is the time and $6 the while of When. A time that is over is none: the task is ready.
var rearmStatement = store.Define("outbox.rearm", `
UPDATE outbox SET args = $3, failures = $5, deaths = $7, generation = generation + 1, claim_token = '', claimed_until = 0,
    look_at = CASE WHEN CAST($6 AS bigint) > 0 AND (CAST($4 AS bigint) = 0 OR CAST($4 AS bigint) > {now} + CAST($6 AS bigint)) THEN {now} + CAST($6 AS bigint) ELSE CAST($4 AS bigint) END,
    state = CASE WHEN CAST($4 AS bigint) > {now} OR CAST($4 AS bigint) = 0 AND CAST($6 AS bigint) > 0 THEN 'scheduled' ELSE 'ready' END
WHERE id = $1 AND claim_token = $2`)

// Rearm ends this run of a task and has it run again with the given arguments. Like
// Finish it is the fence of its transaction.
func Rearm(ctx context.Context, tx *store.Tx, c usersync.Claim, args json.RawMessage, when When) error {
	c.Deaths = 0
	return rearm(ctx, tx, c, args, when, 0, oneHeld)
}

// Await is Rearm, with the arguments as they are, for a run that has not come to what
// may have ended the worker of an earlier one: its deaths stay counted.
func Await(ctx context.Context, tx *store.Tx, c usersync.Claim, when When) error {
	return rearm(ctx, tx, c, c.Args, when, 0, oneHeld)
}

func rearm(ctx context.Context, tx *store.Tx, c usersync.Claim, args json.RawMessage, when When, failures int, f *store.Fence) error {
	if when.now() {
		tx.Readied(c.Queue)
	} else if err := leaveRoom(ctx, tx, c); err != nil { // It finds the task too, if that is due already.
		return err
	}
	return tx.Later(ctx, rearmStatement, nil, f, c.TaskID, c.Token, string(args), store.Micros(when.at), failures, when.in.Microseconds(), c.Deaths)
}

var holdStatement = store.Define("outbox.hold", `
UPDATE outbox SET claimed_until = {now} + $3, look_at = {now} + $3 WHERE id {words}$1{/words} AND claim_token = $2`)

// Hold is the fence of a transaction that is one of several of its run: the
// claim goes on.
func Hold(ctx context.Context, tx *store.Tx, c usersync.Claim) error {
	return tx.Later(ctx, holdStatement, nil, fence(c), TaskWords(c), c.Token, ClaimFor.Microseconds())
}

var dropStatement = store.Define("outbox.drop", `
DELETE FROM outbox WHERE id {any}SELECT r.id FROM {rows}{/any} AND state IN ('ready', 'scheduled', 'parked', 'held', 'poisoned')`, store.Col("id", store.Text))

// Drop removes tasks that nobody works: there is nothing left to do. One that is on the
// queue or claimed stays, and finds that out by itself.
func Drop(ctx context.Context, tx *store.Tx, ids []string) error {
	if len(ids) == 0 {
		return nil
	}
	slices.Sort(ids)
	return tx.Later(ctx, dropStatement, store.IDRows(dropStatement, ids), nil)
}

var progressStatement = store.Define("outbox.progress", `
UPDATE outbox SET claimed_until = {now} + $3, look_at = {now} + $3, deaths = 0 WHERE id {words}$1{/words} AND claim_token = $2`)

// Progress is Hold for a transaction that does a part of the work for good: what ended
// earlier workers was not that part, so their deaths count no more.
func Progress(ctx context.Context, tx *store.Tx, c usersync.Claim) error {
	return tx.Later(ctx, progressStatement, nil, fence(c), TaskWords(c), c.Token, ClaimFor.Microseconds())
}

var blameStatement = store.Define("outbox.blame", `UPDATE outbox SET deaths = $3 WHERE id = $1 AND claim_token = $2`)

// Blame says how many of the workers in a row that died with a task its work has ended, by
// what a run knows of them. The claim goes on.
func Blame(ctx context.Context, s *store.Store, c usersync.Claim, deaths int) error {
	return Held(s.Writer().Exec(ctx, blameStatement, nil, c.TaskID, c.Token, deaths))
}

// Postpone hands a task back without an outcome, to run again. failed says whether this
// run counts as a failure.
func Postpone(ctx context.Context, s *store.Store, c usersync.Claim, when When, failed bool) error {
	failures := c.Failures
	if failed {
		failures++
	}
	return s.Tx(ctx, func(tx *store.Tx) error {
		return rearm(ctx, tx, c, c.Args, when, failures, oneHeld)
	})
}

// Release hands back each of a claim's tasks by itself, without an outcome, to run
// again, after a failed run each alone. Those that another holds are left to it.
func Release(ctx context.Context, s *store.Store, c usersync.Claim, when When, failed bool) error {
	return s.Tx(ctx, func(tx *store.Tx) error {
		//lint:loop the statements travel together; each task has failures of its own
		for _, one := range c.All() {
			failures := one.Failures
			if failed {
				failures++
			}
			if err := rearm(ctx, tx, one, one.Args, when, failures, nil); err != nil {
				return err
			}
		}
		return nil
	})
}

// Part is one item of a task's batch, as a task of its own.
type Part struct {
	Item string // the id of what is worked: a request, a delivery
	Task usersync.Task
}

var adoptStatement = store.Define("outbox.adopt", `
UPDATE requests SET task_id = r.task FROM {rows}
WHERE requests.organization_id = r.organization_id AND requests.id = r.item AND requests.task_id = $1`,
	store.Col("organization_id", store.Text), store.Col("item", store.Text), store.Col("task", store.Text))

var adoptDeliveriesStatement = store.Define("outbox.adoptDeliveries", `
UPDATE deliveries SET task_id = r.task FROM {rows}
WHERE deliveries.id = r.item AND deliveries.organization_id = r.organization_id AND deliveries.task_id IN ($1, '')`,
	store.Col("organization_id", store.Text), store.Col("item", store.Text), store.Col("task", store.Text))

// Split replaces a task by one task for each of its items, so that what cannot
// be worked stands alone.
func Split(ctx context.Context, s *store.Store, c usersync.Claim, parts []Part) error {
	moved := adoptStatement.Rows(len(parts))
	tasks := make([]usersync.Task, 0, len(parts))
	for _, p := range parts {
		moved.Add(c.Organization, p.Item, p.Task.ID)
		tasks = append(tasks, p.Task)
	}
	return s.Tx(ctx, func(tx *store.Tx) error {
		if err := Finish(ctx, tx, c); err != nil {
			return err
		}
		//lint:loop one statement for each table
		for _, adopt := range []*store.Statement{adoptStatement, adoptDeliveriesStatement} {
			if err := tx.Later(ctx, adopt, moved, nil, c.TaskID); err != nil {
				return err
			}
		}
		if err := Enqueue(ctx, tx, tasks...); err != nil || c.Deaths == 0 {
			return err
		}
		return inheritDeaths(ctx, tx, c, tasks)
	})
}

// State is how much stands in the outbox, for metrics and readiness. The tasks of
// connections stay there for good, and those of follow-ups wait for as long as these say:
// they count only with something due.
type State struct {
	Ready, Sent, Scheduled, Parked, Held, Poisoned int64
	// OldestReady is when the oldest task that waits for the queue was made.
	OldestReady time.Time
	// OldestUnfinished is when the oldest task was made that waits neither for credits
	// nor for an operator.
	OldestUnfinished time.Time
}

var outboxStateStatement = store.Define("outbox.state", `
SELECT state, count(*), min(created_at) FROM outbox WHERE NOT (kind IN ('platform.push', 'followup.run') AND state = 'scheduled') GROUP BY state`)

// Count counts the outbox.
func Count(ctx context.Context, s *store.Store) (State, error) {
	type group struct {
		state  string
		n      int64
		oldest int64
	}
	groups, err := store.Collect(ctx, s.Reader(), outboxStateStatement, nil, func(scan func(...any) error) (g group, err error) {
		return g, scan(&g.state, &g.n, &g.oldest)
	})
	var out State
	for _, g := range groups {
		switch g.state {
		case stateReady:
			out.Ready, out.OldestReady = g.n, store.At(g.oldest)
		case stateSent:
			out.Sent = g.n
		case stateScheduled:
			out.Scheduled = g.n
		case stateParked:
			out.Parked = g.n
			continue
		case stateHeld:
			out.Held = g.n
			continue
		case statePoisoned:
			out.Poisoned = g.n
			continue
		}
		if oldest := store.At(g.oldest); out.OldestUnfinished.IsZero() || oldest.Before(out.OldestUnfinished) {
			out.OldestUnfinished = oldest
		}
	}
	return out, err
}
