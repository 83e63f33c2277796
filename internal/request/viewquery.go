package request

import (
	"context"
	"fmt"
	"strings"

	"usersync/internal/colleague"
	"usersync/internal/credit"
	"usersync/internal/store"
)

// statusExpression is a request's status as people see it: a queued request
// whose task a worker holds is being processed. Writing that into the row would
// cost an update a request; see docs/adr/0001.
const statusExpression = `CASE WHEN q.status = 'queued' AND coalesce(t.claimed_until, 0) >= {now} THEN 'processing' ELSE q.status END`

var viewStatement = store.Define("request.view", `
SELECT q.id, q.kind, `+statusExpression+`, q.user_id, q.email, q.run, q.charged, q.created_at,
    CASE WHEN q.started_at = 0 THEN coalesce(t.started_at, 0) ELSE q.started_at END, q.finished_at,
    CASE WHEN t.state = 'poisoned' THEN 1 ELSE 0 END
FROM {rows} JOIN requests q ON q.organization_id = r.organization_id AND q.id = r.id
LEFT JOIN outbox t ON t.id = q.task_id`, store.Col("organization_id", store.Text), store.Col("id", store.Text))

// stored is a request as it was read, with the view that is being made of it.
type stored struct {
	view  View
	run   int
	steps []Step
	// poisoned is 1 where the request's task waits for an operator.
	poisoned int
}

func scanRequest(scan func(...any) error) (q stored, err error) {
	var created, started, finished int64
	r := &q.view
	err = scan(&r.RequestID, &r.Kind, &r.Status, &r.UserID, &r.Email, &q.run, &r.Credits.Charged, &created, &started, &finished, &q.poisoned)
	r.CreatedAt, r.StartedAt, r.FinishedAt = store.Stamp(created), store.Stamp(started), store.Stamp(finished)
	return q, err
}

// Get returns one request as the API shows it.
func Get(ctx context.Context, o *store.Org, id string) (*View, error) {
	list, err := List(ctx, o, []string{id})
	if err != nil {
		return nil, err
	}
	if len(list) == 0 {
		return nil, ErrNotFound
	}
	return list[0], nil
}

// List returns those requests of the organization that ids names, in the
// order of ids.
func List(ctx context.Context, o *store.Org, ids []string) ([]*View, error) {
	return listed(ctx, o, ids, fillColleagues)
}

// ListBrief is List without the colleagues: only how many were found.
func ListBrief(ctx context.Context, o *store.Org, ids []string) ([]*View, error) {
	return listed(ctx, o, ids, countColleagues)
}

// filler adds something to requests that are being shown.
type filler func(ctx context.Context, o *store.Org, db store.Conn, byID map[string]*stored) error

func listed(ctx context.Context, o *store.Org, ids []string, colleagues filler) ([]*View, error) {
	list, err := views(ctx, o, o.Reader(), ids, colleagues)
	if err != nil || len(list) == 0 {
		return nil, err
	}
	balance, err := credit.Balance(ctx, o)
	if err != nil {
		return nil, fmt.Errorf("read the balance: %w", err)
	}
	for _, r := range list {
		r.Credits.Balance = &balance
	}
	return list, nil
}

func views(ctx context.Context, o *store.Org, db store.Conn, ids []string, colleagues filler) ([]*View, error) {
	found, err := store.Collect(ctx, db, viewStatement, IDRows(viewStatement, o.ID(), ids), scanRequest)
	if err != nil {
		return nil, fmt.Errorf("read the requests: %w", err)
	}
	if len(found) == 0 {
		return nil, nil
	}
	byID := make(map[string]*stored, len(found))
	for i := range found {
		byID[found[i].view.RequestID] = &found[i]
	}
	if err := fillSteps(ctx, o, db, byID, ids); err != nil {
		return nil, fmt.Errorf("read the steps of requests: %w", err)
	}
	if err := colleagues(ctx, o, db, byID); err != nil {
		return nil, fmt.Errorf("read the colleagues: %w", err)
	}
	if err := fillWebhooks(ctx, o, db, byID); err != nil {
		return nil, err
	}
	if err := fillProgress(ctx, o, db, byID); err != nil {
		return nil, fmt.Errorf("read the progress of bulks: %w", err)
	}
	var out []*View
	for _, id := range ids {
		if q, ok := byID[id]; ok {
			out = append(out, &q.view)
		}
	}
	return out, nil
}

