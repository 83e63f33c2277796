package store

import (
	"context"
	"encoding/json"
	"errors"
	"slices"
	"strconv"

	"usersync/internal/usersync"
)

// NewMessage is a webhook message with the endpoints it goes to, and for each
// of them the task that delivers it there.
type NewMessage struct {
	usersync.Message
	Traceparent string
	Endpoints   []string
	Tasks       []string
}

var insertMessagesStatement = define(`
INSERT INTO messages (id, organization_id, type, request_id, sequence, body, traceparent, created_at)
SELECT r.id, $1, r.type, r.request_id, r.sequence, r.body, r.traceparent, {now} FROM {rows} WHERE true
ON CONFLICT (id) DO NOTHING`,
	col("id", text), col("type", text), col("request_id", text), col("sequence", bigint), col("body", text), col("traceparent", text))

var insertDeliveriesStatement = define(`
INSERT INTO deliveries (id, organization_id, message_id, endpoint_id, type, status, task_id, created_at, updated_at)
SELECT r.id, $1, r.message_id, r.endpoint_id, r.type, 'pending', r.task_id, {now}, {now} FROM {rows} WHERE true
ON CONFLICT (id) DO NOTHING`,
	col("id", text), col("message_id", text), col("endpoint_id", text), col("type", text), col("task_id", text))

// SaveMessages stores messages and one pending delivery for each endpoint they
// go to. Ids derive from the cause, so doing it twice stores nothing twice.
func (tx *Tx) SaveMessages(ctx context.Context, organization string, messages []NewMessage) error {
	if len(messages) == 0 {
		return nil
	}
	set, deliveries := insertMessagesStatement.rows(len(messages)), insertDeliveriesStatement.rows(len(messages))
	for _, m := range messages {
		set.add(m.ID, string(m.Type), m.RequestID, m.Sequence, string(m.Body), m.Traceparent)
		for i, e := range m.Endpoints {
			deliveries.add(usersync.DeliveryID(m.ID, e), m.ID, e, string(m.Type), m.Tasks[i])
		}
	}
	if err := tx.later(ctx, insertMessagesStatement, set, nil, organization); err != nil {
		return err
	}
	if deliveries.len() == 0 {
		return nil
	}
	return tx.later(ctx, insertDeliveriesStatement, deliveries, nil, organization)
}

// OpenDelivery is a delivery that still has to be made.
type OpenDelivery struct {
	usersync.Delivery
	Traceparent string
}

// deliveryColumns are what scanDelivery reads.
const deliveryColumns = `d.id, d.message_id, d.endpoint_id, d.type, d.status, d.attempts, d.attempt_count, d.earlier_attempts, d.next_attempt_at, d.created_at`

// scanDelivery reads deliveryColumns and what stands behind them.
func scanDelivery(scan func(...any) error, more ...any) (d usersync.Delivery, err error) {
	var attempts string
	var next, created int64
	err = scan(append([]any{&d.ID, &d.MessageID, &d.EndpointID, &d.Type, &d.Status, &attempts, &d.Attempted, &d.Earlier, &next, &created}, more...)...)
	d.NextAttemptAt, d.CreatedAt = at(next), at(created)
	return d, errors.Join(err, decode(attempts, &d.Attempts))
}

// A delivery without a task was written by a release that did not name it.
var openDeliveriesStatement = define(`
SELECT `+deliveryColumns+`, m.body, m.traceparent
FROM {rows} JOIN deliveries d ON d.id = r.id JOIN messages m ON m.id = d.message_id
WHERE d.organization_id = $1 AND d.status IN ('pending', 'retrying') AND d.task_id IN ($2, '')
ORDER BY d.id`, col("id", text))

// OpenDeliveries loads those of the deliveries that the task still has to make:
// what was sent again meanwhile belongs to another one.
func (o *Org) OpenDeliveries(ctx context.Context, task string, ids []string) ([]OpenDelivery, error) {
	return collect(ctx, o.reader(), openDeliveriesStatement, idRows(openDeliveriesStatement, ids), func(scan func(...any) error) (d OpenDelivery, err error) {
		var body []byte
		d.Delivery, err = scanDelivery(scan, &body, &d.Traceparent)
		d.Body = body
		return d, err
	}, o.ID(), task)
}

// DeliveryOutcome is what one run of a task makes of a delivery.
type DeliveryOutcome struct {
	// Delivery is as it was loaded, but for Status and NextAttemptAt.
	usersync.Delivery
	Attempt usersync.Attempt
}

// The columns task_id and before say what the row must still be.
var saveDeliveriesStatement = define(`
UPDATE deliveries SET status = r.status, attempts = r.attempts, attempt_count = r.before + 1, next_attempt_at = r.next_attempt_at,
    failed_at = CASE WHEN r.status = 'failed' THEN {now} ELSE 0 END, updated_at = {now}
FROM {rows} WHERE deliveries.id = r.id AND deliveries.organization_id = $1 AND deliveries.task_id IN (r.task_id, '')
    AND deliveries.attempt_count = r.before
RETURNING deliveries.id`,
	col("id", text), col("status", text), col("attempts", text), col("before", bigint), col("next_attempt_at", bigint), col("task_id", text))

