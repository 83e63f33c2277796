// Package event keeps what happened to users, for their organization to read.
package event

import (
	"cmp"
	"context"
	"database/sql"
	"encoding/json"
	"errors"

	"usersync/internal/store"
	"usersync/internal/usersync"
)

// Type says what happened to a user.
type Type string

// The types of the events that this service writes itself.
const (
	UserCreated Type = "user.created" // attributes: fields, the names of what was said
	UserUpdated Type = "user.updated" // attributes: fields, the names of what has a new value
	UserErased  Type = "user.erased"
	// Attributes of the next two: channel, source, at, and of what a platform told
	// connectionId and reason.
	UserSubscribed   Type = "user.subscribed"
	UserUnsubscribed Type = "user.unsubscribed"
	// Attributes: none, since addresses are in no event.
	UserMoved Type = "user.moved"
)

// Event is something that happened to a user.
type Event struct {
	ID   string `json:"id"`
	Type Type   `json:"type"`
	// Source is what it came from: the kind of a request, or the id of an API key.
	Source string `json:"source"`
	// UserID is "" when the event is about nobody who is known.
	UserID string `json:"userId"`
	// Cause is the id of the request or the erasure that led to it.
	Cause      string         `json:"cause"`
	Attributes map[string]any `json:"attributes"`
	// Trigger is the run of a follow-up that triggered it; nil for any other event.
	Trigger   *Trigger      `json:"trigger,omitempty"`
	CreatedAt usersync.Time `json:"createdAt"`
}

// Trigger says, by ids, what of a follow-up triggered an event.
type Trigger struct {
	FollowUpID string `json:"followUpId"`
	RunID      string `json:"runId"`
	// EventID is the event that set off the run, and RootID the one that it all began
	// with, which a client reported.
	EventID string `json:"eventId"`
	RootID  string `json:"rootId"`
	// Hops is how many follow-ups lie between the root and this event.
	Hops int `json:"hops"`
}

// OfRequest returns the id of the event that a request reports.
func OfRequest(id string) string { return usersync.DeriveID(usersync.PrefixEvent, id, "event") }

var insertEventsStatement = store.Define("event.insertEvents", `
INSERT INTO events (id, organization_id, user_id, type, source, cause, attributes, caused_by, created_at)
SELECT r.id, $1, r.user_id, r.type, r.source, r.cause, r.attributes, r.caused_by, {now} FROM {rows} WHERE true
{again}ON CONFLICT (organization_id, id) DO NOTHING{/again}`,
	store.Col("id", store.Text), store.Col("user_id", store.Text), store.Col("type", store.Text), store.Col("source", store.Text), store.Col("cause", store.Text), store.Col("attributes", store.Text),
	store.Col("caused_by", store.Text))

// Save writes events in the transaction of the change that they tell of. An event whose
// id is stored already is the same event and is not written again.
func Save(ctx context.Context, tx *store.Tx, organization string, events []Event) error {
	if len(events) == 0 {
		return nil
	}
	set := insertEventsStatement.Rows(len(events))
	for _, e := range events {
		set.Add(e.ID, e.UserID, string(e.Type), e.Source, e.Cause, store.Encode(e.Attributes), e.Trigger.Encode())
	}
	return tx.Later(ctx, insertEventsStatement, set, nil, organization)
}

// Encode returns the trigger as it is stored, "" for none.
func (t *Trigger) Encode() string {
	if t == nil {
		return ""
	}
	text, _ := json.Marshal(t) // texts and a number can always be JSON
	return string(text)
}

var emptyStatement = store.Define("event.empty", `
UPDATE events SET attributes = '', outcome = '' FROM {rows} WHERE events.organization_id = r.organization_id AND events.id = r.id`,
	store.Col("organization_id", store.Text), store.Col("id", store.Text))

// Empty removes what events say. They stay, as what happened and when.
func Empty(ctx context.Context, tx *store.Tx, organization string, ids []string) error {
	set := emptyStatement.Rows(len(ids))
	for _, id := range ids {
		set.Add(organization, id)
	}
	return tx.Later(ctx, emptyStatement, set, nil)
}

const eventColumns = `id, type, source, user_id, cause, attributes, caused_by, created_at`

func scanEvent(scan func(...any) error) (e Event, err error) {
	var attributes, caused string
	var created int64
	err = scan(&e.ID, &e.Type, &e.Source, &e.UserID, &e.Cause, &attributes, &caused, &created)
	e.Attributes, e.CreatedAt = map[string]any{}, store.Stamp(created)
	return e, errors.Join(err, store.Decode(attributes, &e.Attributes), store.Decode(caused, &e.Trigger))
}

// Filter narrows the list of events.
type Filter struct {
	UserID string
	Type   Type
	Before string // an id: only older ones
	Limit  int
}

// listEvents lists events by one index, which has the columns of order and whose
// order no other index has.
func listEvents(name, condition, order string) *store.Statement {
	return store.Define(name, `SELECT `+eventColumns+` FROM events WHERE `+condition+` ORDER BY `+order+` DESC LIMIT $3`)
}

// commonEvents are the types that every request may write. They are found in the list of
// all events. The other types have an index of their own, whose condition the statement
// typedEventsStatement repeats.
const commonEvents = `('user.created', 'user.updated')`

var (
	allEventsStatement = listEvents("event.list", `(organization_id, id) < ($1, $2) AND organization_id >= $1 AND ($4 = '' OR type = $4)`,
		`organization_id DESC, id`)
	userEventsStatement = listEvents("event.listOfUser", `(user_id, id) < ($5, $2) AND user_id >= $5 AND CASE WHEN organization_id = $1 THEN true ELSE false END
    AND ($4 = '' OR type = $4)`, `user_id DESC, id`)
	typedEventsStatement = listEvents("event.listOfType", `organization_id || '/' || type = $1 || '/' || $4 AND type NOT IN `+commonEvents+` AND id < $2`, `id`)
)

// List returns the matching events, newest first.
func List(ctx context.Context, o *store.Org, f Filter) ([]Event, error) {
	st, args := query(o, f)
	return store.Collect(ctx, o.Reader(), st, nil, scanEvent, args...)
}

func query(o *store.Org, f Filter) (*store.Statement, []any) {
	args := []any{o.ID(), cmp.Or(f.Before, store.AfterAll(usersync.PrefixEvent)), f.Limit, string(f.Type)}
	switch {
	case f.UserID != "":
		return userEventsStatement, append(args, f.UserID)
	case f.Type != "" && f.Type != UserCreated && f.Type != UserUpdated:
		return typedEventsStatement, args
	}
	return allEventsStatement, args
}

var eventStatement = store.Define("event.event", `SELECT `+eventColumns+` FROM events WHERE id = $2 AND organization_id = $1`)

// ErrNotFound is the refusal of an id that names no event of the organization.
var ErrNotFound = usersync.Errorf(usersync.CodeNotFound, "Event not found")

// Get returns one event. The error is ErrNotFound when the organization has none of that id.
func Get(ctx context.Context, o *store.Org, id string) (Event, error) {
	e, err := scanEvent(o.Reader().QueryRow(ctx, eventStatement, o.ID(), id).Scan)
	if errors.Is(err, sql.ErrNoRows) {
		return e, ErrNotFound
	}
	return e, store.Classify(err)
}