// A step waits for its connection, which may rest, and for the task of it, whose fairness
// key the connection is.
var viewStepsStatement = store.Define("request.viewSteps", strings.ReplaceAll(stepsText, "{reason}", `
    CASE WHEN s.status NOT IN ('pending', 'retrying') OR s.connection_id = '' THEN s.reason
        WHEN (SELECT count(*) FROM outbox t WHERE t.state = 'poisoned' AND t.queue = 'push' AND t.fairness_key = s.connection_id) > 0
        THEN '`+ReasonStopped+`'
        ELSE coalesce((SELECT 'connection_' || c.status FROM connections c
            WHERE c.id = s.connection_id AND c.status IN ('paused', 'disconnected')), s.reason) END`), store.Col("id", store.Text))

func fillSteps(ctx context.Context, o *store.Org, db store.Conn, byID map[string]*stored, ids []string) error {
	list, err := store.Collect(ctx, db, viewStepsStatement, store.IDRows(viewStepsStatement, ids), scanStep, o.ID())
	if err != nil {
		return fmt.Errorf("read the steps: %w", err)
	}
	for _, r := range list {
		q := byID[r.request]
		q.steps = append(q.steps, r.step)
		if r.step.Reason == ReasonStopped {
			r.step.Details = detailsStopped
		}
		r.step = r.step.AtRest(r.step.Reason)
		q.view.Steps = append(q.view.Steps, NewStepView(r.step))
	}
	for _, q := range byID {
		if len(q.steps) == 0 {
			q.view.Steps = PlannedSteps(q.view.Kind)
		}
		if q.poisoned == 1 {
			stop(q.view.Steps)
		}
	}
	return nil
}

// searched returns the step that has found the colleagues of a request, nil where none has.
func (q *stored) searched() *Step {
	for i, s := range q.steps {
		if s.Name == StepColleagues && s.Status == StepSucceeded {
			return &q.steps[i]
		}
	}
	return nil
}

func countColleagues(_ context.Context, _ *store.Org, _ store.Conn, byID map[string]*stored) error {
	for _, q := range byID {
		if s := q.searched(); s != nil {
			q.view.Colleagues = &ColleaguesView{Found: len(s.Found)}
		}
	}
	return nil
}

func fillColleagues(ctx context.Context, o *store.Org, db store.Conn, byID map[string]*stored) error {
	var ids []string
	for _, q := range byID {
		for _, s := range q.steps {
			for _, m := range s.Found {
				ids = append(ids, m.ColleagueID)
			}
		}
	}
	known, err := colleague.ByID(ctx, o, db, ids)
	if err != nil {
		return err
	}
	for _, q := range byID {
		if s := q.searched(); s != nil {
			q.view.Colleagues = colleaguesView(s.Found, known)
		}
	}
	return nil
}

// ReasonStopped says of a step that waits that nobody works it until an operator of the
// service has it retried.
const (
	ReasonStopped  = "stopped"
	detailsStopped = "Each worker that took it up ended while it had it. An operator of the service has to have it retried."
)

// stop says of steps that wait why they do.
func stop(steps []StepView) {
	for i := range steps {
		if s := &steps[i]; s.Status == StepPending || s.Status == StepRetrying {
			s.Reason, s.Details = ReasonStopped, detailsStopped
		}
	}
}

// PlannedSteps shows the steps of a request that no worker has finished yet.
func PlannedSteps(kind Kind) []StepView {
	switch kind {
	case KindUserSync:
	case KindEvent:
		return []StepView{{Name: StepFollowUps, Status: StepPending}}
	default:
		return []StepView{}
	}
	return []StepView{{Name: StepColleagues, Status: StepPending}}
}

func colleaguesView(found []Match, known map[string]colleague.Summary) *ColleaguesView {
	out := &ColleaguesView{Found: len(found), Items: []ColleagueView{}}
	for _, m := range found {
		c, ok := known[m.ColleagueID]
		if !ok {
			continue // deleted or erased since
		}
		out.Items = append(out.Items, ColleagueView{
			ID: m.ColleagueID, Name: c.Name, Email: c.Email, JobTitle: c.JobTitle, Score: m.Score, Reasons: m.Reasons,
		})
	}
	return out
}
