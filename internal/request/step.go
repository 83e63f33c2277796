package request

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"strings"
	"time"

	"usersync/internal/store"
	"usersync/internal/usersync"
)

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

// stepsText reads the steps of requests. {reason} says why they are what they are.
const stepsText = `
SELECT s.request_id, s.position, s.name, s.platform, s.connection_id, s.status, {reason}, s.attempts, s.next_attempt_at, s.details,
    s.error_code, s.error_message, s.found
FROM {rows} JOIN steps s ON s.request_id = r.id WHERE s.organization_id = $1
ORDER BY s.request_id, s.position`

var stepsStatement = store.Define("request.steps", strings.ReplaceAll(stepsText, "{reason}", "s.reason"), store.Col("id", store.Text))

// Steps returns the steps of one request, in their order.
func Steps(ctx context.Context, o *store.Org, id string) ([]Step, error) {
	rows, err := store.Collect(ctx, o.Reader(), stepsStatement, store.IDRows(stepsStatement, []string{id}), scanStep, o.ID())
	if err != nil {
		return nil, fmt.Errorf("read the steps: %w", err)
	}
	steps := make([]Step, len(rows))
	for i, r := range rows {
		steps[i] = r.step
	}
	return steps, nil
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

// insertStepsText has room for what is done about steps that are there.
const insertStepsText = `
INSERT INTO steps (request_id, position, organization_id, name, platform, connection_id, status, reason, attempts,
    next_attempt_at, details, error_code, error_message, found, updated_at)
SELECT r.request_id, r.position, $1, r.name, r.platform, r.connection_id, r.status, r.reason, r.attempts,
    r.next_attempt_at, r.details, r.error_code, r.error_message, r.found, {now}
FROM {rows} WHERE true
`

var stepColumns = []store.Column{
	store.Col("request_id", store.Text), store.Col("position", store.Bigint), store.Col("name", store.Text), store.Col("platform", store.Text), store.Col("connection_id", store.Text),
	store.Col("status", store.Text), store.Col("reason", store.Text), store.Col("attempts", store.Bigint), store.Col("next_attempt_at", store.Bigint), store.Col("details", store.Text),
	store.Col("error_code", store.Text), store.Col("error_message", store.Text), store.Col("found", store.Text),
}

// insertStepsStatement is saveStepsStatement for requests of which no step was
// written before.
var insertStepsStatement = store.Define("request.insertSteps", insertStepsText+`{again}`+updateStepsText+`{/again}`, stepColumns...)

var saveStepsStatement = store.Define("request.saveSteps", insertStepsText+updateStepsText, stepColumns...)

const updateStepsText = `ON CONFLICT (request_id, position, organization_id) DO UPDATE SET status = excluded.status, reason = excluded.reason,
    attempts = excluded.attempts, next_attempt_at = excluded.next_attempt_at, details = excluded.details,
    error_code = excluded.error_code, error_message = excluded.error_message, found = excluded.found, updated_at = excluded.updated_at`

// StepUpdate is a step to be written.
type StepUpdate struct {
	RequestID string
	Step
}

// SaveSteps writes steps of requests that the caller may write to: of a claimed
// task, or those that wait for a push under the claim of its pusher.
func SaveSteps(ctx context.Context, tx *store.Tx, organization string, list []StepUpdate) error {
	return writeSteps(ctx, tx, saveStepsStatement, organization, list)
}

// writeSteps writes steps by one of the statements for it.
func writeSteps(ctx context.Context, tx *store.Tx, st *store.Statement, organization string, list []StepUpdate) error {
	if len(list) == 0 {
		return nil
	}
	set := st.Rows(len(list))
	for _, s := range list {
		row, err := stepRowOf(s.RequestID, s.Step)
		if err != nil {
			return fmt.Errorf("encode a step: %w", err)
		}
		set.Add(row...)
	}
	return tx.Later(ctx, st, set, nil, organization)
}

// stepRowOf is the row of a step for stepColumns.
func stepRowOf(request string, s Step) ([]any, error) {
	found, err := encodeFound(s.Found)
	return []any{request, int64(s.Position), string(s.Name), s.Platform, s.ConnectionID, string(s.Status), s.Reason,
		int64(s.Attempts), store.Micros(s.NextAttemptAt), s.Details, string(s.ErrorCode), s.ErrorMessage, found}, err
}

func encodeFound(found []Match) (string, error) {
	if len(found) == 0 {
		return "", nil
	}
	text, err := json.Marshal(found)
	return string(text), err
}
