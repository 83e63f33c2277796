package store

import (
	"context"
	"errors"
	"time"

	"usersync/internal/usersync"
)

var lockRequestsStatement = define(`
SELECT q.id, q.kind, q.status, q.run, q.traceparent FROM {rows}
JOIN requests q ON q.organization_id = r.organization_id AND q.id = r.id
ORDER BY q.id {for update}`, col("organization_id", text), col("id", text))

// LockedRequest is a request under lock with its steps.
type LockedRequest struct {
	ID          string
	Kind        usersync.RequestKind
	Status      usersync.RequestStatus
	Run         int
	Traceparent string
	Steps       []usersync.Step
}

// LockRequests locks requests, so that nobody else decides their status, and
// returns them with their steps, by id.
func (tx *Tx) LockRequests(ctx context.Context, organization string, ids []string) (map[string]*LockedRequest, error) {
	out := map[string]*LockedRequest{}
	if len(ids) == 0 {
		return out, nil
	}
	_, err := collect(ctx, tx.conn, lockRequestsStatement, requestRows(lockRequestsStatement, organization, ids), func(scan func(...any) error) (struct{}, error) {
		q := &LockedRequest{}
		err := scan(&q.ID, &q.Kind, &q.Status, &q.Run, &q.Traceparent)
		out[q.ID] = q
		return struct{}{}, err
	})
	if err != nil {
		return nil, err
	}
	steps, err := collect(ctx, tx.conn, reportStepsStatement, idRows(reportStepsStatement, ids), scanStep, organization)
	for _, s := range steps {
		if q := out[s.request]; q != nil {
			q.Steps = append(q.Steps, s.step)
		}
	}
	return out, err
}

// RequestSteps returns the steps of one request, in their order.
func (o *Org) RequestSteps(ctx context.Context, id string) ([]usersync.Step, error) {
	rows, err := collect(ctx, o.reader(), reportStepsStatement, idRows(reportStepsStatement, []string{id}), scanStep, o.ID())
	steps := make([]usersync.Step, len(rows))
	for i, r := range rows {
		steps[i] = r.step
	}
	return steps, err
}

// stepRow is a step with the request it belongs to.
type stepRow struct {
	request string
	step    usersync.Step
}

func scanStep(scan func(...any) error) (r stepRow, err error) {
	s := &r.step
	var next int64
	var found string
	err = scan(&r.request, &s.Position, &s.Name, &s.Platform, &s.ConnectionID, &s.Status, &s.Reason, &s.Attempts, &next, &s.Details,
		&s.ErrorCode, &s.ErrorMessage, &found)
	s.NextAttemptAt = at(next)
	return r, errors.Join(err, decode(found, &s.Found))
}

// RequestStep is a step to be written.
type RequestStep struct {
	RequestID string
	usersync.Step
}

// SaveSteps writes steps of requests that the caller may write to: of a claimed
// task, or those that wait for a push under the claim of its pump.
func (tx *Tx) SaveSteps(ctx context.Context, organization string, list []RequestStep) error {
	if len(list) == 0 {
		return nil
	}
	set := stepsStatement.rows(len(list))
	for _, s := range list {
		if err := addStep(set, s.RequestID, s.Step); err != nil {
			return err
		}
	}
	return tx.later(ctx, stepsStatement, set, nil, organization)
}

var foldStatement = define(`
UPDATE requests SET status = r.status, finished_at = r.finished,
    started_at = CASE WHEN started_at = 0 THEN {now} ELSE started_at END
FROM {rows} WHERE requests.organization_id = r.organization_id AND requests.id = r.id
    AND requests.status IN ('queued', 'processing', 'awaiting_credits')`,
	col("organization_id", text), col("id", text), col("status", text), col("finished", bigint))

// FoldRequests gives requests whose steps have changed the status that follows
// from them, and returns those that are finished by it.
func (tx *Tx) FoldRequests(ctx context.Context, organization string, ids []string, now time.Time) ([]*LockedRequest, error) {
	locked, err := tx.LockRequests(ctx, organization, ids)
	if err != nil {
		return nil, err
	}
	set := foldStatement.rows(len(locked))
	var finished []*LockedRequest
	for _, id := range ids {
		q := locked[id]
		if q == nil || q.Status.Final() {
			continue
		}
		status, at := usersync.StatusOf(q.Steps), int64(0)
		if status == q.Status {
			continue
		}
		if q.Status = status; status.Final() {
			at = micros(now)
			finished = append(finished, q)
		}
		set.add(organization, id, string(status), at)
	}
	if set.len() == 0 {
		return nil, nil
	}
	_, err = tx.exec(ctx, foldStatement, set)
	return finished, err
}
