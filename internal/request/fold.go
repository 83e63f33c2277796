package request

import (
	"context"
	"fmt"
	"time"

	"usersync/internal/store"
)

var foldStatement = store.Define("request.fold", `
UPDATE requests SET status = r.status, finished_at = r.finished,
    started_at = CASE WHEN started_at = 0 THEN {now} ELSE started_at END
FROM {rows} WHERE requests.organization_id = r.organization_id AND requests.id = r.id
    AND requests.status IN ('queued', 'processing', 'awaiting_credits')`,
	store.Col("organization_id", store.Text), store.Col("id", store.Text), store.Col("status", store.Text), store.Col("finished", store.Bigint))

// Fold gives requests whose steps have changed the status that follows
// from them, and returns those that are finished by it.
func Fold(ctx context.Context, tx *store.Tx, organization string, ids []string, now time.Time) ([]*Locked, error) {
	locked, err := Lock(ctx, tx, organization, ids)
	if err != nil {
		return nil, err
	}
	set := foldStatement.Rows(len(locked))
	var finished []*Locked
	for _, id := range ids {
		q := locked[id]
		if q == nil || q.Status.Final() {
			continue
		}
		status, at := StatusOf(q.Steps), int64(0)
		if status == q.Status {
			continue
		}
		if q.Status = status; status.Final() {
			at = store.Micros(now)
			finished = append(finished, q)
		}
		set.Add(organization, id, string(status), at)
	}
	if set.Len() == 0 {
		return nil, nil
	}
	if _, err := tx.Exec(ctx, foldStatement, set); err != nil {
		return nil, fmt.Errorf("save the statuses of requests: %w", err)
	}
	return finished, nil
}
