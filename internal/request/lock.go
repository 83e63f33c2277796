package request

import (
	"context"
	"database/sql"
	"errors"
	"fmt"
	"time"

	"usersync/internal/store"
)

var lockRequestsStatement = store.Define("request.lockRequests", `
SELECT q.id, q.task_id, q.kind, q.status, q.run, q.traceparent, q.charged, {now} FROM {rows}
JOIN requests q ON q.organization_id = r.organization_id AND q.id = r.id
ORDER BY q.id {for update}`, store.Col("organization_id", store.Text), store.Col("id", store.Text))

// Locked is a request under lock.
type Locked struct {
	ID          string
	Kind        Kind
	Status      Status
	Run         int
	Traceparent string
	// LockForRetry leaves out what follows.
	TaskID  string
	Charged int64
	Now     time.Time // the database's, when the lock was taken
	Steps   []Step
}

// Lock locks requests, so that nobody else decides their status, and
// returns them with their steps, by id.
func Lock(ctx context.Context, tx *store.Tx, organization string, ids []string) (map[string]*Locked, error) {
	out := map[string]*Locked{}
	if len(ids) == 0 {
		return out, nil
	}
	_, err := store.Collect(ctx, tx.Conn, lockRequestsStatement, IDRows(lockRequestsStatement, organization, ids), func(scan func(...any) error) (struct{}, error) {
		q := &Locked{}
		var now int64
		err := scan(&q.ID, &q.TaskID, &q.Kind, &q.Status, &q.Run, &q.Traceparent, &q.Charged, &now)
		q.Now = store.At(now)
		out[q.ID] = q
		return struct{}{}, err
	})
	if err != nil {
		return nil, fmt.Errorf("lock the requests: %w", err)
	}
	steps, err := store.Collect(ctx, tx.Conn, stepsStatement, store.IDRows(stepsStatement, ids), scanStep, organization)
	if err != nil {
		return nil, fmt.Errorf("read the steps of requests: %w", err)
	}
	for _, s := range steps {
		if q := out[s.request]; q != nil {
			q.Steps = append(q.Steps, s.step)
		}
	}
	return out, nil
}

var lockRequestStatement = store.Define("request.lockRequest", `
SELECT kind, status, run, traceparent, CASE WHEN user_id = '' THEN 1 ELSE (SELECT count(*) FROM users u WHERE u.id = requests.user_id) END
FROM requests WHERE organization_id = $1 AND id = $2 {for update}`)

// LockForRetry locks one request and returns it, and whether its user still exists, or
// it is about none, as a bulk. It returns ErrNotFound for an id of no request.
func LockForRetry(ctx context.Context, tx *store.Tx, organization, id string) (q Locked, userExists bool, err error) {
	q.ID = id
	var users int
	err = tx.QueryRow(ctx, lockRequestStatement, organization, id).Scan(&q.Kind, &q.Status, &q.Run, &q.Traceparent, &users)
	if errors.Is(err, sql.ErrNoRows) {
		return q, false, ErrNotFound
	}
	if err != nil {
		return q, false, fmt.Errorf("lock the request: %w", store.Classify(err))
	}
	return q, users > 0, nil
}

var stepsToRetryStatement = store.Define("request.stepsToRetry", `
SELECT count(*) FROM steps s WHERE s.request_id = $1 AND (s.status = 'failed' OR s.status IN ('pending', 'retrying') AND s.connection_id <> ''
    AND (SELECT count(*) FROM connections c WHERE c.id = s.connection_id AND c.status IN ('paused', 'disconnected')) > 0)`)

// CountStepsToRetry returns how many steps of a request have failed, or wait for a
// connection that rests.
func CountStepsToRetry(ctx context.Context, tx *store.Tx, id string) (steps int64, err error) {
	if err := tx.QueryRow(ctx, stepsToRetryStatement, id).Scan(&steps); err != nil {
		return 0, fmt.Errorf("count the steps to retry: %w", store.Classify(err))
	}
	return steps, nil
}
