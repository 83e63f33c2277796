package store

import (
	"cmp"
	"context"
	"database/sql"
	"encoding/json"
	"errors"
	"maps"
	"slices"

	"usersync/internal/usersync"
)

// NewUser is a user as the accepting transaction stores it when it is not
// known yet: everything the request says, and what follows from it.
type NewUser struct {
	usersync.UserInput
	// Person holds what the search compares by.
	Person
}

// Person is what the colleague search compares people by. It follows from the
// address, the country and the job title.
type Person struct {
	Key        string // the address without +tag: the same person under two addresses
	Company    string // "" for personal and disposable addresses
	Department string
	Seniority  int
}

var insertUsersStatement = define(`
INSERT INTO users (id, organization_id, email_key, email, person_key, company, country, department, seniority,
    first_name, last_name, name, job_title, invite_link, attributes, sequences, created_at, updated_at)
SELECT CASE WHEN (SELECT count(*) FROM erased e WHERE e.organization_id = r.organization_id AND e.person = r.erased) = 0 THEN r.id ELSE r.fresh END,
    r.organization_id, r.email_key, r.email, r.person_key, r.company, r.country, r.department, r.seniority,
    r.first_name, r.last_name, r.name, r.job_title, r.invite_link, r.attributes, r.sequences, {now}, {now}
FROM {rows} WHERE true
ON CONFLICT DO NOTHING
RETURNING id, organization_id, email_key`,
	col("id", text), col("organization_id", text), col("email_key", text), col("email", text), col("person_key", text),
	col("company", text), col("country", text), col("department", text), col("seniority", integer),
	col("first_name", text), col("last_name", text), col("name", text), col("job_title", text), col("invite_link", text),
	col("attributes", text), col("sequences", text), col("fresh", text), col("erased", text))

var userIDsStatement = define(`
SELECT u.id, u.organization_id, u.email_key FROM {rows}
JOIN users u ON u.organization_id = r.organization_id AND u.email_key = r.email_key`,
	col("organization_id", text), col("email_key", text))

// userKey is what a user is known by.
type userKey struct{ organization, email string }

// resolveUsers stores the users that are not known yet and returns the ids of
// all, by organization and e-mail key.
func (tx *Tx) resolveUsers(ctx context.Context, wanted map[userKey]*Acceptance) (map[userKey]string, error) {
	if len(wanted) == 0 {
		return nil, nil
	}
	keys := sortedKeys(wanted)
	known, err := tx.userIDs(ctx, keys)
	if err != nil {
		return nil, err
	}
	//lint:loop tries again when another transaction stored some of them meanwhile
	for try := 0; len(known) < len(keys); try++ {
		if try == 2 {
			return nil, errRace
		}
		made, err := tx.insertUsers(ctx, wanted, keys, known, try > 0)
		if err != nil {
			return nil, err
		}
		maps.Copy(known, made)
		if len(known) == len(keys) {
			break
		}
		// Another transaction stored some of them meanwhile.
		if known, err = tx.userIDs(ctx, keys); err != nil {
			return nil, err
		}
	}
	return known, nil
}

func sortedKeys(wanted map[userKey]*Acceptance) []userKey {
	keys := make([]userKey, 0, len(wanted))
	for k := range wanted {
		keys = append(keys, k)
	}
	slices.SortFunc(keys, func(a, b userKey) int {
		return cmp.Or(cmp.Compare(a.organization, b.organization), cmp.Compare(a.email, b.email))
	})
	return keys
}

func (tx *Tx) userIDs(ctx context.Context, keys []userKey) (map[userKey]string, error) {
	set := userIDsStatement.rows(len(keys))
	for _, k := range keys {
		set.add(k.organization, k.email)
	}
	return tx.collectIDs(ctx, userIDsStatement, set)
}

func (tx *Tx) collectIDs(ctx context.Context, st *statement, set *rows) (map[userKey]string, error) {
	ids := map[userKey]string{}
	_, err := collect(ctx, tx.conn, st, set, func(scan func(...any) error) (struct{}, error) {
		var id string
		var key userKey
		err := scan(&id, &key.organization, &key.email)
		ids[key] = id
		return struct{}{}, err
	})
	return ids, err
}

