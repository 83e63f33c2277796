package store

import (
	"cmp"
	"context"
	"database/sql"
	"encoding/json"
	"errors"
	"time"

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

func (r erasureRow) erasure() (usersync.Erasure, error) {
	e := usersync.Erasure{
		ID: r.ID, UserID: r.UserID, Status: r.Status, Platforms: []usersync.PlatformReceipt{},
		CreatedAt: stamp(r.CreatedAt), FinishedAt: stamp(r.FinishedAt),
	}
	return e, errors.Join(decode(r.Removed, &e.Removed), decode(r.Platforms, &e.Platforms))
}

// ErrNoErasure is the refusal of an id that names no erasure of the organization.
var ErrNoErasure = usersync.Errorf(usersync.CodeNotFound, "Erasure not found")

const erasureColumns = `id, user_id, status, removed, platforms, created_at, finished_at`

var (
	erasureStatement  = define(`SELECT ` + erasureColumns + ` FROM erasures WHERE id = $2 AND organization_id = $1`)
	erasuresStatement = define(`SELECT ` + erasureColumns + ` FROM erasures WHERE organization_id = $1 AND id < $2 ORDER BY id DESC LIMIT $3`)
)

func scanErasure(scan func(...any) error) (usersync.Erasure, error) {
	var r erasureRow
	if err := scan(&r.ID, &r.UserID, &r.Status, &r.Removed, &r.Platforms, &r.CreatedAt, &r.FinishedAt); err != nil {
		return usersync.Erasure{}, err
	}
	return r.erasure()
}

// Erasure returns one erasure.
func (o *Org) Erasure(ctx context.Context, id string) (usersync.Erasure, error) {
	e, err := scanErasure(o.reader().row(ctx, erasureStatement, o.ID(), id).Scan)
	if errors.Is(err, sql.ErrNoRows) {
		return e, ErrNoErasure
	}
	return e, classify(err)
}

// Erasures returns up to limit erasures, newest first.
func (o *Org) Erasures(ctx context.Context, before string, limit int) ([]usersync.Erasure, error) {
	return collect(ctx, o.reader(), erasuresStatement, nil, scanErasure, o.ID(), cmp.Or(before, afterAll(usersync.PrefixErasure)), limit)
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
	lockUserStatement = define(`
SELECT id, email_key, email, company, invite_link FROM users WHERE id = $2 AND organization_id = $1 {for update}`)
	lockUserKeyStatement = define(`
SELECT id, email_key, email, company, invite_link FROM users WHERE organization_id = $1 AND email_key = $2 {for update}`)
	rememberErasedStatement = define(`
INSERT INTO erased (organization_id, person, created_at) VALUES ($1, $2, {now}) ON CONFLICT DO NOTHING`)
	deleteUserStatement   = define(`DELETE FROM users WHERE id = $1`)
	deletePersonStatement = define(`DELETE FROM people WHERE organization_id = $1 AND email_key = $2`)
	dropAnswersStatement  = define(`DELETE FROM source_answers WHERE organization_id = $1 AND company = $2 AND company <> ''`)
)

// Erase removes a person at once: the user, the entry in the directory and the
// colleague record are gone when it returns, and what was still to be done for
// the user has failed. What is left in older rows goes with the task that plan
// makes. It returns ErrNoUser when a user id names none; an address that
// nothing is known of is remembered as erased all the same.
func (o *Org) Erase(ctx context.Context, actor string, salt []byte, s Subject, plan func(Traces) usersync.Task) (out usersync.Erasure, err error) {
	row := erasureRow{ID: usersync.NewID(usersync.PrefixErasure), OrganizationID: o.ID(), Status: usersync.ErasureRunning}
	err = o.Tx(ctx, func(tx *Tx) error {
		p, err := tx.lockSubject(ctx, o.ID(), s)
		if err != nil {
			return err
		}
		if err := tx.wakePushesOf(ctx, p.userID); err != nil {
			return err
		}
		// Every settling of the organization locks the balance as well: what is
		// settled before is found here, what comes after finds nobody.
		if _, err := tx.LockAccount(ctx, o.ID()); err != nil {
			return err
		}
		if err := tx.lockOrganization(ctx, o.ID()); err != nil {
			return err
		}
		traces := Traces{ErasureID: row.ID, UserID: p.userID}
		var removed usersync.Removed
		if traces.ColleagueID, err = tx.erasePerson(ctx, o.ID(), salt, p, &removed); err != nil {
			return err
		}
		receipts := []usersync.PlatformReceipt{}
		if p.userID != "" {
			if receipts, err = tx.erasePushes(ctx, o.ID(), p.userID, p.email, row.ID); err != nil {
				return err
			}
		}
		if err := tx.endRequests(ctx, o.ID(), p.userID); err != nil {
			return err
		}
		encoded, err := json.Marshal(receipts)
		if err != nil {
			return err
		}
		row.Platforms, row.UserID, row.CreatedAt = string(encoded), p.userID, micros(time.Now())
		if row.Removed, err = encodeRemoved(removed); err != nil {
			return err
		}
		if err := tx.GORM().Create(&row).Error; err != nil {
			return err
		}
		if err := tx.noteErasure(ctx, o.ID(), actor, row); err != nil {
			return err
		}
		return tx.Enqueue(ctx, plan(traces))
	})
	if err != nil {
		return out, err
	}
	return row.erasure()
}

func encodeRemoved(r usersync.Removed) (string, error) {
	text, err := json.Marshal(r)
	return string(text), err
}

// noteErasure writes the audit row and, for a user, the event.
func (tx *Tx) noteErasure(ctx context.Context, organization, actor string, row erasureRow) error {
	if err := tx.audit(ctx, organization, actor, "user.erase", cmp.Or(row.UserID, row.ID)); err != nil || row.UserID == "" {
		return err
	}
	return tx.SaveEvents(ctx, organization, []usersync.Event{{
		ID: usersync.NewID(usersync.PrefixEvent), Type: usersync.EventUserErased, Source: actor, UserID: row.UserID, Cause: row.ID,
	}})
}

func (tx *Tx) lockSubject(ctx context.Context, organization string, s Subject) (subject, error) {
	if s.UserID != "" {
		p, err := scanSubject(tx.row(ctx, lockUserStatement, organization, s.UserID))
		if errors.Is(err, sql.ErrNoRows) {
			return p, ErrNoUser
		}
		return p, classify(err)
	}
	p, err := scanSubject(tx.row(ctx, lockUserKeyStatement, organization, s.Email.Key()))
	if errors.Is(err, sql.ErrNoRows) {
		return subject{key: s.Email.Key(), company: s.Company}, nil
	}
	return p, classify(err)
}

func scanSubject(row oneRow) (p subject, err error) {
	return p, row.Scan(&p.userID, &p.key, &p.email, &p.company, &p.inviteLink)
}

// erasePerson deletes what says who the person is and returns the id of their
// colleague record.
func (tx *Tx) erasePerson(ctx context.Context, organization string, salt []byte, p subject, removed *usersync.Removed) (colleague string, err error) {
	if err := tx.later(ctx, rememberErasedStatement, nil, nil, organization, usersync.KeyedID(usersync.PrefixErasure, salt, p.key)); err != nil {
		return "", err
	}
	if removed.People, err = tx.exec(ctx, deletePersonStatement, nil, organization, p.key); err != nil {
		return "", err
	}
	// A directory service's answers are asked for again, without the person.
	if err := tx.later(ctx, dropAnswersStatement, nil, nil, organization, p.company); err != nil {
		return "", err
	}
	if colleague, err = tx.eraseColleague(ctx, organization, p, removed); err != nil || p.userID == "" {
		return colleague, err
	}
	removed.Users, err = tx.exec(ctx, deleteUserStatement, nil, p.userID)
	return colleague, err
}

var (
	// The row stays, so that its id stays taken; its address is the id itself.
	blankColleagueStatement = define(`
UPDATE colleagues SET email_key = id, email = '', name = '', job_title = '', status = 'deleted', company_name = '', website = '',
    invite_link = '', redirection_link = '', photo = '', team = 0, invited_by = '', latest_action = 0, company = '', department = '',
    seniority = 0, updated_at = {now}
WHERE organization_id = $1 AND email_key = $2 RETURNING id`)
	forgetInviterStatement = define(`
UPDATE colleagues SET invited_by = '' WHERE organization_id = $1 AND invited_by = $2 AND invited_by <> ''`)
	// A link of the user's own names them to whoever it invites.
	forgetInviteLinkStatement = define(`
UPDATE colleagues SET invite_link = '' WHERE id {any}SELECT colleague_id FROM colleague_links WHERE user_id = $1{/any}
    AND organization_id = $2 AND invite_link = $3 AND invite_link <> ''`)
	dropOwnLinksStatement = define(`DELETE FROM colleague_links WHERE user_id = $1`)
)

func (tx *Tx) eraseColleague(ctx context.Context, organization string, p subject, removed *usersync.Removed) (id string, err error) {
	err = tx.row(ctx, blankColleagueStatement, organization, p.key).Scan(&id)
	if err != nil && !errors.Is(err, sql.ErrNoRows) {
		return "", classify(err)
	}
	if id != "" {
		removed.Colleagues = 1
	}
	if err := tx.later(ctx, forgetInviterStatement, nil, nil, organization, p.key); err != nil || p.userID == "" {
		return id, err
	}
	if err := tx.later(ctx, forgetInviteLinkStatement, nil, nil, p.userID, organization, p.inviteLink); err != nil {
		return id, err
	}
	removed.Links, err = tx.exec(ctx, dropOwnLinksStatement, nil, p.userID)
	return id, err
}

// unfinishedStatuses are the statuses in which a request still has work to come.
const unfinishedStatuses = `('queued', 'processing', 'awaiting_credits')`

var (
	endRequestsStatement = define(`
UPDATE requests SET status = 'failed', email = '', input = '{}', finished_at = {now}
WHERE user_id = $1 AND status IN ` + unfinishedStatuses + ` RETURNING id, kind, run, task_id`)
	dropParkedStatement = define(`
DELETE FROM outbox WHERE state = 'parked' AND id {any}SELECT r.id FROM {rows}{/any}`, col("id", text))
	// A request that was accepted while its user was erased is found by nobody
	// but its own task.
	endOrphansStatement = define(`
UPDATE requests SET status = 'failed', email = '', input = '{}', finished_at = {now} FROM {rows}
WHERE requests.organization_id = r.organization_id AND requests.id = r.request_id AND requests.task_id {words}$1{/words}
    AND requests.status IN `+unfinishedStatuses+` AND (SELECT count(*) FROM users u WHERE u.id = requests.user_id) = 0
RETURNING requests.id, requests.kind, requests.run, requests.task_id`, col("organization_id", text), col("request_id", text))
)

// ended is a request that has failed because its user was erased.
type ended struct {
	id   string
	kind usersync.RequestKind
	run  int
	task string
}

func scanEnded(scan func(...any) error) (e ended, err error) {
	return e, scan(&e.id, &e.kind, &e.run, &e.task)
}

// endRequests has everything fail that was still to be done for a user. A
// worker that is in the middle of it finds its requests gone, see SaveOutcomes.
func (tx *Tx) endRequests(ctx context.Context, organization, userID string) error {
	if userID == "" {
		return nil
	}
	list, err := collect(ctx, tx.conn, endRequestsStatement, nil, scanEnded, userID)
	if err != nil || len(list) == 0 {
		return err
	}
	if err := tx.failErased(ctx, organization, list); err != nil {
		return err
	}
	set := dropParkedStatement.rows(len(list))
	for _, e := range list {
		set.add(e.task)
	}
	_, err = tx.exec(ctx, dropParkedStatement, set)
	return err
}

// EndOrphans has those of the claimed tasks' requests fail whose user is gone,
// and returns their ids.
func (tx *Tx) EndOrphans(ctx context.Context, c usersync.Claim, ids []string) ([]string, error) {
	list, err := collect(ctx, tx.conn, endOrphansStatement, requestRows(endOrphansStatement, c.Organization, ids), scanEnded, taskWords(c))
	if err != nil || len(list) == 0 {
		return nil, err
	}
	out := make([]string, len(list))
	for i, e := range list {
		out[i] = e.id
	}
	return out, tx.failErased(ctx, c.Organization, list)
}

var skipErasedStatement = define(`
UPDATE steps SET status = 'skipped', reason = 'erased', next_attempt_at = 0, error_code = '', error_message = '', details = '', updated_at = {now}
FROM {rows} WHERE steps.request_id = r.id AND steps.organization_id = $1 AND steps.name = 'platform' AND steps.status IN ('pending', 'retrying')`,
	col("id", text))

// failErased writes the steps of requests that ended with their user.
func (tx *Tx) failErased(ctx context.Context, organization string, list []ended) error {
	skipped := skipErasedStatement.rows(len(list))
	for _, e := range list {
		skipped.add(e.id)
	}
	if err := tx.later(ctx, skipErasedStatement, skipped, nil, organization); err != nil {
		return err
	}
	steps := stepsStatement.rows(len(list))
	for _, e := range list {
		steps.add(e.id, int64(0), string(firstStep(e.kind)), "", "", string(usersync.StepFailed), "", int64(e.run), int64(0), "",
			string(ErrErased.Code), ErrErased.Message, "")
	}
	return tx.later(ctx, stepsStatement, steps, nil, organization)
}

// firstStep is the name of the step that requests of a kind begin with.
func firstStep(kind usersync.RequestKind) usersync.StepName {
	if kind == usersync.KindUserSync {
		return usersync.StepColleagues
	}
	return usersync.StepPlatform
}

// Cursor is how far an erasure has come in one of its lists.
type Cursor struct {
	UserID string `json:"user,omitempty"`
	ID     string `json:"id,omitempty"`
}

// batchRequest is a request of which something is to be emptied.
type batchRequest struct {
	user, id string
	run      int
}

var (
	ownRequestsStatement = define(`
SELECT user_id, id, run FROM requests WHERE user_id = $1 AND id > $2 ORDER BY id LIMIT $3`)
	blankRequestsStatement = define(`
UPDATE requests SET email = '', input = '{}' FROM {rows} WHERE requests.organization_id = r.organization_id AND requests.id = r.id`,
		col("organization_id", text), col("id", text))
	blankStepsStatement = define(`
UPDATE steps SET found = '' FROM {rows} WHERE steps.request_id = r.id AND steps.organization_id = $1 AND steps.found <> ''`, col("id", text))
)

func scanBatchRequest(scan func(...any) error) (q batchRequest, err error) {
	return q, scan(&q.user, &q.id, &q.run)
}

// EraseRequests empties up to limit requests of an erased user and their
// messages, oldest first from the cursor on. It returns where to go on; more
// is false after the last.
func (tx *Tx) EraseRequests(ctx context.Context, organization, userID string, from Cursor, limit int) (next Cursor, removed usersync.Removed, more bool, err error) {
	list, err := collect(ctx, tx.conn, ownRequestsStatement, nil, scanBatchRequest, userID, from.ID, limit)
	if err != nil || len(list) == 0 {
		return from, removed, false, err
	}
	ids := make([]string, len(list))
	for i, q := range list {
		ids[i] = q.id
	}
	if _, err := tx.exec(ctx, blankRequestsStatement, requestRows(blankRequestsStatement, organization, ids)); err != nil {
		return from, removed, false, err
	}
	if _, err := tx.exec(ctx, blankStepsStatement, idRows(blankStepsStatement, ids), organization); err != nil {
		return from, removed, false, err
	}
	removed.Requests = int64(len(list))
	removed.Messages, err = tx.emptyMessages(ctx, organization, list, "")
	return Cursor{ID: list[len(list)-1].id}, removed, len(list) == limit, err
}

var (
	mentionsStatement = define(`
SELECT q.user_id, q.id, q.run FROM colleague_links l JOIN requests q ON q.user_id = l.user_id
WHERE l.colleague_id = $1 AND l.user_id >= $2 AND (l.user_id > $2 OR q.id > $3) ORDER BY l.user_id, q.id LIMIT $4`)
	dropLinksStatement = define(`DELETE FROM colleague_links WHERE colleague_id = $1`)
)

// EraseMentions empties the messages in which the person was told to others as
// a colleague, up to limit requests of those others at a time.
func (tx *Tx) EraseMentions(ctx context.Context, organization, colleagueID string, from Cursor, limit int) (next Cursor, removed usersync.Removed, more bool, err error) {
	list, err := collect(ctx, tx.conn, mentionsStatement, nil, scanBatchRequest, colleagueID, from.UserID, from.ID, limit)
	if err != nil {
		return from, removed, false, err
	}
	if len(list) > 0 {
		if removed.Messages, err = tx.emptyMessages(ctx, organization, list, colleagueID); err != nil {
			return from, removed, false, err
		}
		last := list[len(list)-1]
		next = Cursor{UserID: last.user, ID: last.id}
	}
	if len(list) == limit {
		return next, removed, true, nil
	}
	removed.Links, err = tx.exec(ctx, dropLinksStatement, nil, colleagueID)
	return next, removed, false, err
}

var blankEventsStatement = define(`
UPDATE events SET attributes = '' WHERE id {any}SELECT id FROM events WHERE user_id = $1 AND attributes <> '' ORDER BY id LIMIT $2{/any}`)

// EraseEvents empties up to limit events of an erased user.
func (tx *Tx) EraseEvents(ctx context.Context, userID string, limit int) (removed usersync.Removed, more bool, err error) {
	removed.Events, err = tx.exec(ctx, blankEventsStatement, nil, userID, limit)
	return removed, removed.Events == int64(limit), err
}

// The pattern is a colleague's id, or nothing for every message. Bodies hold
// the ids of all whom they name.
var emptyMessagesStatement = define(`
UPDATE messages SET body = '' FROM {rows}
WHERE messages.id = r.id AND messages.organization_id = $1 AND messages.body <> '' AND messages.body LIKE '%' || $2 || '%'
RETURNING messages.id`, col("id", text))

// emptyMessages empties the messages of requests that name a colleague, all of
// them for "", and ends their deliveries. It returns how many it emptied.
func (tx *Tx) emptyMessages(ctx context.Context, organization string, requests []batchRequest, colleague string) (int64, error) {
	set := messageRows(emptyMessagesStatement, requests)
	emptied, err := collect(ctx, tx.conn, emptyMessagesStatement, set, scanString, organization, colleague)
	if err != nil || len(emptied) == 0 {
		return 0, err
	}
	return int64(len(emptied)), tx.endDeliveries(ctx, organization, emptied)
}

// messageRows names all messages that the requests can have led to.
func messageRows(st *statement, requests []batchRequest) *rows {
	set := st.rows(len(RequestMessageTypes) * len(requests))
	for _, q := range requests {
		for run := 1; run <= q.run; run++ {
			for _, t := range RequestMessageTypes {
				set.add(RequestMessageID(q.id, run, t))
			}
		}
	}
	return set
}

// deliveryRanges holds, for each message, the range of its deliveries' ids.
func deliveryRanges(st *statement, messages []string) *rows {
	set := st.rows(len(messages))
	for _, id := range messages {
		low := string(usersync.PrefixDelivery) + id[len(usersync.PrefixMessage):]
		set.add(low, low+"~")
	}
	return set
}

// erasedTask is the task of deliveries whose messages were erased. There is no
// such task: nobody makes them or has them made again.
const erasedTask = "erased"

var (
	deliveriesOfStatement = define(`
SELECT `+deliveryColumns+`
FROM {rows} {each}SELECT x.id AS one FROM deliveries x WHERE x.id >= r.low AND x.id < r.high ORDER BY x.id LIMIT 500{/each}
JOIN deliveries d ON d.id = each.value WHERE d.organization_id = $1
ORDER BY d.id`, col("low", text), col("high", text))
	endDeliveriesStatement = define(`
UPDATE deliveries SET status = r.status, attempts = r.attempts, attempt_count = r.attempt_count, next_attempt_at = 0, updated_at = {now},
    failed_at = CASE WHEN r.status = 'failed' AND failed_at = 0 THEN {now} ELSE failed_at END, task_id = '`+erasedTask+`'
FROM {rows} WHERE deliveries.id = r.id AND deliveries.organization_id = $1 AND deliveries.status = r.was AND deliveries.attempt_count = r.had`,
		col("id", text), col("status", text), col("attempts", text), col("attempt_count", bigint), col("was", text), col("had", bigint))
)

// endDeliveries empties what receivers answered to messages, which may repeat
// them, and has the deliveries fail that are still to be made.
func (tx *Tx) endDeliveries(ctx context.Context, organization string, messages []string) error {
	list, err := collect(ctx, tx.conn, deliveriesOfStatement, deliveryRanges(deliveriesOfStatement, messages), readDelivery, organization)
	if err != nil || len(list) == 0 {
		return err
	}
	now := usersync.Time{Time: time.Now().UTC()}
	set := endDeliveriesStatement.rows(len(list))
	for _, d := range list {
		was, had := d.Status, d.Attempted
		endErased(&d, now)
		attempts, err := json.Marshal(d.Attempts)
		if err != nil {
			return err
		}
		set.add(d.ID, string(d.Status), string(attempts), int64(d.Attempted), string(was), int64(had))
	}
	n, err := tx.exec(ctx, endDeliveriesStatement, set, organization)
	if err == nil && n < int64(len(list)) {
		return errRace // an attempt was written meanwhile
	}
	return err
}

// erasedReason is why a delivery failed whose message was erased.
const erasedReason = "erased"

func endErased(d *usersync.Delivery, now usersync.Time) {
	for i := range d.Attempts {
		d.Attempts[i].Response = ""
	}
	if d.Status.Open() {
		d.Status = usersync.DeliveryFailed
		d.Note(usersync.Attempt{At: now, Error: erasedReason})
	}
}

var (
	removedStatement      = define(`SELECT removed FROM erasures WHERE id = $1 {for update}`)
	saveErasureStatement  = define(`UPDATE erasures SET removed = $2 WHERE id = $1`)
	closeErasureStatement = define(`UPDATE erasures SET swept_at = {now} WHERE id = $1`)
)

// NoteRemoved adds to what an erasure has removed.
func (tx *Tx) NoteRemoved(ctx context.Context, id string, more usersync.Removed) error {
	var text string
	if err := tx.row(ctx, removedStatement, id).Scan(&text); err != nil {
		return classify(err)
	}
	var removed usersync.Removed
	if err := decode(text, &removed); err != nil {
		return err
	}
	removed.Add(more)
	text, err := encodeRemoved(removed)
	if err != nil {
		return err
	}
	_, err = tx.exec(ctx, saveErasureStatement, nil, id, text)
	return err
}

// CloseErasure notes that nothing is left at our side. The erasure is done when
// no platform has a receipt outstanding.
func (tx *Tx) CloseErasure(ctx context.Context, id string) error {
	if err := tx.later(ctx, closeErasureStatement, nil, nil, id); err != nil {
		return err
	}
	return tx.changeReceipts(ctx, id, func([]usersync.PlatformReceipt) {})
}
