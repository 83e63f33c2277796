package erasure

import (
	"context"
	"encoding/json"
	"fmt"
	"time"

	"usersync/internal/delivery"
	"usersync/internal/request"
	"usersync/internal/store"
	"usersync/internal/usersync"
)

// Cursor is how far an erasure has come in one of its lists.
type Cursor struct {
	UserID string `json:"user,omitempty"`
	ID     string `json:"id,omitempty"`
}

// RequestRef names a request and what led to its messages: their ids derive from the
// request, its runs and their type.
type RequestRef struct {
	ID, UserID string
	Runs       int
}

var (
	ownRequestsStatement = store.Define("erasure.ownRequests", `
SELECT user_id, id, run FROM requests WHERE user_id = $1 AND id > $2 ORDER BY id LIMIT $3`)
	blankRequestsStatement = store.Define("erasure.blankRequests", `
UPDATE requests SET email = '', input = '{}' FROM {rows} WHERE requests.organization_id = r.organization_id AND requests.id = r.id`,
		store.Col("organization_id", store.Text), store.Col("id", store.Text))
	blankStepsStatement = store.Define("erasure.blankSteps", `
UPDATE steps SET found = '', details = '', tries = '', error_message = CASE WHEN steps.error_message IN ('', $2) THEN steps.error_message ELSE $3 END
FROM {rows} WHERE steps.request_id = r.id AND steps.organization_id = $1 AND (steps.found <> '' OR steps.details <> '' OR steps.tries <> '' OR steps.error_message <> '')`,
		store.Col("id", store.Text))
)

// erasedWords stand in the place of what a platform said of a person, which may quote
// their name.
const erasedWords = "What was said of it was erased with the user."

func scanRequestRef(scan func(...any) error) (q RequestRef, err error) {
	return q, scan(&q.UserID, &q.ID, &q.Runs)
}

// EraseRequests empties up to limit requests of an erased user and their
// messages, oldest first from the cursor on. It returns where to go on; more
// is false after the last.
func EraseRequests(ctx context.Context, tx *store.Tx, organization, userID string, from Cursor, limit int) (next Cursor, removed Removed, more bool, err error) {
	list, err := store.Collect(ctx, tx.Conn, ownRequestsStatement, nil, scanRequestRef, userID, from.ID, limit)
	if err != nil {
		return from, removed, false, fmt.Errorf("read the user's requests: %w", err)
	}
	if len(list) == 0 {
		return from, removed, false, nil
	}
	ids := make([]string, len(list))
	for i, q := range list {
		ids[i] = q.ID
	}
	if _, err := tx.Exec(ctx, blankRequestsStatement, request.IDRows(blankRequestsStatement, organization, ids)); err != nil {
		return from, removed, false, fmt.Errorf("empty requests: %w", err)
	}
	if _, err := tx.Exec(ctx, blankStepsStatement, store.IDRows(blankStepsStatement, ids), organization, request.ErrErased.Message, erasedWords); err != nil {
		return from, removed, false, fmt.Errorf("empty the steps of requests: %w", err)
	}
	removed.Requests = int64(len(list))
	removed.Messages, err = emptyMessages(ctx, tx, organization, list, "")
	return Cursor{ID: list[len(list)-1].ID}, removed, len(list) == limit, err
}

var (
	mentionsStatement = store.Define("erasure.mentions", `
SELECT q.user_id, q.id, q.run FROM colleague_links l JOIN requests q ON q.user_id = l.user_id
WHERE l.colleague_id = $1 AND l.user_id >= $2 AND (l.user_id > $2 OR q.id > $3) ORDER BY l.user_id, q.id LIMIT $4`)
	dropLinksStatement = store.Define("erasure.dropLinks", `DELETE FROM colleague_links WHERE colleague_id = $1`)
)

// ListMentions returns up to limit requests whose messages may name a colleague: those
// of the users that the colleague was found for, from the cursor on. It returns where
// to go on; more is false after the last.
func ListMentions(ctx context.Context, db store.Conn, colleagueID string, from Cursor, limit int) (list []RequestRef, next Cursor, more bool, err error) {
	list, err = store.Collect(ctx, db, mentionsStatement, nil, scanRequestRef, colleagueID, from.UserID, from.ID, limit)
	if err != nil {
		return nil, from, false, fmt.Errorf("read the requests that name a colleague: %w", err)
	}
	if len(list) == 0 {
		return nil, from, false, nil
	}
	last := list[len(list)-1]
	return list, Cursor{UserID: last.UserID, ID: last.ID}, len(list) == limit, nil
}

// EraseMentions empties the messages in which the person was told to others as
// a colleague, up to limit requests of those others at a time.
func EraseMentions(ctx context.Context, tx *store.Tx, organization, colleagueID string, from Cursor, limit int) (next Cursor, removed Removed, more bool, err error) {
	list, next, more, err := ListMentions(ctx, tx.Conn, colleagueID, from, limit)
	if err != nil {
		return from, removed, false, err
	}
	if len(list) > 0 {
		if removed.Messages, err = emptyMessages(ctx, tx, organization, list, colleagueID); err != nil {
			return from, removed, false, err
		}
	}
	if more {
		return next, removed, true, nil
	}
	if removed.Links, err = tx.Exec(ctx, dropLinksStatement, nil, colleagueID); err != nil {
		return from, removed, false, fmt.Errorf("remove the links to a colleague: %w", err)
	}
	return next, removed, false, nil
}

var blankEventsStatement = store.Define("erasure.blankEvents", `
UPDATE events SET attributes = '', outcome = '' WHERE {row} {any}SELECT e.{row} FROM events e WHERE e.user_id = $1 AND (e.attributes <> '' OR e.outcome <> '') ORDER BY e.id LIMIT $2{/any}`)

