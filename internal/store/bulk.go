package store

import (
	"cmp"
	"context"
	"database/sql"
	"encoding/json"
	"errors"
	"slices"
	"time"

	"usersync/internal/usersync"
)

// Bulk is a bulk push as its planner needs it.
type Bulk struct {
	ID    string
	Run   int
	Input usersync.PlatformBulk
	// Began says that Begin was called: the audience is made.
	Began bool
	// Planned says that no user is left to plan.
	Planned bool
	// Again says that only the users are planned that a retry has marked.
	Again bool
	// Cursor is the last user planned.
	Cursor string
}

// unfinishedRequest is the condition of a request that still has work to come.
const unfinishedRequest = `status IN ` + unfinishedStatuses

var bulkStatement = define(`
SELECT q.id, q.run, q.input, coalesce(b.created_at, 0), coalesce(b.planned, 0), coalesce(b.again, 0), coalesce(b.cursor, '')
FROM requests q LEFT JOIN bulks b ON b.request_id = q.id
WHERE q.organization_id = $1 AND q.id = $2 AND q.kind = 'platform-bulk' AND q.` + unfinishedRequest)

// Bulk returns an unfinished bulk; ok is false when there is none of that id.
func (o *Org) Bulk(ctx context.Context, id string) (b Bulk, ok bool, err error) {
	var input string
	var began, planned, again int64
	err = o.reader().row(ctx, bulkStatement, o.ID(), id).Scan(&b.ID, &b.Run, &input, &began, &planned, &again, &b.Cursor)
	if errors.Is(err, sql.ErrNoRows) {
		return b, false, nil
	}
	if err != nil {
		return b, false, classify(err)
	}
	b.Began, b.Planned, b.Again = began > 0, planned > 0, again > 0
	return b, true, json.Unmarshal([]byte(input), &b.Input)
}

var bulkInputOfStatement = define(`SELECT input FROM requests WHERE organization_id = $1 AND id = $2 AND kind = 'platform-bulk'`)

// BulkInput returns what a bulk was asked for.
func (o *Org) BulkInput(ctx context.Context, id string) (in usersync.PlatformBulk, err error) {
	var input string
	err = o.reader().row(ctx, bulkInputOfStatement, o.ID(), id).Scan(&input)
	if errors.Is(err, sql.ErrNoRows) {
		return in, ErrNoRequest
	}
	if err != nil {
		return in, classify(err)
	}
	return in, json.Unmarshal([]byte(input), &in)
}

var (
	beginBulkStatement = define(`
INSERT INTO bulks (request_id, organization_id, connection_id, audience_id, created_at, updated_at)
VALUES ($2, $1, $3, $4, {now}, {now}) ON CONFLICT (request_id) DO NOTHING`)
	processBulkStatement = define(`
UPDATE requests SET status = 'processing', input = $3, started_at = CASE WHEN started_at = 0 THEN {now} ELSE started_at END
WHERE organization_id = $1 AND id = $2 AND ` + unfinishedRequest)
)

// BeginBulk notes that users are planned from now on, and what b's input has
// become with the audience that was made.
func (tx *Tx) BeginBulk(ctx context.Context, organization string, b Bulk, audienceID string, step usersync.Step) error {
	input, err := json.Marshal(b.Input)
	if err != nil {
		return err
	}
	if err := tx.later(ctx, beginBulkStatement, nil, nil, organization, b.ID, b.Input.Connection, audienceID); err != nil {
		return err
	}
	if err := held(tx.exec(ctx, processBulkStatement, nil, organization, b.ID, string(input))); err != nil {
		return err
	}
	return tx.SaveSteps(ctx, organization, []RequestStep{{b.ID, step}})
}

// UserVersion names a user and the version that is stored.
type UserVersion struct {
	ID      string
	Version int64
}

