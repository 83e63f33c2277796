// Package colleague keeps colleague records and searches for colleagues: the people who
// work at the same company as a user, best match first. A Source says where people are
// looked for. This package decides who counts and in what order. It decides by what the
// sources know alone, so the same answers always give the same result.
package colleague

import (
	"context"
	"database/sql"
	"errors"
	"fmt"
	"slices"

	"usersync/internal/audit"
	"usersync/internal/store"
	"usersync/internal/user"
	"usersync/internal/usersync"
)

// Status says how far a colleague has come.
type Status string

// The statuses of a colleague.
const (
	Pending Status = "pending" // found or made by hand
	Invited Status = "invited"
	Joined  Status = "joined"  // is a user of the organization
	Deleted Status = "deleted" // never shown nor found again
)

// Statuses lists every status.
var Statuses = []Status{Pending, Invited, Joined, Deleted}

// Valid reports whether s is one of the statuses.
func (s Status) Valid() bool { return slices.Contains(Statuses, s) }

// Colleague is a colleague record as the colleague calls show it: the fields of
// the contract in its order.
type Colleague struct {
	ID              string        `json:"id"`
	Name            string        `json:"name"`
	Email           string        `json:"email"`
	JobTitle        string        `json:"jobTitle"`
	Status          Status        `json:"status"`
	CreatedAt       usersync.Time `json:"createdAt"`
	CompanyName     string        `json:"companyName"`
	Website         string        `json:"website"`
	InviteLink      string        `json:"inviteLink"`
	RedirectionLink string        `json:"redirectionLink"`
	Photo           *string       `json:"photo"`
	Team            int64         `json:"team"`
	// Organization is the id of the organization.
	Organization string `json:"wazClientId"`
	// Inviter is the e-mail of who made the colleague or, of one that was found,
	// of the user it was found for.
	Inviter      string        `json:"toBeInvitedById"`
	LatestAction usersync.Time `json:"latestAction"`
	UpdatedAt    usersync.Time `json:"updatedAt"`
}

// NewColleague is a colleague made by hand.
type NewColleague struct {
	Colleague // of which id, status and times are made
	Email     usersync.Email
	Inviter   usersync.Email
	user.Identity
}

// The refusals of the colleague calls.
var (
	ErrNotFound = usersync.Errorf(usersync.CodeNotFound, "Colleague not found")
	ErrTaken    = usersync.Errorf(usersync.CodeConflict, "A colleague with this email already exists")
)

// colleagueColumns are those of scanColleague. A colleague that was found shows
// the first user it was found for.
const colleagueColumns = `c.id, c.name, c.email, c.job_title, c.status, c.created_at, c.company_name, c.website, c.invite_link,
    c.redirection_link, c.photo, c.team, c.organization_id, CASE WHEN c.invited_by <> '' THEN c.invited_by ELSE
    coalesce((SELECT u.email_key FROM colleague_links l JOIN users u ON u.id = l.user_id WHERE l.colleague_id = c.id
        ORDER BY l.created_at, l.user_id LIMIT 1), '') END, c.latest_action, c.updated_at`

func scanColleague(scan func(...any) error) (c Colleague, err error) {
	var created, action, updated int64
	var photo string
	err = scan(&c.ID, &c.Name, &c.Email, &c.JobTitle, &c.Status, &created, &c.CompanyName, &c.Website, &c.InviteLink,
		&c.RedirectionLink, &photo, &c.Team, &c.Organization, &c.Inviter, &action, &updated)
	c.CreatedAt, c.LatestAction, c.UpdatedAt = store.Stamp(created), store.Stamp(action), store.Stamp(updated)
	if photo != "" {
		c.Photo = &photo
	}
	return c, err
}

// MaxListed is how many the colleague list shows.
const MaxListed = 50

var listColleaguesStatement = store.Define("colleague.listColleagues", `
SELECT `+colleagueColumns+` FROM colleagues c
WHERE c.id {any}
    SELECT l.colleague_id FROM users u JOIN colleague_links l ON l.user_id = u.id WHERE u.organization_id = $1 AND u.email_key = $2
    UNION
    SELECT h.id FROM colleagues h WHERE h.organization_id = $1 AND h.invited_by = $2 AND h.invited_by <> ''{/any}
AND c.organization_id = $1 AND c.status <> 'deleted'
ORDER BY CASE WHEN c.status = 'joined' THEN 0 ELSE 1 END, CASE WHEN c.photo <> '' THEN 0 ELSE 1 END, c.created_at DESC, c.id DESC
LIMIT $3`)

// List returns the colleagues found for the user with this address, or
// made by hand in their name: joined ones first, then those with a photo, then
// the newest, without deleted ones. An unknown address has none.
func List(ctx context.Context, o *store.Org, email usersync.Email) ([]Colleague, error) {
	list, err := store.Collect(ctx, o.Reader(), listColleaguesStatement, nil, scanColleague, o.ID(), email.Key(), MaxListed)
	for i := range list {
		list[i].Inviter = email.Key()
	}
	if err != nil {
		return list, fmt.Errorf("list colleagues: %w", err)
	}
	return list, nil
}