// SaveDeliveries writes what became of deliveries under the claim of their
// task. One that was sent again meanwhile belongs to another task: it goes on
// as that one says, and only keeps the attempt.
func (tx *Tx) SaveDeliveries(ctx context.Context, c usersync.Claim, outcomes []DeliveryOutcome) error {
	if len(outcomes) == 0 {
		return nil
	}
	set := saveDeliveriesStatement.rows(len(outcomes))
	for _, o := range outcomes {
		if err := addOutcome(set, o, c.TaskID); err != nil {
			return err
		}
	}
	saved, err := collect(ctx, tx.conn, saveDeliveriesStatement, set, scanString, c.Organization)
	if err != nil || len(saved) == len(outcomes) {
		return err
	}
	return tx.mergeDeliveries(ctx, c, slices.DeleteFunc(slices.Clone(outcomes), func(o DeliveryOutcome) bool { return slices.Contains(saved, o.ID) }))
}

func addOutcome(set *rows, o DeliveryOutcome, task string) error {
	before := o.Attempted
	o.Note(o.Attempt)
	attempts, err := json.Marshal(o.Attempts)
	set.add(o.ID, string(o.Status), string(attempts), int64(before), micros(o.NextAttemptAt), task)
	return err
}

var lockDeliveriesStatement = define(`
SELECT `+deliveryColumns+`, d.task_id FROM {rows} JOIN deliveries d ON d.id = r.id WHERE d.organization_id = $1
ORDER BY d.id {for update}`, col("id", text))

// mergeDeliveries saves outcomes of rows that changed since they were loaded.
func (tx *Tx) mergeDeliveries(ctx context.Context, c usersync.Claim, outcomes []DeliveryOutcome) error {
	lock, byID := lockDeliveriesStatement.rows(len(outcomes)), map[string]DeliveryOutcome{}
	for _, o := range outcomes {
		lock.add(o.ID)
		byID[o.ID] = o
	}
	set := saveDeliveriesStatement.rows(len(outcomes))
	_, err := collect(ctx, tx.conn, lockDeliveriesStatement, lock, func(scan func(...any) error) (id string, err error) {
		var task string
		now, err := scanDelivery(scan, &task)
		if err != nil {
			return "", err
		}
		o := byID[now.ID]
		if task == erasedTask {
			o.Attempt.Response = "" // it may repeat what was erased
		}
		if task == c.TaskID || task == "" {
			now.Status, now.NextAttemptAt = o.Status, o.NextAttemptAt
		}
		return now.ID, addOutcome(set, DeliveryOutcome{now, o.Attempt}, task)
	}, c.Organization)
	if err != nil || set.len() == 0 {
		return err
	}
	_, err = collect(ctx, tx.conn, saveDeliveriesStatement, set, scanString, c.Organization)
	return err
}

var requestDeliveriesStatement = define(`
SELECT d.message_id, d.endpoint_id, d.type, d.status, d.attempt_count
FROM {rows} {each}SELECT x.id AS one FROM deliveries x WHERE x.id >= r.low AND x.id < r.high ORDER BY x.id LIMIT 500{/each}
JOIN deliveries d ON d.id = each.value WHERE d.organization_id = $1
ORDER BY d.id`, col("low", text), col("high", text))

// fillWebhooks adds the deliveries of each request's messages. The ids of the
// messages derive from the request, its run and their type.
func (o *Org) fillWebhooks(ctx context.Context, db conn, byID map[string]*request) error {
	set := requestDeliveriesStatement.rows(len(byID))
	owner := map[string]*request{}
	for _, q := range byID {
		for run := 1; run <= q.run; run++ {
			for _, t := range RequestMessageTypes {
				id := RequestMessageID(q.report.RequestID, run, t)
				owner[id] = q
				low := string(usersync.PrefixDelivery) + id[len(usersync.PrefixMessage):]
				set.add(low, low+"~")
			}
		}
	}
	type row struct {
		message string
		webhook usersync.ReportWebhook
	}
	list, err := collect(ctx, db, requestDeliveriesStatement, set, func(scan func(...any) error) (r row, err error) {
		w := &r.webhook
		err = scan(&w.ID, &w.EndpointID, &w.Type, &w.Status, &w.Attempts)
		return row{w.ID, *w}, err
	}, o.ID())
	for _, r := range list {
		q := owner[r.message]
		q.report.Webhooks = append(q.report.Webhooks, r.webhook)
	}
	return err
}

// RequestMessageTypes are the messages a request can lead to.
var RequestMessageTypes = []usersync.MessageType{usersync.MessageCompleted, usersync.MessageFailed, usersync.MessageColleaguesFound}

// RequestMessageID returns the id of the message of one type that one run of a
// request leads to.
func RequestMessageID(requestID string, run int, t usersync.MessageType) string {
	return usersync.DeriveID(usersync.PrefixMessage, requestID, strconv.Itoa(run), string(t))
}
