package export

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"

	"usersync/internal/credit"
	"usersync/internal/delivery"
	"usersync/internal/erasure"
	"usersync/internal/request"
	"usersync/internal/store"
	"usersync/internal/usersync"
)

// Request is a request with everything that is kept beside it.
type Request struct {
	*request.View
	// Input is what was said of the user.
	Input    json.RawMessage `json:"input"`
	Charge   *credit.Entry   `json:"charge,omitempty"`
	Messages []Message       `json:"messages"`
	// Attempts are the last attempts at its pushes.
	Attempts []request.AttemptView `json:"attempts"`
}

// Message is a webhook message with what became of it.
type Message struct {
	ID        string               `json:"id"`
	Type      delivery.MessageType `json:"type"`
	RequestID string               `json:"requestId"`
	Sequence  int64                `json:"sequence"`
	// Body is nil for a message that was erased.
	Body       json.RawMessage `json:"body,omitempty"`
	Deliveries []Delivery      `json:"deliveries"`
	CreatedAt  usersync.Time   `json:"createdAt"`
}

// Delivery is one endpoint that a message went to.
type Delivery struct {
	EndpointID string             `json:"endpointId"`
	Status     delivery.Status    `json:"status"`
	Attempts   []delivery.Attempt `json:"attempts"`
}

var (
	requestsStatement = store.Define("export.requests", `
SELECT user_id, id, run FROM requests WHERE user_id = $2 AND organization_id = $1 AND id > $3 ORDER BY id LIMIT $4`)
	inputsStatement = store.Define("export.inputs", `
SELECT q.id, q.input FROM {rows} JOIN requests q ON q.organization_id = r.organization_id AND q.id = r.id`,
		store.Col("organization_id", store.Text), store.Col("id", store.Text))
)

func scanRequestRef(scan func(...any) error) (q erasure.RequestRef, err error) {
	return q, scan(&q.UserID, &q.ID, &q.Runs)
}

// Requests returns up to limit requests of a user, oldest first and behind the id after.
func Requests(ctx context.Context, o *store.Org, userID, after string, limit int) ([]Request, error) {
	db := o.Reader()
	list, err := store.Collect(ctx, db, requestsStatement, nil, scanRequestRef, o.ID(), userID, after, limit)
	if err != nil {
		return nil, fmt.Errorf("find the user's requests: %w", err)
	}
	if len(list) == 0 {
		return nil, nil
	}
	ids := make([]string, len(list))
	for i, q := range list {
		ids[i] = q.ID
	}
	reports, err := request.List(ctx, o, ids)
	if err != nil {
		return nil, fmt.Errorf("read the user's requests: %w", err)
	}
	out := make([]Request, len(reports))
	byID := make(map[string]*Request, len(reports))
	for i, r := range reports {
		// The balance of today is not the user's.
		r.Credits.Balance = nil
		out[i] = Request{View: r, Input: json.RawMessage("{}"), Messages: []Message{}, Attempts: []request.AttemptView{}}
		byID[r.RequestID] = &out[i]
	}
	if err := fillRequests(ctx, o, db, byID, ids); err != nil {
		return nil, err
	}
	messages, err := listMessages(ctx, o, db, list, "")
	for _, m := range messages {
		if q := byID[m.RequestID]; q != nil {
			q.Messages = append(q.Messages, m)
		}
	}
	if err != nil {
		return out, fmt.Errorf("read the messages of the user's requests: %w", err)
	}
	return out, nil
}

// fillRequests adds to requests what is kept beside them.
func fillRequests(ctx context.Context, o *store.Org, db store.Conn, byID map[string]*Request, ids []string) error {
	type row struct{ id, input string }
	inputs, err := store.Collect(ctx, db, inputsStatement, request.IDRows(inputsStatement, o.ID(), ids), func(scan func(...any) error) (r row, err error) {
		return r, scan(&r.id, &r.input)
	})
	if err != nil {
		return fmt.Errorf("read the inputs of requests: %w", err)
	}
	for _, r := range inputs {
		if q := byID[r.id]; q != nil {
			q.Input = json.RawMessage(r.input)
		}
	}
	attempts, err := request.Attempts(ctx, o, ids...)
	if err != nil {
		return err
	}
	for id, list := range attempts {
		if q := byID[id]; q != nil {
			q.Attempts = append(q.Attempts, list...)
		}
	}
	charges, err := credit.Charges(ctx, o, ids)
	if err != nil {
		return err
	}
	for i, e := range charges {
		if q := byID[e.RequestID]; q != nil {
			q.Charge = &charges[i]
		}
	}
	return nil
}

