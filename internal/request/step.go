package request

import (
	"context"
	"errors"
	"time"

	"usersync/internal/store"
	"usersync/internal/usersync"
)

var lockRequestsStatement = store.Define("request.lockAll", `
SELECT q.id, q.kind, q.status, q.run, q.traceparent FROM {rows}
JOIN requests q ON q.organization_id = r.organization_id AND q.id = r.id
ORDER BY q.id {for update}`, store.Col("organization_id", store.Text), store.Col("id", store.Text))

// Locked is a request under lock with its steps.
type Locked struct {
	ID          string
	Kind        Kind
	Status      Status
	Run         int
	Traceparent string
	Steps       []Step
}

// Lock locks requests, so that nobody else decides their status, and
// returns them with their steps, by id.
func Lock(ctx context.Context, tx *store.Tx, organization string, ids []string) (map[string]*Locked, error) {
	out := map[string]*Locked{}
	if len(ids) == 0 {
		return out, nil
	}
	_, err := store.Collect(ctx, tx.Conn, lockRequestsStatement, RequestRows(lockRequestsStatement, organization, ids), func(scan func(...any) error) (struct{}, error) {
		q := &Locked{}
		err := scan(&q.ID, &q.Kind, &q.Status, &q.Run, &q.Traceparent)
		out[q.ID] = q
		return struct{}{}, err
	})
	if err != nil {
		return nil, err
	}
	steps, err := store.Collect(ctx, tx.Conn, reportStepsStatement, store.IDRows(reportStepsStatement, ids), scanStep, organization)
	for _, s := range steps {
		if q := out[s.request]; q != nil {
			q.Steps = append(q.Steps, s.step)
		}
	}
	return out, err
}

// Steps returns the steps of one request, in their order.
func Steps(ctx context.Context, o *store.Org, id string) ([]Step, error) {
	rows, err := store.Collect(ctx, o.Reader(), reportStepsStatement, store.IDRows(reportStepsStatement, []string{id}), scanStep, o.ID())
	steps := make([]Step, len(rows))
	for i, r := range rows {
		steps[i] = r.step
	}
	return steps, err
}

// stepRow is a step with the request it belongs to.
type stepRow struct {
	request string
	step    Step
}

func scanStep(scan func(...any) error) (r stepRow, err error) {
	s := &r.step
	var next int64
	var found string
	err = scan(&r.request, &s.Position, &s.Name, &s.Platform, &s.ConnectionID, &s.Status, &s.Reason, &s.Attempts, &next, &s.Details,
		&s.ErrorCode, &s.ErrorMessage, &found)
	s.NextAttemptAt = store.At(next)
	return r, errors.Join(err, store.Decode(found, &s.Found))
}

// StepOf is a step to be written.
type StepOf struct {
	RequestID string
	Step
}

// SaveSteps writes steps of requests that the caller may write to: of a claimed
// task, or those that wait for a push under the claim of its pump.
func SaveSteps(ctx context.Context, tx *store.Tx, organization string, list []StepOf) error {
	if len(list) == 0 {
		return nil
	}
	set := StepsStatement.Rows(len(list))
	for _, s := range list {
		if err := addStep(set, s.RequestID, s.Step); err != nil {
			return err
		}
	}
	return tx.Later(ctx, StepsStatement, set, nil, organization)
}

var foldStatement = store.Define("request.fold", `
UPDATE requests SET status = r.status, finished_at = r.finished,
    started_at = CASE WHEN started_at = 0 THEN {now} ELSE started_at END
FROM {rows} WHERE requests.organization_id = r.organization_id AND requests.id = r.id
    AND requests.status IN ('queued', 'processing', 'awaiting_credits')`,
	store.Col("organization_id", store.Text), store.Col("id", store.Text), store.Col("status", store.Text), store.Col("finished", store.Bigint))

// Fold gives requests whose steps have changed the status that follows
// from them, and returns those that are finished by it.
func Fold(ctx context.Context, tx *store.Tx, organization string, ids []string, now time.Time) ([]*Locked, error) {
	locked, err := Lock(ctx, tx, organization, ids)
	if err != nil {
		return nil, err
	}
	set := foldStatement.Rows(len(locked))
	var finished []*Locked
	for _, id := range ids {
		q := locked[id]
		if q == nil || q.Status.Final() {
			continue
		}
		status, at := StatusOf(q.Steps), int64(0)
		if status == q.Status {
			continue
		}
		if q.Status = status; status.Final() {
			at = store.Micros(now)
			finished = append(finished, q)
		}
		set.Add(organization, id, string(status), at)
	}
	if set.Len() == 0 {
		return nil, nil
	}
	_, err = tx.Exec(ctx, foldStatement, set)
	return finished, err
}

// StepName says what part of a request a step is.
type StepName string

// The steps of a request.
const (
	StepColleagues StepName = "colleagues"
	StepPlatform   StepName = "platform"
	StepFollowUps  StepName = "followups"
)

// StepStatus says how far a step has come.
type StepStatus string

// The statuses of a step. would_sync, synced and unchanged belong to platform
// steps.
const (
	StepPending         StepStatus = "pending"
	StepRetrying        StepStatus = "retrying"
	StepAwaitingCredits StepStatus = "awaiting_credits"
	StepSucceeded       StepStatus = "succeeded"
	StepWouldSync       StepStatus = "would_sync" // the outcome of a dry run
	StepSynced          StepStatus = "synced"
	StepUnchanged       StepStatus = "unchanged"
	StepSkipped         StepStatus = "skipped"
	StepFailed          StepStatus = "failed"
)

// Step is one part of a request with its own status and attempts.
type Step struct {
	Position      int
	Name          StepName
	Platform      string // of a platform step
	ConnectionID  string // of a platform step
	Status        StepStatus
	Reason        string // why it was skipped
	Attempts      int
	NextAttemptAt time.Time
	Details       string // one sentence for people
	ErrorCode     usersync.Code
	ErrorMessage  string
	Found         []Match // of the colleagues step
}

// Match is one colleague found for a user: who, how good a match, and why.
type Match struct {
	ColleagueID string   `json:"id"`
	Score       float64  `json:"score"` // 0 to 1
	Reasons     []string `json:"reasons"`
}
