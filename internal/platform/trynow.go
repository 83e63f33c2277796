package platform

import (
	"context"
	"database/sql"
	"errors"
	"fmt"
	"time"

	"usersync/internal/request"
	"usersync/internal/store"
	"usersync/internal/usersync"
)

var (
	stepToTryStatement = store.Define("platform.stepToTry", `
SELECT coalesce(s.status, ''), coalesce(s.connection_id, ''), coalesce(c.status, 'deleted'), coalesce(c.throttled_until, 0), {now}
FROM requests q LEFT JOIN steps s ON s.request_id = q.id AND s.organization_id = q.organization_id AND s.position = $3
LEFT JOIN connections c ON c.id = s.connection_id WHERE q.organization_id = $1 AND q.id = $2`)
	tryPushesStatement = store.Define("platform.tryPushes", `
UPDATE pushes SET rank = 0, due_at = CASE WHEN due_at > {now} THEN {now} ELSE due_at END
WHERE connection_id = $1 AND user_id {any}SELECT w.user_id FROM push_waits w WHERE w.request_id = $2 AND w.connection_id = $1 AND w.mode IN ('state', 'absence'){/any}
    AND due_at > 0 AND status = 'pending'`)
	tryWaitsStatement = store.Define("platform.tryWaits", `
UPDATE push_waits SET rank = 0, due_at = CASE WHEN due_at > {now} THEN {now} ELSE due_at END
WHERE request_id = $2 AND connection_id = $1 AND due_at > 0 AND job = ''`)
	triedStepStatement = store.Define("platform.triedStep", `
UPDATE steps SET next_attempt_at = {now} WHERE request_id = $2 AND organization_id = $1 AND position = $3 AND next_attempt_at > {now}`)
)

// The refusals to try a step now.
var (
	errNoStep      = usersync.Errorf(usersync.CodeNotFound, "The request has no such step.")
	errNothingWait = usersync.Errorf(usersync.CodeConflict, "The step does not wait for a push, so there is nothing to try now.")
)

// TryNow has what a step of a request waits for pushed now, ahead of what nobody asks for.
// It returns request.ErrNotFound, an error of code not_found for a position without a
// step, and one of code conflict where nothing waits or nothing may be pushed.
func TryNow(ctx context.Context, tx *store.Tx, organization, requestID string, position int) error {
	var status request.StepStatus
	var connection, connectionStatus string
	var throttled, now int64
	err := tx.QueryRow(ctx, stepToTryStatement, organization, requestID, position).Scan(&status, &connection, &connectionStatus, &throttled, &now)
	if errors.Is(err, sql.ErrNoRows) {
		return request.ErrNotFound
	}
	if err != nil {
		return fmt.Errorf("read the step: %w", store.Classify(err))
	}
	reason := SkipReason(connectionStatus)
	switch {
	case status == "":
		return errNoStep
	case connection == "" || status != request.StepPending && status != request.StepRetrying:
		return errNothingWait
	case reason != "":
		return usersync.Errorf(usersync.CodeConflict, "%s. What waits there is pushed when it comes back.", SkipSentence(reason))
	case throttled > now:
		return usersync.Errorf(usersync.CodeConflict, "The platform wants no calls until %s. To call it all the same, resume the connection.",
			store.At(throttled).Format(time.RFC3339))
	}
	if err := wakePushes(ctx, tx, connection); err != nil {
		return fmt.Errorf("wake the connection's task: %w", err)
	}
	if err := tx.Later(ctx, tryPushesStatement, nil, nil, connection, requestID); err != nil {
		return fmt.Errorf("have the states be due: %w", err)
	}
	if err := tx.Later(ctx, tryWaitsStatement, nil, nil, connection, requestID); err != nil {
		return fmt.Errorf("have the pushes be due: %w", err)
	}
	return tx.Later(ctx, triedStepStatement, nil, nil, organization, requestID, position)
}
