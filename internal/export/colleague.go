package export

import (
	"context"
	"errors"

	"usersync/internal/store"
	"usersync/internal/usersync"
)

// ColleagueRecord is what is stored of a person as somebody's colleague.
type ColleagueRecord struct {
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

const colleagueColumns = `id, email, email_key, name, job_title, status, company_name, website, invite_link, redirection_link, photo,
    created_at, updated_at`

var (
	colleagueStatement         = store.Define("export.colleague", `SELECT `+colleagueColumns+` FROM colleagues WHERE organization_id = $1 AND email_key = $2`)
	colleaguesInvitedStatement = store.Define("export.colleaguesInvited", `
SELECT `+colleagueColumns+` FROM colleagues
WHERE organization_id = $1 AND invited_by = $2 AND invited_by <> '' AND id > $3 ORDER BY id LIMIT $4`)
)

func scanColleagueRecord(scan func(...any) error) (c ColleagueRecord, err error) {
	var address, key string
	var created, updated int64
	err = scan(&c.ID, &address, &key, &c.Name, &c.JobTitle, &c.Status, &c.CompanyName, &c.Website, &c.InviteLink, &c.RedirectionLink, &c.Photo,
		&created, &updated)
	c.Email, c.CreatedAt, c.UpdatedAt = usersync.NewEmail(address, key), store.Stamp(created), store.Stamp(updated)
	return c, err
}

// FindColleagueRecord returns the colleague record of an address; nil when there is none.
func FindColleagueRecord(ctx context.Context, o *store.Org, email usersync.Email) (*ColleagueRecord, error) {
	return oneOf(store.Collect(ctx, o.Reader(), colleagueStatement, nil, scanColleagueRecord, o.ID(), email.Key()))
}

// ColleaguesInvited returns up to limit colleagues that the person with an address made
// by hand, in the order of their ids and behind the id after.
func ColleaguesInvited(ctx context.Context, o *store.Org, email usersync.Email, after string, limit int) ([]ColleagueRecord, error) {
	return store.Collect(ctx, o.Reader(), colleaguesInvitedStatement, nil, scanColleagueRecord, o.ID(), email.Key(), after, limit)
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
	colleaguesFoundStatement = store.Define("export.colleaguesFound", `
SELECT user_id, colleague_id, score, reasons, created_at FROM colleague_links
WHERE user_id = $2 AND organization_id = $1 AND colleague_id > $3 ORDER BY colleague_id LIMIT $4`)
	foundForStatement = store.Define("export.foundFor", `
SELECT user_id, colleague_id, score, reasons, created_at FROM colleague_links
WHERE colleague_id = $2 AND organization_id = $1 AND user_id > $3 ORDER BY user_id LIMIT $4`)
)

func scanLink(scan func(...any) error) (l Link, err error) {
	var reasons string
	var created int64
	err = scan(&l.UserID, &l.ColleagueID, &l.Score, &reasons, &created)
	l.CreatedAt = store.Stamp(created)
	return l, errors.Join(err, store.Decode(reasons, &l.Reasons))
}

// ColleaguesFound returns up to limit links to the colleagues that were found for a
// user, in the order of the colleagues' ids and behind the id after.
func ColleaguesFound(ctx context.Context, o *store.Org, userID, after string, limit int) ([]Link, error) {
	return store.Collect(ctx, o.Reader(), colleaguesFoundStatement, nil, scanLink, o.ID(), userID, after, limit)
}

// FoundFor returns up to limit links to the users that a colleague was found for, in the
// order of the users' ids and behind the id after.
func FoundFor(ctx context.Context, o *store.Org, colleagueID, after string, limit int) ([]Link, error) {
	return store.Collect(ctx, o.Reader(), foundForStatement, nil, scanLink, o.ID(), colleagueID, after, limit)
}
