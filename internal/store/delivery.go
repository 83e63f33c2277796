package store

import (
	"context"
	"encoding/json"
	"errors"
	"strconv"

	"usersync/internal/usersync"
)

// NewMessage is a webhook message with the endpoints it goes to.
type NewMessage struct {
	usersync.Message
	Traceparent string
	Endpoints   []string
}

var insertMessagesStatement = define(`
INSERT INTO messages (id, organization_id, type, request_id, sequence, body, traceparent, created_at)
SELECT r.id, $1, r.type, r.request_id, r.sequence, r.body, r.traceparent, {now} FROM {rows} WHERE true
ON CONFLICT (id) DO NOTHING`,
	col("id", text), col("type", text), col("request_id", text), col("sequence", bigint), col("body", text), col("traceparent", text))

var insertDeliveriesStatement = define(`
INSERT INTO deliveries (id, organization_id, message_id, endpoint_id, type, status, created_at, updated_at)
SELECT r.id, $1, r.message_id, r.endpoint_id, r.type, 'pending', {now}, {now} FROM {rows} WHERE true
ON CONFLICT (id) DO NOTHING`,
	col("id", text), col("message_id", text), col("endpoint_id", text), col("type", text))

// SaveMessages stores messages and one pending delivery for each endpoint they
// go to. Ids derive from the cause, so doing it twice stores nothing twice.
func (tx *Tx) SaveMessages(ctx context.Context, organization string, messages []NewMessage) error {
	if len(messages) == 0 {
		return nil
	}
	set, deliveries := insertMessagesStatement.rows(len(messages)), insertDeliveriesStatement.rows(len(messages))
	for _, m := range messages {
		set.add(m.ID, string(m.Type), m.RequestID, m.Sequence, string(m.Body), m.Traceparent)
		for _, e := range m.Endpoints {
			deliveries.add(usersync.DeliveryID(m.ID, e), m.ID, e, string(m.Type))
		}
	}
	if _, err := tx.exec(ctx, insertMessagesStatement, set, organization); err != nil {
		return err
	}
	if len(deliveries.values) == 0 {
		return nil
	}
	_, err := tx.exec(ctx, insertDeliveriesStatement, deliveries, organization)
	return err
}

// OpenDelivery is a delivery that still has to be made.
type OpenDelivery struct {
	usersync.Delivery
	Traceparent string
}

var openDeliveriesStatement = define(`
SELECT d.id, d.message_id, d.endpoint_id, d.type, d.status, d.attempts, d.next_attempt_at, d.created_at, m.body, m.traceparent
FROM {rows} JOIN deliveries d ON d.id = r.id JOIN messages m ON m.id = d.message_id
WHERE d.organization_id = $1 AND d.status IN ('pending', 'retrying')
ORDER BY d.id`, col("id", text))

// OpenDeliveries loads those of the deliveries that still have to be made.
func (o *Org) OpenDeliveries(ctx context.Context, ids []string) ([]OpenDelivery, error) {
	return collect(ctx, o.store.reader(), openDeliveriesStatement, idRows(openDeliveriesStatement, ids), func(scan func(...any) error) (d OpenDelivery, err error) {
		var attempts string
		var next, created int64
		err = scan(&d.ID, &d.MessageID, &d.EndpointID, &d.Type, &d.Status, &attempts, &next, &created, &d.Body, &d.Traceparent)
		d.NextAttemptAt, d.CreatedAt = at(next), at(created)
		return d, errors.Join(err, decode(attempts, &d.Attempts))
	}, o.id)
}

var saveDeliveriesStatement = define(`
UPDATE deliveries SET status = r.status, attempts = r.attempts, attempt_count = r.attempt_count, next_attempt_at = r.next_attempt_at,
    updated_at = {now}
FROM {rows} WHERE deliveries.id = r.id AND deliveries.organization_id = $1 AND deliveries.status IN ('pending', 'retrying')`,
	col("id", text), col("status", text), col("attempts", text), col("attempt_count", bigint), col("next_attempt_at", bigint))

// SaveDeliveries writes what became of open deliveries, attempts included. One
// whose message was erased meanwhile stays failed, without what was answered.
func (tx *Tx) SaveDeliveries(ctx context.Context, organization string, deliveries []usersync.Delivery) error {
	if len(deliveries) == 0 {
		return nil
	}
	set := saveDeliveriesStatement.rows(len(deliveries))
	for _, d := range deliveries {
		attempts, err := json.Marshal(d.Attempts)
		if err != nil {
			return err
		}
		set.add(d.ID, string(d.Status), string(attempts), int64(len(d.Attempts)), micros(d.NextAttemptAt))
	}
	_, err := tx.exec(ctx, saveDeliveriesStatement, set, organization)
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
	}, o.id)
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
