package bulk

import (
	"cmp"
	"context"
	"database/sql"
	"encoding/json"
	"errors"
	"slices"
	"time"

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

// unfinishedRequest is the condition of a request that still has work to come.
const unfinishedRequest = `status IN ` + request.UnfinishedStatusesSQL

var bulkStatement = store.Define(`
SELECT q.id, q.run, q.input, coalesce(b.created_at, 0), coalesce(b.planned, 0), coalesce(b.again, 0), coalesce(b.cursor, '')
FROM requests q LEFT JOIN bulks b ON b.request_id = q.id
WHERE q.organization_id = $1 AND q.id = $2 AND q.kind = 'platform-bulk' AND q.` + unfinishedRequest)

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

var bulkInputOfStatement = store.Define(`SELECT input FROM requests WHERE organization_id = $1 AND id = $2 AND kind = 'platform-bulk'`)

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
	beginBulkStatement = store.Define(`
INSERT INTO bulks (request_id, organization_id, connection_id, audience_id, created_at, updated_at)
VALUES ($2, $1, $3, $4, {now}, {now}) ON CONFLICT (request_id) DO NOTHING`)
	processBulkStatement = store.Define(`
UPDATE requests SET status = 'processing', input = $3, started_at = CASE WHEN started_at = 0 THEN {now} ELSE started_at END
WHERE organization_id = $1 AND id = $2 AND ` + unfinishedRequest)
)

// Begin notes that users are planned from now on, and what b's input has
// become with the audience that was made.
func Begin(ctx context.Context, tx *store.Tx, organization string, b Bulk, audienceID string, step request.Step) error {
	input, err := json.Marshal(b.Input)
	if err != nil {
		return err
	}
	if err := tx.Later(ctx, beginBulkStatement, nil, nil, organization, b.ID, b.Input.Connection, audienceID); err != nil {
		return err
	}
	if err := outbox.Held(tx.Exec(ctx, processBulkStatement, nil, organization, b.ID, string(input))); err != nil {
		return err
	}
	return request.SaveSteps(ctx, tx, organization, []request.StepUpdate{{RequestID: b.ID, Step: step}})
}

// UserVersion names a user and the version that is stored.
type UserVersion struct {
	ID      string
	Version int64
}

var (
	// The slice is cut before it is filtered, so that its cost is bounded.
	sliceStatement = store.Define(`
SELECT u.id, u.version, u.updated_at >= $3 FROM users u
WHERE u.organization_id = $1 AND u.id <> '' AND u.id > $2 ORDER BY u.id LIMIT $4`)
	knownStatement = store.Define(`
SELECT u.id, u.version FROM {rows} JOIN users u ON u.id = r.id WHERE u.organization_id = $1`, store.Col("id", store.Text))
	againStatement = store.Define(`
SELECT user_id FROM bulk_errors WHERE request_id = $2 AND organization_id = $1 AND status = 'again' AND user_id > $3 ORDER BY user_id LIMIT $4`)
)

// Slice is a part of the users of a bulk.
type Slice struct {
	Users []UserVersion
	// Unknown are ids that name no user.
	Unknown []string
	// Cursor is the last id of the slice; Last says that no slice follows.
	Cursor string
	Last   bool
}