var (
	// The slice is cut before it is filtered, so that its cost is bounded.
	sliceStatement = define(`
SELECT u.id, u.version, u.updated_at >= $3 FROM users u
WHERE u.organization_id = $1 AND u.id <> '' AND u.id > $2 ORDER BY u.id LIMIT $4`)
	knownStatement = define(`
SELECT u.id, u.version FROM {rows} JOIN users u ON u.id = r.id WHERE u.organization_id = $1`, col("id", text))
	againStatement = define(`
SELECT user_id FROM bulk_errors WHERE request_id = $2 AND organization_id = $1 AND status = 'again' AND user_id > $3 ORDER BY user_id LIMIT $4`)
)

// UserSlice is a part of the users of a bulk.
type UserSlice struct {
	Users []UserVersion
	// Unknown are ids that name no user.
	Unknown []string
	// Cursor is the last id of the slice; Last says that no slice follows.
	Cursor string
	Last   bool
}

// SliceUsers returns the users among the next limit ids after the cursor that
// were last told of at or after since.
func (o *Org) SliceUsers(ctx context.Context, after string, since time.Time, limit int) (s UserSlice, err error) {
	type row struct {
		UserVersion
		active bool
	}
	list, err := collect(ctx, o.reader(), sliceStatement, nil, func(scan func(...any) error) (r row, err error) {
		return r, scan(&r.ID, &r.Version, &r.active)
	}, o.ID(), after, micros(since), limit)
	s.Cursor, s.Last = after, len(list) < limit
	for _, r := range list {
		s.Cursor = r.ID
		if r.active {
			s.Users = append(s.Users, r.UserVersion)
		}
	}
	return s, err
}

// SliceNamed returns the next limit of ids, which are sorted, after the cursor.
func (o *Org) SliceNamed(ctx context.Context, ids []string, after string, limit int) (UserSlice, error) {
	from, found := slices.BinarySearch(ids, after)
	if found {
		from++
	}
	part := ids[from:min(from+limit, len(ids))]
	return o.slice(ctx, part, after, from+len(part) == len(ids))
}

// SliceAgain returns the next limit users after the cursor that a retry has
// marked.
func (o *Org) SliceAgain(ctx context.Context, id, after string, limit int) (UserSlice, error) {
	part, err := collect(ctx, o.reader(), againStatement, nil, scanString, o.ID(), id, after, limit)
	if err != nil {
		return UserSlice{}, err
	}
	return o.slice(ctx, part, after, len(part) < limit)
}

func (o *Org) slice(ctx context.Context, ids []string, after string, last bool) (s UserSlice, err error) {
	s = UserSlice{Cursor: after, Last: last}
	if len(ids) == 0 {
		return s, nil
	}
	s.Cursor = ids[len(ids)-1]
	s.Users, err = collect(ctx, o.reader(), knownStatement, idRows(knownStatement, ids), func(scan func(...any) error) (u UserVersion, err error) {
		return u, scan(&u.ID, &u.Version)
	}, o.ID())
	slices.SortFunc(s.Users, func(a, b UserVersion) int { return cmp.Compare(a.ID, b.ID) })
	known := map[string]bool{}
	for _, u := range s.Users {
		known[u.ID] = true
	}
	for _, id := range ids {
		if !known[id] {
			s.Unknown = append(s.Unknown, id)
		}
	}
	return s, err
}

var (
	advanceBulkStatement = define(`
UPDATE bulks SET cursor = $3, planned = $4, total = total + $5, updated_at = {now}
WHERE request_id = $1 AND organization_id = $2`)
	startBulkStatement = define(`UPDATE requests SET status = 'processing' WHERE organization_id = $1 AND id = $2 AND status = 'queued'`)
	dropAgainStatement = define(`
DELETE FROM bulk_errors WHERE request_id = $1 AND organization_id = $2 AND status = 'again' AND user_id > $3 AND user_id <= $4`)
)

