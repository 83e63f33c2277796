// Package bulk keeps how far requests have come that push many users to one connection:
// how many are planned and done, and which of them failed.
package bulk

import (
	"cmp"
	"context"
	"database/sql"
	"encoding/json"
	"errors"
	"fmt"
	"slices"

	"usersync/internal/outbox"
	"usersync/internal/request"
	"usersync/internal/store"
	"usersync/internal/user"
	"usersync/internal/usersync"
)

// Bulk is a bulk push as its planner needs it.
type Bulk struct {
	ID    string
	Run   int
	Input Input
	// Began says that Begin was called: the audience is made.
	Began bool
	// Planned says that no user is left to plan.
	Planned bool
	// Again says that only the users are planned that a retry has marked.
	Again bool
	// Cursor is the last user planned.
	Cursor string
}

// Input is the input of a request of KindPlatformBulk.
type Input struct {
	usersync.PlatformSync
	// Connection is the one that is synced.
	Connection string `json:"connection"`
	// UserIDs names the users; none means all, or the active ones.
	UserIDs []string `json:"userIds,omitempty"`
	// ActiveSince leaves out users that were last told of before; zero takes all.
	ActiveSince usersync.Time `json:"activeSince,omitzero"`
	// AudienceName asks for an audience to be made first, with what it is for.
	AudienceName        string `json:"audienceName,omitempty"`
	AudienceDescription string `json:"audienceDescription,omitempty"`
}

// unfinishedRequest is the condition of a request that still has work to come.
const unfinishedRequest = `status IN ` + request.UnfinishedStatusesSQL

var bulkStatement = store.Define("bulk.bulk", `
SELECT q.id, q.run, q.input, coalesce(b.created_at, 0), coalesce(b.planned, 0), coalesce(b.again, 0), coalesce(b.cursor, '')
FROM requests q LEFT JOIN bulks b ON b.request_id = q.id
WHERE q.organization_id = $1 AND q.id = $2 AND q.kind = 'platform-bulk' AND q.`+unfinishedRequest)

// Load returns an unfinished bulk; ok is false when there is none of that id.
func Load(ctx context.Context, o *store.Org, id string) (b Bulk, ok bool, err error) {
	var input string
	var began, planned, again int64
	err = o.Reader().QueryRow(ctx, bulkStatement, o.ID(), id).Scan(&b.ID, &b.Run, &input, &began, &planned, &again, &b.Cursor)
	if errors.Is(err, sql.ErrNoRows) {
		return b, false, nil
	}
	if err != nil {
		return b, false, store.Classify(err)
	}
	b.Began, b.Planned, b.Again = began > 0, planned > 0, again > 0
	return b, true, json.Unmarshal([]byte(input), &b.Input)
}

var bulkInputOfStatement = store.Define("bulk.bulkInputOf", `SELECT input FROM requests WHERE organization_id = $1 AND id = $2 AND kind = 'platform-bulk'`)

// LoadInput returns what a bulk was asked for.
func LoadInput(ctx context.Context, o *store.Org, id string) (in Input, err error) {
	var input string
	err = o.Reader().QueryRow(ctx, bulkInputOfStatement, o.ID(), id).Scan(&input)
	if errors.Is(err, sql.ErrNoRows) {
		return in, request.ErrNotFound
	}
	if err != nil {
		return in, store.Classify(err)
	}
	return in, json.Unmarshal([]byte(input), &in)
}

var (
	beginBulkStatement = store.Define("bulk.beginBulk", `
INSERT INTO bulks (request_id, organization_id, connection_id, audience_id, created_at, updated_at)
VALUES ($2, $1, $3, $4, {now}, {now}) ON CONFLICT (request_id) DO NOTHING`)
	processBulkStatement = store.Define("bulk.processBulk", `
UPDATE requests SET status = 'processing', input = $3, started_at = CASE WHEN started_at = 0 THEN {now} ELSE started_at END
WHERE organization_id = $1 AND id = $2 AND `+unfinishedRequest)
)

