package erasure

import (
	"cmp"
	"context"
	"database/sql"
	"encoding/json"
	"errors"
	"time"

	"usersync/internal/audit"
	"usersync/internal/credit"
	"usersync/internal/delivery"
	"usersync/internal/event"
	"usersync/internal/outbox"
	"usersync/internal/platform"
	"usersync/internal/request"
	"usersync/internal/store"
	"usersync/internal/tenant"
	"usersync/internal/user"
	"usersync/internal/usersync"
)

// erasureRow is a row of erasures.
type erasureRow struct {
	ID             string `gorm:"primaryKey"`
	OrganizationID string
	UserID         string
	Status         string
	Removed        string
	Platforms      string
	CreatedAt      int64 `gorm:"autoCreateTime:false"`
	FinishedAt     int64
}

func (erasureRow) TableName() string { return "erasures" }

func (r erasureRow) erasure() (Erasure, error) {
	e := Erasure{
		ID: r.ID, UserID: r.UserID, Status: r.Status, Platforms: []platform.Receipt{},
		CreatedAt: store.Stamp(r.CreatedAt), FinishedAt: store.Stamp(r.FinishedAt),
	}
	return e, errors.Join(store.Decode(r.Removed, &e.Removed), store.Decode(r.Platforms, &e.Platforms))
}

// ErrNotFound is the refusal of an id that names no erasure of the organization.
var ErrNotFound = usersync.Errorf(usersync.CodeNotFound, "Erasure not found")

const erasureColumns = `id, user_id, status, removed, platforms, created_at, finished_at`

var (
	erasureStatement  = store.Define(`SELECT ` + erasureColumns + ` FROM erasures WHERE id = $2 AND organization_id = $1`)
	erasuresStatement = store.Define(`SELECT ` + erasureColumns + ` FROM erasures WHERE organization_id = $1 AND id < $2 ORDER BY id DESC LIMIT $3`)
)

func scanErasure(scan func(...any) error) (Erasure, error) {
	var r erasureRow
	if err := scan(&r.ID, &r.UserID, &r.Status, &r.Removed, &r.Platforms, &r.CreatedAt, &r.FinishedAt); err != nil {
		return Erasure{}, err
	}
	return r.erasure()
}

// Get returns one erasure.
func Get(ctx context.Context, o *store.Org, id string) (Erasure, error) {
	e, err := scanErasure(o.Reader().QueryRow(ctx, erasureStatement, o.ID(), id).Scan)
	if errors.Is(err, sql.ErrNoRows) {
		return e, ErrNotFound
	}
	return e, store.Classify(err)
}

// List returns up to limit erasures, newest first.
func List(ctx context.Context, o *store.Org, before string, limit int) ([]Erasure, error) {
	return store.Collect(ctx, o.Reader(), erasuresStatement, nil, scanErasure, o.ID(), cmp.Or(before, store.AfterAll(usersync.PrefixErasure)), limit)
}

// Subject is who is to be erased: a user by id, or whoever has an address.
type Subject struct {
	UserID string
	Email  usersync.Email
	// Company is the registrable domain of the address, "" for personal ones.
	Company string
}

// Traces are where more of an erased person may be found: ids, nothing personal.
type Traces struct {
	ErasureID   string
	UserID      string // "" when the person was no user
	ColleagueID string // "" when there was no colleague record
}

// subject is what the erasing transaction knows of a person.
type subject struct {
	userID, key, email, company, inviteLink string
}

var (
	lockUserStatement = store.Define(`
SELECT id, email_key, email, company, invite_link FROM users WHERE id = $2 AND organization_id = $1 {for update}`)
	lockUserKeyStatement = store.Define(`
SELECT id, email_key, email, company, invite_link FROM users WHERE organization_id = $1 AND email_key = $2 {for update}`)
	rememberErasedStatement = store.Define(`
INSERT INTO erased (organization_id, person, created_at) VALUES ($1, $2, {now}) ON CONFLICT DO NOTHING`)
	deleteUserStatement   = store.Define(`DELETE FROM users WHERE id = $1`)
	deletePersonStatement = store.Define(`DELETE FROM people WHERE organization_id = $1 AND email_key = $2`)
	dropAnswersStatement  = store.Define(`DELETE FROM source_answers WHERE organization_id = $1 AND company = $2 AND company <> ''`)
)

