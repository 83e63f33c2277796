package request

import (
	"context"
	"fmt"
	"time"

	"usersync/internal/credit"
	"usersync/internal/delivery"
	"usersync/internal/store"
)

// Outcome is what became of a request in a transaction. Work.Outcome and Fold begin
// with what was read of it.
type Outcome struct {
	RequestID string
	Kind      Kind
	// TaskID is the task that the request had when it was read.
	TaskID string
	// UserID is the user who must still be there. It is "" where nobody need be: a
	// bulk has no user, and a pusher also ends what waits for somebody erased.
	UserID      string
	Run         int
	Traceparent string
	Status      Status
	NextTaskID  string // the task that goes on with it; "" when none does
	Charged     int64
	// StartedAt is kept only where no earlier run has begun.
	StartedAt time.Time
	// FinishedAt is kept only with a final status.
	FinishedAt time.Time
	Steps      []Step // those that are written with it
	// Fresh says that no step of the request was written before.
	Fresh bool
	Found int // how many colleagues this run has found
}

var outcomeStatement = store.Define("request.outcome", `
UPDATE requests SET status = r.status, charged = r.charged,
    started_at = CASE WHEN started_at = 0 THEN r.started ELSE started_at END,
    finished_at = r.finished,
    task_id = CASE WHEN r.next_task = '' THEN requests.task_id ELSE r.next_task END
FROM {rows} WHERE requests.organization_id = r.organization_id AND requests.id = r.id AND requests.task_id = r.task_id
    AND requests.status IN `+UnfinishedStatusesSQL+`
    AND (r.user_id = '' OR (SELECT count(*) FROM users u WHERE u.id = r.user_id) = 1)`,
	store.Col("organization_id", store.Text), store.Col("id", store.Text), store.Col("task_id", store.Text), store.Col("user_id", store.Text),
	store.Col("status", store.Text), store.Col("charged", store.Bigint), store.Col("started", store.Bigint), store.Col("finished", store.Bigint), store.Col("next_task", store.Text))

// SaveOutcomes writes what became of requests, their steps and statuses, and returns
// the ids of those that are finished: publish them once the transaction is committed.
// It returns ErrStale when one of them has moved on since it was read, or its user was
// erased. Runs, pushers and bulks all end requests here; only an erasure does it
// otherwise, because it also removes what they hold.
//
// The claim stays with the caller: the task of a run ends with its requests while that
// of a pusher goes on, and each fence stands ahead of what is decided. So does the
// account whose numbers the messages take, see AddMessages: a run locks it early, to
// charge, and a pusher last, to keep the runs waiting for as short as it can.
func SaveOutcomes(ctx context.Context, tx *store.Tx, organization string, outcomes []Outcome) (finished []string, err error) {
	if len(outcomes) == 0 {
		return nil, nil
	}
	set := outcomeStatement.Rows(len(outcomes))
	var steps, fresh []StepUpdate
	for _, o := range outcomes {
		at := int64(0)
		if o.Status.Final() {
			at = store.Micros(o.FinishedAt)
			finished = append(finished, o.RequestID)
		}
		set.Add(organization, o.RequestID, o.TaskID, o.UserID, string(o.Status), o.Charged, store.Micros(o.StartedAt), at, o.NextTaskID)
		to := &steps
		if o.Fresh {
			to = &fresh
		}
		for _, s := range o.Steps {
			*to = append(*to, StepUpdate{RequestID: o.RequestID, Step: s})
		}
	}
	if err := tx.Later(ctx, outcomeStatement, set, &store.Fence{Least: len(outcomes), Refusal: store.ErrStale}); err != nil {
		return nil, fmt.Errorf("save the outcomes of requests: %w", err)
	}
	if err := writeSteps(ctx, tx, insertStepsStatement, organization, fresh); err != nil {
		return nil, err
	}
	return finished, SaveSteps(ctx, tx, organization, steps)
}

// Told returns those of the outcomes that lead to messages.
func Told(outcomes []Outcome) (told []Outcome) {
	for _, o := range outcomes {
		if len(o.messageTypes()) > 0 {
			told = append(told, o)
		}
	}
	return told
}

// AddMessages makes the webhook messages of outcomes. view shows the i-th request as
// GET /v1/requests/{id} will once the transaction is committed; it is asked only where
// an endpoint wants a message about it.
func AddMessages(messages *delivery.Messages, outcomes []Outcome, view func(i int) View) error {
	for i, o := range outcomes {
		for _, t := range o.messageTypes() {
			if !messages.Wanted(t) {
				continue // its view would be made for nobody
			}
			if err := messages.Add(delivery.AboutRequest(t, o.RequestID, o.Run, o.Traceparent), view(i)); err != nil {
				return fmt.Errorf("make the message: %w", err)
			}
		}
	}
	return nil
}

// Tell enqueues the messages about requests that have come to an end outside of a run.
func Tell(ctx context.Context, tx *store.Tx, organization string, told []Outcome) error {
	if len(told) == 0 {
		return nil
	}
	endpoints, err := delivery.EnabledEndpoints(ctx, tx, organization)
	if err != nil || len(endpoints) == 0 {
		return err
	}
	ids := make([]string, len(told))
	for i, o := range told {
		ids[i] = o.RequestID
	}
	views, err := ViewsForMessages(ctx, tx, organization, ids)
	if err != nil {
		return fmt.Errorf("read the requests that messages tell of: %w", err)
	}
	account, err := credit.Lock(ctx, tx, organization)
	if err != nil {
		return fmt.Errorf("lock the account: %w", err)
	}
	messages := delivery.NewMessages(&account, endpoints)
	if err := AddMessages(messages, told, func(i int) View { return *views[i] }); err != nil {
		return err
	}
	return messages.Enqueue(ctx, tx)
}

// messageTypes returns the types of the messages that the outcome leads to. A
// platform-sync, a bulk and an event lead to none.
func (o Outcome) messageTypes() (types []delivery.MessageType) {
	if o.Kind != KindUserSync {
		return nil
	}
	if o.Found > 0 {
		types = append(types, delivery.MessageColleaguesFound)
	}
	switch o.Status {
	case Succeeded, PartiallySucceeded:
		types = append(types, delivery.MessageCompleted)
	case Failed:
		types = append(types, delivery.MessageFailed)
	}
	return types
}
