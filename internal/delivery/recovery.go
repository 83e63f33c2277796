package delivery

import (
	"context"
	"errors"
	"fmt"
	"time"

	"usersync/internal/outbox"
	"usersync/internal/queue"
	"usersync/internal/store"
	"usersync/internal/usersync"
)

// RecoveryWindow is a time in which messages were made: from Since until before Until.
type RecoveryWindow struct{ Since, Until time.Time }

// RecoverFailed enqueues the task that sends every failed delivery of the window
// again, and returns how many there are.
func RecoverFailed(ctx context.Context, org *store.Org, actor, endpoint string, w RecoveryWindow) (n int64, err error) {
	err = withEndpoint(ctx, org, endpoint, actor, "webhook_endpoint.recover", endpoint, []string{"since", "until"}, func(tx *store.Tx) error {
		n, err = countFailed(ctx, tx, org.ID(), endpoint, w)
		if err != nil || n == 0 {
			return err
		}
		args := RecoverArgs{EndpointID: endpoint, Since: w.Since.UnixMicro(), Until: w.Until.UnixMicro()}
		return outbox.Enqueue(ctx, tx, Recover.Task(usersync.NewID(usersync.PrefixTask), org.ID(), org.ID(), args))
	})
	return n, err
}

// CountRecoverable returns how many deliveries RecoverFailed would send again.
func CountRecoverable(ctx context.Context, org *store.Org, endpoint string, w RecoveryWindow) (n int64, err error) {
	if _, err := GetEndpoint(ctx, org, endpoint); err != nil {
		return 0, err
	}
	err = org.Tx(ctx, func(tx *store.Tx) error {
		n, err = countFailed(ctx, tx, org.ID(), endpoint, w)
		return err
	})
	return n, err
}

// Recover sends the failed deliveries of a window again, some thousand at a
// time, oldest first.
var Recover = queue.Kind[RecoverArgs]{Name: "webhook.recover", Queue: queue.Deliver, Timeout: time.Minute}

// RecoverArgs are the arguments of Recover: the part of the window that is left, in microseconds.
type RecoverArgs struct {
	EndpointID string `json:"endpoint"`
	Since      int64  `json:"since"`
	After      string `json:"after,omitempty"` // the last delivery made at Since that is done
	Until      int64  `json:"until"`
}

// recoverAtOnce bounds the deliveries that one run sends again: 16 tasks.
const recoverAtOnce = 16 * tasksOf

func (s *Service) recover(ctx context.Context, c usersync.Claim, args RecoverArgs) error {
	return s.Store.Tx(ctx, func(tx *store.Tx) error {
		state, err := lockEndpoint(ctx, tx, c.Organization, args.EndpointID)
		if errors.Is(err, ErrNoEndpoint) || err == nil && state.Status != EndpointEnabled {
			return outbox.Finish(ctx, tx, c) // disabled or deleted meanwhile: what failed stays failed
		}
		if err != nil {
			return err
		}
		w := RecoveryWindow{Since: time.UnixMicro(args.Since), Until: time.UnixMicro(args.Until)}
		failed, err := lockFailed(ctx, tx, c.Organization, args.EndpointID, w, args.After, recoverAtOnce)
		if err != nil {
			return fmt.Errorf("lock the failed deliveries: %w", err)
		}
		if err := goOn(ctx, tx, c, args, failed); err != nil || len(failed) == 0 {
			return err
		}
		ids := make([]string, len(failed))
		for i, d := range failed {
			ids[i] = d.ID
		}
		_, err = resend(ctx, tx, c.Organization, args.EndpointID, ids)
		return err
	})
}

// goOn has the task come again behind what it found, or ends it.
func goOn(ctx context.Context, tx *store.Tx, c usersync.Claim, args RecoverArgs, found []failedDelivery) error {
	if len(found) < recoverAtOnce {
		return outbox.Finish(ctx, tx, c)
	}
	last := found[len(found)-1]
	args.Since, args.After = last.CreatedAt.UnixMicro(), last.ID
	return outbox.Rearm(ctx, tx, c, Recover.Task(c.TaskID, c.Organization, c.FairnessKey, args).Args, outbox.When{})
}

var countFailedStatement = store.Define("delivery.countFailed", `
SELECT count(*) FROM deliveries
WHERE endpoint_id = $2 AND failed_at > 0 AND created_at >= $3 AND created_at < $4 AND organization_id = $1 AND task_id <> '`+ErasedTask+`'`)

// countFailed counts the failed deliveries to an endpoint whose messages were
// made within the window.
func countFailed(ctx context.Context, tx *store.Tx, organization, endpoint string, w RecoveryWindow) (n int64, err error) {
	err = tx.QueryRow(ctx, countFailedStatement, organization, endpoint, store.Micros(w.Since), store.Micros(w.Until)).Scan(&n)
	return n, store.Classify(err)
}

// The tuple is compared over the columns of the index deliveries_failed_window.
var failedStatement = store.Define("delivery.failed", `
SELECT id, created_at FROM deliveries
WHERE endpoint_id = $2 AND failed_at > 0 AND (created_at, id) > ($3, $4) AND created_at < $5 AND organization_id = $1 AND task_id <> '`+ErasedTask+`'
ORDER BY created_at, id LIMIT $6 {for update}`)

// failedDelivery says where in a window a failed delivery stands.
type failedDelivery struct {
	ID        string
	CreatedAt time.Time
}

// lockFailed locks up to limit failed deliveries to an endpoint whose messages
// were made within the window, oldest first. With after, the window begins
// behind that delivery, which was made at Since.
func lockFailed(ctx context.Context, tx *store.Tx, organization, endpoint string, w RecoveryWindow, after string, limit int) ([]failedDelivery, error) {
	return store.Collect(ctx, tx.Conn, failedStatement, nil, func(scan func(...any) error) (d failedDelivery, err error) {
		var created int64
		err = scan(&d.ID, &created)
		d.CreatedAt = store.At(created)
		return d, err
	}, organization, endpoint, store.Micros(w.Since), after, store.Micros(w.Until), limit)
}
