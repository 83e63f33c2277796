package intake

import (
	"context"
	"database/sql"
	"errors"

	"usersync/internal/bulk"
	"usersync/internal/idempotency"
	"usersync/internal/outbox"
	"usersync/internal/pipeline"
	"usersync/internal/request"
	"usersync/internal/store"
	"usersync/internal/usersync"
)

var requeueStatement = store.Define("intake.requeue", `
UPDATE requests SET status = 'queued', run = run + 1, task_id = $3, finished_at = 0
WHERE organization_id = $1 AND id = $2`)

// ErrNothingFailed is the refusal to retry a request without a failed step.
var ErrNothingFailed = usersync.Errorf(usersync.CodeConflict, "Nothing failed, so there is nothing to retry.")

// Retry has the failed steps of a request run again, or the failed users of a
// bulk. A call with an idempotency key that was taken before changes nothing and is
// replayed; callID tells the calls apart.
func Retry(ctx context.Context, o *store.Org, id, callID string, key *idempotency.Key) (replayed bool, err error) {
	err = o.Tx(ctx, func(tx *store.Tx) error {
		if replayed, err = seen(ctx, tx, o.ID(), callID, key); err != nil || replayed {
			return err
		}
		return retry(ctx, tx, o.ID(), id)
	})
	return replayed, err
}

// seen keeps the idempotency key of a call and reports whether another call
// had it before.
func seen(ctx context.Context, tx *store.Tx, organization, callID string, key *idempotency.Key) (bool, error) {
	if key == nil {
		return false, nil
	}
	sub := &Submission{Organization: organization, Idempotency: key, Items: []*Acceptance{{RequestID: callID}}}
	if _, err := keepKeys(ctx, tx, []*Submission{sub}); err != nil {
		return false, err
	}
	if sub.Err != nil {
		return false, sub.Err
	}
	return sub.Replayed, nil
}

func retry(ctx context.Context, tx *store.Tx, organization, id string) error {
	var kind request.Kind
	var status request.Status
	var run, users int
	var traceparent string
	err := tx.QueryRow(ctx, request.LockRequestStatement, organization, id).Scan(&kind, &status, &run, &traceparent, &users)
	if errors.Is(err, sql.ErrNoRows) {
		return request.ErrNotFound
	}
	if err != nil {
		return store.Classify(err)
	}
	var failed int64
	switch {
	case kind == request.KindPlatformBulk:
		failed, err = bulk.Retry(ctx, tx, organization, id, status)
	case users == 0:
		return request.ErrErased
	default:
		err = store.Classify(tx.QueryRow(ctx, request.FailedStepsStatement, id).Scan(&failed))
	}
	if err != nil {
		return err
	}
	if failed == 0 || !status.CanBecome(request.Queued) {
		return ErrNothingFailed
	}
	task := pipeline.Again(kind, organization, id, run+1, traceparent)
	if err := tx.Later(ctx, requeueStatement, nil, nil, organization, id, task.ID); err != nil {
		return err
	}
	return outbox.Enqueue(ctx, tx, task)
}
