package request

import (
	"context"

	"usersync/internal/store"
)

// Fold gives requests whose steps have changed the status that follows from them. It
// returns the outcomes of those that have another one by it, and the ids of those that
// are finished.
func Fold(ctx context.Context, tx *store.Tx, organization string, ids []string) (moved []Outcome, finished []string, err error) {
	locked, err := Lock(ctx, tx, organization, ids)
	if err != nil {
		return nil, nil, err
	}
	for _, id := range ids {
		q := locked[id]
		if q == nil || q.Status.Final() {
			continue
		}
		if status := StatusOf(q.Steps); status != q.Status {
			moved = append(moved, q.outcome(status))
		}
	}
	finished, err = SaveOutcomes(ctx, tx, organization, moved)
	return moved, finished, err
}

// outcome returns the outcome of the request that has come to a status by its steps,
// which are written.
func (q *Locked) outcome(status Status) Outcome {
	return Outcome{RequestID: q.ID, Kind: q.Kind, TaskID: q.TaskID, Run: q.Run, Traceparent: q.Traceparent,
		Status: status, Charged: q.Charged, StartedAt: q.Now, FinishedAt: q.Now}
}
