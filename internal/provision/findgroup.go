package provision

import (
	"context"
	"fmt"

	"usersync/internal/scim"
	"usersync/internal/store"
)

var (
	countGroupsStatement = store.Define("provision.countGroups", `SELECT count(*) FROM scim_groups WHERE organization_id = $1`)
	pageGroupsStatement  = store.Define("provision.pageGroups", `
SELECT `+groupColumns+` FROM scim_groups WHERE organization_id = $1 ORDER BY created_at, id LIMIT $2 OFFSET $3`)
	groupByNameStatement      = store.Define("provision.groupByName", `SELECT `+groupColumns+` FROM scim_groups WHERE organization_id = $1 AND name_key = $2`)
	groupsByExternalStatement = store.Define("provision.groupsByExternal", `
SELECT `+groupColumns+` FROM scim_groups WHERE organization_id = $1 AND external_id = $2 AND external_id <> '' ORDER BY created_at, id`)
	groupsByMemberStatement = store.Define("provision.groupsByMember", `
SELECT `+groupColumns+` FROM scim_groups WHERE organization_id = $1
AND id IN (SELECT m.group_id FROM scim_members m WHERE m.user_id = $2 AND m.organization_id = $1) ORDER BY created_at, id`)
	// The members of the first groups, as far as there is room for them.
	membersOfStatement = store.Define("provision.membersOf", `
SELECT r.position, m.user_id FROM {rows} JOIN scim_members m ON m.group_id = r.group_id
WHERE m.organization_id = $1 ORDER BY r.position, m.user_id LIMIT $2`, store.Col("position", store.Bigint), store.Col("group_id", store.Text))
	// Those among the members of groups that a filter names.
	namedMembersStatement = store.Define("provision.namedMembers", `
SELECT r.position, m.user_id FROM {rows} JOIN scim_members m ON m.group_id = r.group_id AND m.user_id = r.user_id
WHERE m.organization_id = $1`, store.Col("position", store.Bigint), store.Col("group_id", store.Text), store.Col("user_id", store.Text))
)

// FindGroups returns the groups of a query, in the order in which they were provisioned.
// With members, a page ends before its members would be more than scim.MaxMembers.
func FindGroups(ctx context.Context, o *store.Org, q Query, members bool) (Page[Group], error) { //lint:flag members is what is read
	page, err := findGroups(ctx, o, q)
	if err != nil || !members {
		return page, err
	}
	page.Items, err = withMembers(ctx, o, page.Items)
	return page, err
}

func findGroups(ctx context.Context, o *store.Org, q Query) (Page[Group], error) {
	w := &window[Group]{query: q}
	if st, args := lookUpGroup(o, q.Filter); st != nil {
		found, err := store.Collect(ctx, o.Reader(), st, nil, scanKept, args...)
		if err != nil {
			return w.page, fmt.Errorf("look groups up: %w", err)
		}
		err = addGroups(ctx, o, w, found)
		return w.page, err
	}
	var total int
	if err := o.Reader().QueryRow(ctx, countGroupsStatement, o.ID()).Scan(&total); err != nil {
		return w.page, fmt.Errorf("count the groups: %w", err)
	}
	if q.Filter == nil {
		return pageOfGroups(ctx, o, q, total)
	}
	if total > maxScanned {
		return w.page, errTooMany
	}
	for at := 0; at < total; at += scanStep { //lint:loop a few at a time, so that they take little memory
		found, err := store.Collect(ctx, o.Reader(), pageGroupsStatement, nil, scanKept, o.ID(), scanStep, at)
		if err != nil {
			return w.page, fmt.Errorf("read some groups: %w", err)
		}
		if err := addGroups(ctx, o, w, found); err != nil {
			return w.page, err
		}
	}
	return w.page, nil
}

func pageOfGroups(ctx context.Context, o *store.Org, q Query, total int) (Page[Group], error) {
	page := Page[Group]{Total: total}
	if q.Count == 0 || q.Start > total {
		return page, nil
	}
	found, err := store.Collect(ctx, o.Reader(), pageGroupsStatement, nil, scanKept, o.ID(), q.Count, q.Start-1)
	if err != nil {
		return page, fmt.Errorf("read a page of groups: %w", err)
	}
	for _, k := range found {
		page.Items = append(page.Items, Group{kept: k})
	}
	return page, nil
}

// lookUpGroup is lookUp for groups.
func lookUpGroup(o *store.Org, f *scim.Filter) (*store.Statement, []any) {
	if f == nil {
		return nil, nil
	}
	if id, ok := term(f, "id"); ok {
		return groupStatement, []any{o.ID(), id}
	}
	if name, ok := term(f, "displayName"); ok {
		return groupByNameStatement, []any{o.ID(), nameKey(name)}
	}
	if external, ok := term(f, "externalId"); ok && external != "" {
		return groupsByExternalStatement, []any{o.ID(), external}
	}
	if member, ok := term(f, "members"); ok && member != "" {
		return groupsByMemberStatement, []any{o.ID(), member}
	}
	return nil, nil
}

// addGroups adds those that pass the filter. Of their members only those are read that the
// filter names.
func addGroups(ctx context.Context, o *store.Org, w *window[Group], found []kept) error {
	named := w.query.Filter.Named("members")
	members := make([][]string, len(found))
	if len(named) > 0 && len(found) > 0 {
		set := namedMembersStatement.Rows(len(found) * len(named))
		for i, k := range found {
			for _, id := range named {
				set.Add(int64(i), k.id, id)
			}
		}
		if err := readMembers(ctx, o, namedMembersStatement, set, members, o.ID()); err != nil {
			return err
		}
	}
	for i, k := range found {
		if w.query.Filter.Matches(Group{k, members[i]}.Resource()) {
			w.add(Group{kept: k})
		}
	}
	return nil
}

// readMembers adds members to lists by the positions that a statement returns.
func readMembers(ctx context.Context, o *store.Org, st *store.Statement, set *store.Rows, to [][]string, args ...any) error {
	_, err := store.Collect(ctx, o.Reader(), st, set, func(scan func(...any) error) (struct{}, error) {
		var position int
		var id string
		if err := scan(&position, &id); err != nil {
			return struct{}{}, err
		}
		to[position] = append(to[position], id)
		return struct{}{}, nil
	}, args...)
	if err != nil {
		return fmt.Errorf("read the members of groups: %w", err)
	}
	return nil
}

// withMembers adds the members of the first groups, and leaves out the groups for whose
// members there is no room.
func withMembers(ctx context.Context, o *store.Org, groups []Group) ([]Group, error) {
	if len(groups) == 0 {
		return groups, nil
	}
	set := membersOfStatement.Rows(len(groups))
	for i, g := range groups {
		set.Add(int64(i), g.id)
	}
	members := make([][]string, len(groups))
	if err := readMembers(ctx, o, membersOfStatement, set, members, o.ID(), scim.MaxMembers+1); err != nil {
		return nil, err
	}
	read, last := 0, 0
	for i := range groups {
		groups[i].Members = append([]string{}, members[i]...)
		if read += len(members[i]); len(members[i]) > 0 {
			last = i
		}
	}
	if read > scim.MaxMembers && last > 0 {
		return groups[:last], nil // the members of the last one may not be complete
	}
	return groups, nil
}