// Begin removes a person at once: the user, the entry in the directory and the
// colleague record are gone when it returns, and what was still to be done for
// the user has failed. What is left in older rows goes with the task that plan
// makes. It returns ErrNoUser when a user id names none; an address that
// nothing is known of is remembered as erased all the same.
func Begin(ctx context.Context, o *store.Org, actor string, salt []byte, s Subject, plan func(Traces) usersync.Task) (out Erasure, err error) {
	row := erasureRow{ID: usersync.NewID(usersync.PrefixErasure), OrganizationID: o.ID(), Status: platform.ErasureRunning}
	err = o.Tx(ctx, func(tx *store.Tx) error {
		p, err := lockSubject(ctx, tx, o.ID(), s)
		if err != nil {
			return err
		}
		if err := platform.WakePushesOf(ctx, tx, p.userID); err != nil {
			return err
		}
		// Every settling of the organization locks the balance as well: what is
		// settled before is found here, what comes after finds nobody.
		if _, err := credit.Lock(ctx, tx, o.ID()); err != nil {
			return err
		}
		if err := tenant.Lock(ctx, tx, o.ID()); err != nil {
			return err
		}
		traces := Traces{ErasureID: row.ID, UserID: p.userID}
		var removed Removed
		if traces.ColleagueID, err = erasePerson(ctx, tx, o.ID(), salt, p, &removed); err != nil {
			return err
		}
		receipts := []platform.Receipt{}
		if p.userID != "" {
			if receipts, err = platform.ErasePushes(ctx, tx, o.ID(), p.userID, p.email, row.ID); err != nil {
				return err
			}
		}
		if err := endRequests(ctx, tx, o.ID(), p.userID); err != nil {
			return err
		}
		encoded, err := json.Marshal(receipts)
		if err != nil {
			return err
		}
		row.Platforms, row.UserID, row.CreatedAt = string(encoded), p.userID, store.Micros(time.Now())
		if row.Removed, err = encodeRemoved(removed); err != nil {
			return err
		}
		if err := tx.GORM().Create(&row).Error; err != nil {
			return err
		}
		if err := noteErasure(ctx, tx, o.ID(), actor, row); err != nil {
			return err
		}
		return outbox.Enqueue(ctx, tx, plan(traces))
	})
	if err != nil {
		return out, err
	}
	return row.erasure()
}

func encodeRemoved(r Removed) (string, error) {
	text, err := json.Marshal(r)
	return string(text), err
}

// noteErasure writes the audit row and, for a user, the event.
func noteErasure(ctx context.Context, tx *store.Tx, organization, actor string, row erasureRow) error {
	if err := audit.Record(ctx, tx, organization, actor, "user.erase", cmp.Or(row.UserID, row.ID)); err != nil || row.UserID == "" {
		return err
	}
	return event.Save(ctx, tx, organization, []event.Event{{
		ID: usersync.NewID(usersync.PrefixEvent), Type: event.UserErased, Source: actor, UserID: row.UserID, Cause: row.ID,
	}})
}

func lockSubject(ctx context.Context, tx *store.Tx, organization string, s Subject) (subject, error) {
	if s.UserID != "" {
		p, err := scanSubject(tx.QueryRow(ctx, lockUserStatement, organization, s.UserID))
		if errors.Is(err, sql.ErrNoRows) {
			return p, user.ErrNotFound
		}
		return p, store.Classify(err)
	}
	p, err := scanSubject(tx.QueryRow(ctx, lockUserKeyStatement, organization, s.Email.Key()))
	if errors.Is(err, sql.ErrNoRows) {
		return subject{key: s.Email.Key(), company: s.Company}, nil
	}
	return p, store.Classify(err)
}