// AdvanceBulk notes that a slice was planned. It stands behind the fence of the
// run and beside the waits of the slice's users.
func (tx *Tx) AdvanceBulk(ctx context.Context, organization string, b Bulk, s UserSlice) error {
	planned, fresh := 0, len(s.Users)+len(s.Unknown)
	if s.Last {
		planned = 1
	}
	if b.Again {
		fresh = 0 // the total counts them already
		if err := tx.later(ctx, dropAgainStatement, nil, nil, b.ID, organization, b.Cursor, s.Cursor); err != nil {
			return err
		}
	}
	if err := tx.later(ctx, startBulkStatement, nil, nil, organization, b.ID); err != nil {
		return err
	}
	if err := tx.later(ctx, advanceBulkStatement, nil, nil, b.ID, organization, s.Cursor, planned, fresh); err != nil {
		return err
	}
	var faults []usersync.BulkError
	for _, id := range s.Unknown {
		faults = append(faults, usersync.BulkError{
			RequestID: b.ID, UserID: id, Status: usersync.StepFailed, Code: string(usersync.CodeNotFound), Message: ErrNoUser.Message,
		})
	}
	if len(faults) == 0 {
		return nil
	}
	return tx.CountBulk(ctx, organization, map[string]usersync.Progress{b.ID: {Errors: int64(len(faults))}}, faults)
}

var (
	countBulkStatement = define(`
UPDATE bulks SET done = bulks.done + r.done, added = bulks.added + r.added, updated = bulks.updated + r.updated, unchanged = bulks.unchanged + r.unchanged,
    removed = bulks.removed + r.removed, skipped = bulks.skipped + r.skipped, errors = bulks.errors + r.errors, updated_at = {now}
FROM {rows} WHERE bulks.request_id = r.id AND bulks.organization_id = $1`,
		col("id", text), col("done", bigint), col("added", bigint), col("updated", bigint), col("unchanged", bigint),
		col("removed", bigint), col("skipped", bigint), col("errors", bigint))
	bulkErrorStatement = define(`
INSERT INTO bulk_errors (request_id, user_id, organization_id, status, code, message, created_at)
SELECT r.request_id, r.user_id, $1, r.status, r.code, r.message, {now} FROM {rows} WHERE true
ON CONFLICT (request_id, user_id) DO UPDATE SET status = excluded.status, code = excluded.code, message = excluded.message`,
		col("request_id", text), col("user_id", text), col("status", text), col("code", text), col("message", text))
)

// CountBulk adds outcomes of users to the bulks that wait for them, and keeps
// why some failed or were skipped. Of a delta the outcomes count; Done follows
// from them. Call FinishBulks behind it.
func (tx *Tx) CountBulk(ctx context.Context, organization string, deltas map[string]usersync.Progress, faults []usersync.BulkError) error {
	ids := make([]string, 0, len(deltas))
	for id := range deltas {
		ids = append(ids, id)
	}
	slices.Sort(ids)
	set := countBulkStatement.rows(len(ids))
	for _, id := range ids {
		d := deltas[id]
		done := d.Added + d.Updated + d.Unchanged + d.Removed + d.Skipped + d.Errors
		set.add(id, done, d.Added, d.Updated, d.Unchanged, d.Removed, d.Skipped, d.Errors)
	}
	if len(ids) > 0 {
		if err := tx.later(ctx, countBulkStatement, set, nil, organization); err != nil {
			return err
		}
	}
	if len(faults) == 0 {
		return nil
	}
	faults = slices.Clone(faults)
	slices.SortFunc(faults, func(a, b usersync.BulkError) int {
		return cmp.Or(cmp.Compare(a.RequestID, b.RequestID), cmp.Compare(a.UserID, b.UserID))
	})
	set = bulkErrorStatement.rows(len(faults))
	for _, f := range faults {
		set.add(f.RequestID, f.UserID, string(f.Status), f.Code, f.Message)
	}
	return tx.later(ctx, bulkErrorStatement, set, nil, organization)
}