// blankRunsStatement asks for the user twice, so that the index of users is read.
var blankRunsStatement = store.Define("erasure.blankRuns", `
UPDATE follow_up_runs SET story = '', responses = '', error = '' WHERE {row} {any}
    SELECT r.{row} FROM follow_up_runs r WHERE r.user_id = $1 AND r.user_id <> '' AND r.story || r.responses || r.error <> '' ORDER BY r.id LIMIT $2{/any}`)

// EraseEvents empties up to limit events of an erased user, and as many of the runs of
// follow-ups that they set off.
func EraseEvents(ctx context.Context, tx *store.Tx, userID string, limit int) (removed Removed, more bool, err error) {
	runs, err := tx.Exec(ctx, blankRunsStatement, nil, userID, limit)
	if err != nil {
		return removed, false, fmt.Errorf("empty the runs of follow-ups: %w", err)
	}
	if removed.Events, err = tx.Exec(ctx, blankEventsStatement, nil, userID, limit); err != nil {
		return removed, false, fmt.Errorf("empty events: %w", err)
	}
	return removed, max(runs, removed.Events) == int64(limit), nil
}

// The pattern is a colleague's id, or nothing for every message. Bodies hold
// the ids of all whom they name.
var emptyMessagesStatement = store.Define("erasure.emptyMessages", `
UPDATE messages SET body = '' FROM {rows}
WHERE messages.id = r.id AND messages.organization_id = $1 AND messages.body <> '' AND messages.body LIKE '%' || $2 || '%'
RETURNING messages.id`, store.Col("id", store.Text))

// emptyMessages empties the messages of requests that name a colleague, all of
// them for "", and ends their deliveries. It returns how many it emptied.
func emptyMessages(ctx context.Context, tx *store.Tx, organization string, requests []RequestRef, colleague string) (int64, error) {
	set := MessageRows(emptyMessagesStatement, requests)
	emptied, err := store.Collect(ctx, tx.Conn, emptyMessagesStatement, set, store.ScanString, organization, colleague)
	if err != nil {
		return 0, fmt.Errorf("empty messages: %w", err)
	}
	if len(emptied) == 0 {
		return 0, nil
	}
	return int64(len(emptied)), endDeliveries(ctx, tx, organization, emptied)
}

// MessageRows names all messages that the requests can have led to.
func MessageRows(st *store.Statement, requests []RequestRef) *store.Rows {
	var ids []string
	for _, q := range requests {
		ids = append(ids, delivery.RequestMessageIDs(q.ID, q.Runs)...)
	}
	return store.IDRows(st, ids)
}

var (
	deliveriesOfStatement = store.Define("erasure.deliveriesOf", `
SELECT `+delivery.Columns+`
FROM {rows} {each}SELECT x.id AS one FROM deliveries x WHERE x.id >= r.low AND x.id < r.high ORDER BY x.id LIMIT 500{/each}
JOIN deliveries d ON d.id = each.value WHERE d.organization_id = $1
ORDER BY d.id`, store.Col("low", store.Text), store.Col("high", store.Text))
	endDeliveriesStatement = store.Define("erasure.endDeliveries", `
UPDATE deliveries SET status = r.status, attempts = r.attempts, attempt_count = r.attempt_count, next_attempt_at = 0, updated_at = {now},
    failed_at = CASE WHEN r.status = 'failed' AND failed_at = 0 THEN {now} ELSE failed_at END, task_id = '`+delivery.ErasedTask+`'
FROM {rows} WHERE deliveries.id = r.id AND deliveries.organization_id = $1 AND deliveries.status = r.was AND deliveries.attempt_count = r.had`,
		store.Col("id", store.Text), store.Col("status", store.Text), store.Col("attempts", store.Text), store.Col("attempt_count", store.Bigint), store.Col("was", store.Text), store.Col("had", store.Bigint))
)

// endDeliveries empties what receivers answered to messages, which may repeat
// them, and has the deliveries fail that are still to be made.
func endDeliveries(ctx context.Context, tx *store.Tx, organization string, messages []string) error {
	ranges := deliveriesOfStatement.Rows(len(messages))
	for _, id := range messages {
		low, high := delivery.IDRange(id)
		ranges.Add(low, high)
	}
	list, err := store.Collect(ctx, tx.Conn, deliveriesOfStatement, ranges, delivery.ScanDelivery, organization)
	if err != nil {
		return fmt.Errorf("read the deliveries of messages: %w", err)
	}
	if len(list) == 0 {
		return nil
	}
	now := usersync.Time{Time: time.Now().UTC()} //lint:clock a stamp
	set := endDeliveriesStatement.Rows(len(list))
	for _, d := range list {
		was, had := d.Status, d.Attempted
		endErased(&d, now)
		attempts, err := json.Marshal(d.Attempts)
		if err != nil {
			return fmt.Errorf("encode the attempts of a delivery: %w", err)
		}
		set.Add(d.ID, string(d.Status), string(attempts), int64(d.Attempted), string(was), int64(had))
	}
	n, err := tx.Exec(ctx, endDeliveriesStatement, set, organization)
	if err == nil && n < int64(len(list)) {
		return store.ErrRace // an attempt was written meanwhile
	}
	if err != nil {
		return fmt.Errorf("end the deliveries of messages: %w", err)
	}
	return nil
}

// erasedReason is why a delivery failed whose message was erased.
const erasedReason = "erased"

func endErased(d *delivery.Delivery, now usersync.Time) {
	for i := range d.Attempts {
		d.Attempts[i].Response = ""
	}
	if d.Status.Open() {
		d.Status = delivery.Failed
		d.Note(delivery.Attempt{At: now, Error: erasedReason})
	}
}
