package store

import (
	"context"
	"database/sql"
	"errors"

	"usersync/internal/usersync"
)

// NewColleague is a colleague made by hand.
type NewColleague struct {
	usersync.Colleague // of which id, status and times are made
	Email              usersync.Email
	Inviter            usersync.Email
	Person
}

// The refusals of the colleague calls.
var (
	ErrNoColleague    = usersync.Errorf(usersync.CodeNotFound, "Colleague not found")
	ErrColleagueTaken = usersync.Errorf(usersync.CodeConflict, "A colleague with this email already exists")
)

// colleagueColumns are those of scanColleague. A colleague that was found shows
// the first user it was found for.
const colleagueColumns = `c.id, c.name, c.email, c.job_title, c.status, c.created_at, c.company_name, c.website, c.invite_link,
    c.redirection_link, c.photo, c.team, c.organization_id, CASE WHEN c.invited_by <> '' THEN c.invited_by ELSE
    coalesce((SELECT u.email_key FROM colleague_links l JOIN users u ON u.id = l.user_id WHERE l.colleague_id = c.id
        ORDER BY l.created_at, l.user_id LIMIT 1), '') END, c.latest_action, c.updated_at`

func scanColleague(scan func(...any) error) (c usersync.Colleague, err error) {
	var created, action, updated int64
	var photo string
	err = scan(&c.ID, &c.Name, &c.Email, &c.JobTitle, &c.Status, &created, &c.CompanyName, &c.Website, &c.InviteLink,
		&c.RedirectionLink, &photo, &c.Team, &c.Organization, &c.Inviter, &action, &updated)
	c.CreatedAt, c.LatestAction, c.UpdatedAt = stamp(created), stamp(action), stamp(updated)
	if photo != "" {
		c.Photo = &photo
	}
	return c, err
}

// MaxListedColleagues is how many the colleague list shows.
const MaxListedColleagues = 50

var listColleaguesStatement = define(`
SELECT ` + colleagueColumns + ` FROM colleagues c
WHERE c.id {any}
    SELECT l.colleague_id FROM users u JOIN colleague_links l ON l.user_id = u.id WHERE u.organization_id = $1 AND u.email_key = $2
    UNION
    SELECT h.id FROM colleagues h WHERE h.organization_id = $1 AND h.invited_by = $2 AND h.invited_by <> ''{/any}
AND c.organization_id = $1 AND c.status <> 'deleted'
ORDER BY CASE WHEN c.status = 'joined' THEN 0 ELSE 1 END, CASE WHEN c.photo <> '' THEN 0 ELSE 1 END, c.created_at DESC, c.id DESC
LIMIT $3`)

// Colleagues returns the colleagues found for the user with this address, or
// made by hand in their name: joined ones first, then those with a photo, then
// the newest, without deleted ones. An unknown address has none.
func (o *Org) Colleagues(ctx context.Context, email usersync.Email) ([]usersync.Colleague, error) {
	list, err := collect(ctx, o.reader(), listColleaguesStatement, nil, scanColleague, o.ID(), email.Key(), MaxListedColleagues)
	for i := range list {
		list[i].Inviter = email.Key()
	}
	return list, err
}

var colleagueStatement = define(`
SELECT ` + colleagueColumns + ` FROM colleagues c WHERE c.id = $2 AND c.organization_id = $1`)

// Colleague returns one colleague that is not deleted.
func (o *Org) Colleague(ctx context.Context, id string) (usersync.Colleague, error) {
	c, err := scanColleague(o.reader().row(ctx, colleagueStatement, o.ID(), id).Scan)
	if errors.Is(err, sql.ErrNoRows) || err == nil && c.Status == usersync.ColleagueDeleted {
		return usersync.Colleague{}, ErrNoColleague
	}
	return c, classify(err)
}

