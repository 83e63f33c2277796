package outbox

import (
	"context"
	"time"

	"usersync/internal/audit"
	"usersync/internal/queue"
	"usersync/internal/store"
	"usersync/internal/usersync"
)

// StuckTask is a task that should have been finished by now.
type StuckTask struct {
	ID           string        `json:"id"`
	Organization string        `json:"organizationId"`
	Kind         string        `json:"kind"`
	Queue        string        `json:"queue"`
	FairnessKey  string        `json:"lane"`
	State        string        `json:"state"` // ready, sent or scheduled
	Failures     int           `json:"failures"`
	CreatedAt    usersync.Time `json:"createdAt"`
	// StartedAt is when a worker first claimed it.
	StartedAt usersync.Time `json:"startedAt,omitzero"`
	// ClaimedUntil is when the last claim ends or ended.
	ClaimedUntil usersync.Time `json:"claimedUntil,omitzero"`
}

var stuckStatement = store.Define("outbox.stuck", `
SELECT id, organization_id, kind, queue, fairness_key, state, failures, created_at, started_at, claimed_until FROM outbox
WHERE id > $1 AND state <> 'parked' AND created_at <= {now} - $2 AND (state = 'sent' OR look_at <= {now} - $2)
ORDER BY id LIMIT $3`)

// Stuck returns up to limit unfinished tasks, oldest first, newer than the id
// after when that is given. Tasks made or due less than age ago are left out,
// and so are those that wait for credits.
func Stuck(ctx context.Context, s *store.Store, age time.Duration, after string, limit int) ([]StuckTask, error) {
	return store.Collect(ctx, s.Reader(), stuckStatement, nil, scanStuck, after, age.Microseconds(), limit)
}

func scanStuck(scan func(...any) error) (t StuckTask, err error) {
	var created, started, claimed int64
	err = scan(&t.ID, &t.Organization, &t.Kind, &t.Queue, &t.FairnessKey, &t.State, &t.Failures, &created, &started, &claimed)
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
