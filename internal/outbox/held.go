package outbox

import (
	"context"
	"errors"
	"fmt"

	"usersync/internal/queue"
	"usersync/internal/store"
	"usersync/internal/usersync"
)

// ErrDisabled says that the organization of a claim was disabled: stop, and hand the
// task back.
var ErrDisabled = errors.New("outbox: the organization is disabled")

// isDisabled asks whether the organization of a row of the outbox is disabled. Tasks of
// a disabled organization are not claimed. That is asked within the claim, so disabling
// counts from its commit on.
const isDisabled = `(coalesce((SELECT g.status FROM organizations g WHERE g.id = outbox.organization_id), '') = 'disabled')`

// neverDue is the look_at of tasks that no time makes due: the year 9999.
const neverDue = `253370764800000000`

// heldAtOnce bounds the tasks that one statement holds or resumes.
const heldAtOnce = 1000

// The task that was asked for has no claim, so a generation of its own makes sure that
// its message on the queue is not taken for the next one.
var holdBackStatement = store.Define("outbox.holdBack", `
WITH main AS (
    SELECT id, queue, organization_id, fairness_key FROM outbox WHERE id = $1 AND generation = $2 AND `+isSent+` AND claimed_until < {now} AND `+isDisabled+`
), near AS MATERIALIZED (
    SELECT each.value AS id FROM main {each}SELECT x.id AS one FROM outbox x WHERE x.state = 'ready' AND x.queue = main.queue
        AND x.organization_id = main.organization_id AND x.fairness_key = main.fairness_key ORDER BY x.id LIMIT $3 {skip locked}{/each}
)
UPDATE outbox SET state = 'held', generation = generation + 1, look_at = `+neverDue+`, deaths = `+deathsNow+`, claim_token = '', claimed_until = 0
WHERE id {any}SELECT id FROM main UNION ALL SELECT id FROM near{/any} AND `+isDisabled)

// HoldBack holds a task that could not be claimed, if that is because its organization
// is disabled, and with it what is ready under its fairness key. ResumeEnabled makes
// them ready again.
func HoldBack(ctx context.Context, s *store.Store, taskID string, generation int64) error {
	_, err := s.AsyncCommit().Exec(ctx, holdBackStatement, nil, taskID, generation, heldAtOnce)
	return err
}

// The recursion hops over the index from one organization to the next. An ordered limit,
// unlike min, has the index read no further, however little is known of it.
var enabledStatement = store.Define("outbox.enabled", `
WITH RECURSIVE held(organization_id) AS (
    SELECT (SELECT o.organization_id FROM outbox o WHERE o.state = 'held' ORDER BY o.organization_id LIMIT 1)
    UNION ALL
    SELECT (SELECT o.organization_id FROM outbox o WHERE o.state = 'held' AND o.organization_id > held.organization_id ORDER BY o.organization_id LIMIT 1)
    FROM held WHERE held.organization_id IS NOT NULL
)
SELECT g.id FROM held JOIN organizations g ON g.id = held.organization_id WHERE g.status <> 'disabled' LIMIT $1`)

// ResumeEnabled makes the held tasks of up to limit organizations ready that are not
// disabled any more.
func ResumeEnabled(ctx context.Context, s *store.Store, limit int) error {
	enabled, err := store.Collect(ctx, s.Reader(), enabledStatement, nil, store.ScanString, limit)
	if err != nil {
		return fmt.Errorf("find the organizations whose tasks are held for no reason: %w", err)
	}
	//lint:loop each organization's tasks are resumed in bites of their own
	for _, organization := range enabled {
		if err := Resume(ctx, s, organization); err != nil {
			return err
		}
	}
	return nil
}

var resumeStatement = store.Define("outbox.resume", `
UPDATE outbox SET state = 'ready', look_at = {now} WHERE id {any}
    SELECT id FROM outbox WHERE state = 'held' AND organization_id = $1 ORDER BY id LIMIT $2 {skip locked}{/any}`)

// Resume makes the held tasks of an organization ready, oldest first.
func Resume(ctx context.Context, s *store.Store, organization string) error {
	for { //lint:loop resumes heldAtOnce tasks in each turn
		n, err := s.AsyncCommit().Exec(ctx, resumeStatement, nil, organization, heldAtOnce)
		if err != nil {
			return fmt.Errorf("resume the tasks of %s: %w", organization, err)
		}
		if n > 0 {
			s.Ready().Raise(queue.Queues...)
		}
		if n < heldAtOnce {
			return nil
		}
	}
}

var inheritStatement = store.Define("outbox.inheritDeaths", `
UPDATE outbox SET deaths = $1 FROM {rows} WHERE outbox.id = r.id`, store.Col("id", store.Text))

// inheritDeaths notes with the parts of a task that its worker has died: each is worked
// alone.
func inheritDeaths(ctx context.Context, tx *store.Tx, c usersync.Claim, parts []usersync.Task) error {
	set := inheritStatement.Rows(len(parts))
	for _, t := range parts {
		set.Add(t.ID)
	}
	return tx.Later(ctx, inheritStatement, set, nil, c.Deaths)
}