var uninvitedStatement = store.Define("colleague.uninvited", `
SELECT `+colleagueColumns+` FROM colleagues c LEFT JOIN colleague_links k ON k.colleague_id = c.id AND k.user_id = $2
WHERE c.id {any}
    SELECT l.colleague_id FROM colleague_links l WHERE l.user_id = $2
    UNION
    SELECT h.id FROM colleagues h WHERE h.organization_id = $1 AND h.invited_by = $3 AND h.invited_by <> ''{/any}
AND c.organization_id = $1 AND c.status = 'pending'
ORDER BY coalesce(k.score, 1) DESC, c.id LIMIT $4`)

// Uninvited returns up to limit of the colleagues who were found for a user, or made by
// hand in their name, and were not invited so far: the best match first. Their inviter is
// the user.
func Uninvited(ctx context.Context, o *store.Org, userID string, email usersync.Email, limit int) ([]Colleague, error) {
	list, err := store.Collect(ctx, o.Reader(), uninvitedStatement, nil, scanColleague, o.ID(), userID, email.Key(), limit)
	for i := range list {
		list[i].Inviter = email.Key()
	}
	if err != nil {
		return list, fmt.Errorf("list the colleagues to invite: %w", err)
	}
	return list, nil
}

var colleagueStatement = store.Define("colleague.colleague", `
SELECT `+colleagueColumns+` FROM colleagues c WHERE c.id = $2 AND c.organization_id = $1`)

// Get returns one colleague that is not deleted.
func Get(ctx context.Context, o *store.Org, id string) (Colleague, error) {
	c, err := scanColleague(o.Reader().QueryRow(ctx, colleagueStatement, o.ID(), id).Scan)
	if errors.Is(err, sql.ErrNoRows) || err == nil && c.Status == Deleted {
		return Colleague{}, ErrNotFound
	}
	return c, store.Classify(err)
}

// makeColleagueStatement makes a record or takes up again one that was deleted.
var makeColleagueStatement = store.Define("colleague.makeColleague", `
INSERT INTO colleagues (id, organization_id, email_key, email, name, job_title, status, company_name, website, invite_link,
    redirection_link, team, invited_by, company, department, seniority, latest_action, created_at, updated_at)
SELECT r.id, $1, r.email_key, r.email, r.name, r.job_title,
    CASE WHEN EXISTS (SELECT 1 FROM users u WHERE u.organization_id = $1 AND u.email_key = r.email_key) THEN 'joined' ELSE 'pending' END,
    r.company_name, r.website, r.invite_link, r.redirection_link, r.team, r.invited_by, r.company, r.department, r.seniority,
    {now}, {now}, {now}
FROM {rows} WHERE true
ON CONFLICT (organization_id, email_key) DO UPDATE SET email = excluded.email, name = excluded.name, job_title = excluded.job_title,
    status = excluded.status, company_name = excluded.company_name, website = excluded.website, invite_link = excluded.invite_link,
    redirection_link = excluded.redirection_link, team = excluded.team, invited_by = excluded.invited_by, company = excluded.company,
    department = excluded.department, seniority = excluded.seniority, latest_action = excluded.latest_action,
    created_at = excluded.created_at, updated_at = excluded.updated_at
WHERE colleagues.status = 'deleted'
RETURNING id`,
	store.Col("id", store.Text), store.Col("email_key", store.Text), store.Col("email", store.Text), store.Col("name", store.Text), store.Col("job_title", store.Text), store.Col("company_name", store.Text),
	store.Col("website", store.Text), store.Col("invite_link", store.Text), store.Col("redirection_link", store.Text), store.Col("team", store.Bigint), store.Col("invited_by", store.Text),
	store.Col("company", store.Text), store.Col("department", store.Text), store.Col("seniority", store.Bigint))

// Create stores a colleague made by hand: pending, or joined when the
// person is a user already. The error is ErrTaken when the organization
// has one with that address.
func Create(ctx context.Context, o *store.Org, actor string, salt []byte, n NewColleague) (Colleague, error) {
	var id string
	err := o.Tx(ctx, func(tx *store.Tx) error {
		set := makeColleagueStatement.Rows(1)
		id = usersync.KeyedID(usersync.PrefixColleague, salt, n.Email.Key())
		if taken, err := colleagueExists(ctx, tx, id); err != nil {
			return fmt.Errorf("look for the colleague's id: %w", err)
		} else if taken {
			id = usersync.NewID(usersync.PrefixColleague)
		}
		set.Add(id, n.Email.Key(), n.Email.Display(), n.Name, n.JobTitle, n.CompanyName, n.Website, n.InviteLink,
			n.RedirectionLink, n.Team, n.Inviter.Key(), n.Company, n.Department, int64(n.Seniority))
		made, err := store.Collect(ctx, tx.Conn, makeColleagueStatement, set, store.ScanString, o.ID())
		if err != nil {
			return fmt.Errorf("insert the colleague: %w", err)
		}
		if len(made) == 0 {
			return ErrTaken
		}
		id = made[0]
		return audit.Record(ctx, tx, o.ID(), actor, "colleague.create", id, "name", "email", "companyName", "toBeInvitedById")
	})
	if err != nil {
		return Colleague{}, err
	}
	return Get(ctx, o, id)
}