func scanSubject(row store.Row) (p subject, err error) {
	return p, row.Scan(&p.userID, &p.key, &p.email, &p.company, &p.inviteLink)
}

// erasePerson deletes what says who the person is and returns the id of their
// colleague record.
func erasePerson(ctx context.Context, tx *store.Tx, organization string, salt []byte, p subject, removed *Removed) (colleague string, err error) {
	if err := tx.Later(ctx, rememberErasedStatement, nil, nil, organization, usersync.KeyedID(usersync.PrefixErasure, salt, p.key)); err != nil {
		return "", err
	}
	if removed.People, err = tx.Exec(ctx, deletePersonStatement, nil, organization, p.key); err != nil {
		return "", err
	}
	// A directory service's answers are asked for again, without the person.
	if err := tx.Later(ctx, dropAnswersStatement, nil, nil, organization, p.company); err != nil {
		return "", err
	}
	if colleague, err = eraseColleague(ctx, tx, organization, p, removed); err != nil || p.userID == "" {
		return colleague, err
	}
	removed.Users, err = tx.Exec(ctx, deleteUserStatement, nil, p.userID)
	return colleague, err
}

var (
	// The row stays, so that its id stays taken; its address is the id itself.
	blankColleagueStatement = store.Define(`
UPDATE colleagues SET email_key = id, email = '', name = '', job_title = '', status = 'deleted', company_name = '', website = '',
    invite_link = '', redirection_link = '', photo = '', team = 0, invited_by = '', latest_action = 0, company = '', department = '',
    seniority = 0, updated_at = {now}
WHERE organization_id = $1 AND email_key = $2 RETURNING id`)
	forgetInviterStatement = store.Define(`
UPDATE colleagues SET invited_by = '' WHERE organization_id = $1 AND invited_by = $2 AND invited_by <> ''`)
	// A link of the user's own names them to whoever it invites.
	forgetInviteLinkStatement = store.Define(`
UPDATE colleagues SET invite_link = '' WHERE id {any}SELECT colleague_id FROM colleague_links WHERE user_id = $1{/any}
    AND organization_id = $2 AND invite_link = $3 AND invite_link <> ''`)
	dropOwnLinksStatement = store.Define(`DELETE FROM colleague_links WHERE user_id = $1`)
)

func eraseColleague(ctx context.Context, tx *store.Tx, organization string, p subject, removed *Removed) (id string, err error) {
	err = tx.QueryRow(ctx, blankColleagueStatement, organization, p.key).Scan(&id)
	if err != nil && !errors.Is(err, sql.ErrNoRows) {
		return "", store.Classify(err)
	}
	if id != "" {
		removed.Colleagues = 1
	}
	if err := tx.Later(ctx, forgetInviterStatement, nil, nil, organization, p.key); err != nil || p.userID == "" {
		return id, err
	}
	if err := tx.Later(ctx, forgetInviteLinkStatement, nil, nil, p.userID, organization, p.inviteLink); err != nil {
		return id, err
	}
	removed.Links, err = tx.Exec(ctx, dropOwnLinksStatement, nil, p.userID)
	return id, err
}

