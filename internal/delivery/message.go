package delivery

import (
	"context"
	"encoding/json"
	"errors"
	"slices"
	"strconv"

	"usersync/internal/credit"
	"usersync/internal/store"
	"usersync/internal/usersync"
)

// AddressTo adds to a message the endpoints that want it and renders it. The
// organization's sequence rises only with messages that go somewhere.
func AddressTo(account *credit.Account, m *NewMessage, endpoints []Endpoint, data any) (err error) {
	for _, e := range endpoints {
		if e.Wants(m.Type) {
			m.Endpoints = append(m.Endpoints, e.ID)
		}
	}
	if len(m.Endpoints) == 0 {
		return nil
	}
	account.Sequence++
	m.Sequence = account.Sequence
	m.Body, err = Body(m.Type, account.Now, m.Sequence, data)
	return err
}

// NewMessage is a webhook message with the endpoints it goes to, and for each
// of them the task that delivers it there.
type NewMessage struct {
	Message
	Traceparent string
	Endpoints   []string
	Tasks       []string
}

var insertMessagesStatement = store.Define("delivery.insertMessages", `
INSERT INTO messages (id, organization_id, type, request_id, sequence, body, traceparent, created_at)
SELECT r.id, $1, r.type, r.request_id, r.sequence, r.body, r.traceparent, {now} FROM {rows} WHERE true
ON CONFLICT (id) DO NOTHING`,
	store.Col("id", store.Text), store.Col("type", store.Text), store.Col("request_id", store.Text), store.Col("sequence", store.Bigint), store.Col("body", store.Text), store.Col("traceparent", store.Text))

var insertDeliveriesStatement = store.Define("delivery.insert", `
INSERT INTO deliveries (id, organization_id, message_id, endpoint_id, type, status, task_id, created_at, updated_at)
SELECT r.id, $1, r.message_id, r.endpoint_id, r.type, 'pending', r.task_id, {now}, {now} FROM {rows} WHERE true
ON CONFLICT (id) DO NOTHING`,
	store.Col("id", store.Text), store.Col("message_id", store.Text), store.Col("endpoint_id", store.Text), store.Col("type", store.Text), store.Col("task_id", store.Text))

// SaveMessages stores messages and one pending delivery for each endpoint they
// go to. Ids derive from the cause, so doing it twice stores nothing twice.
func SaveMessages(ctx context.Context, tx *store.Tx, organization string, messages []NewMessage) error {
	if len(messages) == 0 {
		return nil
	}
	set, deliveries := insertMessagesStatement.Rows(len(messages)), insertDeliveriesStatement.Rows(len(messages))
	for _, m := range messages {
		set.Add(m.ID, string(m.Type), m.RequestID, m.Sequence, string(m.Body), m.Traceparent)
		for i, e := range m.Endpoints {
			deliveries.Add(DeliveryID(m.ID, e), m.ID, e, string(m.Type), m.Tasks[i])
		}
	}
	if err := tx.Later(ctx, insertMessagesStatement, set, nil, organization); err != nil {
		return err
	}
	if deliveries.Len() == 0 {
		return nil
	}
	return tx.Later(ctx, insertDeliveriesStatement, deliveries, nil, organization)
}

// Open is a delivery that still has to be made.
type Open struct {
	Delivery
	Traceparent string
}

// DeliveryColumns are what scanDelivery reads.
const DeliveryColumns = `d.id, d.message_id, d.endpoint_id, d.type, d.status, d.attempts, d.attempt_count, d.earlier_attempts, d.next_attempt_at, d.created_at`

// scanDelivery reads deliveryColumns and what stands behind them.
func scanDelivery(scan func(...any) error, more ...any) (d Delivery, err error) {
	var attempts string
	var next, created int64
	err = scan(append([]any{&d.ID, &d.MessageID, &d.EndpointID, &d.Type, &d.Status, &attempts, &d.Attempted, &d.Earlier, &next, &created}, more...)...)
	d.NextAttemptAt, d.CreatedAt = store.At(next), store.At(created)
	return d, errors.Join(err, store.Decode(attempts, &d.Attempts))
}

// A delivery without a task was written by a release that did not name it.
var openDeliveriesStatement = store.Define("delivery.open", `
SELECT `+DeliveryColumns+`, m.body, m.traceparent
FROM {rows} JOIN deliveries d ON d.id = r.id JOIN messages m ON m.id = d.message_id
WHERE d.organization_id = $1 AND d.status IN ('pending', 'retrying') AND d.task_id IN ($2, '')
ORDER BY d.id`, store.Col("id", store.Text))

// LoadOpen loads those of the deliveries that the task still has to make:
// what was sent again meanwhile belongs to another one.
func LoadOpen(ctx context.Context, o *store.Org, task string, ids []string) ([]Open, error) {
	return store.Collect(ctx, o.Reader(), openDeliveriesStatement, store.IDRows(openDeliveriesStatement, ids), func(scan func(...any) error) (d Open, err error) {
		var body []byte
		d.Delivery, err = scanDelivery(scan, &body, &d.Traceparent)
		d.Body = body
		return d, err
	}, o.ID(), task)
}

