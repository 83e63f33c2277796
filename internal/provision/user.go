package provision

import (
	"context"
	"database/sql"
	"encoding/json"
	"errors"
	"fmt"

	"usersync/internal/audit"
	"usersync/internal/event"
	"usersync/internal/followup"
	"usersync/internal/intake"
	"usersync/internal/readdress"
	"usersync/internal/request"
	"usersync/internal/scim"
	"usersync/internal/store"
	"usersync/internal/user"
	"usersync/internal/usersync"
)

// User is a user as an identity provider provisioned them. The id is that of the user.
type User struct {
	kept
	// Groups are those that the user is a member of, by name.
	Groups []Membership
}

// Membership names a group.
type Membership struct{ ID, Name string }

// ID returns the id.
func (u User) ID() string { return u.id }

// Resource returns the complete resource.
func (u User) Resource() scim.Resource {
	r := u.complete(scim.User)
	var groups []any
	for _, g := range u.Groups {
		groups = append(groups, map[string]any{"value": g.ID, "display": g.Name, "type": "direct", "$ref": Base + scim.Group.Endpoint + "/" + g.ID})
	}
	if len(groups) > 0 {
		r["groups"] = groups
	}
	return r
}

// ErrNoUser is the refusal of an id that names no user who was provisioned.
var ErrNoUser = usersync.Errorf(usersync.CodeNotFound, "User not found")

// The refusals of what another user has.
var (
	errNameTaken    = usersync.Errorf(usersync.CodeConflict, "Another user has this userName").Because(scim.Uniqueness)
	errAddressTaken = usersync.Errorf(usersync.CodeConflict, "Another user has this address").Because(scim.Uniqueness)
)

const userColumns = `user_id, resource, version, created_at, updated_at`

var (
	userStatement   = store.Define("provision.user", `SELECT `+userColumns+` FROM scim_users WHERE user_id = $2 AND organization_id = $1`)
	byNameStatement = store.Define("provision.userByName", `SELECT `+userColumns+` FROM scim_users WHERE organization_id = $1 AND user_name = $2`)
	insertStatement = store.Define("provision.insertUser", `
INSERT INTO scim_users (user_id, organization_id, user_name, external_id, addresses, resource, created_at, updated_at)
VALUES ($1, $2, $3, $4, $5, $6, {now}, {now}) ON CONFLICT DO NOTHING`)
	updateStatement = store.Define("provision.updateUser", `
UPDATE scim_users SET user_name = $3, external_id = $4, addresses = $5, resource = $6, version = version + 1, updated_at = {now}
WHERE user_id = $1 AND organization_id = $2`)
	deleteStatement = store.Define("provision.deleteUser", `DELETE FROM scim_users WHERE user_id = $1 AND organization_id = $2`)
	lockStatement   = store.Define("provision.lockUsers", `
SELECT `+user.Columns+` FROM users WHERE organization_id = $1 AND id {any}SELECT r.user_id FROM {rows}{/any} ORDER BY id {for update}`, store.Col("user_id", store.Text))
)

// GetUser returns one user. The error is ErrNoUser.
func GetUser(ctx context.Context, o *store.Org, id string) (User, error) {
	found, err := oneKept(ctx, o.Reader(), userStatement, o.ID(), id)
	if errors.Is(err, sql.ErrNoRows) {
		return User{}, ErrNoUser
	}
	if err != nil {
		return User{}, fmt.Errorf("read the user: %w", err)
	}
	list, err := withGroups(ctx, o, []kept{found})
	if err != nil {
		return User{}, err
	}
	return list[0], nil
}

func oneKept(ctx context.Context, c store.Conn, st *store.Statement, args ...any) (kept, error) {
	return scanKept(c.QueryRow(ctx, st, args...).Scan)
}

// CreateUser provisions a user: a new one, or one whom the organization knows by the
// address already. The errors have the causes of package scim.
func CreateUser(ctx context.Context, by By, r scim.Resource) (User, error) {
	r = r.Clone()
	if _, said := r["active"]; !said {
		r["active"] = true
	}
	email, says := addressOf(r), profileOf(r)
	if email.IsZero() {
		return User{}, errNoAddress
	}
	if err := says.check(); err != nil {
		return User{}, err
	}
	var id string
	err := by.Org.Tx(ctx, func(tx *store.Tx) (err error) {
		if id, err = by.create(ctx, tx, r, email, says); err != nil {
			return err
		}
		return by.push(ctx, tx, id, email, !isActive(r))
	})
	if err != nil {
		return User{}, err
	}
	return GetUser(ctx, by.Org, id)
}

