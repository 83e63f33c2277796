// Package user keeps the people whom organizations tell us about, and remembers who of
// them was erased.
package user

import (
	"cmp"
	"context"
	"database/sql"
	"errors"
	"fmt"
	"maps"
	"slices"
	"time"

	"usersync/internal/store"
	"usersync/internal/usersync"
)

// Update is a changed user, with what the colleague search compares by anew.
type Update struct {
	usersync.User
	Identity
}

// Stored is a user as it is shown.
type Stored struct {
	ID         string         `json:"id"`
	Email      usersync.Email `json:"email"`
	Country    string         `json:"country"`
	FirstName  string         `json:"firstName"`
	LastName   string         `json:"lastName"`
	Name       string         `json:"name"`
	JobTitle   string         `json:"jobTitle"`
	InviteLink string         `json:"inviteLink"`
	Attributes map[string]any `json:"attributes"`
	// Tags are those that the user has, in alphabetical order.
	Tags []string `json:"tags,omitempty"`
	// Removed says that the user was taken out of the system that told of them.
	Removed bool `json:"removed,omitempty"`
	// Company is the registrable domain of a work address.
	Company   string        `json:"company"`
	Version   int64         `json:"version"`
	CreatedAt usersync.Time `json:"createdAt"`
	UpdatedAt usersync.Time `json:"updatedAt"`
	// Sequences holds, per field, the acceptance sequence that set it.
	Sequences map[usersync.Field]int64 `json:"-"`
}

// Input returns what is known of the user as a request would say it.
func (u Stored) Input() usersync.UserInput {
	in := usersync.UserInput{Email: u.Email, Country: u.Country, FirstName: u.FirstName, LastName: u.LastName, Name: u.Name,
		JobTitle: u.JobTitle, InviteLink: u.InviteLink, Attributes: u.Attributes}
	in.Cleared = in.ClearedFields(u.Sequences)
	return in
}

// User returns the user as something is merged into: nothing that is changed of it
// changes u.
func (u Stored) User() usersync.User {
	out := usersync.User{ID: u.ID, UserInput: u.Input(), Sequences: maps.Clone(u.Sequences), Version: u.Version}
	out.Cleared, out.Attributes, out.Removed = nil, maps.Clone(u.Attributes), &u.Removed
	for _, tag := range u.Tags {
		if out.Tags == nil {
			out.Tags = map[string]bool{}
		}
		out.Tags[tag] = true
	}
	return out
}

var updateUsersStatement = store.Define("user.updateUsers", `
UPDATE users SET company = r.company, country = r.country, department = r.department, seniority = r.seniority,
    first_name = r.first_name, last_name = r.last_name, name = r.name, job_title = r.job_title, invite_link = r.invite_link,
    attributes = r.attributes, tags = r.tags, removed = r.removed, sequences = r.sequences, version = r.version + 1, updated_at = {now}
FROM {rows} WHERE users.id = r.id AND users.version = r.version`,
	store.Col("id", store.Text), store.Col("version", store.Bigint), store.Col("company", store.Text), store.Col("country", store.Text), store.Col("department", store.Text),
	store.Col("seniority", store.Bigint), store.Col("first_name", store.Text), store.Col("last_name", store.Text), store.Col("name", store.Text), store.Col("job_title", store.Text),
	store.Col("invite_link", store.Text), store.Col("attributes", store.Text), store.Col("tags", store.Text),
	store.Col("removed", store.Bigint), store.Col("sequences", store.Text))

// Save stores merged users. The transaction fails with store.ErrStale when one of them
// has changed since it was read.
func Save(ctx context.Context, tx *store.Tx, users []Update) error {
	if len(users) == 0 {
		return nil
	}
	slices.SortFunc(users, func(a, b Update) int { return cmp.Compare(a.ID, b.ID) })
	set := updateUsersStatement.Rows(len(users))
	for _, u := range users {
		set.Add(u.ID, u.Version, u.Company, u.Country, u.Department, int64(u.Seniority), u.FirstName, u.LastName,
			u.Name, u.JobTitle, u.InviteLink, store.Encode(u.Attributes), store.Encode(u.Tags), removedNumber(u.UserInput), store.Encode(u.Sequences))
	}
	return tx.Later(ctx, updateUsersStatement, set, &store.Fence{Least: len(users), Refusal: store.ErrStale})
}

// removedNumber is how a column says whether a user was removed.
func removedNumber(in usersync.UserInput) int64 {
	if in.Removed != nil && *in.Removed {
		return 1
	}
	return 0
}

// Columns are those of a row of users that Scan reads.
const Columns = `id, email, email_key, country, first_name, last_name, name, job_title, invite_link, attributes, company, tags, removed, sequences,
    version, created_at, updated_at`

