package store

import (
	"context"
	"database/sql"
	"encoding/json"
	"errors"

	"usersync/internal/usersync"
)

// What is held of one person, piece by piece, for their export.

// HeldPerson is an entry of the directory.
type HeldPerson struct {
	ID          string         `json:"id"`
	Email       usersync.Email `json:"email"`
	Name        string         `json:"name"`
	JobTitle    string         `json:"jobTitle"`
	Country     string         `json:"country"`
	Company     string         `json:"company"`
	CompanyName string         `json:"companyName"`
	Website     string         `json:"website"`
	Photo       string         `json:"photo"`
	CreatedAt   usersync.Time  `json:"createdAt"`
	UpdatedAt   usersync.Time  `json:"updatedAt"`
}

var heldPersonStatement = define(`
SELECT id, email, email_key, name, job_title, country, company, company_name, website, photo, created_at, updated_at FROM people
WHERE organization_id = $1 AND email_key = $2`)

// HeldPerson returns the entry of an address in the directory; nil when there is none.
func (o *Org) HeldPerson(ctx context.Context, email usersync.Email) (*HeldPerson, error) {
	return oneOf(collect(ctx, o.reader(), heldPersonStatement, nil, func(scan func(...any) error) (p HeldPerson, err error) {
		var address, key string
		var created, updated int64
		err = scan(&p.ID, &address, &key, &p.Name, &p.JobTitle, &p.Country, &p.Company, &p.CompanyName, &p.Website, &p.Photo, &created, &updated)
		p.Email, p.CreatedAt, p.UpdatedAt = usersync.NewEmail(address, key), stamp(created), stamp(updated)
		return p, err
	}, o.ID(), email.Key()))
}

// oneOf returns the first of a list; nil for none.
func oneOf[T any](list []T, err error) (*T, error) {
	if err != nil || len(list) == 0 {
		return nil, err
	}
	return &list[0], nil
}

// HeldColleague is a colleague record.
type HeldColleague struct {
	ID              string         `json:"id"`
	Email           usersync.Email `json:"email"`
	Name            string         `json:"name"`
	JobTitle        string         `json:"jobTitle"`
	Status          string         `json:"status"`
	CompanyName     string         `json:"companyName"`
	Website         string         `json:"website"`
	InviteLink      string         `json:"inviteLink"`
	RedirectionLink string         `json:"redirectionLink"`
	Photo           string         `json:"photo"`
	CreatedAt       usersync.Time  `json:"createdAt"`
	UpdatedAt       usersync.Time  `json:"updatedAt"`
}

const heldColleagueColumns = `id, email, email_key, name, job_title, status, company_name, website, invite_link, redirection_link, photo,
    created_at, updated_at`

var (
	heldColleagueStatement = define(`SELECT ` + heldColleagueColumns + ` FROM colleagues WHERE organization_id = $1 AND email_key = $2`)
	heldInvitedStatement   = define(`
SELECT ` + heldColleagueColumns + ` FROM colleagues
WHERE organization_id = $1 AND invited_by = $2 AND invited_by <> '' AND id > $3 ORDER BY id LIMIT $4`)
)

func scanHeldColleague(scan func(...any) error) (c HeldColleague, err error) {
	var address, key string
	var created, updated int64
	err = scan(&c.ID, &address, &key, &c.Name, &c.JobTitle, &c.Status, &c.CompanyName, &c.Website, &c.InviteLink, &c.RedirectionLink, &c.Photo,
		&created, &updated)
	c.Email, c.CreatedAt, c.UpdatedAt = usersync.NewEmail(address, key), stamp(created), stamp(updated)
	return c, err
}

// HeldColleague returns the colleague record of an address; nil when there is none.
func (o *Org) HeldColleague(ctx context.Context, email usersync.Email) (*HeldColleague, error) {
	return oneOf(collect(ctx, o.reader(), heldColleagueStatement, nil, scanHeldColleague, o.ID(), email.Key()))
}

// HeldInvited returns the colleagues that somebody made by hand, from the one
// after the given on.
func (o *Org) HeldInvited(ctx context.Context, email usersync.Email, after string, limit int) ([]HeldColleague, error) {
	return collect(ctx, o.reader(), heldInvitedStatement, nil, scanHeldColleague, o.ID(), email.Key(), after, limit)
}

// HeldLink says that somebody was found as a user's colleague.
type HeldLink struct {
	UserID      string        `json:"userId"`
	ColleagueID string        `json:"colleagueId"`
	Score       float64       `json:"score"`
	Reasons     []string      `json:"reasons"`
	CreatedAt   usersync.Time `json:"createdAt"`
}