var colleagueExistsStatement = store.Define("colleague.colleagueExists", `SELECT 1 FROM colleagues WHERE id = $1`)

// colleagueExists reports whether an id is taken: by a colleague whose address
// has changed since it was derived.
func colleagueExists(ctx context.Context, tx *store.Tx, id string) (bool, error) {
	var one int
	err := tx.QueryRow(ctx, colleagueExistsStatement, id).Scan(&one)
	if errors.Is(err, sql.ErrNoRows) {
		return false, nil
	}
	return err == nil, store.Classify(err)
}

// Change says what to change of a colleague; zero fields stay.
type Change struct {
	Status Status
	Email  usersync.Email
	// Company is that of the new address; it counts for colleagues made by hand.
	Company string
}

var updateColleagueStatement = store.Define("colleague.updateColleague", `
UPDATE colleagues SET status = CASE WHEN $3 = '' THEN status ELSE $3 END,
    email = CASE WHEN $4 = '' THEN email ELSE $4 END, email_key = CASE WHEN $5 = '' THEN email_key ELSE $5 END,
    company = CASE WHEN $5 = '' OR invited_by = '' THEN company ELSE $6 END, latest_action = {now}, updated_at = {now}
WHERE id = $2 AND organization_id = $1 AND status <> 'deleted'`)

// Update changes one colleague; its latest action moves. Errors are
// ErrNotFound and, for an address that another colleague has, ErrTaken.
func Update(ctx context.Context, o *store.Org, actor, id string, u Change) (Colleague, error) {
	var out Colleague
	err := o.Tx(ctx, func(tx *store.Tx) error {
		n, err := tx.Exec(ctx, updateColleagueStatement, nil, o.ID(), id, string(u.Status), u.Email.Display(), u.Email.Key(), u.Company)
		if store.IsDuplicate(err) {
			return ErrTaken
		}
		if err != nil {
			return fmt.Errorf("update the colleague: %w", err)
		}
		out, err = changed(ctx, tx, o, n, actor, "colleague.update", id, u.fields()...)
		return err
	})
	return out, err
}

// changed returns the one colleague that a statement changed, and notes it in the
// audit log. The error is ErrNotFound when the statement changed rows of none.
func changed(ctx context.Context, tx *store.Tx, o *store.Org, rows int64, actor, action, id string, fields ...string) (Colleague, error) {
	if rows == 0 {
		return Colleague{}, ErrNotFound
	}
	out, err := scanColleague(tx.QueryRow(ctx, colleagueStatement, o.ID(), id).Scan)
	if err != nil {
		return out, fmt.Errorf("read the changed colleague: %w", err)
	}
	return out, audit.Record(ctx, tx, o.ID(), actor, action, id, fields...)
}

func (u Change) fields() []string {
	var fields []string
	if u.Status != "" {
		fields = append(fields, "status")
	}
	if !u.Email.IsZero() {
		fields = append(fields, "email")
	}
	return fields
}

var inviteStatement = store.Define("colleague.invite", `
UPDATE colleagues SET status = CASE WHEN status = 'joined' THEN status ELSE 'invited' END, latest_action = {now}, updated_at = {now}
WHERE id = $2 AND organization_id = $1 AND status <> 'deleted'`)

// MarkInvited marks a colleague as invited, unless they have joined, and returns it.
func MarkInvited(ctx context.Context, o *store.Org, actor, id string) (out Colleague, err error) {
	err = o.Tx(ctx, func(tx *store.Tx) error {
		n, err := tx.Exec(ctx, inviteStatement, nil, o.ID(), id)
		if err != nil {
			return fmt.Errorf("mark the colleague as invited: %w", err)
		}
		out, err = changed(ctx, tx, o, n, actor, "colleague.invite", id, "status")
		return err
	})
	return out, err
}

var joinStatement = store.Define("colleague.join", `
UPDATE colleagues SET status = 'joined', latest_action = {now}, updated_at = {now} FROM {rows}
WHERE colleagues.organization_id = r.organization_id AND colleagues.email_key = r.email_key AND colleagues.status IN ('pending', 'invited')`,
	store.Col("organization_id", store.Text), store.Col("email_key", store.Text))

// Join notes that the people with these e-mail keys are users now.
func Join(ctx context.Context, tx *store.Tx, organization string, keys []string) error {
	if len(keys) == 0 {
		return nil
	}
	set := joinStatement.Rows(len(keys))
	for _, key := range keys {
		set.Add(organization, key)
	}
	return tx.Later(ctx, joinStatement, set, nil)
}