// insertUsers stores those of keys that are not known and returns their ids.
// Where the derived id is taken, by a user whose address has changed since,
// random says to take another. Who was erased and is sent again is a new user:
// nothing that is left under the old id may come together with them.
func (tx *Tx) insertUsers(ctx context.Context, wanted map[userKey]*Acceptance, keys []userKey, known map[userKey]string, random bool) (map[userKey]string, error) {
	set := insertUsersStatement.rows(len(keys) - len(known))
	for _, k := range keys {
		if _, ok := known[k]; ok {
			continue
		}
		a := wanted[k]
		id, fresh := usersync.KeyedID(usersync.PrefixUser, a.Salt, k.email), usersync.NewID(usersync.PrefixUser)
		if random {
			id = fresh
		}
		attributes, sequences := newUser(a)
		set.add(id, k.organization, k.email, a.User.Email.Display(), a.User.Key, a.User.Company, a.User.Country,
			a.User.Department, int64(a.User.Seniority), a.User.FirstName, a.User.LastName, a.User.Name, a.User.JobTitle,
			a.User.InviteLink, attributes, sequences, fresh, usersync.KeyedID(usersync.PrefixErasure, a.Salt, k.email))
	}
	return tx.collectIDs(ctx, insertUsersStatement, set)
}

// newUser returns the attributes of the user that a is the first to tell of, and
// the sequences of what it says.
func newUser(a *Acceptance) (attributes, sequences string) {
	var u usersync.User
	u.Apply(a.User.UserInput, a.sequence)
	u.Sequences[usersync.FieldEmail] = a.sequence
	return encode(u.Attributes), encode(u.Sequences)
}

// encode writes a map as JSON, "" for an empty one. Its values come from
// decoded JSON, which can always be encoded again.
func encode[K ~string, V any](m map[K]V) string {
	if len(m) == 0 {
		return ""
	}
	text, err := json.Marshal(m)
	if err != nil {
		panic("store: a map of plain values cannot be JSON: " + err.Error())
	}
	return string(text)
}

// decode is the inverse of encode.
func decode[T any](text string, to *T) error {
	if text == "" {
		return nil
	}
	return json.Unmarshal([]byte(text), to)
}

// UserUpdate is a changed user with what follows from the change.
type UserUpdate struct {
	usersync.User
	Person
}

var updateUsersStatement = define(`
UPDATE users SET company = r.company, country = r.country, department = r.department, seniority = r.seniority,
    first_name = r.first_name, last_name = r.last_name, name = r.name, job_title = r.job_title, invite_link = r.invite_link,
    attributes = r.attributes, sequences = r.sequences, version = r.version + 1, updated_at = {now}
FROM {rows} WHERE users.id = r.id AND users.version = r.version`,
	col("id", text), col("version", bigint), col("company", text), col("country", text), col("department", text),
	col("seniority", integer), col("first_name", text), col("last_name", text), col("name", text), col("job_title", text),
	col("invite_link", text), col("attributes", text), col("sequences", text))

// UpdateUsers stores merged users. It returns ErrStale when one of them changed
// since it was read.
func (tx *Tx) UpdateUsers(ctx context.Context, users []UserUpdate) error {
	if len(users) == 0 {
		return nil
	}
	slices.SortFunc(users, func(a, b UserUpdate) int { return cmp.Compare(a.ID, b.ID) })
	set := updateUsersStatement.rows(len(users))
	for _, u := range users {
		set.add(u.ID, u.Version, u.Company, u.Country, u.Department, int64(u.Seniority), u.FirstName, u.LastName,
			u.Name, u.JobTitle, u.InviteLink, encode(u.Attributes), encode(u.Sequences))
	}
	return tx.later(ctx, updateUsersStatement, set, atLeast(len(users), ErrStale))
}

// StoredUser is a user as it is shown.
type StoredUser struct {
	ID         string         `json:"id"`
	Email      usersync.Email `json:"email"`
	Country    string         `json:"country"`
	FirstName  string         `json:"firstName"`
	LastName   string         `json:"lastName"`
	Name       string         `json:"name"`
	JobTitle   string         `json:"jobTitle"`
	InviteLink string         `json:"inviteLink"`
	Attributes map[string]any `json:"attributes"`
	// Company is the registrable domain of a work address.
	Company   string        `json:"company"`
	Version   int64         `json:"version"`
	CreatedAt usersync.Time `json:"createdAt"`
	UpdatedAt usersync.Time `json:"updatedAt"`
	// Sequences holds, per field, the acceptance sequence that set it.
	Sequences map[usersync.Field]int64 `json:"-"`
}

