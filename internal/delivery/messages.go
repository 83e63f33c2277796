package delivery

import (
	"context"
	"encoding/json"
	"fmt"
	"slices"
	"time"

	"usersync/internal/credit"
	"usersync/internal/store"
	"usersync/internal/usersync"
)

// Messages makes the webhook messages of one transaction. A message goes to the
// enabled endpoints that want its type, and takes the next number of the
// organization's sequence. One that no endpoint wants is not made: it takes no
// number.
type Messages struct {
	account   *credit.Account
	endpoints []Endpoint
	list      []NewMessage
}

// NewMessages begins with no message. The transaction has locked the account,
// whose sequence rises with each message, and has read the enabled endpoints:
// see LockAccountWithEndpoints, EnabledEndpoints and credit.Lock.
func NewMessages(account *credit.Account, endpoints []Endpoint) *Messages {
	return &Messages{account: account, endpoints: endpoints}
}

// Wanted reports whether any endpoint wants messages of type t. Ask first where
// the data of a message is expensive to make.
func (m *Messages) Wanted(t MessageType) bool {
	return slices.ContainsFunc(m.endpoints, func(e Endpoint) bool { return e.Wants(t) })
}

// Add makes the message n, with data as its content, for the endpoints that want
// it. n has ID, Type, RequestID and Traceparent; see AboutRequest and
// AboutOrganization.
func (m *Messages) Add(n NewMessage, data any) error {
	var wanting []string
	for _, e := range m.endpoints {
		if e.Wants(n.Type) {
			wanting = append(wanting, e.ID)
		}
	}
	if len(wanting) == 0 {
		return nil
	}
	return m.AddFor(wanting, n, data)
}

// AddFor makes the message n for the given endpoints, whatever types they want.
func (m *Messages) AddFor(endpoints []string, n NewMessage, data any) error {
	n.Endpoints = endpoints
	if err := number(m.account, &n, data); err != nil {
		return err
	}
	m.list = append(m.list, n)
	return nil
}

// Enqueue stores the messages that were made with the tasks that deliver them, and
// saves the account. It writes nothing when there are none.
func (m *Messages) Enqueue(ctx context.Context, tx *store.Tx) error {
	if len(m.list) == 0 {
		return nil
	}
	if err := Enqueue(ctx, tx, m.account.Organization, m.list); err != nil {
		return fmt.Errorf("enqueue the messages: %w", err)
	}
	return credit.Save(ctx, tx, *m.account)
}

// AboutRequest returns the message of type t about one run of a request, which
// Messages.Add completes. Its id derives from these: made twice, it is one.
func AboutRequest(t MessageType, requestID string, run int, traceparent string) NewMessage {
	return NewMessage{Traceparent: traceparent, Message: Message{ID: RequestMessageID(requestID, run, t), Type: t, RequestID: requestID}}
}

// AboutOrganization returns a message of type t that no request has caused, which
// Messages.Add completes.
func AboutOrganization(t MessageType) NewMessage {
	return NewMessage{Message: Message{ID: usersync.NewID(usersync.PrefixMessage), Type: t}}
}

// number gives a message the next number of the organization's sequence and
// renders its body.
func number(account *credit.Account, m *NewMessage, data any) (err error) {
	account.Sequence++
	m.Sequence = account.Sequence
	m.Body, err = render(m.Type, account.Now, m.Sequence, data)
	return err
}

// envelope is the body of a webhook, after Standard Webhooks.
type envelope struct {
	Type      MessageType   `json:"type"`
	Timestamp usersync.Time `json:"timestamp"`
	Sequence  int64         `json:"sequence"`
	Data      any           `json:"data"`
}

// render returns the body of a message. It is rendered once: every attempt sends
// the same bytes.
func render(t MessageType, at time.Time, sequence int64, data any) ([]byte, error) {
	body, err := json.Marshal(envelope{t, usersync.Time{Time: at}, sequence, data})
	if err != nil {
		return nil, fmt.Errorf("render a %s message: %w", t, err)
	}
	return body, nil
}