func isActive(r scim.Resource) bool { return r["active"] != false }

// create stores a user, and what is kept of the resource.
func (by By) create(ctx context.Context, tx *store.Tx, r scim.Resource, email usersync.Email, says profile) (id string, err error) {
	_, err = oneKept(ctx, tx.Conn, byNameStatement, by.Org.ID(), nameKey(r.Text("userName")))
	if err == nil {
		return "", errNameTaken
	}
	if !errors.Is(err, sql.ErrNoRows) {
		return "", fmt.Errorf("look for the userName: %w", err)
	}
	in := says.since(profile{})
	removed := !isActive(r)
	in.Email, in.Removed = email, &removed
	if id, err = by.report(ctx, tx, followup.UserRegister, in); err != nil {
		return "", err
	}
	n, err := tx.Exec(ctx, insertStatement, nil, id, by.Org.ID(), nameKey(r.Text("userName")), r.Text("externalId"), addressesOf(r), encode(r))
	if err != nil {
		return "", fmt.Errorf("keep the user: %w", err)
	}
	if n == 0 {
		return "", errAddressTaken
	}
	return id, nil
}

// ChangeUser changes a user. change returns what the resource is from now on; it may run
// more than once. Where that does not say whether the user is active, they stay as they are.
// A change that changes nothing writes nothing.
func ChangeUser(ctx context.Context, by By, id string, change func(scim.Resource) (scim.Resource, error)) (User, error) {
	err := by.Org.Tx(ctx, func(tx *store.Tx) error {
		u, before, err := by.lock(ctx, tx, id)
		if err != nil {
			return err
		}
		after, err := change(before.resource.Clone())
		if err != nil {
			return err
		}
		if _, said := after["active"]; !said {
			after["active"] = before.resource["active"]
		}
		if scim.Equal(before.resource, after) {
			return nil
		}
		return by.change(ctx, tx, u, before.resource, after)
	})
	if store.IsDuplicate(err) {
		return User{}, errNameTaken
	}
	if err != nil {
		return User{}, err
	}
	return GetUser(ctx, by.Org, id)
}

// lock locks a user, and returns them with what is kept of the resource. Everything that
// changes a user here locks the row of users first.
func (by By) lock(ctx context.Context, tx *store.Tx, id string) (u user.Stored, k kept, err error) {
	users, err := store.Collect(ctx, tx.Conn, lockStatement, store.IDRows(lockStatement, []string{id}), user.Scan, by.Org.ID())
	if err != nil {
		return u, k, fmt.Errorf("lock the user: %w", err)
	}
	if len(users) == 0 {
		return u, k, ErrNoUser
	}
	k, err = oneKept(ctx, tx.Conn, userStatement, by.Org.ID(), id)
	if errors.Is(err, sql.ErrNoRows) {
		return u, k, ErrNoUser
	}
	if err != nil {
		return u, k, fmt.Errorf("read the user: %w", err)
	}
	return users[0], k, nil
}

func (by By) change(ctx context.Context, tx *store.Tx, u user.Stored, before, after scim.Resource) error {
	says := profileOf(after)
	if err := says.check(); err != nil {
		return err
	}
	_, err := tx.Exec(ctx, updateStatement, nil, u.ID, by.Org.ID(), nameKey(after.Text("userName")), after.Text("externalId"), addressesOf(after), encode(after))
	if err != nil {
		return fmt.Errorf("keep the user: %w", err)
	}
	email, moved, err := by.move(ctx, tx, u, addressOf(before), addressOf(after))
	if err != nil {
		return err
	}
	in := says.since(profileOf(before))
	if isActive(before) != isActive(after) {
		removed := !isActive(after)
		in.Removed = &removed
	}
	in.Email = email
	if !moved && saysNothing(in) {
		return nil // what was changed is nothing that a user here has
	}
	happened := followup.UserUpdate
	if in.Removed != nil && *in.Removed {
		happened = followup.UserRemove
	}
	if _, err := by.report(ctx, tx, happened, in); err != nil {
		return err
	}
	if !isActive(after) && in.Removed == nil {
		return nil // whoever is not active is on no platform
	}
	return by.push(ctx, tx, u.ID, email, !isActive(after))
}

