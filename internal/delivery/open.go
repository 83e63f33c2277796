package delivery

import (
	"context"
	"errors"
	"fmt"

	"usersync/internal/store"
)

// OpenDelivery is a delivery that still has to be made.
type OpenDelivery struct {
	Delivery
	Traceparent string
	// Waits says that the time of the next attempt has not come, by the database's clock.
	Waits bool
}

// known is what is known of a delivery task: Claim.Known of one that this process wrote.
type known struct {
	open []OpenDelivery
	// version is that of the endpoint, when the deliveries were read or written; 0 where
	// it was not enabled.
	version int64
}

// Columns are the columns of deliveries, as d, that ScanDelivery reads.
const Columns = `d.id, d.message_id, d.endpoint_id, d.type, d.status, d.attempts, d.attempt_count, d.earlier_attempts, d.next_attempt_at, d.created_at`

// scanDelivery reads Columns and what stands behind them.
func scanDelivery(scan func(...any) error, more ...any) (d Delivery, err error) {
	var attempts string
	var next, created int64
	err = scan(append([]any{&d.ID, &d.MessageID, &d.EndpointID, &d.Type, &d.Status, &attempts, &d.Attempted, &d.Earlier, &next, &created}, more...)...)
	d.NextAttemptAt, d.CreatedAt = store.At(next), store.At(created)
	return d, errors.Join(err, store.Decode(attempts, &d.Attempts))
}

// A delivery without a task was written by a release that did not name it.
var openDeliveriesStatement = store.Define("delivery.openDeliveries", `
SELECT `+Columns+`, m.body, m.traceparent, d.next_attempt_at > {now},
    coalesce((SELECT e.version FROM webhook_endpoints e WHERE e.id = d.endpoint_id AND e.organization_id = $1 AND e.status = 'enabled'), 0)
FROM {rows} JOIN deliveries d ON d.id = r.id JOIN messages m ON m.id = d.message_id
WHERE d.organization_id = $1 AND d.status IN ('pending', 'retrying') AND d.task_id IN ($2, '')
ORDER BY d.id`, store.Col("id", store.Text))

// loadOpen loads those of the deliveries that the task still has to make: what was
// sent again meanwhile belongs to another one. It also reads the version of their
// endpoint.
func loadOpen(ctx context.Context, o *store.Org, task string, ids []string) (k known, err error) {
	k.open, err = store.Collect(ctx, o.Reader(), openDeliveriesStatement, store.IDRows(openDeliveriesStatement, ids), func(scan func(...any) error) (d OpenDelivery, err error) {
		var body []byte
		d.Delivery, err = scanDelivery(scan, &body, &d.Traceparent, &d.Waits, &k.version)
		d.Body = body
		return d, err
	}, o.ID(), task)
	if err != nil {
		return k, fmt.Errorf("load the open deliveries: %w", err)
	}
	return k, nil
}
