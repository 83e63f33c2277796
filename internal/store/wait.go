package store

import (
	"context"
	"time"

	"usersync/internal/usersync"
)

// Wait is somebody who waits for a push.
type Wait struct {
	UserID    string
	RequestID string
	Position  int
	Mode      usersync.PushMode
	Version   int64
	Rank      int
	Attempts  int
	Job       string
	CreatedAt time.Time
}

const waitColumns = `w.user_id, w.request_id, w.position, w.mode, w.version, w.rank, w.attempts, w.job, w.created_at`

func scanWait(scan func(...any) error) (w Wait, err error) {
	var created int64
	err = scan(&w.UserID, &w.RequestID, &w.Position, &w.Mode, &w.Version, &w.Rank, &w.Attempts, &w.Job, &created)
	w.CreatedAt = at(created)
	return w, err
}

var dueWaitsStatement = define(`
SELECT ` + waitColumns + ` FROM push_waits w WHERE w.connection_id = $1 AND w.rank = $2 AND w.due_at > 0 AND w.due_at <= {now}
ORDER BY w.due_at, w.user_id, w.request_id LIMIT $3`)

// DueWaits returns up to limit pushes of one rank that do not coalesce: previews
// and those with overrides.
func (o *Org) DueWaits(ctx context.Context, connection string, rank, limit int) ([]Wait, error) {
	return collect(ctx, o.reader(), dueWaitsStatement, nil, scanWait, connection, rank, limit)
}

var stateWaitsStatement = define(`
SELECT `+waitColumns+` FROM {rows} JOIN push_waits w ON w.connection_id = r.connection_id AND w.user_id = r.user_id WHERE w.mode = 'state'
ORDER BY w.user_id, w.request_id`, col("connection_id", text), col("user_id", text))

// StateWaits returns who waits for the states of users at a connection.
func (tx *Tx) StateWaits(ctx context.Context, connection string, users []string) ([]Wait, error) {
	return collect(ctx, tx.conn, stateWaitsStatement, placeRows(stateWaitsStatement, connection, users), scanWait)
}

var anyWaitsStatement = define(`
SELECT ` + waitColumns + ` FROM push_waits w WHERE w.connection_id = $1 ORDER BY w.user_id, w.request_id LIMIT $2`)

// Waits returns up to limit of those who wait at a connection.
func (tx *Tx) Waits(ctx context.Context, connection string, limit int) ([]Wait, error) {
	return collect(ctx, tx.conn, anyWaitsStatement, nil, scanWait, connection, limit)
}

var dropWaitsStatement = define(`
DELETE FROM push_waits WHERE {row} {any}SELECT w.{row} FROM {rows} JOIN push_waits w
    ON w.connection_id = r.connection_id AND w.user_id = r.user_id AND w.request_id = r.request_id{/any}`,
	col("connection_id", text), col("user_id", text), col("request_id", text))

// DropWaits ends waits whose outcome is written.
func (tx *Tx) DropWaits(ctx context.Context, connection string, waits []Wait) error {
	if len(waits) == 0 {
		return nil
	}
	set := dropWaitsStatement.rows(len(waits))
	for _, w := range waits {
		set.add(connection, w.UserID, w.RequestID)
	}
	return tx.later(ctx, dropWaitsStatement, set, nil)
}

var delayWaitsStatement = define(`
UPDATE push_waits SET due_at = r.due, attempts = r.attempts, job = r.job FROM {rows}
WHERE push_waits.connection_id = r.connection_id AND push_waits.user_id = r.user_id AND push_waits.request_id = r.request_id`,
	col("connection_id", text), col("user_id", text), col("request_id", text), col("due", bigint), col("attempts", integer), col("job", text))

// DelayedWait is a push that does not coalesce and is tried, or asked for, again.
type DelayedWait struct {
	Wait
	DueAt time.Time
}

// DelayWaits has such pushes come again.
func (tx *Tx) DelayWaits(ctx context.Context, connection string, waits []DelayedWait) error {
	if len(waits) == 0 {
		return nil
	}
	set := delayWaitsStatement.rows(len(waits))
	for _, w := range waits {
		set.add(connection, w.UserID, w.RequestID, micros(w.DueAt), int64(w.Attempts), w.Job)
	}
	return tx.later(ctx, delayWaitsStatement, set, nil)
}

var inputsStatement = define(`
SELECT q.id, q.input FROM {rows} JOIN requests q ON q.organization_id = r.organization_id AND q.id = r.id`,
	col("organization_id", text), col("id", text))

// PlatformInputs returns what requests ask of a push.
func (o *Org) PlatformInputs(ctx context.Context, requests []string) (map[string]usersync.PlatformSync, error) {
	return platformInputs(ctx, o.reader(), o.ID(), requests)
}

func platformInputs(ctx context.Context, db conn, organization string, requests []string) (map[string]usersync.PlatformSync, error) {
	out := map[string]usersync.PlatformSync{}
	_, err := collect(ctx, db, inputsStatement, requestRows(inputsStatement, organization, requests), func(scan func(...any) error) (struct{}, error) {
		var id, input string
		var in usersync.PlatformSync
		if err := scan(&id, &input); err != nil {
			return struct{}{}, err
		}
		err := decode(input, &in)
		out[id] = in
		return struct{}{}, err
	})
	return out, err
}
