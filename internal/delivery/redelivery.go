package delivery

import (
	"cmp"
	"context"
	"database/sql"
	"errors"
	"time"

	"usersync/internal/store"
	"usersync/internal/usersync"
)

// ErrNotFound is the refusal of an id that names no delivery of the organization.
var ErrNotFound = usersync.Errorf(usersync.CodeNotFound, "Delivery not found")

// listDeliveries holds the list of an endpoint's deliveries for each status,
// "" for all. Those of which there may be few among many have indexes of their
// own, which are found by the second condition. The tuple is compared over the
// columns of those indexes, whose order no other index has.
var listDeliveries = map[Status]*store.Statement{
	"":        defineList("delivery.list", ``),
	Pending:   defineList("delivery.listPending", `AND d.status = 'pending'`),
	Retrying:  defineList("delivery.listRetrying", `AND d.status = 'retrying' AND d.next_attempt_at > 0`),
	Delivered: defineList("delivery.listDelivered", `AND d.status = 'delivered'`),
	Failed:    defineList("delivery.listFailed", `AND d.status = 'failed' AND d.failed_at > 0`),
}

func defineList(name, condition string) *store.Statement {
	return store.Define(name, `SELECT `+DeliveryColumns+` FROM deliveries d
WHERE (d.endpoint_id, d.id) < ($2, $3) AND d.endpoint_id >= $2 AND CASE WHEN d.organization_id = $1 THEN true ELSE false END `+condition+`
ORDER BY d.endpoint_id DESC, d.id DESC LIMIT $4`)
}

// List returns up to limit deliveries to an endpoint, newest first, of
// one status or, with "", of all.
func List(ctx context.Context, o *store.Org, endpoint string, status Status, before string, limit int) ([]Delivery, error) {
	return store.Collect(ctx, o.Reader(), listDeliveries[status], nil, ReadDelivery, o.ID(), endpoint, cmp.Or(before, store.AfterAll(usersync.PrefixDelivery)), limit)
}

func ReadDelivery(scan func(...any) error) (Delivery, error) { return scanDelivery(scan) }

var deliveryStatement = store.Define("delivery.get", `SELECT `+DeliveryColumns+` FROM deliveries d WHERE d.id = $2 AND d.organization_id = $1`)

// Get returns one delivery.
func Get(ctx context.Context, o *store.Org, id string) (Delivery, error) {
	return load(ctx, o.Reader(), o.ID(), id)
}

// GetIn returns one delivery as this transaction sees it.
func GetIn(ctx context.Context, tx *store.Tx, organization, id string) (Delivery, error) {
	return load(ctx, tx.Conn, organization, id)
}

func load(ctx context.Context, db store.Conn, organization, id string) (Delivery, error) {
	d, err := scanDelivery(db.QueryRow(ctx, deliveryStatement, organization, id).Scan)
	if errors.Is(err, sql.ErrNoRows) {
		return d, ErrNotFound
	}
	return d, store.Classify(err)
}

// Assignment gives a delivery to a task.
type Assignment struct{ DeliveryID, TaskID string }

// A delivery that had come to its end begins the schedule anew.
var resendStatement = store.Define("delivery.resend", `
UPDATE deliveries SET task_id = r.task_id, next_attempt_at = {now}, failed_at = 0, updated_at = {now},
    earlier_attempts = CASE WHEN status IN ('delivered', 'failed') THEN attempt_count ELSE earlier_attempts END,
    status = CASE WHEN attempt_count = 0 THEN 'pending' ELSE 'retrying' END
FROM {rows} WHERE deliveries.id = r.id AND deliveries.organization_id = $1 AND deliveries.task_id <> '`+ErasedTask+`'`, store.Col("id", store.Text), store.Col("task_id", store.Text))

// Resend gives deliveries to other tasks, in the transaction that enqueues
// those: each is made once more, now, whatever became of it. What the tasks
// that had them are just trying is noted and decides nothing any more. It
// returns how many there were whose messages were not erased.
func Resend(ctx context.Context, tx *store.Tx, organization string, list []Assignment) (int64, error) {
	set := resendStatement.Rows(len(list))
	for _, a := range list {
		set.Add(a.DeliveryID, a.TaskID)
	}
	return tx.Exec(ctx, resendStatement, set, organization)
}

// Window is a time in which messages were made: from Since until before Until.
type Window struct{ Since, Until time.Time }

var countFailedStatement = store.Define("delivery.countFailed", `
SELECT count(*) FROM deliveries
WHERE endpoint_id = $2 AND failed_at > 0 AND created_at >= $3 AND created_at < $4 AND organization_id = $1 AND task_id <> '`+ErasedTask+`'`)

// CountFailed counts the failed deliveries to an endpoint whose messages were
// made within the window.
func CountFailed(ctx context.Context, tx *store.Tx, organization, endpoint string, w Window) (n int64, err error) {
	err = tx.QueryRow(ctx, countFailedStatement, organization, endpoint, store.Micros(w.Since), store.Micros(w.Until)).Scan(&n)
	return n, store.Classify(err)
}

// The tuple is compared over the columns of the index deliveries_failed_window.
var failedStatement = store.Define("delivery.failed", `
SELECT id, created_at FROM deliveries
WHERE endpoint_id = $2 AND failed_at > 0 AND (created_at, id) > ($3, $4) AND created_at < $5 AND organization_id = $1 AND task_id <> '`+ErasedTask+`'
ORDER BY created_at, id LIMIT $6 {for update}`)

// FailedDelivery says where in a window a failed delivery stands.
type FailedDelivery struct {
	ID        string
	CreatedAt time.Time
}

// LockFailed locks up to limit failed deliveries to an endpoint whose messages
// were made within the window, oldest first. With after, the window begins
// behind that delivery, which was made at Since.
func LockFailed(ctx context.Context, tx *store.Tx, organization, endpoint string, w Window, after string, limit int) ([]FailedDelivery, error) {
	return store.Collect(ctx, tx.Conn, failedStatement, nil, func(scan func(...any) error) (d FailedDelivery, err error) {
		var created int64
		err = scan(&d.ID, &created)
		d.CreatedAt = store.At(created)
		return d, err
	}, organization, endpoint, store.Micros(w.Since), after, store.Micros(w.Until), limit)
}

var hastenStatement = store.Define("delivery.hasten", `
UPDATE outbox SET state = 'ready' WHERE id {any}
    SELECT id FROM outbox WHERE state = 'scheduled' AND queue = $1 AND fairness_key = $2 ORDER BY id LIMIT $3 {skip locked}{/any}`)

// Hasten makes up to limit scheduled tasks of a fairness key ready before their time
// and returns how many.
func Hasten(ctx context.Context, tx *store.Tx, queue, fairnessKey string, limit int) (int64, error) {
	tx.Readied(queue)
	return tx.Exec(ctx, hastenStatement, nil, queue, fairnessKey, limit)
}
