package delivery

import (
	"context"
	"errors"
	"fmt"

	"usersync/internal/outbox"
	"usersync/internal/store"
	"usersync/internal/usersync"
)

// errDeleted is the refusal to send again to an endpoint that is no more.
var errDeleted = usersync.Errorf(usersync.CodeConflict, "The webhook endpoint was deleted.")

// errErased is the refusal to send again what is not there any more.
var errErased = usersync.Errorf(usersync.CodeConflict, "The message was erased.")

// Redeliver sends the message of a delivery once more, now: the same bytes
// under the same id. One that waits is tried now; one that has come to its end
// begins the schedule anew.
func Redeliver(ctx context.Context, org *store.Org, actor, id string) (d Delivery, err error) {
	known, err := Get(ctx, org, id)
	if err != nil {
		return known, err
	}
	err = withEndpoint(ctx, org, known.EndpointID, actor, "delivery.redeliver", id, nil, func(tx *store.Tx) error {
		sent, err := resend(ctx, tx, org.ID(), known.EndpointID, []string{id})
		if err != nil {
			return fmt.Errorf("send the deliveries again: %w", err)
		}
		if sent == 0 {
			return errErased
		}
		d, err = getInTx(ctx, tx, org.ID(), id)
		return err
	})
	if errors.Is(err, ErrNoEndpoint) {
		return d, errDeleted
	}
	return d, err
}

// resend gives deliveries of one endpoint to new tasks that make them now.
// Those whose messages were erased are left out; it returns how many were not.
func resend(ctx context.Context, tx *store.Tx, organization, endpoint string, deliveries []string) (int64, error) {
	b := batches{organization: organization, id: newID, open: map[string]*batch{}}
	list := make([]assignment, len(deliveries))
	for i, id := range deliveries {
		list[i] = assignment{DeliveryID: id, TaskID: b.add(endpoint, id, "")}
	}
	sent, err := reassign(ctx, tx, organization, list)
	if err != nil || sent == 0 {
		return 0, err
	}
	return sent, outbox.Enqueue(ctx, tx, b.tasks()...)
}

// assignment gives a delivery to a task.
type assignment struct{ DeliveryID, TaskID string }

// A delivery that had come to its end begins the schedule anew.
var resendStatement = store.Define("delivery.resend", `
UPDATE deliveries SET task_id = r.task_id, next_attempt_at = {now}, failed_at = 0, updated_at = {now},
    earlier_attempts = CASE WHEN status IN ('delivered', 'failed') THEN attempt_count ELSE earlier_attempts END,
    status = CASE WHEN attempt_count = 0 THEN 'pending' ELSE 'retrying' END
FROM {rows} WHERE deliveries.id = r.id AND deliveries.organization_id = $1 AND deliveries.task_id <> '`+ErasedTask+`'`, store.Col("id", store.Text), store.Col("task_id", store.Text))

// reassign gives deliveries to other tasks, in the transaction that enqueues
// those: each is made once more, now, whatever became of it. What the tasks
// that had them are just trying is noted and decides nothing any more. It
// returns how many there were whose messages were not erased.
func reassign(ctx context.Context, tx *store.Tx, organization string, list []assignment) (int64, error) {
	set := resendStatement.Rows(len(list))
	for _, a := range list {
		set.Add(a.DeliveryID, a.TaskID)
	}
	return tx.Exec(ctx, resendStatement, set, organization)
}