var (
	heldFoundStatement = define(`
SELECT user_id, colleague_id, score, reasons, created_at FROM colleague_links
WHERE user_id = $2 AND organization_id = $1 AND colleague_id > $3 ORDER BY colleague_id LIMIT $4`)
	heldFoundForStatement = define(`
SELECT user_id, colleague_id, score, reasons, created_at FROM colleague_links
WHERE colleague_id = $2 AND organization_id = $1 AND user_id > $3 ORDER BY user_id LIMIT $4`)
)

func scanHeldLink(scan func(...any) error) (l HeldLink, err error) {
	var reasons string
	var created int64
	err = scan(&l.UserID, &l.ColleagueID, &l.Score, &reasons, &created)
	l.CreatedAt = stamp(created)
	return l, errors.Join(err, decode(reasons, &l.Reasons))
}

// HeldFound returns who was found for a user, from the colleague after the
// given on.
func (o *Org) HeldFound(ctx context.Context, userID, after string, limit int) ([]HeldLink, error) {
	return collect(ctx, o.reader(), heldFoundStatement, nil, scanHeldLink, o.ID(), userID, after, limit)
}

// HeldFoundFor returns for whom a colleague was found, from the user after the
// given on.
func (o *Org) HeldFoundFor(ctx context.Context, colleagueID, after string, limit int) ([]HeldLink, error) {
	return collect(ctx, o.reader(), heldFoundForStatement, nil, scanHeldLink, o.ID(), colleagueID, after, limit)
}

// HeldRequest is a request with everything that is kept beside it.
type HeldRequest struct {
	*usersync.Report
	// Input is what was said of the user.
	Input    json.RawMessage `json:"input"`
	Charge   *usersync.Entry `json:"charge,omitempty"`
	Messages []HeldMessage   `json:"messages"`
}

// HeldMessage is a webhook message with what became of it.
type HeldMessage struct {
	ID        string               `json:"id"`
	Type      usersync.MessageType `json:"type"`
	RequestID string               `json:"requestId"`
	Sequence  int64                `json:"sequence"`
	// Body is nil for a message that was erased.
	Body       json.RawMessage `json:"body,omitempty"`
	Deliveries []HeldDelivery  `json:"deliveries"`
	CreatedAt  usersync.Time   `json:"createdAt"`
}

// HeldDelivery is one endpoint that a message went to.
type HeldDelivery struct {
	EndpointID string                  `json:"endpointId"`
	Status     usersync.DeliveryStatus `json:"status"`
	Attempts   []usersync.Attempt      `json:"attempts"`
}

var (
	heldRequestIDsStatement = define(`
SELECT user_id, id, run FROM requests WHERE user_id = $2 AND organization_id = $1 AND id > $3 ORDER BY id LIMIT $4`)
	heldInputsStatement = define(`
SELECT q.id, q.input FROM {rows} JOIN requests q ON q.organization_id = r.organization_id AND q.id = r.id`,
		col("organization_id", text), col("id", text))
	heldChargesStatement = define(`
SELECT l.id, l.kind, l.amount, l.request_id, l.reference, l.balance_after, l.created_at
FROM {rows} JOIN ledger l ON l.organization_id = r.organization_id AND l.request_id = r.id AND l.request_id <> ''`,
		col("organization_id", text), col("id", text))
)

// HeldRequests returns a user's requests, oldest first, from the one after the
// given on.
func (o *Org) HeldRequests(ctx context.Context, userID, after string, limit int) ([]HeldRequest, error) {
	db := o.reader()
	list, err := collect(ctx, db, heldRequestIDsStatement, nil, scanBatchRequest, o.ID(), userID, after, limit)
	if err != nil || len(list) == 0 {
		return nil, err
	}
	ids := make([]string, len(list))
	for i, q := range list {
		ids[i] = q.id
	}
	reports, err := o.Reports(ctx, ids)
	if err != nil {
		return nil, err
	}
	out := make([]HeldRequest, len(reports))
	byID := make(map[string]*HeldRequest, len(reports))
	for i, r := range reports {
		// The balance of today is not the user's.
		r.Credits.Balance = nil
		out[i] = HeldRequest{Report: r, Input: json.RawMessage("{}"), Messages: []HeldMessage{}}
		byID[r.RequestID] = &out[i]
	}
	if err := o.fillHeld(ctx, db, byID, ids); err != nil {
		return nil, err
	}
	messages, err := o.heldMessages(ctx, db, list, "")
	for _, m := range messages {
		if q := byID[m.RequestID]; q != nil {
			q.Messages = append(q.Messages, m)
		}
	}
	return out, err
}

