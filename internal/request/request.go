package request

import (
	"context"
	"encoding/json"
	"errors"
	"time"

	"usersync/internal/colleague"
	"usersync/internal/credit"
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
	return store.Collect(ctx, s.Reader(), workStatement, RequestRows(workStatement, c.Organization, ids), scanWork, outbox.TaskWords(c))
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

var outcomeStatement = store.Define("request.saveOutcomes", `
UPDATE requests SET status = r.status, charged = r.charged,
    started_at = CASE WHEN started_at = 0 THEN r.started ELSE started_at END,
    finished_at = r.finished,
    task_id = CASE WHEN r.task = '' THEN task_id ELSE r.task END
FROM {rows} WHERE requests.organization_id = r.organization_id AND requests.id = r.id AND requests.task_id {words}$1{/words}
    AND requests.status IN ('queued', 'processing', 'awaiting_credits')
    AND (SELECT count(*) FROM users u WHERE u.id = requests.user_id) = 1`,
	store.Col("organization_id", store.Text), store.Col("id", store.Text), store.Col("status", store.Text), store.Col("charged", store.Bigint), store.Col("started", store.Bigint), store.Col("finished", store.Bigint), store.Col("task", store.Text))

var StepsStatement = store.Define("request.saveSteps", `
INSERT INTO steps (request_id, position, organization_id, name, platform, connection_id, status, reason, attempts,
    next_attempt_at, details, error_code, error_message, found, updated_at)
SELECT r.request_id, r.position, $1, r.name, r.platform, r.connection_id, r.status, r.reason, r.attempts,
    r.next_attempt_at, r.details, r.error_code, r.error_message, r.found, {now}
FROM {rows} WHERE true
ON CONFLICT (request_id, position) DO UPDATE SET status = excluded.status, reason = excluded.reason,
    attempts = excluded.attempts, next_attempt_at = excluded.next_attempt_at, details = excluded.details,
    error_code = excluded.error_code, error_message = excluded.error_message, found = excluded.found, updated_at = excluded.updated_at`,
	store.Col("request_id", store.Text), store.Col("position", store.Bigint), store.Col("name", store.Text), store.Col("platform", store.Text), store.Col("connection_id", store.Text),
	store.Col("status", store.Text), store.Col("reason", store.Text), store.Col("attempts", store.Bigint), store.Col("next_attempt_at", store.Bigint), store.Col("details", store.Text),
	store.Col("error_code", store.Text), store.Col("error_message", store.Text), store.Col("found", store.Text))

// SaveOutcomes writes steps and statuses of requests that the claimed tasks
// worked. It returns ErrStale when one of them is not theirs any more, or its
// user was erased.
func SaveOutcomes(ctx context.Context, tx *store.Tx, c usersync.Claim, outcomes []Outcome) error {
	set, steps := outcomeStatement.Rows(len(outcomes)), StepsStatement.Rows(len(outcomes))
	for _, o := range outcomes {
		finished := int64(0)
		if o.Status.Final() {
			finished = store.Micros(o.FinishedAt)
		}
		set.Add(c.Organization, o.RequestID, string(o.Status), o.Charged, store.Micros(o.StartedAt), finished, o.TaskID)
		for _, s := range o.Steps {
			if err := addStep(steps, o.RequestID, s); err != nil {
				return err
			}
		}
	}
	if err := tx.Later(ctx, outcomeStatement, set, store.AtLeast(len(outcomes), store.ErrStale), outbox.TaskWords(c)); err != nil {
		return err
	}
	return tx.Later(ctx, StepsStatement, steps, nil, c.Organization)
}

// addStep adds a row for stepsStatement.
func addStep(set *store.Rows, request string, s Step) error {
	found, err := encodeFound(s.Found)
	if err != nil {
		return err
	}
	set.Add(request, int64(s.Position), string(s.Name), s.Platform, s.ConnectionID, string(s.Status), s.Reason,
		int64(s.Attempts), store.Micros(s.NextAttemptAt), s.Details, string(s.ErrorCode), s.ErrorMessage, found)
	return nil
}

func encodeFound(found []Match) (string, error) {
	if len(found) == 0 {
		return "", nil
	}
	text, err := json.Marshal(found)
	return string(text), err
}

// statusExpression is a request's status as people see it: a queued request
// whose task a worker holds is being processed. Writing that into the row would
// cost an update a request; see docs/adr/0001.
const statusExpression = `CASE WHEN q.status = 'queued' AND coalesce(t.claimed_until, 0) >= {now} THEN 'processing' ELSE q.status END`

var reportStatement = store.Define("request.report", `
SELECT q.id, q.kind, `+statusExpression+`, q.user_id, q.email, q.run, q.charged, q.created_at,
    CASE WHEN q.started_at = 0 THEN coalesce(t.started_at, 0) ELSE q.started_at END, q.finished_at
FROM {rows} JOIN requests q ON q.organization_id = r.organization_id AND q.id = r.id
LEFT JOIN outbox t ON t.id = q.task_id`, store.Col("organization_id", store.Text), store.Col("id", store.Text))

var reportStepsStatement = store.Define("request.reportSteps", `
SELECT s.request_id, s.position, s.name, s.platform, s.connection_id, s.status, s.reason, s.attempts, s.next_attempt_at, s.details,
    s.error_code, s.error_message, s.found
FROM {rows} JOIN steps s ON s.request_id = r.id WHERE s.organization_id = $1
ORDER BY s.request_id, s.position`, store.Col("id", store.Text))

// stored is a row as a report needs it.
type stored struct {
	report View
	run    int
	steps  []Step
}

func scanRequest(scan func(...any) error) (q stored, err error) {
	var created, started, finished int64
	r := &q.report
	err = scan(&r.RequestID, &r.Kind, &r.Status, &r.UserID, &r.Email, &q.run, &r.Credits.Charged, &created, &started, &finished)
	r.CreatedAt, r.StartedAt, r.FinishedAt = store.Stamp(created), store.Stamp(started), store.Stamp(finished)
	return q, err
}

// RequestRows names requests of one organization. The organization stands in
// each row, not beside them: as a condition of its own PostgreSQL may take it
// alone into the index, and read all that the organization has.
func RequestRows(st *store.Statement, organization string, ids []string) *store.Rows {
	set := st.Rows(len(ids))
	for _, id := range ids {
		set.Add(organization, id)
	}
	return set
}

// ErrNotFound is the refusal of an id that names no request of the organization.
var ErrNotFound = usersync.Errorf(usersync.CodeNotFound, "Request not found")

// Get returns one request as the API shows it.
func Get(ctx context.Context, o *store.Org, id string) (*View, error) {
	reports, err := List(ctx, o, []string{id})
	if err != nil {
		return nil, err
	}
	if len(reports) == 0 {
		return nil, ErrNotFound
	}
	return reports[0], nil
}

// List returns those requests of the organization that ids names, in the
// order of ids.
func List(ctx context.Context, o *store.Org, ids []string) ([]*View, error) {
	list, err := views(ctx, o, o.Reader(), ids)
	if err != nil || len(list) == 0 {
		return nil, err
	}
	balance, err := credit.Balance(ctx, o)
	for _, r := range list {
		r.Credits.Balance = &balance
	}
	return list, err
}

// ListIn is Org.Reports as the transaction sees them, without the balance.
func ListIn(ctx context.Context, tx *store.Tx, organization string, ids []string) ([]*View, error) {
	return views(ctx, tx.Org(organization), tx.Conn, ids)
}

func views(ctx context.Context, o *store.Org, db store.Conn, ids []string) ([]*View, error) {
	found, err := store.Collect(ctx, db, reportStatement, RequestRows(reportStatement, o.ID(), ids), scanRequest)
	if err != nil || len(found) == 0 {
		return nil, err
	}
	byID := make(map[string]*stored, len(found))
	for i := range found {
		byID[found[i].report.RequestID] = &found[i]
	}
	if err := fillSteps(ctx, o, db, byID, ids); err != nil {
		return nil, err
	}
	if err := fillWebhooks(ctx, o, db, byID); err != nil {
		return nil, err
	}
	if err := fillProgress(ctx, o, db, byID); err != nil {
		return nil, err
	}
	var out []*View
	for _, id := range ids {
		if q, ok := byID[id]; ok {
			out = append(out, &q.report)
		}
	}
	return out, nil
}

func fillSteps(ctx context.Context, o *store.Org, db store.Conn, byID map[string]*stored, ids []string) error {
	list, err := store.Collect(ctx, db, reportStepsStatement, store.IDRows(reportStepsStatement, ids), scanStep, o.ID())
	if err != nil {
		return err
	}
	var colleagues []string
	for _, r := range list {
		for _, m := range r.step.Found {
			colleagues = append(colleagues, m.ColleagueID)
		}
	}
	known, err := colleague.ByID(ctx, o, db, colleagues)
	if err != nil {
		return err
	}
	for _, r := range list {
		q := byID[r.request]
		q.steps = append(q.steps, r.step)
		q.report.Steps = append(q.report.Steps, NewStepView(r.step))
		if r.step.Name == StepColleagues && r.step.Status == StepSucceeded {
			q.report.Colleagues = reportColleagues(r.step.Found, known)
		}
	}
	for _, q := range byID {
		if len(q.steps) == 0 {
			q.report.Steps = PlannedSteps(q.report.Kind)
		}
	}
	return nil
}

// PlannedSteps shows the steps of a request that no worker has finished yet.
func PlannedSteps(kind Kind) []StepView {
	if kind != KindUserSync {
		return []StepView{}
	}
	return []StepView{{Name: StepColleagues, Status: StepPending}}
}

func reportColleagues(found []Match, known map[string]colleague.Summary) *ColleaguesView {
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

var finishedStatement = store.Define("request.finished", `
SELECT q.id FROM {rows} JOIN requests q ON q.organization_id = r.organization_id AND q.id = r.id
WHERE q.finished_at > 0`, store.Col("organization_id", store.Text), store.Col("id", store.Text))

// Ref names a request of any organization.
type Ref struct{ Organization, ID string }

// Finished returns which of the requests are finished.
func Finished(ctx context.Context, s *store.Store, refs []Ref) ([]string, error) {
	set := finishedStatement.Rows(len(refs))
	for _, r := range refs {
		set.Add(r.Organization, r.ID)
	}
	return store.Collect(ctx, s.Reader(), finishedStatement, set, store.ScanString)
}

var LockRequestStatement = store.Define("request.lock", `
SELECT kind, status, run, traceparent, (SELECT count(*) FROM users u WHERE u.id = requests.user_id)
FROM requests WHERE organization_id = $1 AND id = $2 {for update}`)

var FailedStepsStatement = store.Define("request.failedSteps", `
SELECT count(*) FROM steps WHERE request_id = $1 AND status = 'failed'`)

// ErrErased is the refusal to work, or to send, what was erased.
var ErrErased = usersync.Errorf(usersync.CodeConflict, "The user was erased.")
