package store

import (
	"context"
	"time"

	"usersync/internal/usersync"
)

// StuckTask is a task that should have been finished by now.
type StuckTask struct {
	ID           string        `json:"id"`
	Organization string        `json:"organizationId"`
	Kind         string        `json:"kind"`
	Queue        string        `json:"queue"`
	Lane         string        `json:"lane"`
	State        string        `json:"state"` // ready, sent or scheduled
	Failures     int           `json:"failures"`
	CreatedAt    usersync.Time `json:"createdAt"`
	// StartedAt is when a worker first claimed it.
	StartedAt usersync.Time `json:"startedAt,omitzero"`
	// ClaimedUntil is when the last claim ends or ended.
	ClaimedUntil usersync.Time `json:"claimedUntil,omitzero"`
}

var stuckStatement = define(`
SELECT id, organization_id, kind, queue, lane, state, failures, created_at, started_at, claimed_until FROM outbox
WHERE id > $1 AND state <> 'parked' AND created_at <= {now} - $2 AND (state = 'sent' OR look_at <= {now} - $2)
ORDER BY id LIMIT $3`)

// Stuck returns up to limit unfinished tasks, oldest first, newer than the id
// after when that is given. Tasks made or due less than age ago are left out,
// and so are those that wait for credits.
func (s *Store) Stuck(ctx context.Context, age time.Duration, after string, limit int) ([]StuckTask, error) {
	return collect(ctx, s.reader(), stuckStatement, nil, scanStuck, after, age.Microseconds(), limit)
}

func scanStuck(scan func(...any) error) (t StuckTask, err error) {
	var created, started, claimed int64
	err = scan(&t.ID, &t.Organization, &t.Kind, &t.Queue, &t.Lane, &t.State, &t.Failures, &created, &started, &claimed)
	t.CreatedAt, t.StartedAt, t.ClaimedUntil = stamp(created), stamp(started), stamp(claimed)
	return t, err
}

// Rebuild is UnsendAll as an operator's call: it spares live claims and is
// noted in the audit log.
func (s *Store) Rebuild(ctx context.Context, actor string) (tasks int64, err error) {
	err = s.Tx(ctx, func(tx *Tx) error {
		const sparing = 0
		if tasks, err = tx.exec(ctx, unsendAllStatement, nil, sparing); err != nil {
			return err
		}
		return tx.audit(ctx, "", actor, "queue.rebuild", "")
	})
	return tasks, err
}
