package platform

import (
	"context"
	"time"

	"usersync/internal/store"
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
	// Absent says that it is the newest wish to have the user off the platform.
	Absent bool
	// ReadAt is the database's time when the row was read.
	ReadAt time.Time
}

const waitColumns = `w.user_id, w.request_id, w.position, w.mode, w.version, w.rank, w.attempts, w.job, w.created_at, {now}`

// waitColumnsOfPush are those of a row of pushes p beside it.
const waitColumnsOfPush = waitColumns + `, coalesce(p.absent, 0)`

func scanWait(scan func(...any) error) (w Wait, err error) {
	var created, now int64
	err = scan(&w.UserID, &w.RequestID, &w.Position, &w.Mode, &w.Version, &w.Rank, &w.Attempts, &w.Job, &created, &now)
	w.CreatedAt, w.ReadAt = store.At(created), store.At(now)
	return w, err
}

var dueWaitsStatement = store.Define("platform.dueWaits", `
SELECT `+waitColumns+` FROM push_waits w WHERE w.connection_id = $1 AND w.rank = $2 AND w.due_at > 0 AND w.due_at <= {now}
ORDER BY w.due_at, w.user_id, w.request_id LIMIT $3`)

// DueWaits returns up to limit pushes of one rank that do not coalesce: previews
// and those with overrides.
func DueWaits(ctx context.Context, o *store.Org, connection string, rank, limit int) ([]Wait, error) {
	return store.Collect(ctx, o.Reader(), dueWaitsStatement, nil, scanWait, connection, rank, limit)
}

var stateWaitsStatement = store.Define("platform.stateWaits", `
SELECT `+waitColumnsOfPush+` FROM {rows} JOIN push_waits w ON w.connection_id = r.connection_id AND w.user_id = r.user_id
LEFT JOIN pushes p ON p.connection_id = r.connection_id AND p.user_id = r.user_id WHERE w.mode IN ('state', 'absence') ORDER BY w.user_id, w.request_id`, store.Col("connection_id", store.Text), store.Col("user_id", store.Text))

// StateWaits returns who waits for the states of users at a connection, or for their
// absence.
func StateWaits(ctx context.Context, tx *store.Tx, connection string, users []string) ([]Wait, error) {
	return store.Collect(ctx, tx.Conn, stateWaitsStatement, placeRows(stateWaitsStatement, connection, users), func(scan func(...any) error) (w Wait, err error) {
		var absent int64
		w, err = scanWait(func(to ...any) error { return scan(append(to, &absent)...) })
		w.Absent = absent == 1
		return w, err
	})
}

var anyWaitsStatement = store.Define("platform.waits", `
SELECT `+waitColumns+` FROM push_waits w WHERE w.connection_id = $1 ORDER BY w.user_id, w.request_id LIMIT $2`)

// Waits returns up to limit of those who wait at a connection.
func Waits(ctx context.Context, tx *store.Tx, connection string, limit int) ([]Wait, error) {
	return store.Collect(ctx, tx.Conn, anyWaitsStatement, nil, scanWait, connection, limit)
}

var dropWaitsStatement = store.Define("platform.dropWaits", `
DELETE FROM push_waits WHERE {row} {any}SELECT w.{row} FROM {rows} JOIN push_waits w
    ON w.connection_id = r.connection_id AND w.user_id = r.user_id AND w.request_id = r.request_id{/any}`,
	store.Col("connection_id", store.Text), store.Col("user_id", store.Text), store.Col("request_id", store.Text))

// DropWaits ends waits whose outcome is written.
func DropWaits(ctx context.Context, tx *store.Tx, connection string, waits []Wait) error {
	if len(waits) == 0 {
		return nil
	}
	set := dropWaitsStatement.Rows(len(waits))
	for _, w := range waits {
		set.Add(connection, w.UserID, w.RequestID)
	}
	return tx.Later(ctx, dropWaitsStatement, set, nil)
}

var delayWaitsStatement = store.Define("platform.delayWaits", `
UPDATE push_waits SET due_at = r.due, attempts = r.attempts, job = r.job FROM {rows}
WHERE push_waits.connection_id = r.connection_id AND push_waits.user_id = r.user_id AND push_waits.request_id = r.request_id`,
	store.Col("connection_id", store.Text), store.Col("user_id", store.Text), store.Col("request_id", store.Text), store.Col("due", store.Bigint), store.Col("attempts", store.Bigint), store.Col("job", store.Text))

// DelayedWait is a push that does not coalesce and is tried, or asked for, again.
type DelayedWait struct {
	Wait
	DueAt time.Time
}

// DelayWaits has such pushes come again.
func DelayWaits(ctx context.Context, tx *store.Tx, connection string, waits []DelayedWait) error {
	if len(waits) == 0 {
		return nil
	}
	set := delayWaitsStatement.Rows(len(waits))
	for _, w := range waits {
		set.Add(connection, w.UserID, w.RequestID, store.Micros(w.DueAt), int64(w.Attempts), w.Job)
	}
	return tx.Later(ctx, delayWaitsStatement, set, nil)
}
