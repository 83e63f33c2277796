package store

import (
	"context"
	"encoding/json"
	"fmt"
	"maps"
	"slices"
	"strings"

	"usersync/internal/usersync"
)

// ColleagueName is what a report shows of a colleague.
type ColleagueName struct{ Name, Email, JobTitle string }

var colleaguesByIDStatement = define(`
SELECT c.id, c.name, c.email, c.job_title FROM {rows} JOIN colleagues c ON c.id = r.id
WHERE c.organization_id = $1 AND c.status <> 'deleted'`, col("id", text))

func (o *Org) colleaguesByID(ctx context.Context, db conn, ids []string) (map[string]ColleagueName, error) {
	known := map[string]ColleagueName{}
	if len(ids) == 0 {
		return known, nil
	}
	slices.Sort(ids)
	ids = slices.Compact(ids)
	_, err := collect(ctx, db, colleaguesByIDStatement, idRows(colleaguesByIDStatement, ids), func(scan func(...any) error) (struct{}, error) {
		var id string
		var c ColleagueName
		err := scan(&id, &c.Name, &c.Email, &c.JobTitle)
		known[id] = c
		return struct{}{}, err
	}, o.ID())
	return known, err
}

// SavedColleague is a colleague record.
type SavedColleague struct {
	ID string
	ColleagueName
}

// FoundColleague is a colleague found for a user.
type FoundColleague struct {
	UserID string
	Candidate
	InviteLink      string
	RedirectionLink string
	Score           float64
	Reasons         []string
}

var insertColleaguesStatement = define(`
INSERT INTO colleagues (id, organization_id, email_key, email, name, job_title, status, company_name, website, invite_link,
    redirection_link, photo, latest_action, created_at, updated_at)
SELECT r.id, $1, r.email_key, r.email, r.name, r.job_title, r.status, r.company_name, r.website, r.invite_link,
    r.redirection_link, r.photo, {now}, {now}, {now}
FROM {rows} WHERE (SELECT count(*) FROM erased e WHERE e.organization_id = $1 AND e.person = r.erased) = 0
    OR (SELECT count(*) FROM users u WHERE u.organization_id = $1 AND u.email_key = r.email_key) = 1
ON CONFLICT DO NOTHING`,
	col("id", text), col("email_key", text), col("email", text), col("name", text), col("job_title", text), col("status", text),
	col("company_name", text), col("website", text), col("invite_link", text), col("redirection_link", text), col("photo", text),
	col("erased", text))

var colleagueIDsStatement = define(`
SELECT c.email_key, c.id, c.name, c.email, c.job_title FROM {rows} JOIN colleagues c ON c.organization_id = r.organization_id AND c.email_key = r.email_key`,
	col("organization_id", text), col("email_key", text))

var linkStatement = define(`
INSERT INTO colleague_links (user_id, colleague_id, organization_id, score, reasons, created_at)
SELECT r.user_id, r.colleague_id, $1, r.score, r.reasons, {now} FROM {rows} WHERE true
ON CONFLICT (user_id, colleague_id) DO UPDATE SET score = excluded.score, reasons = excluded.reasons
WHERE colleague_links.score <> excluded.score OR colleague_links.reasons <> excluded.reasons`,
	col("user_id", text), col("colleague_id", text), col("score", float), col("reasons", text))

// SaveColleagues makes sure that every found colleague has one record in the
// organization and is linked to the user it was found for. It returns the
// records by e-mail key, or an *ErasedError when somebody found was erased
// and is no user again.
func (tx *Tx) SaveColleagues(ctx context.Context, organization string, salt []byte, found []FoundColleague) (map[string]SavedColleague, error) {
	if len(found) == 0 {
		return nil, nil
	}
	byKey := map[string]FoundColleague{}
	for _, f := range found {
		byKey[f.Email.Key()] = f
	}
	ids, err := tx.colleagueIDs(ctx, organization, byKey)
	if err != nil {
		return nil, err
	}
	//lint:loop tries again when another transaction stored some of them meanwhile
	for try := 0; len(ids) < len(byKey); try++ {
		if try == 2 {
			return nil, tx.missing(ctx, organization, salt, byKey, ids)
		}
		if err := tx.insertColleagues(ctx, organization, salt, byKey, ids, try > 0); err != nil {
			return nil, err
		}
		if ids, err = tx.colleagueIDs(ctx, organization, byKey); err != nil {
			return nil, err
		}
	}
	return ids, tx.linkColleagues(ctx, organization, found, ids)
}

