package export

import (
	"context"
	"database/sql"
	"encoding/json"
	"errors"

	"usersync/internal/credit"
	"usersync/internal/delivery"
	"usersync/internal/erasure"
	"usersync/internal/request"
	"usersync/internal/store"
	"usersync/internal/usersync"
)

// Person is an entry of the directory.
type Person struct {
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

var heldPersonStatement = store.Define(`
SELECT id, email, email_key, name, job_title, country, company, company_name, website, photo, created_at, updated_at FROM people
WHERE organization_id = $1 AND email_key = $2`)

// FindPerson returns the entry of an address in the directory; nil when there is none.
func FindPerson(ctx context.Context, o *store.Org, email usersync.Email) (*Person, error) {
	return oneOf(store.Collect(ctx, o.Reader(), heldPersonStatement, nil, func(scan func(...any) error) (p Person, err error) {
		var address, key string
		var created, updated int64
		err = scan(&p.ID, &address, &key, &p.Name, &p.JobTitle, &p.Country, &p.Company, &p.CompanyName, &p.Website, &p.Photo, &created, &updated)
		p.Email, p.CreatedAt, p.UpdatedAt = usersync.NewEmail(address, key), store.Stamp(created), store.Stamp(updated)
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

// Colleague is a colleague record.
type Colleague struct {
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
	heldColleagueStatement = store.Define(`SELECT ` + heldColleagueColumns + ` FROM colleagues WHERE organization_id = $1 AND email_key = $2`)
	heldInvitedStatement   = store.Define(`
SELECT ` + heldColleagueColumns + ` FROM colleagues
WHERE organization_id = $1 AND invited_by = $2 AND invited_by <> '' AND id > $3 ORDER BY id LIMIT $4`)
)

func scanHeldColleague(scan func(...any) error) (c Colleague, err error) {
	var address, key string
	var created, updated int64
	err = scan(&c.ID, &address, &key, &c.Name, &c.JobTitle, &c.Status, &c.CompanyName, &c.Website, &c.InviteLink, &c.RedirectionLink, &c.Photo,
		&created, &updated)
	c.Email, c.CreatedAt, c.UpdatedAt = usersync.NewEmail(address, key), store.Stamp(created), store.Stamp(updated)
	return c, err
}

// FindColleague returns the colleague record of an address; nil when there is none.
func FindColleague(ctx context.Context, o *store.Org, email usersync.Email) (*Colleague, error) {
	return oneOf(store.Collect(ctx, o.Reader(), heldColleagueStatement, nil, scanHeldColleague, o.ID(), email.Key()))
}

// Invited returns the colleagues that somebody made by hand, from the one
// after the given on.
func Invited(ctx context.Context, o *store.Org, email usersync.Email, after string, limit int) ([]Colleague, error) {
	return store.Collect(ctx, o.Reader(), heldInvitedStatement, nil, scanHeldColleague, o.ID(), email.Key(), after, limit)
}

// Link says that somebody was found as a user's colleague.
type Link struct {
	UserID      string        `json:"userId"`
	ColleagueID string        `json:"colleagueId"`
	Score       float64       `json:"score"`
	Reasons     []string      `json:"reasons"`
	CreatedAt   usersync.Time `json:"createdAt"`
}

var (
	heldFoundStatement = store.Define(`
SELECT user_id, colleague_id, score, reasons, created_at FROM colleague_links
WHERE user_id = $2 AND organization_id = $1 AND colleague_id > $3 ORDER BY colleague_id LIMIT $4`)
	heldFoundForStatement = store.Define(`
SELECT user_id, colleague_id, score, reasons, created_at FROM colleague_links
WHERE colleague_id = $2 AND organization_id = $1 AND user_id > $3 ORDER BY user_id LIMIT $4`)
)

func scanHeldLink(scan func(...any) error) (l Link, err error) {
	var reasons string
	var created int64
	err = scan(&l.UserID, &l.ColleagueID, &l.Score, &reasons, &created)
	l.CreatedAt = store.Stamp(created)
	return l, errors.Join(err, store.Decode(reasons, &l.Reasons))
}

// Found returns who was found for a user, from the colleague after the
// given on.
func Found(ctx context.Context, o *store.Org, userID, after string, limit int) ([]Link, error) {
	return store.Collect(ctx, o.Reader(), heldFoundStatement, nil, scanHeldLink, o.ID(), userID, after, limit)
}

// FoundFor returns for whom a colleague was found, from the user after the
// given on.
func FoundFor(ctx context.Context, o *store.Org, colleagueID, after string, limit int) ([]Link, error) {
	return store.Collect(ctx, o.Reader(), heldFoundForStatement, nil, scanHeldLink, o.ID(), colleagueID, after, limit)
}

// Request is a request with everything that is kept beside it.
type Request struct {
	*request.View
	// Input is what was said of the user.
	Input    json.RawMessage `json:"input"`
	Charge   *credit.Entry   `json:"charge,omitempty"`
	Messages []Message       `json:"messages"`
}

// Message is a webhook message with what became of it.
type Message struct {
	ID        string               `json:"id"`
	Type      delivery.MessageType `json:"type"`
	RequestID string               `json:"requestId"`
	Sequence  int64                `json:"sequence"`
	// Body is nil for a message that was erased.
	Body       json.RawMessage `json:"body,omitempty"`
	Deliveries []Delivery      `json:"deliveries"`
	CreatedAt  usersync.Time   `json:"createdAt"`
}

// Delivery is one endpoint that a message went to.
type Delivery struct {
	EndpointID string             `json:"endpointId"`
	Status     delivery.Status    `json:"status"`
	Attempts   []delivery.Attempt `json:"attempts"`
}

var (
	heldRequestIDsStatement = store.Define(`
SELECT user_id, id, run FROM requests WHERE user_id = $2 AND organization_id = $1 AND id > $3 ORDER BY id LIMIT $4`)
	heldInputsStatement = store.Define(`
SELECT q.id, q.input FROM {rows} JOIN requests q ON q.organization_id = r.organization_id AND q.id = r.id`,
		store.Col("organization_id", store.Text), store.Col("id", store.Text))
	heldChargesStatement = store.Define(`
SELECT l.id, l.kind, l.amount, l.request_id, l.reference, l.balance_after, l.created_at
FROM {rows} JOIN ledger l ON l.organization_id = r.organization_id AND l.request_id = r.id AND l.request_id <> ''`,
		store.Col("organization_id", store.Text), store.Col("id", store.Text))
)

// Requests returns a user's requests, oldest first, from the one after the
// given on.
func Requests(ctx context.Context, o *store.Org, userID, after string, limit int) ([]Request, error) {
	db := o.Reader()
	list, err := store.Collect(ctx, db, heldRequestIDsStatement, nil, erasure.ScanBatchRequest, o.ID(), userID, after, limit)
	if err != nil || len(list) == 0 {
		return nil, err
	}
	ids := make([]string, len(list))
	for i, q := range list {
		ids[i] = q.Id
	}
	reports, err := request.List(ctx, o, ids)
	if err != nil {
		return nil, err
	}
	out := make([]Request, len(reports))
	byID := make(map[string]*Request, len(reports))
	for i, r := range reports {
		// The balance of today is not the user's.
		r.Credits.Balance = nil
		out[i] = Request{View: r, Input: json.RawMessage("{}"), Messages: []Message{}}
		byID[r.RequestID] = &out[i]
	}
	if err := fillHeld(ctx, o, db, byID, ids); err != nil {
		return nil, err
	}
	messages, err := heldMessages(ctx, o, db, list, "")
	for _, m := range messages {
		if q := byID[m.RequestID]; q != nil {
			q.Messages = append(q.Messages, m)
		}
	}
	return out, err
}

func fillHeld(ctx context.Context, o *store.Org, db store.Conn, byID map[string]*Request, ids []string) error {
	_, err := store.Collect(ctx, db, heldInputsStatement, request.IDRows(heldInputsStatement, o.ID(), ids), func(scan func(...any) error) (struct{}, error) {
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
	charges, err := store.Collect(ctx, db, heldChargesStatement, request.IDRows(heldChargesStatement, o.ID(), ids), credit.ScanEntry)
	for i, e := range charges {
		if q := byID[e.RequestID]; q != nil {
			q.Charge = &charges[i]
		}
	}
	return err
}

// Mentions returns the messages that told others of a colleague, from the
// place after the given on, of up to limit requests at a time. more is false
// after the last.
func Mentions(ctx context.Context, o *store.Org, colleagueID string, from erasure.Cursor, limit int) (list []Message, next erasure.Cursor, more bool, err error) {
	db := o.Reader()
	requests, err := store.Collect(ctx, db, erasure.MentionsStatement, nil, erasure.ScanBatchRequest, colleagueID, from.UserID, from.ID, limit)
	if err != nil || len(requests) == 0 {
		return nil, from, false, err
	}
	last := requests[len(requests)-1]
	list, err = heldMessages(ctx, o, db, requests, colleagueID)
	return list, erasure.Cursor{UserID: last.User, ID: last.Id}, len(requests) == limit, err
}

var heldMessagesStatement = store.Define(`
SELECT m.id, m.type, m.request_id, m.sequence, m.body, m.created_at FROM {rows} JOIN messages m ON m.id = r.id
WHERE m.organization_id = $1 AND m.body LIKE '%' || $2 || '%' ORDER BY m.id`, store.Col("id", store.Text))

// heldMessages returns the messages of requests that name a colleague, all of
// them for "", with their deliveries.
func heldMessages(ctx context.Context, o *store.Org, db store.Conn, requests []erasure.BatchRequest, colleague string) ([]Message, error) {
	list, err := store.Collect(ctx, db, heldMessagesStatement, erasure.MessageRows(heldMessagesStatement, requests), func(scan func(...any) error) (m Message, err error) {
		var body string
		var created int64
		err = scan(&m.ID, &m.Type, &m.RequestID, &m.Sequence, &body, &created)
		if body != "" {
			m.Body = json.RawMessage(body)
		}
		m.CreatedAt, m.Deliveries = store.Stamp(created), []Delivery{}
		return m, err
	}, o.ID(), colleague)
	if err != nil || len(list) == 0 {
		return nil, err
	}
	return list, fillDeliveries(ctx, o, db, list)
}

var heldDeliveriesStatement = store.Define(`
SELECT d.message_id, d.endpoint_id, d.status, d.attempts
FROM {rows} {each}SELECT x.id AS one FROM deliveries x WHERE x.id >= r.low AND x.id < r.high ORDER BY x.id LIMIT 500{/each}
JOIN deliveries d ON d.id = each.value WHERE d.organization_id = $1
ORDER BY d.id`, store.Col("low", store.Text), store.Col("high", store.Text))

func fillDeliveries(ctx context.Context, o *store.Org, db store.Conn, list []Message) error {
	byID := make(map[string]*Message, len(list))
	ids := make([]string, len(list))
	for i := range list {
		ids[i], byID[list[i].ID] = list[i].ID, &list[i]
	}
	_, err := store.Collect(ctx, db, heldDeliveriesStatement, erasure.DeliveryRanges(heldDeliveriesStatement, ids), func(scan func(...any) error) (struct{}, error) {
		d := Delivery{Attempts: []delivery.Attempt{}}
		var message, attempts string
		err := errors.Join(scan(&message, &d.EndpointID, &d.Status, &attempts), store.Decode(attempts, &d.Attempts))
		if m := byID[message]; m != nil {
			m.Deliveries = append(m.Deliveries, d)
		}
		return struct{}{}, err
	}, o.ID())
	return err
}

var erasedAtStatement = store.Define(`SELECT created_at FROM erased WHERE organization_id = $1 AND person = $2`)

// ErasedAt returns when the person with an address was erased; zero for never.
func ErasedAt(ctx context.Context, o *store.Org, salt []byte, email usersync.Email) (usersync.Time, error) {
	var when int64
	err := o.Reader().QueryRow(ctx, erasedAtStatement, o.ID(), usersync.KeyedID(usersync.PrefixErasure, salt, email.Key())).Scan(&when)
	if errors.Is(err, sql.ErrNoRows) {
		err = nil
	}
	return store.Stamp(when), store.Classify(err)
}
