package outbox

import (
	"context"
	"database/sql"
	"errors"
	"fmt"
	"time"

	"usersync/internal/audit"
	"usersync/internal/queue"
	"usersync/internal/store"
	"usersync/internal/usersync"
)

// MaxDeaths is how many claims of a task may run out in a row, since their worker died
// or was not heard of, before the task is poisoned.
const MaxDeaths = 3

// StuckTask is a task that should have been finished by now, or is poisoned.
type StuckTask struct {
	ID           string `json:"id"`
	Organization string `json:"organizationId"`
	Kind         string `json:"kind"`
	Queue        string `json:"queue"`
	FairnessKey  string `json:"lane"`
	State        string `json:"state"` // ready, sent, scheduled or poisoned
	Failures     int    `json:"failures"`
	// Deaths counts the workers in a row that died while they had the task.
	Deaths    int           `json:"deaths"`
	CreatedAt usersync.Time `json:"createdAt"`
	// StartedAt is when a worker first claimed it.
	StartedAt usersync.Time `json:"startedAt,omitzero"`
	// ClaimedUntil is when the last claim ends or ended.
	ClaimedUntil usersync.Time `json:"claimedUntil,omitzero"`
}

var stuckStatement = store.Define("outbox.stuck", `
SELECT id, organization_id, kind, queue, fairness_key, state, failures, deaths, created_at, started_at, claimed_until FROM outbox
WHERE id > $1 AND state NOT IN ('parked', 'held') AND created_at <= {now} - $2 AND (state IN ('sent', 'poisoned') OR look_at <= {now} - $2)
ORDER BY id LIMIT $3`)

// Stuck returns up to limit unfinished tasks, oldest first, newer than the id
// after when that is given. Tasks made or due less than age ago are left out, and so are
// those that wait for credits, or for their organization to be enabled.
func Stuck(ctx context.Context, s *store.Store, age time.Duration, after string, limit int) ([]StuckTask, error) {
	return store.Collect(ctx, s.Reader(), stuckStatement, nil, scanStuck, after, age.Microseconds(), limit)
}

func scanStuck(scan func(...any) error) (t StuckTask, err error) {
	var created, started, claimed int64
	err = scan(&t.ID, &t.Organization, &t.Kind, &t.Queue, &t.FairnessKey, &t.State, &t.Failures, &t.Deaths, &created, &started, &claimed)
	t.CreatedAt, t.StartedAt, t.ClaimedUntil = store.Stamp(created), store.Stamp(started), store.Stamp(claimed)
	return t, err
}

// Rebuild is UnsendAll as an operator's call: it spares live claims and is
// noted in the audit log.
func Rebuild(ctx context.Context, s *store.Store, actor string) (tasks int64, err error) {
	err = s.Tx(ctx, func(tx *store.Tx) error {
		const sparing = 0
		if tasks, err = tx.Exec(ctx, unsendAllStatement, nil, sparing); err != nil {
			return err
		}
		for _, q := range queue.Queues {
			tx.Readied(q)
		}
		return audit.Record(ctx, tx, "", actor, "queue.rebuild", "")
	})
	return tasks, err
}

var poisonStatement = store.Define("outbox.poison", `
UPDATE outbox SET state = 'poisoned', generation = generation + 1, look_at = `+neverDue+`, claim_token = '', claimed_until = 0
WHERE id = $1 AND claim_token = $2`)

// Poison ends a claim on a task that has ended MaxDeaths workers: it is worked no more
// until RetryPoisoned.
func Poison(ctx context.Context, s *store.Store, c usersync.Claim) error {
	return s.Tx(ctx, func(tx *store.Tx) error {
		if err := tx.Later(ctx, poisonStatement, nil, oneHeld, c.TaskID, c.Token); err != nil {
			return err
		}
		return leaveRoom(ctx, tx, c)
	})
}

// ErrNotPoisoned is the refusal to retry a task that is not poisoned.
var ErrNotPoisoned = usersync.Errorf(usersync.CodeNotFound, "No such poisoned task.")

var retryPoisonedStatement = store.Define("outbox.retryPoisoned", `
UPDATE outbox SET state = 'ready', look_at = {now}, failures = 0, deaths = 0 WHERE id = $1 AND state = 'poisoned'
RETURNING organization_id, queue`)

// RetryPoisoned has a poisoned task worked again, as if it were new.
func RetryPoisoned(ctx context.Context, s *store.Store, actor, taskID string) error {
	return s.Tx(ctx, func(tx *store.Tx) error {
		var organization, of string
		err := tx.QueryRow(ctx, retryPoisonedStatement, taskID).Scan(&organization, &of)
		if errors.Is(err, sql.ErrNoRows) {
			return ErrNotPoisoned
		}
		if err != nil {
			return fmt.Errorf("make the task ready: %w", store.Classify(err))
		}
		tx.Readied(of)
		return audit.Record(ctx, tx, organization, actor, "task.retry", taskID)
	})
}
