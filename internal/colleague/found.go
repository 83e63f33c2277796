package colleague

import (
	"context"
	"encoding/json"
	"fmt"
	"maps"
	"slices"
	"strings"

	"usersync/internal/store"
	"usersync/internal/user"
	"usersync/internal/usersync"
)

// Summary is what a report or a message shows of a colleague.
type Summary struct{ ID, Name, Email, JobTitle string }

func scanSummary(scan func(...any) error) (s Summary, err error) {
	return s, scan(&s.ID, &s.Name, &s.Email, &s.JobTitle)
}

var colleaguesByIDStatement = store.Define("colleague.byID", `
SELECT c.id, c.name, c.email, c.job_title FROM {rows} JOIN colleagues c ON c.id = r.id
WHERE c.organization_id = $1 AND c.status <> 'deleted'`, store.Col("id", store.Text))

// ByID returns those of the colleagues that are neither deleted nor erased, by their
// ids. It sorts ids, which may name one more than once.
func ByID(ctx context.Context, o *store.Org, db store.Conn, ids []string) (map[string]Summary, error) {
	known := map[string]Summary{}
	if len(ids) == 0 {
		return known, nil
	}
	slices.Sort(ids)
	ids = slices.Compact(ids)
	list, err := store.Collect(ctx, db, colleaguesByIDStatement, store.IDRows(colleaguesByIDStatement, ids), scanSummary, o.ID())
	if err != nil {
		return nil, fmt.Errorf("read colleagues by id: %w", err)
	}
	for _, c := range list {
		known[c.ID] = c
	}
	return known, nil
}

// Found is a colleague that was found for a user, as it is to be stored.
type Found struct {
	UserID string
	Candidate
	InviteLink      string
	RedirectionLink string
	Score           float64
	Reasons         []string
}

var insertColleaguesStatement = store.Define("colleague.insert", `
INSERT INTO colleagues (id, organization_id, email_key, email, name, job_title, status, company_name, website, invite_link,
    redirection_link, photo, latest_action, created_at, updated_at)
SELECT r.id, $1, r.email_key, r.email, r.name, r.job_title, r.status, r.company_name, r.website, r.invite_link,
    r.redirection_link, r.photo, {now}, {now}, {now}
FROM {rows} WHERE (SELECT count(*) FROM erased e WHERE e.organization_id = $1 AND e.person = r.erased) = 0
    OR (SELECT count(*) FROM users u WHERE u.organization_id = $1 AND u.email_key = r.email_key) = 1
ON CONFLICT DO NOTHING`,
	store.Col("id", store.Text), store.Col("email_key", store.Text), store.Col("email", store.Text), store.Col("name", store.Text), store.Col("job_title", store.Text), store.Col("status", store.Text),
	store.Col("company_name", store.Text), store.Col("website", store.Text), store.Col("invite_link", store.Text), store.Col("redirection_link", store.Text), store.Col("photo", store.Text),
	store.Col("erased", store.Text))

// saveRecordsStatement is insertColleaguesStatement for PostgreSQL, to which each
// statement is a trip: it returns the records that there are and those it has made.
var saveRecordsStatement = store.DefinePerEngine("colleague.saveRecords", `
WITH known AS MATERIALIZED (
    SELECT r.email_key, c.id, c.name, c.email, c.job_title FROM {rows}
    CROSS JOIN LATERAL (SELECT * FROM colleagues x WHERE x.organization_id = $1 AND x.email_key = r.email_key LIMIT 1) AS c
), made AS (
    INSERT INTO colleagues (id, organization_id, email_key, email, name, job_title, status, company_name, website, invite_link,
        redirection_link, photo, latest_action, created_at, updated_at)
    SELECT r.id, $1, r.email_key, r.email, r.name, r.job_title, r.status, r.company_name, r.website, r.invite_link,
        r.redirection_link, r.photo, {now}, {now}, {now}
    FROM {rows} WHERE (SELECT 1 FROM colleagues x WHERE x.organization_id = $1 AND x.email_key = r.email_key) IS NULL
        AND ((SELECT count(*) FROM erased e WHERE e.organization_id = $1 AND e.person = r.erased) = 0
            OR (SELECT count(*) FROM users u WHERE u.organization_id = $1 AND u.email_key = r.email_key) = 1)
    {again}ON CONFLICT DO NOTHING{/again}
    RETURNING email_key, id, name, email, job_title
)
SELECT email_key, id, name, email, job_title FROM known UNION ALL SELECT email_key, id, name, email, job_title FROM made`, ``,
	insertColleaguesStatement.Columns...)

var colleagueIDsStatement = store.Define("colleague.ids", `
SELECT c.email_key, c.id, c.name, c.email, c.job_title FROM {rows} JOIN colleagues c ON c.organization_id = r.organization_id AND c.email_key = r.email_key`,
	store.Col("organization_id", store.Text), store.Col("email_key", store.Text))

var linkStatement = store.Define("colleague.link", `
INSERT INTO colleague_links (user_id, colleague_id, organization_id, score, reasons, created_at)
SELECT r.user_id, r.colleague_id, $1, r.score, r.reasons, {now} FROM {rows} WHERE true
ON CONFLICT (user_id, colleague_id, organization_id) DO UPDATE SET score = excluded.score, reasons = excluded.reasons
WHERE colleague_links.score <> excluded.score OR colleague_links.reasons <> excluded.reasons`,
	store.Col("user_id", store.Text), store.Col("colleague_id", store.Text), store.Col("score", store.Float), store.Col("reasons", store.Text))