var (
	// The outcome of a bulk follows the rule of usersync.StatusOf, a user being a
	// step.
	finishBulksStatement = define(`
UPDATE requests SET finished_at = {now}, status = CASE WHEN b.errors = 0 THEN 'succeeded'
    WHEN b.added + b.updated + b.unchanged + b.removed = 0 THEN 'failed' ELSE 'partially_succeeded' END
FROM {rows} JOIN bulks b ON b.request_id = r.id AND b.planned = 1 AND b.done >= b.total
WHERE requests.organization_id = r.organization_id AND requests.id = r.id AND requests.`+unfinishedRequest+`
RETURNING requests.id`, col("organization_id", text), col("id", text))
	finishBulkStepsStatement = define(`
UPDATE steps SET updated_at = {now}, status = CASE WHEN q.status = 'failed' THEN 'failed' ELSE r.status END,
    error_code = CASE WHEN q.status = 'failed' THEN 'rejected' ELSE '' END,
    error_message = CASE WHEN q.status = 'failed' THEN 'No user could be synced; the errors of the request say why.' ELSE '' END,
    details = 'Users: ' || b.total || '; added: ' || b.added || '; updated: ' || b.updated || '; unchanged: ' || b.unchanged ||
        '; skipped: ' || b.skipped || '; failed: ' || b.errors
FROM {rows} JOIN bulks b ON b.request_id = r.id JOIN requests q ON q.organization_id = $1 AND q.id = r.id
WHERE steps.request_id = r.id AND steps.position = 0 AND steps.organization_id = $1`, col("id", text), col("status", text))
)

// FinishBulks ends those of the bulks whose users are all planned and done, and
// returns their ids: publish them once the transaction is committed.
func (tx *Tx) FinishBulks(ctx context.Context, organization string, ids ...string) (finished []string, err error) {
	if len(ids) == 0 {
		return nil, nil
	}
	slices.Sort(ids)
	finished, err = collect(ctx, tx.conn, finishBulksStatement, requestRows(finishBulksStatement, organization, ids), scanString)
	if err != nil || len(finished) == 0 {
		return nil, err
	}
	inputs, err := platformInputs(ctx, tx.conn, organization, finished)
	if err != nil {
		return nil, err
	}
	steps := finishBulkStepsStatement.rows(len(inputs))
	for _, id := range finished {
		status := usersync.StepSynced
		if inputs[id].DryRun {
			status = usersync.StepWouldSync
		}
		steps.add(id, string(status))
	}
	_, err = tx.exec(ctx, finishBulkStepsStatement, steps, organization)
	return finished, err
}

var failBulkStatement = define(`
UPDATE requests SET status = 'failed', finished_at = {now}, started_at = CASE WHEN started_at = 0 THEN {now} ELSE started_at END
WHERE organization_id = $1 AND id = $2 AND ` + unfinishedRequest)

// FailBulk ends a bulk that cannot be made; its one step says why.
func (tx *Tx) FailBulk(ctx context.Context, organization, id string, step usersync.Step) error {
	n, err := tx.exec(ctx, failBulkStatement, nil, organization, id)
	if err != nil || n == 0 {
		return err
	}
	return tx.SaveSteps(ctx, organization, []RequestStep{{id, step}})
}

var (
	againBulkStatement = define(`
UPDATE bulk_errors SET status = 'again' WHERE request_id = $2 AND organization_id = $1 AND status = 'failed'`)
	reopenBulkStatement = define(`
UPDATE bulks SET planned = 0, again = 1, cursor = '', done = done - $3, errors = errors - $3, updated_at = {now}
WHERE request_id = $2 AND organization_id = $1`)
	reopenStepStatement = define(`
UPDATE steps SET status = 'pending', details = '', error_code = '', error_message = '', updated_at = {now}
WHERE request_id = $2 AND organization_id = $1 AND position = 0`)
	bulkPlannedStatement = define(`SELECT count(*) FROM bulks WHERE request_id = $2 AND organization_id = $1 AND planned = 1`)
)