// Scan reads a row that begins with Columns.
func Scan(scan func(...any) error) (u Stored, err error) {
	var email, key, attributes, tags, sequences string
	var created, updated, removed int64
	err = scan(&u.ID, &email, &key, &u.Country, &u.FirstName, &u.LastName, &u.Name, &u.JobTitle, &u.InviteLink, &attributes, &u.Company,
		&tags, &removed, &sequences, &u.Version, &created, &updated)
	if err != nil {
		return u, err
	}
	u.Email, u.Attributes, u.CreatedAt, u.UpdatedAt = usersync.NewEmail(email, key), map[string]any{}, store.Stamp(created), store.Stamp(updated)
	var has map[string]bool
	err = errors.Join(store.Decode(attributes, &u.Attributes), store.Decode(sequences, &u.Sequences), store.Decode(tags, &has))
	u.Tags, u.Removed = slices.Sorted(maps.Keys(has)), removed == 1
	return u, err
}

var (
	userStatement    = store.Define("user.user", `SELECT `+Columns+` FROM users WHERE id = $2 AND organization_id = $1`)
	userKeyStatement = store.Define("user.userKey", `SELECT `+Columns+` FROM users WHERE organization_id = $1 AND email_key = $2`)
	usersStatement   = store.Define("user.users", `SELECT `+Columns+` FROM users WHERE organization_id = $1 AND id <> '' AND id < $2 ORDER BY id DESC LIMIT $3`)
)

// ErrNotFound is the refusal of an id that names no user of the organization.
var ErrNotFound = usersync.Errorf(usersync.CodeNotFound, "User not found")

// Get returns one user.
func Get(ctx context.Context, o *store.Org, id string) (Stored, error) {
	u, err := Scan(o.Reader().QueryRow(ctx, userStatement, o.ID(), id).Scan)
	if errors.Is(err, sql.ErrNoRows) {
		return u, ErrNotFound
	}
	return u, store.Classify(err)
}

// ByEmail returns the user with an address: a list of none or one.
func ByEmail(ctx context.Context, o *store.Org, email usersync.Email) ([]Stored, error) {
	return store.Collect(ctx, o.Reader(), userKeyStatement, nil, Scan, o.ID(), email.Key())
}

// List returns up to limit users in descending order of their ids, which
// tell nothing of time, with ids below before when that is given.
func List(ctx context.Context, o *store.Org, before string, limit int) ([]Stored, error) {
	return store.Collect(ctx, o.Reader(), usersStatement, nil, Scan, o.ID(), cmp.Or(before, store.AfterAll(usersync.PrefixUser)), limit)
}

var userNameStatement = store.Define("user.userName", `
SELECT name, first_name, last_name FROM users WHERE organization_id = $1 AND email_key = $2`)

// Name returns the full name of the user with this e-mail key, "" when it or
// the user is unknown.
func Name(ctx context.Context, o *store.Org, key string) (string, error) {
	var in usersync.UserInput
	err := o.Reader().QueryRow(ctx, userNameStatement, o.ID(), key).Scan(&in.Name, &in.FirstName, &in.LastName)
	if errors.Is(err, sql.ErrNoRows) {
		return "", nil
	}
	return cmp.Or(in.Name, in.FullName()), store.Classify(err)
}

// usersByIDStatement reads users as they are now.
var usersByIDStatement = store.Define("user.usersByID", `
SELECT u.id, u.email, u.email_key, u.country, u.first_name, u.last_name, u.name, u.job_title, u.invite_link, u.attributes, u.company,
    u.tags, u.removed, u.sequences, u.version, u.created_at, u.updated_at
FROM {rows} JOIN users u ON u.id = r.id WHERE u.organization_id = $1`, store.Col("id", store.Text))

// ByID returns the users that exist among the ids, by their ids.
func ByID(ctx context.Context, o *store.Org, ids []string) (map[string]Stored, error) {
	list, err := store.Collect(ctx, o.Reader(), usersByIDStatement, store.IDRows(usersByIDStatement, ids), Scan, o.ID())
	out := make(map[string]Stored, len(list))
	for _, u := range list {
		out[u.ID] = u
	}
	if err != nil {
		return out, fmt.Errorf("read users by id: %w", err)
	}
	return out, nil
}

var (
	countUpdatedStatement = store.Define("user.countUpdated", `SELECT count(*) FROM users WHERE organization_id = $1 AND id <> '' AND updated_at >= $2`)
	firstUpdatedStatement = store.Define("user.firstUpdated", `
SELECT `+Columns+` FROM users WHERE organization_id = $1 AND id <> '' AND updated_at >= $2 ORDER BY id LIMIT $3`)
)

// UpdatedSince counts the users that were last told of at or after a time, and
// returns the first limit of them, by their ids.
func UpdatedSince(ctx context.Context, o *store.Org, since time.Time, limit int) (count int64, first []Stored, err error) {
	db := o.Reader()
	if err := db.QueryRow(ctx, countUpdatedStatement, o.ID(), store.Micros(since)).Scan(&count); err != nil {
		return 0, nil, fmt.Errorf("count the active users: %w", store.Classify(err))
	}
	if first, err = store.Collect(ctx, db, firstUpdatedStatement, nil, Scan, o.ID(), store.Micros(since), limit); err != nil {
		return 0, nil, fmt.Errorf("read the first active users: %w", err)
	}
	return count, first, nil
}
