package store

import (
	"cmp"
	"context"
	"database/sql"
	"errors"
	"time"

	"usersync/internal/usersync"
)

// ErrNoDelivery is the refusal of an id that names no delivery of the organization.
var ErrNoDelivery = usersync.Errorf(usersync.CodeNotFound, "Delivery not found")

// listDeliveries holds the list of an endpoint's deliveries for each status,
// "" for all. Those of which there may be few among many have indexes of their
// own, which are found by the second condition. The tuple is compared over the
// columns of those indexes, whose order no other index has.
var listDeliveries = map[usersync.DeliveryStatus]*statement{
	"":                         defineList(``),
	usersync.DeliveryPending:   defineList(`AND d.status = 'pending'`),
	usersync.DeliveryRetrying:  defineList(`AND d.status = 'retrying' AND d.next_attempt_at > 0`),
	usersync.DeliveryDelivered: defineList(`AND d.status = 'delivered'`),
	usersync.DeliveryFailed:    defineList(`AND d.status = 'failed' AND d.failed_at > 0`),
}

func defineList(condition string) *statement {
	return define(`SELECT ` + deliveryColumns + ` FROM deliveries d
WHERE (d.endpoint_id, d.id) < ($2, $3) AND d.endpoint_id >= $2 AND CASE WHEN d.organization_id = $1 THEN true ELSE false END ` + condition + `
ORDER BY d.endpoint_id DESC, d.id DESC LIMIT $4`)
}

// Deliveries returns up to limit deliveries to an endpoint, newest first, of
// one status or, with "", of all.
func (o *Org) Deliveries(ctx context.Context, endpoint string, status usersync.DeliveryStatus, before string, limit int) ([]usersync.Delivery, error) {
	return collect(ctx, o.reader(), listDeliveries[status], nil, readDelivery, o.ID(), endpoint, cmp.Or(before, afterAll(usersync.PrefixDelivery)), limit)
}

func readDelivery(scan func(...any) error) (usersync.Delivery, error) { return scanDelivery(scan) }

var deliveryStatement = define(`SELECT ` + deliveryColumns + ` FROM deliveries d WHERE d.id = $2 AND d.organization_id = $1`)

// Delivery returns one delivery.
func (o *Org) Delivery(ctx context.Context, id string) (usersync.Delivery, error) {
	return delivery(ctx, o.reader(), o.ID(), id)
}

// Delivery returns one delivery as this transaction sees it.
func (tx *Tx) Delivery(ctx context.Context, organization, id string) (usersync.Delivery, error) {
	return delivery(ctx, tx.conn, organization, id)
}

func delivery(ctx context.Context, db conn, organization, id string) (usersync.Delivery, error) {
	d, err := scanDelivery(db.row(ctx, deliveryStatement, organization, id).Scan)
	if errors.Is(err, sql.ErrNoRows) {
		return d, ErrNoDelivery
	}
	return d, classify(err)
}

// Assignment gives a delivery to a task.
type Assignment struct{ DeliveryID, TaskID string }

// A delivery that had come to its end begins the schedule anew.
var resendStatement = define(`
UPDATE deliveries SET task_id = r.task_id, next_attempt_at = {now}, failed_at = 0, updated_at = {now},
    earlier_attempts = CASE WHEN status IN ('delivered', 'failed') THEN attempt_count ELSE earlier_attempts END,
    status = CASE WHEN attempt_count = 0 THEN 'pending' ELSE 'retrying' END
FROM {rows} WHERE deliveries.id = r.id AND deliveries.organization_id = $1 AND deliveries.task_id <> '`+erasedTask+`'`, col("id", text), col("task_id", text))

// Resend gives deliveries to other tasks, in the transaction that enqueues
// those: each is made once more, now, whatever became of it. What the tasks
// that had them are just trying is noted and decides nothing any more. It
// returns how many there were whose messages were not erased.
func (tx *Tx) Resend(ctx context.Context, organization string, list []Assignment) (int64, error) {
	set := resendStatement.rows(len(list))
	for _, a := range list {
		set.add(a.DeliveryID, a.TaskID)
	}
	return tx.exec(ctx, resendStatement, set, organization)
}

// Window is a time in which messages were made: from Since until before Until.
type Window struct{ Since, Until time.Time }

var countFailedStatement = define(`
SELECT count(*) FROM deliveries
WHERE endpoint_id = $2 AND failed_at > 0 AND created_at >= $3 AND created_at < $4 AND organization_id = $1 AND task_id <> '` + erasedTask + `'`)

// CountFailed counts the failed deliveries to an endpoint whose messages were
// made within the window.
func (tx *Tx) CountFailed(ctx context.Context, organization, endpoint string, w Window) (n int64, err error) {
	err = tx.row(ctx, countFailedStatement, organization, endpoint, micros(w.Since), micros(w.Until)).Scan(&n)
	return n, classify(err)
}

// The tuple is compared over the columns of the index deliveries_failed_window.
var failedStatement = define(`
SELECT id, created_at FROM deliveries
WHERE endpoint_id = $2 AND failed_at > 0 AND (created_at, id) > ($3, $4) AND created_at < $5 AND organization_id = $1 AND task_id <> '` + erasedTask + `'
ORDER BY created_at, id LIMIT $6 {for update}`)

// FailedDelivery says where in a window a failed delivery stands.
type FailedDelivery struct {
	ID        string
	CreatedAt time.Time
}

// LockFailed locks up to limit failed deliveries to an endpoint whose messages
// were made within the window, oldest first. With after, the window begins
// behind that delivery, which was made at Since.
func (tx *Tx) LockFailed(ctx context.Context, organization, endpoint string, w Window, after string, limit int) ([]FailedDelivery, error) {
	return collect(ctx, tx.conn, failedStatement, nil, func(scan func(...any) error) (d FailedDelivery, err error) {
		var created int64
		err = scan(&d.ID, &created)
		d.CreatedAt = at(created)
		return d, err
	}, organization, endpoint, micros(w.Since), after, micros(w.Until), limit)
}

var hastenStatement = define(`
UPDATE outbox SET state = 'ready' WHERE id {any}
    SELECT id FROM outbox WHERE state = 'scheduled' AND queue = $1 AND lane = $2 ORDER BY id LIMIT $3 {skip locked}{/any}`)

// Hasten makes up to limit scheduled tasks of a lane ready before their time
// and returns how many.
func (tx *Tx) Hasten(ctx context.Context, queue, lane string, limit int) (int64, error) {
	tx.readied(queue)
	return tx.exec(ctx, hastenStatement, nil, queue, lane, limit)
}