// SaveFound makes sure that every found colleague has one record in the
// organization and is linked to the user it was found for. It returns the
// records by e-mail key, or an *ErasedError when somebody found was erased
// and is no user again.
func SaveFound(ctx context.Context, tx *store.Tx, organization string, salt []byte, found []Found) (map[string]Summary, error) {
	if len(found) == 0 {
		return nil, nil
	}
	byKey := map[string]Found{}
	for _, f := range found {
		byKey[f.Email.Key()] = f
	}
	ids, err := firstRecords(ctx, tx, organization, salt, byKey)
	if err != nil {
		return nil, fmt.Errorf("read the records of found colleagues: %w", err)
	}
	//lint:loop tries again when another transaction stored some of them meanwhile
	for _, newID := range []func(key string) string{keyedID(salt), randomID} {
		if len(ids) == len(byKey) {
			break
		}
		if err := insertColleagues(ctx, tx, organization, salt, without(byKey, ids), newID); err != nil {
			return nil, fmt.Errorf("insert found colleagues: %w", err)
		}
		if ids, err = recordsByKey(ctx, tx, organization, byKey); err != nil {
			return nil, fmt.Errorf("read the records of found colleagues again: %w", err)
		}
	}
	if len(ids) < len(byKey) {
		return nil, missing(ctx, tx, organization, salt, slices.Collect(maps.Keys(without(byKey, ids))))
	}
	return ids, linkColleagues(ctx, tx, organization, found, ids)
}

// firstRecords returns the records of those found that there are. On PostgreSQL it
// also makes those that nothing is in the way of.
func firstRecords(ctx context.Context, tx *store.Tx, organization string, salt []byte, byKey map[string]Found) (map[string]Summary, error) {
	if tx.Embedded() {
		return recordsByKey(ctx, tx, organization, byKey)
	}
	return collectRecords(ctx, tx, saveRecordsStatement, newRecords(salt, byKey, keyedID(salt)), organization)
}

func recordsByKey(ctx context.Context, tx *store.Tx, organization string, byKey map[string]Found) (map[string]Summary, error) {
	set := colleagueIDsStatement.Rows(len(byKey))
	for key := range byKey {
		set.Add(organization, key)
	}
	return collectRecords(ctx, tx, colleagueIDsStatement, set)
}

// collectRecords runs a query for records, and returns them by e-mail key.
func collectRecords(ctx context.Context, tx *store.Tx, st *store.Statement, set *store.Rows, args ...any) (map[string]Summary, error) {
	ids := make(map[string]Summary, set.Len())
	_, err := store.Collect(ctx, tx.Conn, st, set, func(scan func(...any) error) (struct{}, error) {
		var key string
		var c Summary
		err := scan(&key, &c.ID, &c.Name, &c.Email, &c.JobTitle)
		ids[key] = c
		return struct{}{}, err
	}, args...)
	return ids, err
}

// keyedID names colleagues after their addresses: two transactions that store the
// same one make one record.
func keyedID(salt []byte) func(key string) string {
	return func(key string) string { return usersync.KeyedID(usersync.PrefixColleague, salt, key) }
}

// randomID names a colleague whose keyed id another record has: one that was made
// under this address, and has another since or was erased.
func randomID(string) string { return usersync.NewID(usersync.PrefixColleague) }

// without returns what was found of people who have no record yet.
func without(byKey map[string]Found, known map[string]Summary) map[string]Found {
	left := maps.Clone(byKey)
	maps.DeleteFunc(left, func(key string, _ Found) bool {
		_, ok := known[key]
		return ok
	})
	return left
}

// insertColleagues makes records under the ids that newID gives to e-mail keys. It
// leaves out who was erased, and whose id or address is there already.
func insertColleagues(ctx context.Context, tx *store.Tx, organization string, salt []byte, byKey map[string]Found, newID func(key string) string) error {
	return tx.Later(ctx, insertColleaguesStatement, newRecords(salt, byKey, newID), nil, organization)
}

// newRecords returns the records of those found under the ids that newID gives.
func newRecords(salt []byte, byKey map[string]Found, newID func(key string) string) *store.Rows {
	set := insertColleaguesStatement.Rows(len(byKey))
	for _, key := range slices.Sorted(maps.Keys(byKey)) {
		f := byKey[key]
		status := Pending
		if f.IsUser {
			status = Joined
		}
		set.Add(newID(key), key, f.Email.Display(), f.Name, f.JobTitle, string(status), f.CompanyName, f.Website, f.InviteLink, f.RedirectionLink, f.Photo,
			usersync.KeyedID(usersync.PrefixErasure, salt, key))
	}
	return set
}

func linkColleagues(ctx context.Context, tx *store.Tx, organization string, found []Found, ids map[string]Summary) error {
	type link struct{ user, colleague string }
	links := map[link]Found{}
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
	set := linkStatement.Rows(len(order))
	for _, l := range order {
		reasons, err := json.Marshal(links[l].Reasons)
		if err != nil {
			return fmt.Errorf("encode the reasons of a match: %w", err)
		}
		set.Add(l.user, l.colleague, links[l].Score, string(reasons))
	}
	return tx.Later(ctx, linkStatement, set, nil, organization)
}

// ErasedError says that people found as colleagues have been erased since:
// decide again without them.
type ErasedError struct{ Keys []string }

func (e *ErasedError) Error() string {
	return fmt.Sprintf("%d of the people found were erased", len(e.Keys))
}

// missing says why colleagues with these e-mail keys could not be stored.
func missing(ctx context.Context, tx *store.Tx, organization string, salt []byte, keys []string) error {
	erased, err := user.ErasedAmong(ctx, tx, organization, salt, keys)
	if err != nil {
		return fmt.Errorf("find out why colleagues are missing: %w", err)
	}
	if len(erased) == 0 {
		return store.ErrRace
	}
	return &ErasedError{slices.Sorted(maps.Keys(erased))}
}