// retryBulk marks the failed users of a bulk, so that its next run plans them
// once more, and returns how many there are: one for a bulk that failed before
// all were planned, which goes on where it was.
func (tx *Tx) retryBulk(ctx context.Context, organization, id string, status usersync.RequestStatus) (int64, error) {
	if !status.Final() {
		return 0, nil
	}
	var planned int
	if err := tx.row(ctx, bulkPlannedStatement, organization, id).Scan(&planned); err != nil {
		return 0, classify(err)
	}
	if planned == 0 {
		return 1, nil
	}
	n, err := tx.exec(ctx, againBulkStatement, nil, organization, id)
	if err != nil || n == 0 {
		return n, err
	}
	if err := tx.later(ctx, reopenBulkStatement, nil, nil, organization, id, n); err != nil {
		return n, err
	}
	_, err = tx.exec(ctx, reopenStepStatement, nil, organization, id)
	return n, err
}

var progressStatement = define(`
SELECT b.request_id, b.planned, b.total, b.done, b.added, b.updated, b.unchanged, b.removed, b.skipped, b.errors, b.audience_id, b.created_at, {now}
FROM {rows} JOIN bulks b ON b.request_id = r.id WHERE b.organization_id = $1`, col("id", text))

// fillProgress shows how far the bulks among the reports have come.
func (o *Org) fillProgress(ctx context.Context, db conn, byID map[string]*request) error {
	var ids []string
	for id, q := range byID {
		if q.report.Kind == usersync.KindPlatformBulk {
			q.report.Progress = &usersync.Progress{}
			ids = append(ids, id)
		}
	}
	if len(ids) == 0 {
		return nil
	}
	_, err := collect(ctx, db, progressStatement, idRows(progressStatement, ids), func(scan func(...any) error) (struct{}, error) {
		var id string
		var p usersync.Progress
		var planned, began, now int64
		err := scan(&id, &planned, &p.Total, &p.Done, &p.Added, &p.Updated, &p.Unchanged, &p.Removed, &p.Skipped, &p.Errors, &p.AudienceID, &began, &now)
		q := byID[id]
		if err != nil || q == nil {
			return struct{}{}, err
		}
		until := at(now)
		if q.report.Status.Final() {
			until = q.report.FinishedAt.Time
		}
		p.Planned = planned > 0
		p.Estimate(at(began), until)
		q.report.Progress = &p
		return struct{}{}, nil
	}, o.ID())
	return err
}

var bulkErrorsStatement = define(`
SELECT e.user_id, coalesce(u.email, ''), e.status, e.code, e.message
FROM bulk_errors e LEFT JOIN users u ON u.id = e.user_id AND u.organization_id = e.organization_id
WHERE e.request_id = $2 AND e.organization_id = $1 AND e.user_id > $3 AND e.status <> 'again'
ORDER BY e.user_id LIMIT $4`)

// BulkErrors returns up to limit users of a bulk that failed or were skipped,
// by their ids, from the one after the given on.
func (o *Org) BulkErrors(ctx context.Context, id, after string, limit int) ([]usersync.BulkError, error) {
	return collect(ctx, o.reader(), bulkErrorsStatement, nil, func(scan func(...any) error) (e usersync.BulkError, err error) {
		e.RequestID = id
		return e, scan(&e.UserID, &e.Email, &e.Status, &e.Code, &e.Message)
	}, o.ID(), id, after, limit)
}

var (
	countUsersStatement = define(`SELECT count(*) FROM users WHERE organization_id = $1 AND id <> '' AND updated_at >= $2`)
	firstUsersStatement = define(`
SELECT ` + userColumns + ` FROM users WHERE organization_id = $1 AND id <> '' AND updated_at >= $2 ORDER BY id LIMIT $3`)
)

// PreviewUsers counts the users that were last told of at or after since and
// returns the first limit of them, by their ids.
func (o *Org) PreviewUsers(ctx context.Context, since time.Time, limit int) (count int64, first []StoredUser, err error) {
	db := o.reader()
	if err := db.row(ctx, countUsersStatement, o.ID(), micros(since)).Scan(&count); err != nil {
		return 0, nil, classify(err)
	}
	first, err = collect(ctx, db, firstUsersStatement, nil, scanUser, o.ID(), micros(since), limit)
	return count, first, err
}