// Mentions returns the messages of up to limit requests in which others were told of a
// colleague, from the place from on. It returns where to go on; more is false after the
// last.
func Mentions(ctx context.Context, o *store.Org, colleagueID string, from erasure.Cursor, limit int) (list []Message, next erasure.Cursor, more bool, err error) {
	db := o.Reader()
	requests, next, more, err := erasure.ListMentions(ctx, db, colleagueID, from, limit)
	if err != nil || len(requests) == 0 {
		return nil, from, false, err
	}
	if list, err = listMessages(ctx, o, db, requests, colleagueID); err != nil {
		return nil, from, false, fmt.Errorf("read the messages that name the person: %w", err)
	}
	return list, next, more, nil
}

var messagesStatement = store.Define("export.messages", `
SELECT m.id, m.type, m.request_id, m.sequence, m.body, m.created_at FROM {rows} JOIN messages m ON m.id = r.id
WHERE m.organization_id = $1 AND m.body LIKE '%' || $2 || '%' ORDER BY m.id`, store.Col("id", store.Text))

// listMessages returns the messages of requests that name a colleague, all of
// them for "", with their deliveries.
func listMessages(ctx context.Context, o *store.Org, db store.Conn, requests []erasure.RequestRef, colleague string) ([]Message, error) {
	list, err := store.Collect(ctx, db, messagesStatement, erasure.MessageRows(messagesStatement, requests), func(scan func(...any) error) (m Message, err error) {
		var body string
		var created int64
		err = scan(&m.ID, &m.Type, &m.RequestID, &m.Sequence, &body, &created)
		if body != "" {
			m.Body = json.RawMessage(body)
		}
		m.CreatedAt, m.Deliveries = store.Stamp(created), []Delivery{}
		return m, err
	}, o.ID(), colleague)
	if err != nil {
		return nil, fmt.Errorf("read messages: %w", err)
	}
	if len(list) == 0 {
		return nil, nil
	}
	return list, fillDeliveries(ctx, o, db, list)
}

var deliveriesStatement = store.Define("export.deliveries", `
SELECT d.message_id, d.endpoint_id, d.status, d.attempts
FROM {rows} {each}SELECT x.id AS one FROM deliveries x WHERE x.id >= r.low AND x.id < r.high ORDER BY x.id LIMIT 500{/each}
JOIN deliveries d ON d.id = each.value WHERE d.organization_id = $1
ORDER BY d.id`, store.Col("low", store.Text), store.Col("high", store.Text))

func fillDeliveries(ctx context.Context, o *store.Org, db store.Conn, list []Message) error {
	byID := make(map[string]*Message, len(list))
	set := deliveriesStatement.Rows(len(list))
	for i := range list {
		byID[list[i].ID] = &list[i]
		low, high := delivery.IDRange(list[i].ID)
		set.Add(low, high)
	}
	type row struct {
		message string
		Delivery
	}
	found, err := store.Collect(ctx, db, deliveriesStatement, set, func(scan func(...any) error) (r row, err error) {
		var attempts string
		r.Attempts = []delivery.Attempt{}
		return r, errors.Join(scan(&r.message, &r.EndpointID, &r.Status, &attempts), store.Decode(attempts, &r.Attempts))
	}, o.ID())
	if err != nil {
		return fmt.Errorf("read the deliveries of messages: %w", err)
	}
	for _, r := range found {
		if m := byID[r.message]; m != nil {
			m.Deliveries = append(m.Deliveries, r.Delivery)
		}
	}
	return nil
}