// Input returns what is known of the user as a request would say it.
func (u StoredUser) Input() usersync.UserInput {
	return usersync.UserInput{Email: u.Email, Country: u.Country, FirstName: u.FirstName, LastName: u.LastName, Name: u.Name,
		JobTitle: u.JobTitle, InviteLink: u.InviteLink, Attributes: u.Attributes}
}

const userColumns = `id, email, email_key, country, first_name, last_name, name, job_title, invite_link, attributes, company, sequences,
    version, created_at, updated_at`

func scanUser(scan func(...any) error) (u StoredUser, err error) {
	var email, key, attributes, sequences string
	var created, updated int64
	err = scan(&u.ID, &email, &key, &u.Country, &u.FirstName, &u.LastName, &u.Name, &u.JobTitle, &u.InviteLink, &attributes, &u.Company,
		&sequences, &u.Version, &created, &updated)
	if err != nil {
		return u, err
	}
	u.Email, u.Attributes, u.CreatedAt, u.UpdatedAt = usersync.NewEmail(email, key), map[string]any{}, stamp(created), stamp(updated)
	return u, errors.Join(decode(attributes, &u.Attributes), decode(sequences, &u.Sequences))
}

var (
	userStatement    = define(`SELECT ` + userColumns + ` FROM users WHERE id = $2 AND organization_id = $1`)
	userKeyStatement = define(`SELECT ` + userColumns + ` FROM users WHERE organization_id = $1 AND email_key = $2`)
	usersStatement   = define(`SELECT ` + userColumns + ` FROM users WHERE organization_id = $1 AND id <> '' AND id < $2 ORDER BY id DESC LIMIT $3`)
)

// ErrNoUser is the refusal of an id that names no user of the organization.
var ErrNoUser = usersync.Errorf(usersync.CodeNotFound, "User not found")

// User returns one user.
func (o *Org) User(ctx context.Context, id string) (StoredUser, error) {
	u, err := scanUser(o.reader().row(ctx, userStatement, o.ID(), id).Scan)
	if errors.Is(err, sql.ErrNoRows) {
		return u, ErrNoUser
	}
	return u, classify(err)
}

// UserByEmail returns the user with an address, none or one.
func (o *Org) UserByEmail(ctx context.Context, email usersync.Email) ([]StoredUser, error) {
	return collect(ctx, o.reader(), userKeyStatement, nil, scanUser, o.ID(), email.Key())
}

// Users returns up to limit users in descending order of their ids, which
// tell nothing of time, with ids below before when that is given.
func (o *Org) Users(ctx context.Context, before string, limit int) ([]StoredUser, error) {
	return collect(ctx, o.reader(), usersStatement, nil, scanUser, o.ID(), cmp.Or(before, afterAll(usersync.PrefixUser)), limit)
}

var userNameStatement = define(`
SELECT name, first_name, last_name FROM users WHERE organization_id = $1 AND email_key = $2`)

// UserName returns the full name of the user with this e-mail key, "" when it or
// the user is unknown.
func (o *Org) UserName(ctx context.Context, key string) (string, error) {
	var in usersync.UserInput
	err := o.reader().row(ctx, userNameStatement, o.ID(), key).Scan(&in.Name, &in.FirstName, &in.LastName)
	if errors.Is(err, sql.ErrNoRows) {
		return "", nil
	}
	return cmp.Or(in.Name, in.FullName()), classify(err)
}

// usersByIDStatement reads users as they are now.
var usersByIDStatement = define(`
SELECT u.id, u.email, u.email_key, u.country, u.first_name, u.last_name, u.name, u.job_title, u.invite_link, u.attributes, u.company,
    u.sequences, u.version, u.created_at, u.updated_at
FROM {rows} JOIN users u ON u.id = r.id WHERE u.organization_id = $1`, col("id", text))

// UsersByID returns those of the users that there are, as they are now.
func (o *Org) UsersByID(ctx context.Context, ids []string) (map[string]StoredUser, error) {
	list, err := collect(ctx, o.reader(), usersByIDStatement, idRows(usersByIDStatement, ids), scanUser, o.ID())
	out := make(map[string]StoredUser, len(list))
	for _, u := range list {
		out[u.ID] = u
	}
	return out, err
}
