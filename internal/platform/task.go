package platform

import (
	"context"
	"fmt"
	"slices"
	"time"

	"usersync/internal/queue"
	"usersync/internal/store"
	"usersync/internal/usersync"
)

// Push pushes to one connection what is due there. There is one such task for
// each connection as long as the connection exists: only the holder of its claim
// pushes there.
var Push = queue.Kind[PushArgs]{Name: "platform.push", Queue: queue.Push, Timeout: 5 * time.Minute}

// PushArgs are the arguments of Push.
type PushArgs struct {
	ConnectionID string `json:"connection"`
}

// PushTaskID returns the id of the task that pushes to a connection. There is
// one for each, as long as the connection lives.
func PushTaskID(connection string) string { return usersync.DeriveID(usersync.PrefixTask, connection) }

// pushTask returns the task of a new connection. No worker runs it before a wake
// makes it ready.
func pushTask(organization, connection string) usersync.Task {
	task := Push.Task(PushTaskID(connection), organization, connection, PushArgs{connection})
	task.DueAt = NeverDue
	return task
}

// NeverDue is when a task comes again that only somebody's wake will bring.
var NeverDue = time.Date(9999, 1, 1, 0, 0, 0, 0, time.UTC)

// The update is unconditional, because it must wait for a turn that is just ending:
// that turn looks for due rows under this same lock.
var wakeStatement = store.Define("platform.wake", `
UPDATE outbox SET state = CASE WHEN state = 'scheduled' THEN 'ready' ELSE state END FROM {rows} WHERE outbox.id = r.id`, store.Col("id", store.Text))

// wakePushes makes the tasks of connections ready, so that their pushers look for
// what is due. It locks the tasks, as a pusher does that writes what became of
// pushes. So it comes first: before the rows that make something due, and before the
// account is locked. A transaction that locked them in another order would stop the
// pusher for a second, until PostgreSQL found the deadlock. A turn that is just
// ending sees the new rows all the same: it waits for the lock and reads them after.
// It returns ErrStale when a connection was deleted with its task.
func wakePushes(ctx context.Context, tx *store.Tx, connections ...string) error {
	if len(connections) == 0 {
		return nil
	}
	ids := make([]string, 0, len(connections))
	for _, c := range connections {
		ids = append(ids, PushTaskID(c))
	}
	slices.Sort(ids)
	ids = slices.Compact(ids)
	n, err := tx.Exec(ctx, wakeStatement, store.IDRows(wakeStatement, ids))
	if err == nil && n < int64(len(ids)) {
		return store.ErrStale
	}
	tx.Readied(Push.Queue)
	return err
}

var (
	// Somebody may wait for a state that the platform has already. What a person asked for
	// goes before the rest of what has gathered.
	resumeStatement = store.Define("platform.resume", `
UPDATE pushes SET status = 'pending', due_at = {now}, wanted_at = {now}, attempts = 0,
    rank = CASE WHEN (SELECT count(*) FROM push_waits w WHERE w.connection_id = pushes.connection_id AND w.user_id = pushes.user_id
        AND w.mode IN ('state', 'absence') AND w.rank = 0) > 0 THEN 0 ELSE 2 END
WHERE connection_id = $1 AND due_at = 0 AND (wanted_version > pushed_version OR dirty = 1 OR absent = 1 OR removal <> ''
    OR (SELECT count(*) FROM push_waits w WHERE w.connection_id = pushes.connection_id AND w.user_id = pushes.user_id AND w.mode IN ('state', 'absence')) > 0)`)
	// The day for which a push is tried begins anew.
	resumeWaitsStatement = store.Define("platform.resumeWaits", `
UPDATE push_waits SET due_at = CASE WHEN mode IN ('state', 'absence') THEN 0 ELSE {now} END, attempts = 0, created_at = {now} WHERE connection_id = $1`)
)

// resumePushes makes everything due at a connection that the platform has not got, or that
// somebody waits for.
func resumePushes(ctx context.Context, tx *store.Tx, connection string) error {
	if err := wakePushes(ctx, tx, connection); err != nil {
		return fmt.Errorf("wake the connection's task: %w", err)
	}
	if err := tx.Later(ctx, resumeStatement, nil, nil, connection); err != nil {
		return fmt.Errorf("resume the pushes: %w", err)
	}
	return tx.Later(ctx, resumeWaitsStatement, nil, nil, connection)
}

var (
	hastenPushesStatement = store.Define("platform.hastenPushes", `
UPDATE pushes SET due_at = {now} WHERE connection_id = $1 AND due_at > 0 AND due_at > {now} AND status = 'pending'`)
	hastenWaitsStatement = store.Define("platform.hastenWaits", `
UPDATE push_waits SET due_at = {now} WHERE connection_id = $1 AND due_at > 0 AND due_at > {now} AND job = ''`)
)

// hastenPushes makes due now what waits at a connection to be tried again.
func hastenPushes(ctx context.Context, tx *store.Tx, connection string) error {
	if err := wakePushes(ctx, tx, connection); err != nil {
		return fmt.Errorf("wake the connection's task: %w", err)
	}
	if err := tx.Later(ctx, hastenPushesStatement, nil, nil, connection); err != nil {
		return fmt.Errorf("hasten the pushes: %w", err)
	}
	return tx.Later(ctx, hastenWaitsStatement, nil, nil, connection)
}

// tellPushes has a connection's task look again when a change concerns it.
func tellPushes(ctx context.Context, tx *store.Tx, before, after Connection) error {
	if after.Status == ConnectionActive && before.Status != after.Status {
		if err := resumePushes(ctx, tx, after.ID); err != nil {
			return fmt.Errorf("resume what waits at the connection: %w", err)
		}
	}
	if after.ThrottledUntil != before.ThrottledUntil {
		return hastenPushes(ctx, tx, after.ID)
	}
	if sameAccess(before, after) {
		return nil
	}
	return wakePushes(ctx, tx, after.ID)
}