func (o *Org) fillHeld(ctx context.Context, db conn, byID map[string]*HeldRequest, ids []string) error {
	_, err := collect(ctx, db, heldInputsStatement, requestRows(heldInputsStatement, o.ID(), ids), func(scan func(...any) error) (struct{}, error) {
		var id, input string
		err := scan(&id, &input)
		if q := byID[id]; q != nil {
			q.Input = json.RawMessage(input)
		}
		return struct{}{}, err
	})
	if err != nil {
		return err
	}
	charges, err := collect(ctx, db, heldChargesStatement, requestRows(heldChargesStatement, o.ID(), ids), scanEntry)
	for i, e := range charges {
		if q := byID[e.RequestID]; q != nil {
			q.Charge = &charges[i]
		}
	}
	return err
}

// HeldMentions returns the messages that told others of a colleague, from the
// place after the given on, of up to limit requests at a time. more is false
// after the last.
func (o *Org) HeldMentions(ctx context.Context, colleagueID string, from Cursor, limit int) (list []HeldMessage, next Cursor, more bool, err error) {
	db := o.reader()
	requests, err := collect(ctx, db, mentionsStatement, nil, scanBatchRequest, colleagueID, from.UserID, from.ID, limit)
	if err != nil || len(requests) == 0 {
		return nil, from, false, err
	}
	last := requests[len(requests)-1]
	list, err = o.heldMessages(ctx, db, requests, colleagueID)
	return list, Cursor{UserID: last.user, ID: last.id}, len(requests) == limit, err
}

var heldMessagesStatement = define(`
SELECT m.id, m.type, m.request_id, m.sequence, m.body, m.created_at FROM {rows} JOIN messages m ON m.id = r.id
WHERE m.organization_id = $1 AND m.body LIKE '%' || $2 || '%' ORDER BY m.id`, col("id", text))

// heldMessages returns the messages of requests that name a colleague, all of
// them for "", with their deliveries.
func (o *Org) heldMessages(ctx context.Context, db conn, requests []batchRequest, colleague string) ([]HeldMessage, error) {
	list, err := collect(ctx, db, heldMessagesStatement, messageRows(heldMessagesStatement, requests), func(scan func(...any) error) (m HeldMessage, err error) {
		var body string
		var created int64
		err = scan(&m.ID, &m.Type, &m.RequestID, &m.Sequence, &body, &created)
		if body != "" {
			m.Body = json.RawMessage(body)
		}
		m.CreatedAt, m.Deliveries = stamp(created), []HeldDelivery{}
		return m, err
	}, o.ID(), colleague)
	if err != nil || len(list) == 0 {
		return nil, err
	}
	return list, o.fillDeliveries(ctx, db, list)
}

var heldDeliveriesStatement = define(`
SELECT d.message_id, d.endpoint_id, d.status, d.attempts
FROM {rows} {each}SELECT x.id AS one FROM deliveries x WHERE x.id >= r.low AND x.id < r.high ORDER BY x.id LIMIT 500{/each}
JOIN deliveries d ON d.id = each.value WHERE d.organization_id = $1
ORDER BY d.id`, col("low", text), col("high", text))

func (o *Org) fillDeliveries(ctx context.Context, db conn, list []HeldMessage) error {
	byID := make(map[string]*HeldMessage, len(list))
	ids := make([]string, len(list))
	for i := range list {
		ids[i], byID[list[i].ID] = list[i].ID, &list[i]
	}
	_, err := collect(ctx, db, heldDeliveriesStatement, deliveryRanges(heldDeliveriesStatement, ids), func(scan func(...any) error) (struct{}, error) {
		d := HeldDelivery{Attempts: []usersync.Attempt{}}
		var message, attempts string
		err := errors.Join(scan(&message, &d.EndpointID, &d.Status, &attempts), decode(attempts, &d.Attempts))
		if m := byID[message]; m != nil {
			m.Deliveries = append(m.Deliveries, d)
		}
		return struct{}{}, err
	}, o.ID())
	return err
}

var erasedAtStatement = define(`SELECT created_at FROM erased WHERE organization_id = $1 AND person = $2`)

// ErasedAt returns when the person with an address was erased; zero for never.
func (o *Org) ErasedAt(ctx context.Context, salt []byte, email usersync.Email) (usersync.Time, error) {
	var when int64
	err := o.reader().row(ctx, erasedAtStatement, o.ID(), usersync.KeyedID(usersync.PrefixErasure, salt, email.Key())).Scan(&when)
	if errors.Is(err, sql.ErrNoRows) {
		err = nil
	}
	return stamp(when), classify(err)
}