var (
	endRequestsStatement = store.Define(`
UPDATE requests SET status = 'failed', email = '', input = '{}', finished_at = {now}
WHERE user_id = $1 AND status IN ` + request.UnfinishedStatusesSQL + ` RETURNING id, kind, run, task_id`)
	dropParkedStatement = store.Define(`
DELETE FROM outbox WHERE state = 'parked' AND id {any}SELECT r.id FROM {rows}{/any}`, store.Col("id", store.Text))
	// A request that was accepted while its user was erased is found by nobody
	// but its own task.
	endOrphansStatement = store.Define(`
UPDATE requests SET status = 'failed', email = '', input = '{}', finished_at = {now} FROM {rows}
WHERE requests.organization_id = r.organization_id AND requests.id = r.request_id AND requests.task_id {words}$1{/words}
    AND requests.status IN `+request.UnfinishedStatusesSQL+` AND (SELECT count(*) FROM users u WHERE u.id = requests.user_id) = 0
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
// worker that is in the middle of it finds its requests gone, see SaveOutcomes.
func endRequests(ctx context.Context, tx *store.Tx, organization, userID string) error {
	if userID == "" {
		return nil
	}
	list, err := store.Collect(ctx, tx.Conn, endRequestsStatement, nil, scanEnded, userID)
	if err != nil || len(list) == 0 {
		return err
	}
	if err := failErased(ctx, tx, organization, list); err != nil {
		return err
	}
	set := dropParkedStatement.Rows(len(list))
	for _, e := range list {
		set.Add(e.task)
	}
	_, err = tx.Exec(ctx, dropParkedStatement, set)
	return err
}

// EndOrphans has those of the claimed tasks' requests fail whose user is gone,
// and returns their ids.
func EndOrphans(ctx context.Context, tx *store.Tx, c usersync.Claim, ids []string) ([]string, error) {
	list, err := store.Collect(ctx, tx.Conn, endOrphansStatement, request.IDRows(endOrphansStatement, c.Organization, ids), scanEnded, outbox.TaskWords(c))
	if err != nil || len(list) == 0 {
		return nil, err
	}
	out := make([]string, len(list))
	for i, e := range list {
		out[i] = e.id
	}
	return out, failErased(ctx, tx, c.Organization, list)
}

var skipErasedStatement = store.Define(`
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
		return err
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
	if kind == request.KindUserSync {
		return request.StepColleagues
	}
	return request.StepPlatform
}

// Cursor is how far an erasure has come in one of its lists.
type Cursor struct {
	UserID string `json:"user,omitempty"`
	ID     string `json:"id,omitempty"`
}

// BatchRequest is a request of which something is to be emptied.
type BatchRequest struct {
	User, Id string
	run      int
}

var (
	ownRequestsStatement = store.Define(`
SELECT user_id, id, run FROM requests WHERE user_id = $1 AND id > $2 ORDER BY id LIMIT $3`)
	blankRequestsStatement = store.Define(`
UPDATE requests SET email = '', input = '{}' FROM {rows} WHERE requests.organization_id = r.organization_id AND requests.id = r.id`,
		store.Col("organization_id", store.Text), store.Col("id", store.Text))
	blankStepsStatement = store.Define(`
UPDATE steps SET found = '' FROM {rows} WHERE steps.request_id = r.id AND steps.organization_id = $1 AND steps.found <> ''`, store.Col("id", store.Text))
)

func ScanBatchRequest(scan func(...any) error) (q BatchRequest, err error) {
	return q, scan(&q.User, &q.Id, &q.run)
}

// EraseRequests empties up to limit requests of an erased user and their
// messages, oldest first from the cursor on. It returns where to go on; more
// is false after the last.
func EraseRequests(ctx context.Context, tx *store.Tx, organization, userID string, from Cursor, limit int) (next Cursor, removed Removed, more bool, err error) {
	list, err := store.Collect(ctx, tx.Conn, ownRequestsStatement, nil, ScanBatchRequest, userID, from.ID, limit)
	if err != nil || len(list) == 0 {
		return from, removed, false, err
	}
	ids := make([]string, len(list))
	for i, q := range list {
		ids[i] = q.Id
	}
	if _, err := tx.Exec(ctx, blankRequestsStatement, request.IDRows(blankRequestsStatement, organization, ids)); err != nil {
		return from, removed, false, err
	}
	if _, err := tx.Exec(ctx, blankStepsStatement, store.IDRows(blankStepsStatement, ids), organization); err != nil {
		return from, removed, false, err
	}
	removed.Requests = int64(len(list))
	removed.Messages, err = emptyMessages(ctx, tx, organization, list, "")
	return Cursor{ID: list[len(list)-1].Id}, removed, len(list) == limit, err
}

var (
	MentionsStatement = store.Define(`
SELECT q.user_id, q.id, q.run FROM colleague_links l JOIN requests q ON q.user_id = l.user_id
WHERE l.colleague_id = $1 AND l.user_id >= $2 AND (l.user_id > $2 OR q.id > $3) ORDER BY l.user_id, q.id LIMIT $4`)
	dropLinksStatement = store.Define(`DELETE FROM colleague_links WHERE colleague_id = $1`)
)

// EraseMentions empties the messages in which the person was told to others as
// a colleague, up to limit requests of those others at a time.
func EraseMentions(ctx context.Context, tx *store.Tx, organization, colleagueID string, from Cursor, limit int) (next Cursor, removed Removed, more bool, err error) {
	list, err := store.Collect(ctx, tx.Conn, MentionsStatement, nil, ScanBatchRequest, colleagueID, from.UserID, from.ID, limit)
	if err != nil {
		return from, removed, false, err
	}
	if len(list) > 0 {
		if removed.Messages, err = emptyMessages(ctx, tx, organization, list, colleagueID); err != nil {
			return from, removed, false, err
		}
		last := list[len(list)-1]
		next = Cursor{UserID: last.User, ID: last.Id}
	}
	if len(list) == limit {
		return next, removed, true, nil
	}
	removed.Links, err = tx.Exec(ctx, dropLinksStatement, nil, colleagueID)
	return next, removed, false, err
}

var blankEventsStatement = store.Define(`
UPDATE events SET attributes = '' WHERE id {any}SELECT id FROM events WHERE user_id = $1 AND attributes <> '' ORDER BY id LIMIT $2{/any}`)

// EraseEvents empties up to limit events of an erased user.
func EraseEvents(ctx context.Context, tx *store.Tx, userID string, limit int) (removed Removed, more bool, err error) {
	removed.Events, err = tx.Exec(ctx, blankEventsStatement, nil, userID, limit)
	return removed, removed.Events == int64(limit), err
}

// The pattern is a colleague's id, or nothing for every message. Bodies hold
// the ids of all whom they name.
var emptyMessagesStatement = store.Define(`
UPDATE messages SET body = '' FROM {rows}
WHERE messages.id = r.id AND messages.organization_id = $1 AND messages.body <> '' AND messages.body LIKE '%' || $2 || '%'
RETURNING messages.id`, store.Col("id", store.Text))

// emptyMessages empties the messages of requests that name a colleague, all of
// them for "", and ends their deliveries. It returns how many it emptied.
func emptyMessages(ctx context.Context, tx *store.Tx, organization string, requests []BatchRequest, colleague string) (int64, error) {
	set := MessageRows(emptyMessagesStatement, requests)
	emptied, err := store.Collect(ctx, tx.Conn, emptyMessagesStatement, set, store.ScanString, organization, colleague)
	if err != nil || len(emptied) == 0 {
		return 0, err
	}
	return int64(len(emptied)), endDeliveries(ctx, tx, organization, emptied)
}

// MessageRows names all messages that the requests can have led to.
func MessageRows(st *store.Statement, requests []BatchRequest) *store.Rows {
	set := st.Rows(len(delivery.RequestMessageTypes) * len(requests))
	for _, q := range requests {
		for run := 1; run <= q.run; run++ {
			for _, t := range delivery.RequestMessageTypes {
				set.Add(delivery.RequestMessageID(q.Id, run, t))
			}
		}
	}
	return set
}

// DeliveryRanges holds, for each message, the range of its deliveries' ids.
func DeliveryRanges(st *store.Statement, messages []string) *store.Rows {
	set := st.Rows(len(messages))
	for _, id := range messages {
		low := string(usersync.PrefixDelivery) + id[len(usersync.PrefixMessage):]
		set.Add(low, low+"~")
	}
	return set
}

var (
	deliveriesOfStatement = store.Define(`
SELECT `+delivery.Columns+`
FROM {rows} {each}SELECT x.id AS one FROM deliveries x WHERE x.id >= r.low AND x.id < r.high ORDER BY x.id LIMIT 500{/each}
JOIN deliveries d ON d.id = each.value WHERE d.organization_id = $1
ORDER BY d.id`, store.Col("low", store.Text), store.Col("high", store.Text))
	endDeliveriesStatement = store.Define(`
UPDATE deliveries SET status = r.status, attempts = r.attempts, attempt_count = r.attempt_count, next_attempt_at = 0, updated_at = {now},
    failed_at = CASE WHEN r.status = 'failed' AND failed_at = 0 THEN {now} ELSE failed_at END, task_id = '`+delivery.ErasedTask+`'
FROM {rows} WHERE deliveries.id = r.id AND deliveries.organization_id = $1 AND deliveries.status = r.was AND deliveries.attempt_count = r.had`,
		store.Col("id", store.Text), store.Col("status", store.Text), store.Col("attempts", store.Text), store.Col("attempt_count", store.Bigint), store.Col("was", store.Text), store.Col("had", store.Bigint))
)

// endDeliveries empties what receivers answered to messages, which may repeat
// them, and has the deliveries fail that are still to be made.
func endDeliveries(ctx context.Context, tx *store.Tx, organization string, messages []string) error {
	list, err := store.Collect(ctx, tx.Conn, deliveriesOfStatement, DeliveryRanges(deliveriesOfStatement, messages), delivery.ScanDelivery, organization)
	if err != nil || len(list) == 0 {
		return err
	}
	now := usersync.Time{Time: time.Now().UTC()}
	set := endDeliveriesStatement.Rows(len(list))
	for _, d := range list {
		was, had := d.Status, d.Attempted
		endErased(&d, now)
		attempts, err := json.Marshal(d.Attempts)
		if err != nil {
			return err
		}
		set.Add(d.ID, string(d.Status), string(attempts), int64(d.Attempted), string(was), int64(had))
	}
	n, err := tx.Exec(ctx, endDeliveriesStatement, set, organization)
	if err == nil && n < int64(len(list)) {
		return store.ErrRace // an attempt was written meanwhile
	}
	return err
}

// erasedReason is why a delivery failed whose message was erased.
const erasedReason = "erased"

func endErased(d *delivery.Delivery, now usersync.Time) {
	for i := range d.Attempts {
		d.Attempts[i].Response = ""
	}
	if d.Status.Open() {
		d.Status = delivery.Failed
		d.Note(delivery.Attempt{At: now, Error: erasedReason})
	}
}

var (
	removedStatement      = store.Define(`SELECT removed FROM erasures WHERE id = $1 {for update}`)
	saveErasureStatement  = store.Define(`UPDATE erasures SET removed = $2 WHERE id = $1`)
	closeErasureStatement = store.Define(`UPDATE erasures SET swept_at = {now} WHERE id = $1`)
)

// NoteRemoved adds to what an erasure has removed.
func NoteRemoved(ctx context.Context, tx *store.Tx, id string, more Removed) error {
	var text string
	if err := tx.QueryRow(ctx, removedStatement, id).Scan(&text); err != nil {
		return store.Classify(err)
	}
	var removed Removed
	if err := store.Decode(text, &removed); err != nil {
		return err
	}
	removed.Add(more)
	text, err := encodeRemoved(removed)
	if err != nil {
		return err
	}
	_, err = tx.Exec(ctx, saveErasureStatement, nil, id, text)
	return err
}

// Close notes that nothing is left at our side. The erasure is done when
// no platform has a receipt outstanding.
func Close(ctx context.Context, tx *store.Tx, id string) error {
	if err := tx.Later(ctx, closeErasureStatement, nil, nil, id); err != nil {
		return err
	}
	return platform.ChangeReceipts(ctx, tx, id, func([]platform.Receipt) {})
}
