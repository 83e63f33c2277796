package request

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"time"

	"usersync/internal/outbox"
	"usersync/internal/store"
	"usersync/internal/usersync"
)

// Work is a request about one user as a worker needs it: what was asked and
// the user as stored now.
type Work struct {
	ID       string
	TaskID   string
	Kind     Kind
	Status   Status
	Sequence int64
	// Input is what a user-sync says of the user, Platforms what a platform-sync
	// asks for.
	Input       usersync.UserInput
	Platforms   usersync.PlatformSync
	Traceparent string
	Email       string // as it was sent
	Run         int
	Charged     int64
	CreatedAt   time.Time
	User        usersync.User
}

// Fresh reports whether no step of the request has been worked before.
func (w Work) Fresh() bool { return w.Run == 1 && w.Status == Queued }

var workStatement = store.Define("request.work", `
SELECT q.id, q.task_id, q.kind, q.status, q.sequence, q.input, q.traceparent, q.email, q.run, q.charged, q.created_at,
    u.id, u.email, u.email_key, u.country, u.first_name, u.last_name, u.name, u.job_title, u.invite_link, u.attributes, u.sequences, u.version
FROM {rows} JOIN requests q ON q.organization_id = r.organization_id AND q.id = r.id
JOIN users u ON u.id = q.user_id
WHERE q.task_id {words}$1{/words} AND q.status IN ('queued', 'processing', 'awaiting_credits')
ORDER BY q.sequence`, store.Col("organization_id", store.Text), store.Col("id", store.Text))

// Load loads those of the requests that the claimed tasks still have to work, in
// the order of their acceptance.
func Load(ctx context.Context, s *store.Store, c usersync.Claim, ids []string) ([]Work, error) {
	return store.Collect(ctx, s.Reader(), workStatement, IDRows(workStatement, c.Organization, ids), scanWork, outbox.TaskWords(c))
}

func scanWork(scan func(...any) error) (w Work, err error) {
	var input, email, key, attributes, sequences string
	var created int64
	u := &w.User
	err = scan(&w.ID, &w.TaskID, &w.Kind, &w.Status, &w.Sequence, &input, &w.Traceparent, &w.Email, &w.Run, &w.Charged, &created,
		&u.ID, &email, &key, &u.Country, &u.FirstName, &u.LastName, &u.Name, &u.JobTitle, &u.InviteLink,
		&attributes, &sequences, &u.Version)
	if err != nil {
		return w, err
	}
	w.CreatedAt = store.At(created)
	u.Email = usersync.NewEmail(email, key)
	w.Input.Email = u.Email
	return w, errors.Join(w.decodeInput([]byte(input)), store.Decode(attributes, &u.Attributes), store.Decode(sequences, &u.Sequences))
}

func (w *Work) decodeInput(input []byte) error {
	if w.Kind == KindPlatformSync {
		return json.Unmarshal(input, &w.Platforms)
	}
	return json.Unmarshal(input, &w.Input)
}

// Outcome is what became of a request in this run.
type Outcome struct {
	RequestID string
	Status    Status
	TaskID    string // the task that goes on with it; "" when it is finished
	Charged   int64
	StartedAt time.Time
	// FinishedAt is kept only with a final status.
	FinishedAt time.Time
	Steps      []Step
}

var outcomeStatement = store.Define("request.outcome", `
UPDATE requests SET status = r.status, charged = r.charged,
    started_at = CASE WHEN started_at = 0 THEN r.started ELSE started_at END,
    finished_at = r.finished,
    task_id = CASE WHEN r.task = '' THEN task_id ELSE r.task END
FROM {rows} WHERE requests.organization_id = r.organization_id AND requests.id = r.id AND requests.task_id {words}$1{/words}
    AND requests.status IN ('queued', 'processing', 'awaiting_credits')
    AND (SELECT count(*) FROM users u WHERE u.id = requests.user_id) = 1`,
	store.Col("organization_id", store.Text), store.Col("id", store.Text), store.Col("status", store.Text), store.Col("charged", store.Bigint), store.Col("started", store.Bigint), store.Col("finished", store.Bigint), store.Col("task", store.Text))

// SaveOutcomes writes steps and statuses of requests that the claimed tasks
// worked. It returns ErrStale when one of them is not theirs any more, or its
// user was erased.
func SaveOutcomes(ctx context.Context, tx *store.Tx, c usersync.Claim, outcomes []Outcome) error {
	set, steps := outcomeStatement.Rows(len(outcomes)), saveStepsStatement.Rows(len(outcomes))
	for _, o := range outcomes {
		finished := int64(0)
		if o.Status.Final() {
			finished = store.Micros(o.FinishedAt)
		}
		set.Add(c.Organization, o.RequestID, string(o.Status), o.Charged, store.Micros(o.StartedAt), finished, o.TaskID)
		for _, s := range o.Steps {
			if err := addStep(steps, o.RequestID, s); err != nil {
				return fmt.Errorf("encode a step: %w", err)
			}
		}
	}
	if err := tx.Later(ctx, outcomeStatement, set, store.AtLeast(len(outcomes), store.ErrStale), outbox.TaskWords(c)); err != nil {
		return fmt.Errorf("save the outcomes of requests: %w", err)
	}
	return tx.Later(ctx, saveStepsStatement, steps, nil, c.Organization)
}
