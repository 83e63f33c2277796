package store

import (
	"context"
	"database/sql"
	"encoding/json"
	"errors"
	"time"

	"usersync/internal/usersync"
)

// Work is a request about one user as a worker needs it: what was asked and
// the user as stored now.
type Work struct {
	ID       string
	TaskID   string
	Kind     usersync.RequestKind
	Status   usersync.RequestStatus
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
func (w Work) Fresh() bool { return w.Run == 1 && w.Status == usersync.RequestQueued }

var workStatement = define(`
SELECT q.id, q.task_id, q.kind, q.status, q.sequence, q.input, q.traceparent, q.email, q.run, q.charged, q.created_at,
    u.id, u.email, u.email_key, u.country, u.first_name, u.last_name, u.name, u.job_title, u.invite_link, u.attributes, u.sequences, u.version
FROM {rows} JOIN requests q ON q.organization_id = r.organization_id AND q.id = r.id
JOIN users u ON u.id = q.user_id
WHERE q.task_id {words}$1{/words} AND q.status IN ('queued', 'processing', 'awaiting_credits')
ORDER BY q.sequence`, col("organization_id", text), col("id", text))

// Work loads those of the requests that the claimed tasks still have to work, in
// the order of their acceptance.
func (s *Store) Work(ctx context.Context, c usersync.Claim, ids []string) ([]Work, error) {
	return collect(ctx, s.reader(), workStatement, requestRows(workStatement, c.Organization, ids), scanWork, taskWords(c))
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
	w.CreatedAt = at(created)
	u.Email = usersync.NewEmail(email, key)
	w.Input.Email = u.Email
	return w, errors.Join(w.decodeInput([]byte(input)), decode(attributes, &u.Attributes), decode(sequences, &u.Sequences))
}

func (w *Work) decodeInput(input []byte) error {
	if w.Kind == usersync.KindPlatformSync {
		return json.Unmarshal(input, &w.Platforms)
	}
	return json.Unmarshal(input, &w.Input)
}

// Outcome is what became of a request in this run.
type Outcome struct {
	RequestID string
	Status    usersync.RequestStatus
	TaskID    string // the task that goes on with it; "" when it is finished
	Charged   int64
	StartedAt time.Time
	// FinishedAt is kept only with a final status.
	FinishedAt time.Time
	Steps      []usersync.Step
}

var outcomeStatement = define(`
UPDATE requests SET status = r.status, charged = r.charged,
    started_at = CASE WHEN started_at = 0 THEN r.started ELSE started_at END,
    finished_at = r.finished,
    task_id = CASE WHEN r.task = '' THEN task_id ELSE r.task END
FROM {rows} WHERE requests.organization_id = r.organization_id AND requests.id = r.id AND requests.task_id {words}$1{/words}
    AND requests.status IN ('queued', 'processing', 'awaiting_credits')
    AND (SELECT count(*) FROM users u WHERE u.id = requests.user_id) = 1`,
	col("organization_id", text), col("id", text), col("status", text), col("charged", bigint), col("started", bigint), col("finished", bigint), col("task", text))

var stepsStatement = define(`
INSERT INTO steps (request_id, position, organization_id, name, platform, connection_id, status, reason, attempts,
    next_attempt_at, details, error_code, error_message, found, updated_at)
SELECT r.request_id, r.position, $1, r.name, r.platform, r.connection_id, r.status, r.reason, r.attempts,
    r.next_attempt_at, r.details, r.error_code, r.error_message, r.found, {now}
FROM {rows} WHERE true
ON CONFLICT (request_id, position) DO UPDATE SET status = excluded.status, reason = excluded.reason,
    attempts = excluded.attempts, next_attempt_at = excluded.next_attempt_at, details = excluded.details,
    error_code = excluded.error_code, error_message = excluded.error_message, found = excluded.found, updated_at = excluded.updated_at`,
	col("request_id", text), col("position", bigint), col("name", text), col("platform", text), col("connection_id", text),
	col("status", text), col("reason", text), col("attempts", bigint), col("next_attempt_at", bigint), col("details", text),
	col("error_code", text), col("error_message", text), col("found", text))

// SaveOutcomes writes steps and statuses of requests that the claimed tasks
// worked. It returns ErrStale when one of them is not theirs any more, or its
// user was erased.
func (tx *Tx) SaveOutcomes(ctx context.Context, c usersync.Claim, outcomes []Outcome) error {
	set, steps := outcomeStatement.rows(len(outcomes)), stepsStatement.rows(len(outcomes))
	for _, o := range outcomes {
		finished := int64(0)
		if o.Status.Final() {
			finished = micros(o.FinishedAt)
		}
		set.add(c.Organization, o.RequestID, string(o.Status), o.Charged, micros(o.StartedAt), finished, o.TaskID)
		for _, s := range o.Steps {
			if err := addStep(steps, o.RequestID, s); err != nil {
				return err
			}
		}
	}
	if err := tx.later(ctx, outcomeStatement, set, atLeast(len(outcomes), ErrStale), taskWords(c)); err != nil {
		return err
	}
	return tx.later(ctx, stepsStatement, steps, nil, c.Organization)
}

// addStep adds a row for stepsStatement.
func addStep(set *rows, request string, s usersync.Step) error {
	found, err := encodeFound(s.Found)
	if err != nil {
		return err
	}
	set.add(request, int64(s.Position), string(s.Name), s.Platform, s.ConnectionID, string(s.Status), s.Reason,
		int64(s.Attempts), micros(s.NextAttemptAt), s.Details, string(s.ErrorCode), s.ErrorMessage, found)
	return nil
}

func encodeFound(found []usersync.Match) (string, error) {
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

var reportStatement = define(`
SELECT q.id, q.kind, `+statusExpression+`, q.user_id, q.email, q.run, q.charged, q.created_at,
    CASE WHEN q.started_at = 0 THEN coalesce(t.started_at, 0) ELSE q.started_at END, q.finished_at
FROM {rows} JOIN requests q ON q.organization_id = r.organization_id AND q.id = r.id
LEFT JOIN outbox t ON t.id = q.task_id`, col("organization_id", text), col("id", text))

var reportStepsStatement = define(`
SELECT s.request_id, s.position, s.name, s.platform, s.connection_id, s.status, s.reason, s.attempts, s.next_attempt_at, s.details,
    s.error_code, s.error_message, s.found
FROM {rows} JOIN steps s ON s.request_id = r.id WHERE s.organization_id = $1
ORDER BY s.request_id, s.position`, col("id", text))

// request is a row as a report needs it.
type request struct {
	report usersync.Report
	run    int
	steps  []usersync.Step
}

func scanRequest(scan func(...any) error) (q request, err error) {
	var created, started, finished int64
	r := &q.report
	err = scan(&r.RequestID, &r.Kind, &r.Status, &r.UserID, &r.Email, &q.run, &r.Credits.Charged, &created, &started, &finished)
	r.CreatedAt, r.StartedAt, r.FinishedAt = stamp(created), stamp(started), stamp(finished)
	return q, err
}

func idRows(st *statement, ids []string) *rows {
	set := st.rows(len(ids))
	for _, id := range ids {
		set.add(id)
	}
	return set
}

// requestRows names requests of one organization. The organization stands in
// each row, not beside them: as a condition of its own PostgreSQL may take it
// alone into the index, and read all that the organization has.
func requestRows(st *statement, organization string, ids []string) *rows {
	set := st.rows(len(ids))
	for _, id := range ids {
		set.add(organization, id)
	}
	return set
}

// ErrNoRequest is the refusal of an id that names no request of the organization.
var ErrNoRequest = usersync.Errorf(usersync.CodeNotFound, "Request not found")

// Report returns one request as the API shows it.
func (o *Org) Report(ctx context.Context, id string) (*usersync.Report, error) {
	reports, err := o.Reports(ctx, []string{id})
	if err != nil {
		return nil, err
	}
	if len(reports) == 0 {
		return nil, ErrNoRequest
	}
	return reports[0], nil
}

// Reports returns those requests of the organization that ids names, in the
// order of ids.
func (o *Org) Reports(ctx context.Context, ids []string) ([]*usersync.Report, error) {
	list, err := o.reports(ctx, o.reader(), ids)
	if err != nil || len(list) == 0 {
		return nil, err
	}
	balance, err := o.Balance(ctx)
	for _, r := range list {
		r.Credits.Balance = &balance
	}
	return list, err
}

// Reports is Org.Reports as the transaction sees them, without the balance.
func (tx *Tx) Reports(ctx context.Context, organization string, ids []string) ([]*usersync.Report, error) {
	return tx.org(organization).reports(ctx, tx.conn, ids)
}

func (o *Org) reports(ctx context.Context, db conn, ids []string) ([]*usersync.Report, error) {
	found, err := collect(ctx, db, reportStatement, requestRows(reportStatement, o.ID(), ids), scanRequest)
	if err != nil || len(found) == 0 {
		return nil, err
	}
	byID := make(map[string]*request, len(found))
	for i := range found {
		byID[found[i].report.RequestID] = &found[i]
	}
	if err := o.fillSteps(ctx, db, byID, ids); err != nil {
		return nil, err
	}
	if err := o.fillWebhooks(ctx, db, byID); err != nil {
		return nil, err
	}
	if err := o.fillProgress(ctx, db, byID); err != nil {
		return nil, err
	}
	var out []*usersync.Report
	for _, id := range ids {
		if q, ok := byID[id]; ok {
			out = append(out, &q.report)
		}
	}
	return out, nil
}

func (o *Org) fillSteps(ctx context.Context, db conn, byID map[string]*request, ids []string) error {
	list, err := collect(ctx, db, reportStepsStatement, idRows(reportStepsStatement, ids), scanStep, o.ID())
	if err != nil {
		return err
	}
	var colleagues []string
	for _, r := range list {
		for _, m := range r.step.Found {
			colleagues = append(colleagues, m.ColleagueID)
		}
	}
	known, err := o.colleaguesByID(ctx, db, colleagues)
	if err != nil {
		return err
	}
	for _, r := range list {
		q := byID[r.request]
		q.steps = append(q.steps, r.step)
		q.report.Steps = append(q.report.Steps, usersync.NewReportStep(r.step))
		if r.step.Name == usersync.StepColleagues && r.step.Status == usersync.StepSucceeded {
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
func PlannedSteps(kind usersync.RequestKind) []usersync.ReportStep {
	if kind != usersync.KindUserSync {
		return []usersync.ReportStep{}
	}
	return []usersync.ReportStep{{Name: usersync.StepColleagues, Status: usersync.StepPending}}
}

func reportColleagues(found []usersync.Match, known map[string]ColleagueName) *usersync.ReportColleagues {
	out := &usersync.ReportColleagues{Found: len(found), Items: []usersync.ReportColleague{}}
	for _, m := range found {
		c, ok := known[m.ColleagueID]
		if !ok {
			continue // deleted or erased since
		}
		out.Items = append(out.Items, usersync.ReportColleague{
			ID: m.ColleagueID, Name: c.Name, Email: c.Email, JobTitle: c.JobTitle, Score: m.Score, Reasons: m.Reasons,
		})
	}
	return out
}

func scanString(scan func(...any) error) (s string, err error) { return s, scan(&s) }

var finishedStatement = define(`
SELECT q.id FROM {rows} JOIN requests q ON q.organization_id = r.organization_id AND q.id = r.id
WHERE q.finished_at > 0`, col("organization_id", text), col("id", text))

// RequestRef names a request of any organization.
type RequestRef struct{ Organization, ID string }

// Finished returns which of the requests are finished.
func (s *Store) Finished(ctx context.Context, refs []RequestRef) ([]string, error) {
	set := finishedStatement.rows(len(refs))
	for _, r := range refs {
		set.add(r.Organization, r.ID)
	}
	return collect(ctx, s.reader(), finishedStatement, set, scanString)
}

var lockRequestStatement = define(`
SELECT kind, status, run, traceparent, (SELECT count(*) FROM users u WHERE u.id = requests.user_id)
FROM requests WHERE organization_id = $1 AND id = $2 {for update}`)

var failedStepsStatement = define(`
SELECT count(*) FROM steps WHERE request_id = $1 AND status = 'failed'`)

var requeueStatement = define(`
UPDATE requests SET status = 'queued', run = run + 1, task_id = $3, finished_at = 0
WHERE organization_id = $1 AND id = $2`)

// ErrNothingFailed is the refusal to retry a request without a failed step.
var ErrNothingFailed = usersync.Errorf(usersync.CodeConflict, "Nothing failed, so there is nothing to retry.")

// ErrErased is the refusal to work, or to send, what was erased.
var ErrErased = usersync.Errorf(usersync.CodeConflict, "The user was erased.")

// Retry has the failed steps of a request run again, or the failed users of a
// bulk, by the task that plan makes for its next run. A call with an
// idempotency key that was taken before changes nothing and is replayed; callID
// tells the calls apart.
func (o *Org) Retry(ctx context.Context, id, callID string, key *Idempotency, plan PlanRun) (replayed bool, err error) {
	err = o.Tx(ctx, func(tx *Tx) error {
		if replayed, err = tx.seen(ctx, o.ID(), callID, key); err != nil || replayed {
			return err
		}
		return tx.retry(ctx, o.ID(), id, plan)
	})
	return replayed, err
}

// PlanRun makes the task of a further run of a request.
type PlanRun func(kind usersync.RequestKind, run int, traceparent string) usersync.Task

// seen keeps the idempotency key of a call and reports whether another call
// had it before.
func (tx *Tx) seen(ctx context.Context, organization, callID string, key *Idempotency) (bool, error) {
	if key == nil {
		return false, nil
	}
	sub := &Submission{Organization: organization, Idempotency: key, Items: []*Acceptance{{RequestID: callID}}}
	if _, err := tx.keepKeys(ctx, []*Submission{sub}); err != nil {
		return false, err
	}
	if sub.Err != nil {
		return false, sub.Err
	}
	return sub.Replayed, nil
}

func (tx *Tx) retry(ctx context.Context, organization, id string, plan PlanRun) error {
	var kind usersync.RequestKind
	var status usersync.RequestStatus
	var run, users int
	var traceparent string
	err := tx.row(ctx, lockRequestStatement, organization, id).Scan(&kind, &status, &run, &traceparent, &users)
	if errors.Is(err, sql.ErrNoRows) {
		return ErrNoRequest
	}
	if err != nil {
		return classify(err)
	}
	var failed int64
	switch {
	case kind == usersync.KindPlatformBulk:
		failed, err = tx.retryBulk(ctx, organization, id, status)
	case users == 0:
		return ErrErased
	default:
		err = classify(tx.row(ctx, failedStepsStatement, id).Scan(&failed))
	}
	if err != nil {
		return err
	}
	if failed == 0 || !status.CanBecome(usersync.RequestQueued) {
		return ErrNothingFailed
	}
	task := plan(kind, run+1, traceparent)
	if err := tx.later(ctx, requeueStatement, nil, nil, organization, id, task.ID); err != nil {
		return err
	}
	return tx.Enqueue(ctx, task)
}
