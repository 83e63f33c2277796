package store

import (
	"cmp"
	"context"
	"database/sql"
	"errors"

	"usersync/internal/usersync"
)

var insertEventsStatement = define(`
INSERT INTO events (id, organization_id, user_id, type, source, cause, attributes, created_at)
SELECT r.id, $1, r.user_id, r.type, r.source, r.cause, r.attributes, {now} FROM {rows} WHERE true
ON CONFLICT (id) DO NOTHING`,
	col("id", text), col("user_id", text), col("type", text), col("source", text), col("cause", text), col("attributes", text))

// SaveEvents writes events, in the transaction of what they tell. An event
// whose id is there already is the same event.
func (tx *Tx) SaveEvents(ctx context.Context, organization string, events []usersync.Event) error {
	if len(events) == 0 {
		return nil
	}
	set := insertEventsStatement.rows(len(events))
	for _, e := range events {
		set.add(e.ID, e.UserID, string(e.Type), e.Source, e.Cause, encode(e.Attributes))
	}
	return tx.later(ctx, insertEventsStatement, set, nil, organization)
}

const eventColumns = `id, type, source, user_id, cause, attributes, created_at`

func scanEvent(scan func(...any) error) (e usersync.Event, err error) {
	var attributes string
	var created int64
	err = scan(&e.ID, &e.Type, &e.Source, &e.UserID, &e.Cause, &attributes, &created)
	e.Attributes, e.CreatedAt = map[string]any{}, stamp(created)
	return e, errors.Join(err, decode(attributes, &e.Attributes))
}

// EventFilter narrows the list of events.
type EventFilter struct {
	UserID string
	Type   usersync.EventType
	Before string // an id: only older ones
	Limit  int
}

// listEvents lists events by one index, which has the columns of order and whose
// order no other index has.
func listEvents(condition, order string) *statement {
	return define(`SELECT ` + eventColumns + ` FROM events WHERE ` + condition + ` ORDER BY ` + order + ` DESC LIMIT $3`)
}

// Types that every request may write are found in the list of all; the others
// have an index of their own, whose condition the third says again.
const commonEvents = `('user.created', 'user.updated')`

var (
	allEventsStatement = listEvents(`(organization_id, id) < ($1, $2) AND organization_id >= $1 AND ($4 = '' OR type = $4)`,
		`organization_id DESC, id`)
	userEventsStatement = listEvents(`(user_id, id) < ($5, $2) AND user_id >= $5 AND CASE WHEN organization_id = $1 THEN true ELSE false END
    AND ($4 = '' OR type = $4)`, `user_id DESC, id`)
	typedEventsStatement = listEvents(`organization_id || '/' || type = $1 || '/' || $4 AND type NOT IN `+commonEvents+` AND id < $2`, `id`)
)

// Events returns the matching events, newest first.
func (o *Org) Events(ctx context.Context, f EventFilter) ([]usersync.Event, error) {
	st, args := o.events(f)
	return collect(ctx, o.reader(), st, nil, scanEvent, args...)
}

func (o *Org) events(f EventFilter) (*statement, []any) {
	args := []any{o.ID(), cmp.Or(f.Before, afterAll(usersync.PrefixEvent)), f.Limit, string(f.Type)}
	switch {
	case f.UserID != "":
		return userEventsStatement, append(args, f.UserID)
	case f.Type != "" && f.Type != usersync.EventUserCreated && f.Type != usersync.EventUserUpdated:
		return typedEventsStatement, args
	}
	return allEventsStatement, args
}

var eventStatement = define(`SELECT ` + eventColumns + ` FROM events WHERE id = $2 AND organization_id = $1`)

// ErrNoEvent is the refusal of an id that names no event of the organization.
var ErrNoEvent = usersync.Errorf(usersync.CodeNotFound, "Event not found")

// Event returns one event.
func (o *Org) Event(ctx context.Context, id string) (usersync.Event, error) {
	e, err := scanEvent(o.reader().row(ctx, eventStatement, o.ID(), id).Scan)
	if errors.Is(err, sql.ErrNoRows) {
		return e, ErrNoEvent
	}
	return e, classify(err)
}
