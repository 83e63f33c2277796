package delivery

import (
	"slices"
	"time"

	"usersync/internal/usersync"
)

// MessageType says what a webhook message tells.
type MessageType string

// The types of webhook messages.
const (
	MessageCompleted        MessageType = "user_sync.completed"
	MessageFailed           MessageType = "user_sync.failed"
	MessageColleaguesFound  MessageType = "colleagues.found"
	MessageCreditsLow       MessageType = "credits.low"
	MessageCreditsExhausted MessageType = "credits.exhausted"
	MessageEndpointDisabled MessageType = "webhook.endpoint_disabled"
	MessageDisconnected     MessageType = "connection.disconnected"
	MessageUnsubscribed     MessageType = "user.unsubscribed"
	// MessageCode carries a one-time code for a user, see Endpoint.Wants.
	MessageCode MessageType = "user.verification_code"
	MessageTest MessageType = "test"
)

// MessageTypes lists every type.
var MessageTypes = []MessageType{
	MessageCompleted, MessageFailed, MessageColleaguesFound, MessageCreditsLow,
	MessageCreditsExhausted, MessageEndpointDisabled, MessageDisconnected, MessageUnsubscribed, MessageCode, MessageTest,
}

// EveryMessage is the event type that stands for all but MessageCode.
const EveryMessage = "*"

// Endpoint is where an organization wants its webhooks.
type Endpoint struct {
	ID          string   `json:"id"`
	URL         string   `json:"url"`
	EventTypes  []string `json:"eventTypes"`
	Description string   `json:"description"`
	Signing     string   `json:"signing"` // v1 or v1a
	Status      string   `json:"status"`  // enabled or disabled
	// DisabledReason says why, when it was not its owner who disabled it.
	DisabledReason string        `json:"disabledReason,omitempty"`
	CreatedAt      usersync.Time `json:"createdAt"`
	UpdatedAt      usersync.Time `json:"updatedAt"`
	// Secrets sign: the present one first, then the one it replaced, until
	// OldSecretUntil. Those of SigningAsymmetric are private keys.
	Secrets        []usersync.Secret `json:"-"`
	OldSecretUntil usersync.Time     `json:"oldSecretUntil,omitzero"`
	// FailingSince is when the present row of failures began.
	FailingSince usersync.Time `json:"failingSince,omitzero"`
	// version rises with every change, but for that of FailingSince. It is 0 where it was
	// not read.
	version int64
	// oldSecretFor is how long the replaced secret signs, from when the endpoint was read.
	oldSecretFor time.Duration
	// busy says that deliveries wait for their turn. LockAccountWithEndpoints sets it.
	busy bool
}

// The signatures of Standard Webhooks.
const (
	SigningSymmetric  = "v1"  // HMAC-SHA256, a shared secret
	SigningAsymmetric = "v1a" // ed25519, a public key
)

// Signings lists them.
var Signings = []string{SigningSymmetric, SigningAsymmetric}

// SecretOverlap is how long a replaced secret signs beside the new one.
const SecretOverlap = 24 * time.Hour

// FailingFor is how long an endpoint may fail, without one success, before it
// is disabled.
const FailingFor = 5 * 24 * time.Hour

// Statuses of an endpoint.
const (
	EndpointEnabled  = "enabled"
	EndpointDisabled = "disabled"
)

// Wants reports whether messages of type t go to the endpoint. Codes go only where they are
// asked for by name: whoever has one can replace a password.
func (e Endpoint) Wants(t MessageType) bool {
	return e.Status == EndpointEnabled &&
		(slices.Contains(e.EventTypes, EveryMessage) && t != MessageCode || slices.Contains(e.EventTypes, string(t)))
}

// Message is what is delivered: its body is rendered once, every attempt sends
// the same bytes.
type Message struct {
	ID        string
	Type      MessageType
	RequestID string
	Sequence  int64
	Body      []byte
	CreatedAt time.Time
}

// Status says how far one message to one endpoint has come.
type Status string

// The statuses of a delivery.
const (
	Pending   Status = "pending"
	Retrying  Status = "retrying"
	Delivered Status = "delivered"
	Failed    Status = "failed"
)

// Statuses lists them.
var Statuses = []Status{Pending, Retrying, Delivered, Failed}

// Open reports whether a delivery of this status still has to be made.
func (s Status) Open() bool { return s == Pending || s == Retrying }

// Delivery is one message to one endpoint.
type Delivery struct {
	ID         string
	MessageID  string
	EndpointID string
	Type       MessageType
	Status     Status
	// Attempts are the latest KeptAttempts, oldest first.
	Attempts []Attempt
	// Attempted counts all attempts, Earlier those that were made before the
	// delivery was last sent again.
	Attempted, Earlier int
	NextAttemptAt      time.Time
	CreatedAt          time.Time
	Body               []byte // of the message, when loaded for sending
}

// KeptAttempts bounds the attempts that a delivery keeps, however often it is
// sent again: five rounds of the schedule.
const KeptAttempts = 50

// Note adds an attempt.
func (d *Delivery) Note(a Attempt) {
	d.Attempts = append(slices.Clone(d.Attempts), a)
	d.Attempts = d.Attempts[max(len(d.Attempts)-KeptAttempts, 0):]
	d.Attempted++
}

// Attempt is one try of a delivery.
type Attempt struct {
	At        usersync.Time `json:"at"`
	Status    int           `json:"status,omitempty"` // HTTP status; 0 when there was no answer
	LatencyMS int64         `json:"latencyMs"`
	Response  string        `json:"response,omitempty"` // its first 1 KiB
	Error     string        `json:"error,omitempty"`
}

// endpointTail is where the end of an endpoint's id begins: its last 40 bits, which
// are random.
const endpointTail = 22

// IDOf returns the id of the delivery of a message to an endpoint: the message's, so
// that the deliveries of a message are a range, with the end of the endpoint's. A CHECK
// of the table says the same, so that no two deliveries are of one message and endpoint.
func IDOf(messageID, endpointID string) string {
	return string(usersync.PrefixDelivery) + messageID[len(usersync.PrefixMessage):] + endpointID[min(endpointTail, len(endpointID)):]
}

// deliverySchedule holds the waits between the attempts of a delivery: at
// once, 5 s, 5 min, 30 min, 2 h, 5 h, 10 h, 14 h, 20 h, 24 h (Standard
// Webhooks' recommended schedule).
var deliverySchedule = []time.Duration{
	0, 5 * time.Second, 5 * time.Minute, 30 * time.Minute, 2 * time.Hour, 5 * time.Hour,
	10 * time.Hour, 14 * time.Hour, 20 * time.Hour, 24 * time.Hour,
}

// Wait returns how long to wait after the given number of attempts,
// without jitter; ok is false when there is no further attempt.
func Wait(attempts int) (wait time.Duration, ok bool) {
	if attempts >= len(deliverySchedule) {
		return 0, false
	}
	return deliverySchedule[attempts], true
}