// move gives the user another address where the resource has another one than before.
func (by By) move(ctx context.Context, tx *store.Tx, u user.Stored, before, after usersync.Email) (now usersync.Email, moved bool, err error) {
	if after.IsZero() || after.Key() == before.Key() {
		return u.Email, false, nil
	}
	moved, err = readdress.Apply(ctx, tx, by.Org.ID(), readdress.Move{
		UserID: u.ID, To: after, EventID: usersync.DeriveID(usersync.PrefixEvent, by.RequestID, string(event.UserMoved)), Source: source,
	})
	if errors.Is(err, user.ErrTaken) {
		return now, false, errAddressTaken
	}
	if err != nil {
		return now, false, fmt.Errorf("give the user another address: %w", err)
	}
	if !moved {
		return u.Email, false, nil
	}
	return after, true, audit.Record(ctx, tx, by.Org.ID(), by.Actor, "user.move", u.ID, "email")
}

// report accepts an event that tells of a user, and stores at once what it says, so that
// whoever reads next sees it, and every push that begins from now on has it. The event's run
// finds it merged, and sets off follow-ups.
func (by By) report(ctx context.Context, tx *store.Tx, t followup.EventType, in usersync.UserInput) (userID string, err error) {
	a := &intake.Acceptance{
		RequestID: by.RequestID, Kind: request.KindEvent, Salt: by.Salt, Traceparent: by.Traceparent,
		User:  intake.NewUser{UserInput: in, Identity: user.IdentityOf(in)},
		Event: &intake.NewEvent{Type: string(t), Attributes: map[string]any{}},
	}
	if err := intake.AcceptOwn(ctx, tx, by.Org.ID(), a); err != nil {
		return "", fmt.Errorf("accept the event: %w", err)
	}
	users, err := store.Collect(ctx, tx.Conn, lockStatement, store.IDRows(lockStatement, []string{a.UserID}), user.Scan, by.Org.ID())
	if err != nil {
		return "", fmt.Errorf("lock the user: %w", err)
	}
	if len(users) == 0 {
		return "", store.ErrRace // the person is being erased
	}
	u := users[0].User()
	in, _ = u.Fitting(in, a.Sequence()) // the event's run tells what is left out
	fields := u.Changes(in, a.Sequence())
	if !u.Apply(in, a.Sequence()) {
		return u.ID, nil
	}
	if err := user.Save(ctx, tx, []user.Update{{User: u, Identity: user.IdentityOf(u.UserInput)}}); err != nil {
		return "", fmt.Errorf("save the user: %w", err)
	}
	if len(fields) == 0 || u.MadeBy(a.Sequence()) {
		return u.ID, nil
	}
	return u.ID, event.Save(ctx, tx, by.Org.ID(), []event.Event{{
		ID: usersync.DeriveID(usersync.PrefixEvent, by.RequestID, string(event.UserUpdated)), Type: event.UserUpdated, Source: source,
		UserID: u.ID, Cause: by.RequestID, Attributes: map[string]any{"fields": fields},
	}})
}

// push has the user pushed to every connection, or taken off the platforms, as a request of
// its own.
func (by By) push(ctx context.Context, tx *store.Tx, userID string, email usersync.Email, absent bool) error {
	input, err := json.Marshal(usersync.PlatformSync{Absent: absent})
	if err != nil {
		return fmt.Errorf("encode what is asked for: %w", err)
	}
	a := &intake.Acceptance{
		RequestID: usersync.DeriveID(usersync.PrefixRequest, by.RequestID, "platforms"), Kind: request.KindPlatformSync, Traceparent: by.Traceparent, Input: input,
		UserID: userID, User: intake.NewUser{UserInput: usersync.UserInput{Email: email}},
	}
	if err := intake.AcceptOwn(ctx, tx, by.Org.ID(), a); err != nil {
		return fmt.Errorf("ask for the push: %w", err)
	}
	return nil
}

// DeleteUser forgets that a user was provisioned, and takes them off the platforms. The
// user stays one of the organization: DELETE /v1/users erases.
func DeleteUser(ctx context.Context, by By, id string) error {
	return by.Org.Tx(ctx, func(tx *store.Tx) error {
		u, _, err := by.lock(ctx, tx, id)
		if err != nil {
			return err
		}
		if _, err := tx.Exec(ctx, deleteStatement, nil, id, by.Org.ID()); err != nil {
			return fmt.Errorf("forget the user: %w", err)
		}
		removed := true
		in := usersync.UserInput{Email: u.Email, Removed: &removed, Attributes: map[string]any{}}
		if _, had := u.Attributes[groupsAttribute]; had {
			in.Attributes[groupsAttribute] = nil
		}
		if _, err := by.report(ctx, tx, followup.UserRemove, in); err != nil {
			return err
		}
		return by.push(ctx, tx, id, u.Email, true)
	})
}
