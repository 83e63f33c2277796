package intake

import (
	"context"
	"fmt"

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

// Retry queues a request again, for its steps that failed or wait for a connection that
// rests, or for the failed users of a bulk.
// A call whose idempotency key was taken before changes nothing and is replayed;
// callID tells the calls apart. It returns ErrNothingFailed, request.ErrNotFound or
// request.ErrErased where there is nothing to retry.
func Retry(ctx context.Context, o *store.Org, id, callID string, key *idempotency.Key) (replayed bool, err error) {
	err = o.Tx(ctx, func(tx *store.Tx) error {
		if replayed, err = seen(ctx, tx, o.ID(), callID, key); err != nil || replayed {
			return err
		}
		return retry(ctx, tx, o.ID(), id)
	})
	if err != nil {
		return replayed, fmt.Errorf("queue the request again: %w", err)
	}
	return replayed, nil
}

// seen stores the idempotency key of a call and reports whether another call has
// used the key before.
func seen(ctx context.Context, tx *store.Tx, organization, callID string, key *idempotency.Key) (bool, error) {
	if key == nil {
		return false, nil
	}
	sub := &Submission{Organization: organization, Idempotency: key, Items: []*Acceptance{{RequestID: callID}}}
	if _, err := keepKeys(ctx, tx, []*Submission{sub}); err != nil {
		return false, fmt.Errorf("keep the idempotency key: %w", err)
	}
	if sub.Err != nil {
		return false, sub.Err
	}
	return sub.Replayed, nil
}

func retry(ctx context.Context, tx *store.Tx, organization, id string) error {
	q, userExists, err := request.LockForRetry(ctx, tx, organization, id)
	if err != nil {
		return err
	}
	var left int64
	switch {
	case q.Kind == request.KindPlatformBulk:
		left, err = bulk.Retry(ctx, tx, organization, id, q.Status)
	case !userExists:
		return request.ErrErased
	default:
		left, err = request.CountStepsToRetry(ctx, tx, id)
	}
	if err != nil {
		return fmt.Errorf("find what is left to do: %w", err)
	}
	if left == 0 || !q.Status.CanBecome(request.Queued) {
		return ErrNothingFailed
	}
	task := pipeline.Again(q.Kind, organization, id, q.Run+1, q.Traceparent)
	if err := tx.Later(ctx, requeueStatement, nil, nil, organization, id, task.ID); err != nil {
		return fmt.Errorf("set the request back to queued: %w", err)
	}
	if err := outbox.Enqueue(ctx, tx, task); err != nil {
		return fmt.Errorf("enqueue the task: %w", err)
	}
	return nil
}