// makeColleagueStatement makes a record or takes up again one that was deleted.
var makeColleagueStatement = define(`
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
	col("id", text), col("email_key", text), col("email", text), col("name", text), col("job_title", text), col("company_name", text),
	col("website", text), col("invite_link", text), col("redirection_link", text), col("team", bigint), col("invited_by", text),
	col("company", text), col("department", text), col("seniority", integer))

// CreateColleague stores a colleague made by hand: pending, or joined when the
// person is a user already. The error is ErrColleagueTaken when the organization
// has one with that address.
func (o *Org) CreateColleague(ctx context.Context, actor string, salt []byte, n NewColleague) (usersync.Colleague, error) {
	var id string
	err := o.Tx(ctx, func(tx *Tx) error {
		set := makeColleagueStatement.rows(1)
		id = usersync.KeyedID(usersync.PrefixColleague, salt, n.Email.Key())
		if taken, err := tx.colleagueExists(ctx, id); err != nil {
			return err
		} else if taken {
			id = usersync.NewID(usersync.PrefixColleague)
		}
		set.add(id, n.Email.Key(), n.Email.Display(), n.Name, n.JobTitle, n.CompanyName, n.Website, n.InviteLink,
			n.RedirectionLink, n.Team, n.Inviter.Key(), n.Company, n.Department, int64(n.Seniority))
		made, err := collect(ctx, tx.conn, makeColleagueStatement, set, scanID, o.ID())
		if err != nil {
			return err
		}
		if len(made) == 0 {
			return ErrColleagueTaken
		}
		id = made[0]
		return tx.audit(ctx, o.ID(), actor, "colleague.create", id, "name", "email", "companyName", "toBeInvitedById")
	})
	if err != nil {
		return usersync.Colleague{}, err
	}
	return o.Colleague(ctx, id)
}

func scanID(scan func(...any) error) (id string, err error) { return id, scan(&id) }

var colleagueExistsStatement = define(`SELECT 1 FROM colleagues WHERE id = $1`)

// colleagueExists reports whether an id is taken: by a colleague whose address
// has changed since it was derived.
func (tx *Tx) colleagueExists(ctx context.Context, id string) (bool, error) {
	var one int
	err := tx.row(ctx, colleagueExistsStatement, id).Scan(&one)
	if errors.Is(err, sql.ErrNoRows) {
		return false, nil
	}
	return err == nil, classify(err)
}

// ColleagueUpdate says what to change of a colleague; zero fields stay.
type ColleagueUpdate struct {
	Status usersync.ColleagueStatus
	Email  usersync.Email
	// Company is that of the new address; it counts for colleagues made by hand.
	Company string
}

var updateColleagueStatement = define(`
UPDATE colleagues SET status = CASE WHEN $3 = '' THEN status ELSE $3 END,
    email = CASE WHEN $4 = '' THEN email ELSE $4 END, email_key = CASE WHEN $5 = '' THEN email_key ELSE $5 END,
    company = CASE WHEN $5 = '' OR invited_by = '' THEN company ELSE $6 END, latest_action = {now}, updated_at = {now}
WHERE id = $2 AND organization_id = $1 AND status <> 'deleted'`)

// UpdateColleague changes one colleague; its latest action moves. Errors are
// ErrNoColleague and, for an address that another has, ErrColleagueTaken.
func (o *Org) UpdateColleague(ctx context.Context, actor, id string, u ColleagueUpdate) (usersync.Colleague, error) {
	var out usersync.Colleague
	err := o.Tx(ctx, func(tx *Tx) error {
		n, err := tx.exec(ctx, updateColleagueStatement, nil, o.ID(), id, string(u.Status), u.Email.Display(), u.Email.Key(), u.Company)
		if isDuplicate(err) {
			return ErrColleagueTaken
		}
		if err != nil {
			return err
		}
		if n == 0 {
			return ErrNoColleague
		}
		if out, err = scanColleague(tx.row(ctx, colleagueStatement, o.ID(), id).Scan); err != nil {
			return err
		}
		return tx.audit(ctx, o.ID(), actor, "colleague.update", id, u.fields()...)
	})
	return out, err
}

func (u ColleagueUpdate) fields() []string {
	var fields []string
	if u.Status != "" {
		fields = append(fields, "status")
	}
	if !u.Email.IsZero() {
		fields = append(fields, "email")
	}
	return fields
}

var inviteStatement = define(`
UPDATE colleagues SET status = CASE WHEN status = 'joined' THEN status ELSE 'invited' END, latest_action = {now}, updated_at = {now}
WHERE id = $2 AND organization_id = $1 AND status <> 'deleted'`)

// Invite marks a colleague as invited, unless they have joined, and returns it.
func (o *Org) Invite(ctx context.Context, actor, id string) (out usersync.Colleague, err error) {
	err = o.Tx(ctx, func(tx *Tx) error {
		n, err := tx.exec(ctx, inviteStatement, nil, o.ID(), id)
		if err != nil {
			return err
		}
		if n == 0 {
			return ErrNoColleague
		}
		if out, err = scanColleague(tx.row(ctx, colleagueStatement, o.ID(), id).Scan); err != nil {
			return err
		}
		return tx.audit(ctx, o.ID(), actor, "colleague.invite", id, "status")
	})
	return out, err
}

var joinStatement = define(`
UPDATE colleagues SET status = 'joined', latest_action = {now}, updated_at = {now} FROM {rows}
WHERE colleagues.organization_id = r.organization_id AND colleagues.email_key = r.email_key AND colleagues.status IN ('pending', 'invited')`,
	col("organization_id", text), col("email_key", text))

// JoinColleagues notes that the people with these e-mail keys are users now.
func (tx *Tx) JoinColleagues(ctx context.Context, organization string, keys []string) error {
	if len(keys) == 0 {
		return nil
	}
	set := joinStatement.rows(len(keys))
	for _, key := range keys {
		set.add(organization, key)
	}
	return tx.later(ctx, joinStatement, set, nil)
}