// SliceUsers returns the users among the next limit ids after the cursor that
// were last told of at or after since.
func SliceUsers(ctx context.Context, o *store.Org, after string, since time.Time, limit int) (s Slice, err error) {
	type row struct {
		UserVersion
		active bool
	}
	list, err := store.Collect(ctx, o.Reader(), sliceStatement, nil, func(scan func(...any) error) (r row, err error) {
		return r, scan(&r.ID, &r.Version, &r.active)
	}, o.ID(), after, store.Micros(since), limit)
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
func SliceNamed(ctx context.Context, o *store.Org, ids []string, after string, limit int) (Slice, error) {
	from, found := slices.BinarySearch(ids, after)
	if found {
		from++
	}
	part := ids[from:min(from+limit, len(ids))]
	return slice(ctx, o, part, after, from+len(part) == len(ids))
}

// SliceAgain returns the next limit users after the cursor that a retry has
// marked.
func SliceAgain(ctx context.Context, o *store.Org, id, after string, limit int) (Slice, error) {
	part, err := store.Collect(ctx, o.Reader(), againStatement, nil, store.ScanString, o.ID(), id, after, limit)
	if err != nil {
		return Slice{}, err
	}
	return slice(ctx, o, part, after, len(part) < limit)
}

func slice(ctx context.Context, o *store.Org, ids []string, after string, last bool) (s Slice, err error) {
	s = Slice{Cursor: after, Last: last}
	if len(ids) == 0 {
		return s, nil
	}
	s.Cursor = ids[len(ids)-1]
	s.Users, err = store.Collect(ctx, o.Reader(), knownStatement, store.IDRows(knownStatement, ids), func(scan func(...any) error) (u UserVersion, err error) {
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
	advanceBulkStatement = store.Define(`
UPDATE bulks SET cursor = $3, planned = $4, total = total + $5, updated_at = {now}
WHERE request_id = $1 AND organization_id = $2`)
	startBulkStatement = store.Define(`UPDATE requests SET status = 'processing' WHERE organization_id = $1 AND id = $2 AND status = 'queued'`)
	dropAgainStatement = store.Define(`
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
			return err
		}
	}
	if err := tx.Later(ctx, startBulkStatement, nil, nil, organization, b.ID); err != nil {
		return err
	}
	if err := tx.Later(ctx, advanceBulkStatement, nil, nil, b.ID, organization, s.Cursor, planned, fresh); err != nil {
		return err
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
	countBulkStatement = store.Define(`
UPDATE bulks SET done = bulks.done + r.done, added = bulks.added + r.added, updated = bulks.updated + r.updated, unchanged = bulks.unchanged + r.unchanged,
    removed = bulks.removed + r.removed, skipped = bulks.skipped + r.skipped, errors = bulks.errors + r.errors, updated_at = {now}
FROM {rows} WHERE bulks.request_id = r.id AND bulks.organization_id = $1`,
		store.Col("id", store.Text), store.Col("done", store.Bigint), store.Col("added", store.Bigint), store.Col("updated", store.Bigint), store.Col("unchanged", store.Bigint),
		store.Col("removed", store.Bigint), store.Col("skipped", store.Bigint), store.Col("errors", store.Bigint))
	bulkErrorStatement = store.Define(`
INSERT INTO bulk_errors (request_id, user_id, organization_id, status, code, message, created_at)
SELECT r.request_id, r.user_id, $1, r.status, r.code, r.message, {now} FROM {rows} WHERE true
ON CONFLICT (request_id, user_id) DO UPDATE SET status = excluded.status, code = excluded.code, message = excluded.message`,
		store.Col("request_id", store.Text), store.Col("user_id", store.Text), store.Col("status", store.Text), store.Col("code", store.Text), store.Col("message", store.Text))
)

// Count adds outcomes of users to the bulks that wait for them, and keeps
// why some failed or were skipped. Of a delta the outcomes count; Done follows
// from them. Call FinishBulks behind it.
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
			return err
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
	// The outcome of a bulk follows the rule of usersync.StatusOf, a user being a
	// step.
	finishBulksStatement = store.Define(`
UPDATE requests SET finished_at = {now}, status = CASE WHEN b.errors = 0 THEN 'succeeded'
    WHEN b.added + b.updated + b.unchanged + b.removed = 0 THEN 'failed' ELSE 'partially_succeeded' END
FROM {rows} JOIN bulks b ON b.request_id = r.id AND b.planned = 1 AND b.done >= b.total
WHERE requests.organization_id = r.organization_id AND requests.id = r.id AND requests.`+unfinishedRequest+`
RETURNING requests.id`, store.Col("organization_id", store.Text), store.Col("id", store.Text))
	finishBulkStepsStatement = store.Define(`
UPDATE steps SET updated_at = {now}, status = CASE WHEN q.status = 'failed' THEN 'failed' ELSE r.status END,
    error_code = CASE WHEN q.status = 'failed' THEN 'rejected' ELSE '' END,
    error_message = CASE WHEN q.status = 'failed' THEN 'No user could be synced; the errors of the request say why.' ELSE '' END,
    details = 'Users: ' || b.total || '; added: ' || b.added || '; updated: ' || b.updated || '; unchanged: ' || b.unchanged ||
        '; skipped: ' || b.skipped || '; failed: ' || b.errors
FROM {rows} JOIN bulks b ON b.request_id = r.id JOIN requests q ON q.organization_id = $1 AND q.id = r.id
WHERE steps.request_id = r.id AND steps.position = 0 AND steps.organization_id = $1`, store.Col("id", store.Text), store.Col("status", store.Text))
)

// Finish ends those of the bulks whose users are all planned and done, and
// returns their ids: publish them once the transaction is committed.
func Finish(ctx context.Context, tx *store.Tx, organization string, ids ...string) (finished []string, err error) {
	if len(ids) == 0 {
		return nil, nil
	}
	slices.Sort(ids)
	finished, err = store.Collect(ctx, tx.Conn, finishBulksStatement, request.IDRows(finishBulksStatement, organization, ids), store.ScanString)
	if err != nil || len(finished) == 0 {
		return nil, err
	}
	inputs, err := request.PlatformInputsInTx(ctx, tx, organization, finished)
	if err != nil {
		return nil, err
	}
	steps := finishBulkStepsStatement.Rows(len(inputs))
	for _, id := range finished {
		status := request.StepSynced
		if inputs[id].DryRun {
			status = request.StepWouldSync
		}
		steps.Add(id, string(status))
	}
	_, err = tx.Exec(ctx, finishBulkStepsStatement, steps, organization)
	return finished, err
}

var failBulkStatement = store.Define(`
UPDATE requests SET status = 'failed', finished_at = {now}, started_at = CASE WHEN started_at = 0 THEN {now} ELSE started_at END
WHERE organization_id = $1 AND id = $2 AND ` + unfinishedRequest)

// Fail ends a bulk that cannot be made; its one step says why.
func Fail(ctx context.Context, tx *store.Tx, organization, id string, step request.Step) error {
	n, err := tx.Exec(ctx, failBulkStatement, nil, organization, id)
	if err != nil || n == 0 {
		return err
	}
	return request.SaveSteps(ctx, tx, organization, []request.StepUpdate{{RequestID: id, Step: step}})
}

var (
	againBulkStatement = store.Define(`
UPDATE bulk_errors SET status = 'again' WHERE request_id = $2 AND organization_id = $1 AND status = 'failed'`)
	reopenBulkStatement = store.Define(`
UPDATE bulks SET planned = 0, again = 1, cursor = '', done = done - $3, errors = errors - $3, updated_at = {now}
WHERE request_id = $2 AND organization_id = $1`)
	reopenStepStatement = store.Define(`
UPDATE steps SET status = 'pending', details = '', error_code = '', error_message = '', updated_at = {now}
WHERE request_id = $2 AND organization_id = $1 AND position = 0`)
	bulkPlannedStatement = store.Define(`SELECT count(*) FROM bulks WHERE request_id = $2 AND organization_id = $1 AND planned = 1`)
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
	if err != nil || n == 0 {
		return n, err
	}
	if err := tx.Later(ctx, reopenBulkStatement, nil, nil, organization, id, n); err != nil {
		return n, err
	}
	_, err = tx.Exec(ctx, reopenStepStatement, nil, organization, id)
	return n, err
}

var bulkErrorsStatement = store.Define(`
SELECT e.user_id, coalesce(u.email, ''), e.status, e.code, e.message
FROM bulk_errors e LEFT JOIN users u ON u.id = e.user_id AND u.organization_id = e.organization_id
WHERE e.request_id = $2 AND e.organization_id = $1 AND e.user_id > $3 AND e.status <> 'again'
ORDER BY e.user_id LIMIT $4`)

// ListErrors returns up to limit users of a bulk that failed or were skipped,
// by their ids, from the one after the given on.
func ListErrors(ctx context.Context, o *store.Org, id, after string, limit int) ([]Error, error) {
	return store.Collect(ctx, o.Reader(), bulkErrorsStatement, nil, func(scan func(...any) error) (e Error, err error) {
		e.RequestID = id
		return e, scan(&e.UserID, &e.Email, &e.Status, &e.Code, &e.Message)
	}, o.ID(), id, after, limit)
}

var (
	countUsersStatement = store.Define(`SELECT count(*) FROM users WHERE organization_id = $1 AND id <> '' AND updated_at >= $2`)
	firstUsersStatement = store.Define(`
SELECT ` + user.Columns + ` FROM users WHERE organization_id = $1 AND id <> '' AND updated_at >= $2 ORDER BY id LIMIT $3`)
)

// Preview counts the users that were last told of at or after since and
// returns the first limit of them, by their ids.
func Preview(ctx context.Context, o *store.Org, since time.Time, limit int) (count int64, first []user.Stored, err error) {
	db := o.Reader()
	if err := db.QueryRow(ctx, countUsersStatement, o.ID(), store.Micros(since)).Scan(&count); err != nil {
		return 0, nil, store.Classify(err)
	}
	first, err = store.Collect(ctx, db, firstUsersStatement, nil, user.Scan, o.ID(), store.Micros(since), limit)
	return count, first, err
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
