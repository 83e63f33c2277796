package delivery

import (
	"context"
	"fmt"
	"strconv"

	"usersync/internal/store"
	"usersync/internal/usersync"
)

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
{again}ON CONFLICT (id, organization_id) DO NOTHING{/again}`,
	store.Col("id", store.Text), store.Col("type", store.Text), store.Col("request_id", store.Text), store.Col("sequence", store.Bigint), store.Col("body", store.Text), store.Col("traceparent", store.Text))

var insertDeliveriesStatement = store.Define("delivery.insertDeliveries", `
INSERT INTO deliveries (id, organization_id, message_id, endpoint_id, type, status, task_id, created_at, updated_at)
SELECT r.id, $1, r.message_id, r.endpoint_id, r.type, 'pending', r.task_id, {now}, {now} FROM {rows} WHERE true
{again}ON CONFLICT (id, organization_id) DO NOTHING{/again}`,
	store.Col("id", store.Text), store.Col("message_id", store.Text), store.Col("endpoint_id", store.Text), store.Col("type", store.Text), store.Col("task_id", store.Text))

// saveMessages stores messages and one pending delivery for each endpoint they
// go to. Ids derive from the cause, so doing it twice stores nothing twice.
func saveMessages(ctx context.Context, tx *store.Tx, organization string, messages []NewMessage) error {
	if len(messages) == 0 {
		return nil
	}
	set, deliveries := insertMessagesStatement.Rows(len(messages)), insertDeliveriesStatement.Rows(len(messages))
	for _, m := range messages {
		set.Add(m.ID, string(m.Type), m.RequestID, m.Sequence, string(m.Body), m.Traceparent)
		for i, e := range m.Endpoints {
			deliveries.Add(IDOf(m.ID, e), m.ID, e, string(m.Type), m.Tasks[i])
		}
	}
	if err := tx.Later(ctx, insertMessagesStatement, set, nil, organization); err != nil {
		return fmt.Errorf("store the messages: %w", err)
	}
	if deliveries.Len() == 0 {
		return nil
	}
	return tx.Later(ctx, insertDeliveriesStatement, deliveries, nil, organization)
}

// RequestDeliveriesStatement reads the deliveries whose ids lie in ranges. The ids of
// the deliveries of one message are such a range, see DeliveryID.
var RequestDeliveriesStatement = store.Define("delivery.RequestDeliveries", `
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