// Begin notes that users are planned from now on, and what b's input has
// become with the audience that was made.
func Begin(ctx context.Context, tx *store.Tx, organization string, b Bulk, audienceID string, step request.Step) error {
	input, err := json.Marshal(b.Input)
	if err != nil {
		return fmt.Errorf("encode the input of the bulk: %w", err)
	}
	if err := tx.Later(ctx, beginBulkStatement, nil, nil, organization, b.ID, b.Input.Connection, audienceID); err != nil {
		return fmt.Errorf("insert the bulk: %w", err)
	}
	if err := outbox.Held(tx.Exec(ctx, processBulkStatement, nil, organization, b.ID, string(input))); err != nil {
		return fmt.Errorf("mark the bulk as processing: %w", err)
	}
	return request.SaveSteps(ctx, tx, organization, []request.StepUpdate{{RequestID: b.ID, Step: step}})
}

var (
	advanceBulkStatement = store.Define("bulk.advanceBulk", `
UPDATE bulks SET cursor = $3, planned = $4, total = total + $5, updated_at = {now}
WHERE request_id = $1 AND organization_id = $2`)
	startBulkStatement = store.Define("bulk.startBulk", `UPDATE requests SET status = 'processing' WHERE organization_id = $1 AND id = $2 AND status = 'queued'`)
	dropAgainStatement = store.Define("bulk.dropAgain", `
DELETE FROM bulk_errors WHERE request_id = $1 AND organization_id = $2 AND status = 'again' AND user_id > $3 AND user_id <= $4`)
)

// Advance notes that a slice was planned. It stands behind the fence of the
// run and beside the waits of the slice's users.
func Advance(ctx context.Context, tx *store.Tx, organization string, b Bulk, s Slice) error {
	planned, fresh := 0, len(s.Users)+len(s.Unknown)
	if s.Last {
		planned = 1
	}
	if b.Again {
		fresh = 0 // the total counts them already
		if err := tx.Later(ctx, dropAgainStatement, nil, nil, b.ID, organization, b.Cursor, s.Cursor); err != nil {
			return fmt.Errorf("remove the marks of users that are planned again: %w", err)
		}
	}
	if err := tx.Later(ctx, startBulkStatement, nil, nil, organization, b.ID); err != nil {
		return fmt.Errorf("mark the bulk as processing: %w", err)
	}
	if err := tx.Later(ctx, advanceBulkStatement, nil, nil, b.ID, organization, s.Cursor, planned, fresh); err != nil {
		return fmt.Errorf("advance the bulk: %w", err)
	}
	var faults []Error
	for _, id := range s.Unknown {
		faults = append(faults, Error{
			RequestID: b.ID, UserID: id, Status: request.StepFailed, Code: string(usersync.CodeNotFound), Message: user.ErrNotFound.Message,
		})
	}
	if len(faults) == 0 {
		return nil
	}
	return Count(ctx, tx, organization, map[string]request.Progress{b.ID: {Errors: int64(len(faults))}}, faults)
}

var (
	countBulkStatement = store.Define("bulk.countBulk", `
UPDATE bulks SET done = bulks.done + r.done, added = bulks.added + r.added, updated = bulks.updated + r.updated, unchanged = bulks.unchanged + r.unchanged,
    removed = bulks.removed + r.removed, skipped = bulks.skipped + r.skipped, errors = bulks.errors + r.errors, updated_at = {now}
FROM {rows} WHERE bulks.request_id = r.id AND bulks.organization_id = $1`,
		store.Col("id", store.Text), store.Col("done", store.Bigint), store.Col("added", store.Bigint), store.Col("updated", store.Bigint), store.Col("unchanged", store.Bigint),
		store.Col("removed", store.Bigint), store.Col("skipped", store.Bigint), store.Col("errors", store.Bigint))
	bulkErrorStatement = store.Define("bulk.bulkError", `
INSERT INTO bulk_errors (request_id, user_id, organization_id, status, code, message, created_at)
SELECT r.request_id, r.user_id, $1, r.status, r.code, r.message, {now} FROM {rows} WHERE true
ON CONFLICT (request_id, user_id, organization_id) DO UPDATE SET status = excluded.status, code = excluded.code, message = excluded.message`,
		store.Col("request_id", store.Text), store.Col("user_id", store.Text), store.Col("status", store.Text), store.Col("code", store.Text), store.Col("message", store.Text))
)