// Outcome is what one run of a task makes of a delivery.
type Outcome struct {
	// Delivery is as it was loaded, but for Status and NextAttemptAt.
	Delivery
	Attempt Attempt
}

// The columns task_id and before say what the row must still be.
var saveDeliveriesStatement = store.Define("delivery.save", `
UPDATE deliveries SET status = r.status, attempts = r.attempts, attempt_count = r.before + 1, next_attempt_at = r.next_attempt_at,
    failed_at = CASE WHEN r.status = 'failed' THEN {now} ELSE 0 END, updated_at = {now}
FROM {rows} WHERE deliveries.id = r.id AND deliveries.organization_id = $1 AND deliveries.task_id IN (r.task_id, '')
    AND deliveries.attempt_count = r.before
RETURNING deliveries.id`,
	store.Col("id", store.Text), store.Col("status", store.Text), store.Col("attempts", store.Text), store.Col("before", store.Bigint), store.Col("next_attempt_at", store.Bigint), store.Col("task_id", store.Text))

// SaveOutcomes writes what became of deliveries under the claim of their
// task. One that was sent again meanwhile belongs to another task: it goes on
// as that one says, and only keeps the attempt.
func SaveOutcomes(ctx context.Context, tx *store.Tx, c usersync.Claim, outcomes []Outcome) error {
	if len(outcomes) == 0 {
		return nil
	}
	set := saveDeliveriesStatement.Rows(len(outcomes))
	for _, o := range outcomes {
		if err := addOutcome(set, o, c.TaskID); err != nil {
			return err
		}
	}
	saved, err := store.Collect(ctx, tx.Conn, saveDeliveriesStatement, set, store.ScanString, c.Organization)
	if err != nil || len(saved) == len(outcomes) {
		return err
	}
	return mergeDeliveries(ctx, tx, c, slices.DeleteFunc(slices.Clone(outcomes), func(o Outcome) bool { return slices.Contains(saved, o.ID) }))
}

func addOutcome(set *store.Rows, o Outcome, task string) error {
	before := o.Attempted
	o.Note(o.Attempt)
	attempts, err := json.Marshal(o.Attempts)
	set.Add(o.ID, string(o.Status), string(attempts), int64(before), store.Micros(o.NextAttemptAt), task)
	return err
}

var lockDeliveriesStatement = store.Define("delivery.lock", `
SELECT `+DeliveryColumns+`, d.task_id FROM {rows} JOIN deliveries d ON d.id = r.id WHERE d.organization_id = $1
ORDER BY d.id {for update}`, store.Col("id", store.Text))

// mergeDeliveries saves outcomes of rows that changed since they were loaded.
func mergeDeliveries(ctx context.Context, tx *store.Tx, c usersync.Claim, outcomes []Outcome) error {
	lock, byID := lockDeliveriesStatement.Rows(len(outcomes)), map[string]Outcome{}
	for _, o := range outcomes {
		lock.Add(o.ID)
		byID[o.ID] = o
	}
	set := saveDeliveriesStatement.Rows(len(outcomes))
	_, err := store.Collect(ctx, tx.Conn, lockDeliveriesStatement, lock, func(scan func(...any) error) (id string, err error) {
		var task string
		now, err := scanDelivery(scan, &task)
		if err != nil {
			return "", err
		}
		o := byID[now.ID]
		if task == ErasedTask {
			o.Attempt.Response = "" // it may repeat what was erased
		}
		if task == c.TaskID || task == "" {
			now.Status, now.NextAttemptAt = o.Status, o.NextAttemptAt
		}
		return now.ID, addOutcome(set, Outcome{now, o.Attempt}, task)
	}, c.Organization)
	if err != nil || set.Len() == 0 {
		return err
	}
	_, err = store.Collect(ctx, tx.Conn, saveDeliveriesStatement, set, store.ScanString, c.Organization)
	return err
}

var RequestDeliveriesStatement = store.Define("delivery.ofRequest", `
SELECT d.message_id, d.endpoint_id, d.type, d.status, d.attempt_count
FROM {rows} {each}SELECT x.id AS one FROM deliveries x WHERE x.id >= r.low AND x.id < r.high ORDER BY x.id LIMIT 500{/each}
JOIN deliveries d ON d.id = each.value WHERE d.organization_id = $1
ORDER BY d.id`, store.Col("low", store.Text), store.Col("high", store.Text))

// RequestMessageTypes are the messages a request can lead to.
var RequestMessageTypes = []MessageType{MessageCompleted, MessageFailed, MessageColleaguesFound}

// RequestMessageID returns the id of the message of one type that one run of a
// request leads to.
func RequestMessageID(requestID string, run int, t MessageType) string {
	return usersync.DeriveID(usersync.PrefixMessage, requestID, strconv.Itoa(run), string(t))
}

// ErasedTask is the task of deliveries whose messages were erased. There is no
// such task: nobody makes them or has them made again.
const ErasedTask = "erased"
