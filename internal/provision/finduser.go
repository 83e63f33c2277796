package provision

import (
	"context"
	"fmt"

	"usersync/internal/scim"
	"usersync/internal/store"
)

var (
	countUsersStatement = store.Define("provision.countUsers", `SELECT count(*) FROM scim_users WHERE organization_id = $1`)
	pageUsersStatement  = store.Define("provision.pageUsers", `
SELECT `+userColumns+` FROM scim_users WHERE organization_id = $1 ORDER BY created_at, user_id LIMIT $2 OFFSET $3`)
	byExternalStatement = store.Define("provision.usersByExternal", `
SELECT `+userColumns+` FROM scim_users WHERE organization_id = $1 AND external_id = $2 AND external_id <> '' ORDER BY created_at, user_id`)
	// The addresses of all users of the organization are looked through, without reading
	// their resources as JSON.
	byAddressStatement = store.DefinePerEngine("provision.usersByAddress", `
SELECT `+userColumns+` FROM scim_users WHERE organization_id = $1 AND strpos(addresses, $2) > 0 ORDER BY created_at, user_id`, `
SELECT `+userColumns+` FROM scim_users WHERE organization_id = $1 AND instr(addresses, $2) > 0 ORDER BY created_at, user_id`)
	groupsOfStatement = store.Define("provision.groupsOf", `
SELECT m.user_id, g.id, g.name FROM {rows} JOIN scim_members m ON m.user_id = r.user_id
JOIN scim_groups g ON g.id = m.group_id AND g.organization_id = m.organization_id
WHERE m.organization_id = $1 ORDER BY g.name_key`, store.Col("user_id", store.Text))
)

// FindUsers returns the users of a query, in the order in which they were provisioned.
func FindUsers(ctx context.Context, o *store.Org, q Query) (Page[User], error) {
	if q.Filter == nil {
		return allUsers(ctx, o, q)
	}
	st, args := lookUp(o, q.Filter)
	if st == nil {
		return scanUsers(ctx, o, q)
	}
	found, err := store.Collect(ctx, o.Reader(), st, nil, scanKept, args...)
	if err != nil {
		return Page[User]{}, fmt.Errorf("look users up: %w", err)
	}
	w := &window[User]{query: q}
	err = addUsers(ctx, o, w, found)
	return w.page, err
}

func allUsers(ctx context.Context, o *store.Org, q Query) (page Page[User], err error) {
	if err := o.Reader().QueryRow(ctx, countUsersStatement, o.ID()).Scan(&page.Total); err != nil {
		return page, fmt.Errorf("count the users: %w", err)
	}
	if q.Count == 0 || q.Start > page.Total {
		return page, nil
	}
	found, err := store.Collect(ctx, o.Reader(), pageUsersStatement, nil, scanKept, o.ID(), q.Count, q.Start-1)
	if err != nil {
		return page, fmt.Errorf("read a page of users: %w", err)
	}
	page.Items, err = withGroups(ctx, o, found)
	return page, err
}

// lookUp returns the statement that finds all users who may pass a filter; nil where none
// does.
func lookUp(o *store.Org, f *scim.Filter) (*store.Statement, []any) {
	if id, ok := term(f, "id"); ok {
		return userStatement, []any{o.ID(), id}
	}
	if name, ok := term(f, "userName"); ok {
		return byNameStatement, []any{o.ID(), nameKey(name)}
	}
	if external, ok := term(f, "externalId"); ok && external != "" {
		return byExternalStatement, []any{o.ID(), external}
	}
	if address, ok := term(f, "emails"); ok && address != "" {
		return byAddressStatement, []any{o.ID(), " " + addressKey(address) + " "}
	}
	return nil, nil
}

// scanUsers looks through all users.
func scanUsers(ctx context.Context, o *store.Org, q Query) (Page[User], error) {
	w := &window[User]{query: q}
	var total int
	if err := o.Reader().QueryRow(ctx, countUsersStatement, o.ID()).Scan(&total); err != nil {
		return w.page, fmt.Errorf("count the users: %w", err)
	}
	if total > maxScanned {
		return w.page, errTooMany
	}
	for at := 0; at < total; at += scanStep { //lint:loop a few at a time, so that they take little memory
		found, err := store.Collect(ctx, o.Reader(), pageUsersStatement, nil, scanKept, o.ID(), scanStep, at)
		if err != nil {
			return w.page, fmt.Errorf("read some users: %w", err)
		}
		if err := addUsers(ctx, o, w, found); err != nil {
			return w.page, err
		}
	}
	return w.page, nil
}

// addUsers adds those that pass the filter.
func addUsers(ctx context.Context, o *store.Org, w *window[User], found []kept) error {
	list, err := withGroups(ctx, o, found)
	if err != nil {
		return err
	}
	for _, u := range list {
		if w.query.Filter.Matches(u.Resource()) {
			w.add(u)
		}
	}
	return nil
}

// withGroups adds the groups of users.
func withGroups(ctx context.Context, o *store.Org, found []kept) ([]User, error) {
	if len(found) == 0 {
		return nil, nil
	}
	set := groupsOfStatement.Rows(len(found))
	for _, k := range found {
		set.Add(k.id)
	}
	groups, err := groupsOf(ctx, o.Reader(), o.ID(), set)
	if err != nil {
		return nil, err
	}
	out := make([]User, len(found))
	for i, k := range found {
		out[i] = User{k, groups[k.id]}
	}
	return out, nil
}

// groupsOf returns the groups of users, by user and in the order of their names.
func groupsOf(ctx context.Context, c store.Conn, organization string, users *store.Rows) (map[string][]Membership, error) {
	out := map[string][]Membership{}
	_, err := store.Collect(ctx, c, groupsOfStatement, users, func(scan func(...any) error) (struct{}, error) {
		var userID string
		var m Membership
		err := scan(&userID, &m.ID, &m.Name)
		out[userID] = append(out[userID], m)
		return struct{}{}, err
	}, organization)
	if err != nil {
		return nil, fmt.Errorf("read the groups of users: %w", err)
	}
	return out, nil
}