func (tx *Tx) colleagueIDs(ctx context.Context, organization string, byKey map[string]FoundColleague) (map[string]SavedColleague, error) {
	set := colleagueIDsStatement.rows(len(byKey))
	for key := range byKey {
		set.add(organization, key)
	}
	ids := make(map[string]SavedColleague, len(byKey))
	_, err := collect(ctx, tx.conn, colleagueIDsStatement, set, func(scan func(...any) error) (struct{}, error) {
		var key string
		var c SavedColleague
		err := scan(&key, &c.ID, &c.Name, &c.Email, &c.JobTitle)
		ids[key] = c
		return struct{}{}, err
	})
	return ids, err
}

func (tx *Tx) insertColleagues(ctx context.Context, organization string, salt []byte, byKey map[string]FoundColleague, known map[string]SavedColleague, random bool) error {
	keys := make([]string, 0, len(byKey))
	for key := range byKey {
		if _, ok := known[key]; !ok {
			keys = append(keys, key)
		}
	}
	slices.Sort(keys)
	set := insertColleaguesStatement.rows(len(keys))
	for _, key := range keys {
		f := byKey[key]
		id := usersync.KeyedID(usersync.PrefixColleague, salt, key)
		if random {
			id = usersync.NewID(usersync.PrefixColleague)
		}
		status := usersync.ColleaguePending
		if f.IsUser {
			status = usersync.ColleagueJoined
		}
		set.add(id, key, f.Email.Display(), f.Name, f.JobTitle, string(status), f.CompanyName, f.Website, f.InviteLink, f.RedirectionLink, f.Photo,
			usersync.KeyedID(usersync.PrefixErasure, salt, key))
	}
	return tx.later(ctx, insertColleaguesStatement, set, nil, organization)
}

func (tx *Tx) linkColleagues(ctx context.Context, organization string, found []FoundColleague, ids map[string]SavedColleague) error {
	type link struct{ user, colleague string }
	links := map[link]FoundColleague{}
	for _, f := range found {
		links[link{f.UserID, ids[f.Email.Key()].ID}] = f
	}
	order := make([]link, 0, len(links))
	for l := range links {
		order = append(order, l)
	}
	slices.SortFunc(order, func(a, b link) int {
		return strings.Compare(a.user+"\x00"+a.colleague, b.user+"\x00"+b.colleague)
	})
	set := linkStatement.rows(len(order))
	for _, l := range order {
		reasons, err := json.Marshal(links[l].Reasons)
		if err != nil {
			return err
		}
		set.add(l.user, l.colleague, links[l].Score, string(reasons))
	}
	return tx.later(ctx, linkStatement, set, nil, organization)
}

// ErasedError says that people found as colleagues have been erased since:
// decide again without them.
type ErasedError struct{ Keys []string }

func (e *ErasedError) Error() string {
	return fmt.Sprintf("store: %d of the people found were erased", len(e.Keys))
}

// missing says why some colleagues could not be stored.
func (tx *Tx) missing(ctx context.Context, organization string, salt []byte, byKey map[string]FoundColleague, known map[string]SavedColleague) error {
	var keys []string
	for key := range byKey {
		if _, ok := known[key]; !ok {
			keys = append(keys, key)
		}
	}
	erased, err := tx.erasedAmong(ctx, organization, salt, keys)
	if err != nil {
		return err
	}
	if len(erased) == 0 {
		return errRace
	}
	return &ErasedError{slices.Sorted(maps.Keys(erased))}
}
