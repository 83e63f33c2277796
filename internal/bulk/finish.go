package bulk

import (
	"context"
	"database/sql"
	"errors"
	"fmt"
	"slices"

	"usersync/internal/request"
	"usersync/internal/store"
	"usersync/internal/usersync"
)

var doneStatement = store.Define("bulk.done", `
SELECT q.id, q.task_id, q.input, {now}, coalesce((SELECT s.attempts FROM steps s WHERE s.request_id = r.id AND s.position = 0), 0),
    b.total, b.added, b.updated, b.unchanged, b.removed, b.skipped, b.errors
FROM {rows} JOIN bulks b ON b.request_id = r.id AND b.planned = 1 AND b.done >= b.total
JOIN requests q ON q.organization_id = r.organization_id AND q.id = r.id AND q.`+unfinishedRequest+`
{for update}`, store.Col("organization_id", store.Text), store.Col("id", store.Text))

// Finish ends those of the bulks whose users are all planned and done, and
// returns their ids: publish them once the transaction is committed. The caller has
// written to the bulks in this transaction, so nobody else counts meanwhile.
func Finish(ctx context.Context, tx *store.Tx, organization string, ids ...string) (finished []string, err error) {
	if len(ids) == 0 {
		return nil, nil
	}
	slices.Sort(ids)
	outcomes, err := store.Collect(ctx, tx.Conn, doneStatement, request.IDRows(doneStatement, organization, ids), scanDone)
	if err != nil {
		return nil, fmt.Errorf("read the bulks that are done: %w", err)
	}
	return request.SaveOutcomes(ctx, tx, organization, outcomes)
}

// scanDone reads a bulk that is done as what becomes of it. Its step is there since
// Begin: the platform and the connection in it stay as they are.
func scanDone(scan func(...any) error) (request.Outcome, error) {
	o := request.Outcome{Kind: request.KindPlatformBulk}
	step := request.Step{Name: request.StepPlatform}
	var input string
	var now int64
	var p request.Progress
	err := scan(&o.RequestID, &o.TaskID, &input, &now, &step.Attempts,
		&p.Total, &p.Added, &p.Updated, &p.Unchanged, &p.Removed, &p.Skipped, &p.Errors)
	if err != nil {
		return o, err
	}
	var in usersync.PlatformSync
	if err := store.Decode(input, &in); err != nil {
		return o, err
	}
	o.Status = statusOf(p)
	o.StartedAt, o.FinishedAt = store.At(now), store.At(now)
	step.Details = fmt.Sprintf("Users: %d; added: %d; updated: %d; unchanged: %d; skipped: %d; failed: %d",
		p.Total, p.Added, p.Updated, p.Unchanged, p.Skipped, p.Errors)
	if in.Remove {
		step.Details = fmt.Sprintf("Users: %d; removed: %d; unchanged: %d; skipped: %d; failed: %d", p.Total, p.Removed, p.Unchanged, p.Skipped, p.Errors)
	}
	switch {
	case o.Status == request.Failed:
		step.Status, step.ErrorCode = request.StepFailed, usersync.CodeRejected
		step.ErrorMessage = "No user could be synced; the errors of the request say why."
	case in.DryRun:
		step.Status = request.StepWouldSync
	default:
		step.Status = request.StepSynced
	}
	o.Steps = []request.Step{step}
	return o, nil
}

// statusOf follows the rule of request.StatusOf, where each user counts as a step.
func statusOf(p request.Progress) request.Status {
	switch {
	case p.Errors == 0:
		return request.Succeeded
	case p.Added+p.Updated+p.Unchanged+p.Removed == 0:
		return request.Failed
	}
	return request.PartiallySucceeded
}

var lockStatement = store.Define("bulk.lock", `
SELECT task_id, {now} FROM requests WHERE organization_id = $1 AND id = $2 AND `+unfinishedRequest+` {for update}`)

// Fail ends a bulk that cannot be made; its one step says why. It returns the id:
// publish it once the transaction is committed. One that has ended stays as it is.
func Fail(ctx context.Context, tx *store.Tx, organization, id string, step request.Step) (finished []string, err error) {
	o := request.Outcome{RequestID: id, Kind: request.KindPlatformBulk, Status: request.Failed, Steps: []request.Step{step}}
	var now int64
	err = tx.QueryRow(ctx, lockStatement, organization, id).Scan(&o.TaskID, &now)
	if errors.Is(err, sql.ErrNoRows) {
		return nil, nil
	}
	if err != nil {
		return nil, fmt.Errorf("lock the bulk: %w", store.Classify(err))
	}
	o.StartedAt, o.FinishedAt = store.At(now), store.At(now)
	return request.SaveOutcomes(ctx, tx, organization, []request.Outcome{o})
}
