package intake

import (
	"cmp"
	"context"
	"maps"
	"slices"

	"usersync/internal/store"
	"usersync/internal/user"
	"usersync/internal/usersync"
)

// NewUser is a user as the accepting transaction stores it when it is not
// known yet: everything the request says, and what follows from it.
type NewUser struct {
	usersync.UserInput
	// Person holds what the search compares by.
	user.Identity
}

var insertUsersStatement = store.Define("intake.insertUsers", `
INSERT INTO users (id, organization_id, email_key, email, person_key, company, country, department, seniority,
    first_name, last_name, name, job_title, invite_link, attributes, sequences, created_at, updated_at)
SELECT CASE WHEN (SELECT count(*) FROM erased e WHERE e.organization_id = r.organization_id AND e.person = r.erased) = 0 THEN r.id ELSE r.fresh END,
    r.organization_id, r.email_key, r.email, r.person_key, r.company, r.country, r.department, r.seniority,
    r.first_name, r.last_name, r.name, r.job_title, r.invite_link, r.attributes, r.sequences, {now}, {now}
FROM {rows} WHERE true
ON CONFLICT DO NOTHING
RETURNING id, organization_id, email_key`,
	store.Col("id", store.Text), store.Col("organization_id", store.Text), store.Col("email_key", store.Text), store.Col("email", store.Text), store.Col("person_key", store.Text),
	store.Col("company", store.Text), store.Col("country", store.Text), store.Col("department", store.Text), store.Col("seniority", store.Integer),
	store.Col("first_name", store.Text), store.Col("last_name", store.Text), store.Col("name", store.Text), store.Col("job_title", store.Text), store.Col("invite_link", store.Text),
	store.Col("attributes", store.Text), store.Col("sequences", store.Text), store.Col("fresh", store.Text), store.Col("erased", store.Text))

var userIDsStatement = store.Define("intake.userIDs", `
SELECT u.id, u.organization_id, u.email_key FROM {rows}
JOIN users u ON u.organization_id = r.organization_id AND u.email_key = r.email_key`,
	store.Col("organization_id", store.Text), store.Col("email_key", store.Text))

// userKey is what a user is known by.
type userKey struct{ organization, email string }

// resolveUsers stores the users that are not known yet and returns the ids of
// all, by organization and e-mail key.
func resolveUsers(ctx context.Context, tx *store.Tx, wanted map[userKey]*Acceptance) (map[userKey]string, error) {
	if len(wanted) == 0 {
		return nil, nil
	}
	keys := sortedKeys(wanted)
	known, err := userIDs(ctx, tx, keys)
	if err != nil {
		return nil, err
	}
	//lint:loop tries again when another transaction stored some of them meanwhile
	for try := 0; len(known) < len(keys); try++ {
		if try == 2 {
			return nil, store.ErrRace
		}
		made, err := insertUsers(ctx, tx, wanted, keys, known, try > 0)
		if err != nil {
			return nil, err
		}
		maps.Copy(known, made)
		if len(known) == len(keys) {
			break
		}
		// Another transaction stored some of them meanwhile.
		if known, err = userIDs(ctx, tx, keys); err != nil {
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

func userIDs(ctx context.Context, tx *store.Tx, keys []userKey) (map[userKey]string, error) {
	set := userIDsStatement.Rows(len(keys))
	for _, k := range keys {
		set.Add(k.organization, k.email)
	}
	return collectIDs(ctx, tx, userIDsStatement, set)
}

func collectIDs(ctx context.Context, tx *store.Tx, st *store.Statement, set *store.Rows) (map[userKey]string, error) {
	ids := map[userKey]string{}
	_, err := store.Collect(ctx, tx.Conn, st, set, func(scan func(...any) error) (struct{}, error) {
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
func insertUsers(ctx context.Context, tx *store.Tx, wanted map[userKey]*Acceptance, keys []userKey, known map[userKey]string, random bool) (map[userKey]string, error) {
	set := insertUsersStatement.Rows(len(keys) - len(known))
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
		set.Add(id, k.organization, k.email, a.User.Email.Display(), a.User.Key, a.User.Company, a.User.Country,
			a.User.Department, int64(a.User.Seniority), a.User.FirstName, a.User.LastName, a.User.Name, a.User.JobTitle,
			a.User.InviteLink, attributes, sequences, fresh, usersync.KeyedID(usersync.PrefixErasure, a.Salt, k.email))
	}
	return collectIDs(ctx, tx, insertUsersStatement, set)
}

// newUser returns the attributes of the user that a is the first to tell of, and
// the sequences of what it says.
func newUser(a *Acceptance) (attributes, sequences string) {
	var u usersync.User
	u.Apply(a.User.UserInput, a.sequence)
	u.Sequences[usersync.FieldEmail] = a.sequence
	return store.Encode(u.Attributes), store.Encode(u.Sequences)
}
