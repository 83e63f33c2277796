package request

import (
	"context"
	"encoding/json"
	"fmt"
	"strings"

	"usersync/internal/store"
	"usersync/internal/usersync"
)

// Attempt is one try at the push of a step: what was called and what came of it.
type Attempt struct {
	At usersync.Time `json:"at"`
	// Status is what the step came to by it.
	Status StepStatus `json:"status"`
	// Call is the method and the path of the last call. It is "" where none was made.
	Call       string `json:"call,omitempty"`
	HTTPStatus int    `json:"httpStatus,omitempty"` // 0 where no answer came
	DurationMS int64  `json:"durationMs"`
	// Users is how many users the call was about.
	Users int `json:"users"`
	// Sent is what the platform was told of the user, and Answer how its answer begins:
	// of a try that did not go well.
	Sent          json.RawMessage `json:"sent,omitempty"`
	Answer        string          `json:"answer,omitempty"`
	Details       string          `json:"details,omitempty"`
	Code          usersync.Code   `json:"code,omitempty"`
	Message       string          `json:"message,omitempty"`
	NextAttemptAt usersync.Time   `json:"nextAttemptAt,omitzero"`
}

// A step keeps its last tries, a line each and the newest first, as far as they find room.
const (
	maxAttempts     = 10
	maxAttemptsText = 32_000 // characters
)

// savePushesStatement is saveStepsStatement for what a pusher has to say. Whoever waits for
// the push no more was erased meanwhile: of them nothing is kept.
var savePushesStatement = store.Define("request.savePushes", strings.NewReplacer(", updated_at)", ", updated_at, tries)", "r.found, {now}", `r.found, {now},
    CASE WHEN r.tries = '' OR (SELECT count(*) FROM push_waits w WHERE w.request_id = r.request_id AND w.connection_id = r.connection_id) = 0 THEN '' ELSE r.tries END`).
	Replace(insertStepsText)+updateStepsText+`, tries = substr(excluded.tries || steps.tries, 1, `+fmt.Sprint(maxAttemptsText)+`)`,
	append(stepColumns[:len(stepColumns):len(stepColumns)], store.Col("tries", store.Text))...)

// PushedStep is the step of a push that was tried, or that ends without a try.
type PushedStep struct {
	RequestID string
	Step
	Attempt *Attempt // nil for none
}

// SavePushedSteps writes steps that wait for a push, under the claim of its pusher and
// before those are dropped who wait.
func SavePushedSteps(ctx context.Context, tx *store.Tx, organization string, list []PushedStep) error {
	if len(list) == 0 {
		return nil
	}
	set := savePushesStatement.Rows(len(list))
	for _, s := range list {
		row, err := stepRowOf(s.RequestID, s.Step)
		if err != nil {
			return fmt.Errorf("encode a step: %w", err)
		}
		line := ""
		if s.Attempt != nil {
			text, err := json.Marshal(s.Attempt)
			if err != nil {
				return fmt.Errorf("encode an attempt: %w", err)
			}
			line = string(text) + "\n"
		}
		set.Add(append(row, line)...)
	}
	return tx.Later(ctx, savePushesStatement, set, nil, organization)
}

// AttemptView is an attempt as the API shows it, with the step that it was made for.
type AttemptView struct {
	Step          int             `json:"step"` // its place among the steps, from 0
	Platform      string          `json:"platform"`
	ConnectionID  string          `json:"connectionId"`
	At            usersync.Time   `json:"at"`
	Status        StepStatus      `json:"status"`
	Call          string          `json:"call,omitempty"`
	HTTPStatus    int             `json:"httpStatus,omitempty"`
	DurationMS    int64           `json:"durationMs"`
	Users         int             `json:"users"`
	Sent          json.RawMessage `json:"sent,omitempty"`
	Answer        string          `json:"answer,omitempty"`
	Details       string          `json:"details,omitempty"`
	Error         *ErrorView      `json:"error,omitempty"`
	NextAttemptAt usersync.Time   `json:"nextAttemptAt,omitzero"`
}

var attemptsStatement = store.Define("request.attempts", `
SELECT q.id, coalesce(s.position, 0), coalesce(s.platform, ''), coalesce(s.connection_id, ''), coalesce(s.tries, '')
FROM {rows} JOIN requests q ON q.organization_id = r.organization_id AND q.id = r.id
LEFT JOIN steps s ON s.request_id = q.id AND s.organization_id = q.organization_id ORDER BY q.id, s.position`,
	store.Col("organization_id", store.Text), store.Col("id", store.Text))

// Attempts returns the last attempts at the pushes of requests, by the ids of those that
// there are: step by step, and of each the newest first.
func Attempts(ctx context.Context, o *store.Org, ids ...string) (map[string][]AttemptView, error) {
	type row struct {
		request, tries string
		of             AttemptView
	}
	list, err := store.Collect(ctx, o.Reader(), attemptsStatement, IDRows(attemptsStatement, o.ID(), ids), func(scan func(...any) error) (r row, err error) {
		return r, scan(&r.request, &r.of.Step, &r.of.Platform, &r.of.ConnectionID, &r.tries)
	})
	if err != nil {
		return nil, fmt.Errorf("read the attempts: %w", err)
	}
	out := map[string][]AttemptView{}
	for _, r := range list {
		some, err := attemptsOf(r.tries, r.of)
		if err != nil {
			return nil, err
		}
		out[r.request] = append(out[r.request], some...)
	}
	return out, nil
}

// attemptsOf reads the attempts at one step. A line that was cut off is left out.
func attemptsOf(tries string, of AttemptView) (out []AttemptView, err error) {
	for line := range strings.Lines(tries) {
		if len(out) == maxAttempts || !strings.HasSuffix(line, "\n") {
			break
		}
		var a Attempt
		if err := json.Unmarshal([]byte(line), &a); err != nil {
			return nil, fmt.Errorf("read an attempt: %w", err)
		}
		v := AttemptView{Step: of.Step, Platform: of.Platform, ConnectionID: of.ConnectionID, At: a.At, Status: a.Status, Call: a.Call,
			HTTPStatus: a.HTTPStatus, DurationMS: a.DurationMS, Users: a.Users, Sent: a.Sent, Answer: a.Answer, Details: a.Details, NextAttemptAt: a.NextAttemptAt}
		if a.Code != "" {
			info := a.Code.Info()
			v.Error = &ErrorView{Code: a.Code, Owner: info.Owner, Message: a.Message, Hint: info.Hint}
		}
		out = append(out, v)
	}
	return out, nil
}