// Count adds outcomes of users to the bulks that wait for them, and keeps
// why some failed or were skipped. Of a delta the outcomes count; Done follows
// from them. Call Finish after it.
func Count(ctx context.Context, tx *store.Tx, organization string, deltas map[string]request.Progress, faults []Error) error {
	ids := make([]string, 0, len(deltas))
	for id := range deltas {
		ids = append(ids, id)
	}
	slices.Sort(ids)
	set := countBulkStatement.Rows(len(ids))
	for _, id := range ids {
		d := deltas[id]
		done := d.Added + d.Updated + d.Unchanged + d.Removed + d.Skipped + d.Errors
		set.Add(id, done, d.Added, d.Updated, d.Unchanged, d.Removed, d.Skipped, d.Errors)
	}
	if len(ids) > 0 {
		if err := tx.Later(ctx, countBulkStatement, set, nil, organization); err != nil {
			return fmt.Errorf("add to the counts of bulks: %w", err)
		}
	}
	if len(faults) == 0 {
		return nil
	}
	faults = slices.Clone(faults)
	slices.SortFunc(faults, func(a, b Error) int {
		return cmp.Or(cmp.Compare(a.RequestID, b.RequestID), cmp.Compare(a.UserID, b.UserID))
	})
	set = bulkErrorStatement.Rows(len(faults))
	for _, f := range faults {
		set.Add(f.RequestID, f.UserID, string(f.Status), f.Code, f.Message)
	}
	return tx.Later(ctx, bulkErrorStatement, set, nil, organization)
}

var (
	againBulkStatement = store.Define("bulk.againBulk", `
UPDATE bulk_errors SET status = 'again' WHERE request_id = $2 AND organization_id = $1 AND status = 'failed'`)
	reopenBulkStatement = store.Define("bulk.reopenBulk", `
UPDATE bulks SET planned = 0, again = 1, cursor = '', done = done - $3, errors = errors - $3, updated_at = {now}
WHERE request_id = $2 AND organization_id = $1`)
	reopenStepStatement = store.Define("bulk.reopenStep", `
UPDATE steps SET status = 'pending', details = '', error_code = '', error_message = '', updated_at = {now}
WHERE request_id = $2 AND organization_id = $1 AND position = 0`)
	bulkPlannedStatement = store.Define("bulk.bulkPlanned", `SELECT count(*) FROM bulks WHERE request_id = $2 AND organization_id = $1 AND planned = 1`)
)

// Retry marks the failed users of a bulk, so that its next run plans them
// once more, and returns how many there are: one for a bulk that failed before
// all were planned, which goes on where it was.
func Retry(ctx context.Context, tx *store.Tx, organization, id string, status request.Status) (int64, error) {
	if !status.Final() {
		return 0, nil
	}
	var planned int
	if err := tx.QueryRow(ctx, bulkPlannedStatement, organization, id).Scan(&planned); err != nil {
		return 0, store.Classify(err)
	}
	if planned == 0 {
		return 1, nil
	}
	n, err := tx.Exec(ctx, againBulkStatement, nil, organization, id)
	if err != nil {
		return n, fmt.Errorf("mark the failed users of the bulk: %w", err)
	}
	if n == 0 {
		return n, nil
	}
	if err := tx.Later(ctx, reopenBulkStatement, nil, nil, organization, id, n); err != nil {
		return n, fmt.Errorf("reopen the bulk: %w", err)
	}
	if _, err := tx.Exec(ctx, reopenStepStatement, nil, organization, id); err != nil {
		return n, fmt.Errorf("reopen the step of the bulk: %w", err)
	}
	return n, nil
}
