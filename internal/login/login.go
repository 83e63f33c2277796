// Package login keeps what users sign in with: their passwords as hashes, whether they have
// shown that their address is theirs, the codes by which they do, and how often that was
// tried.
package login

import (
	"context"
	"database/sql"
	"errors"
	"fmt"

	"usersync/internal/record"
	"usersync/internal/store"
	"usersync/internal/user"
	"usersync/internal/usersync"
)

// Bits of what is read of a login.
const (
	hasPassword = 1
	isVerified  = 2
)

// recordText reads users with what is known of how they sign in, 0 where nothing is: one
// trip for a look-up.
const recordText = `
SELECT ` + user.Columns + `, coalesce((SELECT CASE WHEN l.password = '' THEN 0 ELSE 1 END + CASE WHEN l.verified_at > 0 THEN 2 ELSE 0 END
    FROM logins l WHERE l.user_id = users.id AND l.organization_id = users.organization_id), 0)
FROM users WHERE organization_id = $1 AND `

var (
	byEmailStatement = store.Define("login.byEmail", recordText+`email_key = $2`)
	byIDStatement    = store.Define("login.byID", recordText+`id = $2`)
)

// ByEmail returns what our store knows of the user with an address: a list of none or one.
func ByEmail(ctx context.Context, o *store.Org, email usersync.Email) ([]record.Record, error) {
	return records(ctx, o, byEmailStatement, email.Key())
}

// ByID is ByEmail for an id.
func ByID(ctx context.Context, o *store.Org, id string) ([]record.Record, error) {
	return records(ctx, o, byIDStatement, id)
}

func records(ctx context.Context, o *store.Org, st *store.Statement, by string) ([]record.Record, error) {
	found, err := store.Collect(ctx, o.Reader(), st, nil, func(scan func(...any) error) (record.Record, error) {
		var login int
		u, err := user.Scan(func(to ...any) error { return scan(append(to, &login)...) })
		return record.OfUser(u, record.Login{Password: login&hasPassword > 0, Verified: login&isVerified > 0}), err
	}, o.ID(), by)
	if err != nil {
		return nil, fmt.Errorf("read the user with the login: %w", err)
	}
	return found, nil
}

// State is how a user signs in. Its zero value is that of a user who cannot.
type State struct {
	// Password is the hash of it, zero for none.
	Password usersync.Secret
	// Verified says that the user has shown that the address is theirs.
	Verified bool
	// Pending says that the registration counts only then.
	Pending bool
}

// Login is a user with how they sign in.
type Login struct {
	User user.Stored
	State
}

// Record returns the user as the directory dialect tells of them.
func (l Login) Record() record.Record {
	return record.OfUser(l.User, record.Login{Password: !l.Password.IsZero(), Verified: l.Verified})
}

const stateColumns = `l.password, CASE WHEN l.verified_at > 0 THEN 1 ELSE 0 END, l.pending`

var (
	findStatement = store.Define("login.find", `
SELECT u.id, u.email, u.email_key, u.country, u.first_name, u.last_name, u.name, u.job_title, u.invite_link, u.attributes, u.company,
    u.tags, u.removed, u.sequences, u.version, u.created_at, u.updated_at,
    coalesce(l.password, ''), CASE WHEN l.verified_at > 0 THEN 1 ELSE 0 END, coalesce(l.pending, 0)
FROM users u LEFT JOIN logins l ON l.user_id = u.id AND l.organization_id = u.organization_id
WHERE u.organization_id = $1 AND u.email_key = $2`)
	lockIDStatement    = store.Define("login.lockID", `SELECT `+user.Columns+` FROM users WHERE organization_id = $1 AND id = $2 {for update}`)
	lockEmailStatement = store.Define("login.lockEmail", `SELECT `+user.Columns+` FROM users WHERE organization_id = $1 AND email_key = $2 {for update}`)
	stateStatement     = store.Define("login.state", `SELECT `+stateColumns+` FROM logins l WHERE l.user_id = $1 AND l.organization_id = $2`)
)

// Find returns the user with an address. found is false where nobody has it.
func Find(ctx context.Context, o *store.Org, email usersync.Email) (l Login, found bool, err error) {
	var password string
	var verified, pending int
	row := o.Reader().QueryRow(ctx, findStatement, o.ID(), email.Key())
	l.User, err = user.Scan(func(to ...any) error { return row.Scan(append(to, &password, &verified, &pending)...) })
	if errors.Is(err, sql.ErrNoRows) {
		return Login{}, false, nil
	}
	if err != nil {
		return Login{}, false, fmt.Errorf("find the login: %w", store.Classify(err))
	}
	l.State = stateOf(password, verified, pending)
	return l, true, nil
}

func stateOf(password string, verified, pending int) State {
	return State{Password: usersync.NewSecret(password), Verified: verified == 1, Pending: pending == 1}
}

// Lock returns a user, whom nobody else changes until the transaction ends. The error is
// user.ErrNotFound.
func Lock(ctx context.Context, tx *store.Tx, organization, id string) (Login, error) {
	return lock(ctx, tx, lockIDStatement, organization, id)
}

// LockByEmail is Lock for whoever has an address.
func LockByEmail(ctx context.Context, tx *store.Tx, organization string, email usersync.Email) (Login, error) {
	return lock(ctx, tx, lockEmailStatement, organization, email.Key())
}

// lock reads the login once the user is locked: with one statement, PostgreSQL would read
// it as it was before the wait for the lock.
func lock(ctx context.Context, tx *store.Tx, st *store.Statement, organization, by string) (l Login, err error) {
	l.User, err = user.Scan(tx.QueryRow(ctx, st, organization, by).Scan)
	if errors.Is(err, sql.ErrNoRows) {
		return Login{}, user.ErrNotFound
	}
	if err != nil {
		return Login{}, fmt.Errorf("lock the user: %w", store.Classify(err))
	}
	var password string
	var verified, pending int
	err = tx.QueryRow(ctx, stateStatement, l.User.ID, organization).Scan(&password, &verified, &pending)
	if err != nil && !errors.Is(err, sql.ErrNoRows) {
		return Login{}, fmt.Errorf("read the login: %w", store.Classify(err))
	}
	l.State = stateOf(password, verified, pending)
	return l, nil
}

var saveStatement = store.Define("login.save", `
INSERT INTO logins (user_id, organization_id, password, verified_at, pending, updated_at) VALUES ($1, $2, $3, CASE WHEN $4 = 1 THEN {now} ELSE 0 END, $5, {now})
ON CONFLICT (user_id, organization_id) DO UPDATE SET password = excluded.password, pending = excluded.pending,
    verified_at = CASE WHEN $4 = 0 THEN 0 WHEN logins.verified_at > 0 THEN logins.verified_at ELSE excluded.verified_at END, updated_at = excluded.updated_at`)

// Save stores how a user signs in. The row goes with the user.
func Save(ctx context.Context, tx *store.Tx, organization, userID string, s State) error {
	if _, err := tx.Exec(ctx, saveStatement, nil, userID, organization, s.Password.Reveal(), number(s.Verified), number(s.Pending)); err != nil {
		return fmt.Errorf("save the login: %w", err)
	}
	return nil
}

func number(yes bool) int {
	if yes {
		return 1
	}
	return 0
}
