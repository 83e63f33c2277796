package erasure

import (
	"context"
	"fmt"

	"usersync/internal/outbox"
	"usersync/internal/request"
	"usersync/internal/store"
	"usersync/internal/usersync"
)

var (
	endRequestsStatement = store.Define("erasure.endRequests", `
UPDATE requests SET status = 'failed', email = '', input = '{}', finished_at = {now}
WHERE user_id = $1 AND status IN `+request.UnfinishedStatusesSQL+` RETURNING id, kind, run, task_id`)
	dropParkedStatement = store.Define("erasure.dropParked", `
DELETE FROM outbox WHERE state IN ('parked', 'poisoned') AND id {any}SELECT r.id FROM {rows}{/any}`, store.Col("id", store.Text))
	// A request that was accepted while its user was erased is found by nobody
	// but its own task.
	endOrphansStatement = store.Define("erasure.endOrphans", `
UPDATE requests SET status = 'failed', email = '', input = '{}', finished_at = {now} FROM {rows}
WHERE requests.organization_id = r.organization_id AND requests.id = r.request_id AND requests.task_id {words}$1{/words}
    AND requests.status IN `+request.UnfinishedStatusesSQL+` AND requests.user_id <> '' AND (SELECT count(*) FROM users u WHERE u.id = requests.user_id) = 0
RETURNING requests.id, requests.kind, requests.run, requests.task_id`, store.Col("organization_id", store.Text), store.Col("request_id", store.Text))
)

// ended is a request that has failed because its user was erased.
type ended struct {
	id   string
	kind request.Kind
	run  int
	task string
}

func scanEnded(scan func(...any) error) (e ended, err error) {
	return e, scan(&e.id, &e.kind, &e.run, &e.task)
}

// endRequests has everything fail that was still to be done for a user. A
// worker that is in the middle of it finds its requests gone, see request.SaveOutcomes.
func endRequests(ctx context.Context, tx *store.Tx, organization, userID string) error {
	if userID == "" {
		return nil
	}
	list, err := store.Collect(ctx, tx.Conn, endRequestsStatement, nil, scanEnded, userID)
	if err != nil {
		return fmt.Errorf("end the user's requests: %w", err)
	}
	if len(list) == 0 {
		return nil
	}
	if err := failErased(ctx, tx, organization, list); err != nil {
		return err
	}
	set := dropParkedStatement.Rows(len(list))
	for _, e := range list {
		set.Add(e.task)
	}
	if _, err := tx.Exec(ctx, dropParkedStatement, set); err != nil {
		return fmt.Errorf("drop the parked tasks: %w", err)
	}
	return nil
}

// EndOrphans has those of the claimed tasks' requests fail whose user is gone,
// and returns their ids.
func EndOrphans(ctx context.Context, tx *store.Tx, c usersync.Claim, ids []string) ([]string, error) {
	list, err := store.Collect(ctx, tx.Conn, endOrphansStatement, request.IDRows(endOrphansStatement, c.Organization, ids), scanEnded, outbox.TaskWords(c))
	if err != nil {
		return nil, fmt.Errorf("end the requests of erased users: %w", err)
	}
	if len(list) == 0 {
		return nil, nil
	}
	out := make([]string, len(list))
	for i, e := range list {
		out[i] = e.id
	}
	return out, failErased(ctx, tx, c.Organization, list)
}

var skipErasedStatement = store.Define("erasure.skipErased", `
UPDATE steps SET status = 'skipped', reason = 'erased', next_attempt_at = 0, error_code = '', error_message = '', details = '', updated_at = {now}
FROM {rows} WHERE steps.request_id = r.id AND steps.organization_id = $1 AND steps.name = 'platform' AND steps.status IN ('pending', 'retrying')`,
	store.Col("id", store.Text))

// failErased writes the steps of requests that ended with their user.
func failErased(ctx context.Context, tx *store.Tx, organization string, list []ended) error {
	skipped := skipErasedStatement.Rows(len(list))
	for _, e := range list {
		skipped.Add(e.id)
	}
	if err := tx.Later(ctx, skipErasedStatement, skipped, nil, organization); err != nil {
		return fmt.Errorf("skip the steps of erased users: %w", err)
	}
	steps := make([]request.StepUpdate, len(list))
	for i, e := range list {
		steps[i] = request.StepUpdate{RequestID: e.id, Step: request.Step{Name: firstStep(e.kind), Status: request.StepFailed, Attempts: e.run,
			ErrorCode: request.ErrErased.Code, ErrorMessage: request.ErrErased.Message}}
	}
	return request.SaveSteps(ctx, tx, organization, steps)
}

// firstStep is the name of the step that requests of a kind begin with.
func firstStep(kind request.Kind) request.StepName {
	switch kind {
	case request.KindUserSync:
		return request.StepColleagues
	case request.KindEvent:
		return request.StepFollowUps
	}
	return request.StepPlatform
}
