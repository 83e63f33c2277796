package provision

import (
	"context"
	"database/sql"
	"errors"
	"fmt"
	"maps"
	"slices"

	"usersync/internal/audit"
	"usersync/internal/scim"
	"usersync/internal/store"
	"usersync/internal/usersync"
)

// PrefixGroup begins the ids of groups.
const PrefixGroup usersync.Prefix = "grp"

// Group is a group as an identity provider provisioned it.
type Group struct {
	kept
	// Members are the ids of its users, in their order; nil where they were not asked for.
	Members []string
}

// ID returns the id.
func (g Group) ID() string { return g.id }

// Resource returns the complete resource.
func (g Group) Resource() scim.Resource {
	r := g.complete(scim.Group)
	if g.Members != nil {
		members := make([]any, len(g.Members))
		for i, id := range g.Members {
			members[i] = map[string]any{"value": id, "type": "User", "$ref": Base + scim.User.Endpoint + "/" + id}
		}
		r["members"] = members
	}
	return r
}

// ErrNoGroup is the refusal of an id that names no group of the organization.
var ErrNoGroup = usersync.Errorf(usersync.CodeNotFound, "Group not found")

var (
	errGroupTaken = usersync.Errorf(usersync.CodeConflict, "Another group has this displayName").Because(scim.Uniqueness)
	errNoMember   = scim.Refuse(scim.InvalidValue, "members must be users who were provisioned")
)

const groupColumns = `id, resource, version, created_at, updated_at`

var (
	groupStatement       = store.Define("provision.group", `SELECT `+groupColumns+` FROM scim_groups WHERE id = $2 AND organization_id = $1`)
	lockGroupStatement   = store.Define("provision.lockGroup", `SELECT `+groupColumns+` FROM scim_groups WHERE id = $2 AND organization_id = $1 {for update}`)
	insertGroupStatement = store.Define("provision.insertGroup", `
INSERT INTO scim_groups (id, organization_id, name, name_key, external_id, resource, created_at, updated_at)
VALUES ($1, $2, $3, $4, $5, $6, {now}, {now}) ON CONFLICT DO NOTHING`)
	updateGroupStatement = store.Define("provision.updateGroup", `
UPDATE scim_groups SET name = $3, name_key = $4, external_id = $5, resource = $6, version = version + 1, updated_at = {now}
WHERE id = $1 AND organization_id = $2`)
	deleteGroupStatement = store.Define("provision.deleteGroup", `DELETE FROM scim_groups WHERE id = $1 AND organization_id = $2`)
	membersStatement     = store.Define("provision.members", `SELECT user_id FROM scim_members WHERE group_id = $2 AND organization_id = $1 ORDER BY user_id`)
	joinStatement        = store.Define("provision.join", `
INSERT INTO scim_members (group_id, user_id, organization_id)
SELECT $1, u.user_id, $2 FROM {rows} JOIN scim_users u ON u.user_id = r.user_id WHERE u.organization_id = $2
ON CONFLICT DO NOTHING`, store.Col("user_id", store.Text))
	leaveStatement = store.Define("provision.leave", `
DELETE FROM scim_members WHERE group_id = $1 AND organization_id = $2 AND user_id {any}SELECT r.user_id FROM {rows}{/any}`, store.Col("user_id", store.Text))
)

// GetGroup returns one group. The error is ErrNoGroup.
func GetGroup(ctx context.Context, o *store.Org, id string, members bool) (Group, error) { //lint:flag members is what is read
	found, err := oneKept(ctx, o.Reader(), groupStatement, o.ID(), id)
	if errors.Is(err, sql.ErrNoRows) {
		return Group{}, ErrNoGroup
	}
	if err != nil {
		return Group{}, fmt.Errorf("read the group: %w", err)
	}
	g := Group{kept: found}
	if !members {
		return g, nil
	}
	g.Members, err = membersOf(ctx, o.Reader(), o.ID(), id)
	return g, err
}

func membersOf(ctx context.Context, c store.Conn, organization, id string) ([]string, error) {
	list, err := store.Collect(ctx, c, membersStatement, nil, store.ScanString, organization, id)
	if err != nil {
		return nil, fmt.Errorf("read the members: %w", err)
	}
	return append([]string{}, list...), nil
}

// split separates the ids of the members from the rest of a resource.
func split(r scim.Resource) (rest scim.Resource, members []string) {
	rest = maps.Clone(r)
	delete(rest, "members")
	list, _ := r["members"].([]any)
	for _, one := range list {
		m, _ := one.(map[string]any)
		if id, _ := m["value"].(string); id != "" {
			members = append(members, id)
		}
	}
	slices.Sort(members)
	return rest, slices.Compact(members)
}

// CreateGroup provisions a group. The errors have the causes of package scim.
func CreateGroup(ctx context.Context, by By, r scim.Resource) (Group, error) {
	rest, members := split(r)
	id := usersync.NewID(PrefixGroup)
	err := by.Org.Tx(ctx, func(tx *store.Tx) error {
		n, err := tx.Exec(ctx, insertGroupStatement, nil, id, by.Org.ID(), rest.Text("displayName"), nameKey(rest.Text("displayName")), rest.Text("externalId"), encode(rest))
		if err != nil {
			return fmt.Errorf("keep the group: %w", err)
		}
		if n == 0 {
			return errGroupTaken
		}
		if err := audit.Record(ctx, tx, by.Org.ID(), by.Actor, "scim_group.create", id, "displayName", "members"); err != nil {
			return err
		}
		return by.regroup(ctx, tx, id, members, nil, members)
	})
	if err != nil {
		return Group{}, err
	}
	return GetGroup(ctx, by.Org, id, true)
}

// ChangeGroup changes a group. change returns what the resource is from now on, members
// included; it may run more than once.
func ChangeGroup(ctx context.Context, by By, id string, change func(scim.Resource) (scim.Resource, error)) error {
	err := by.Org.Tx(ctx, func(tx *store.Tx) error {
		g, err := by.lockGroup(ctx, tx, id)
		if err != nil {
			return err
		}
		now := g.resource.Clone()
		if r := g.Resource(); len(g.Members) > 0 {
			now["members"] = r["members"]
		}
		after, err := change(now)
		if err != nil {
			return err
		}
		return by.changeGroup(ctx, tx, g, after)
	})
	if store.IsDuplicate(err) {
		return errGroupTaken
	}
	return err
}

func (by By) lockGroup(ctx context.Context, tx *store.Tx, id string) (g Group, err error) {
	g.kept, err = oneKept(ctx, tx.Conn, lockGroupStatement, by.Org.ID(), id)
	if errors.Is(err, sql.ErrNoRows) {
		return g, ErrNoGroup
	}
	if err != nil {
		return g, fmt.Errorf("lock the group: %w", err)
	}
	g.Members, err = membersOf(ctx, tx.Conn, by.Org.ID(), id)
	return g, err
}

func (by By) changeGroup(ctx context.Context, tx *store.Tx, g Group, after scim.Resource) error {
	rest, members := split(after)
	joined, left := lacks(g.Members, members), lacks(members, g.Members)
	if scim.Equal(g.resource, rest) && len(joined)+len(left) == 0 {
		return nil
	}
	_, err := tx.Exec(ctx, updateGroupStatement, nil, g.id, by.Org.ID(), rest.Text("displayName"), nameKey(rest.Text("displayName")), rest.Text("externalId"), encode(rest))
	if err != nil {
		return fmt.Errorf("keep the group: %w", err)
	}
	fields, concerned := []string{"members"}, slices.Concat(joined, left)
	if rest.Text("displayName") != g.resource.Text("displayName") {
		fields, concerned = append(fields, "displayName"), slices.Concat(members, left)
	}
	if err := audit.Record(ctx, tx, by.Org.ID(), by.Actor, "scim_group.update", g.id, fields...); err != nil {
		return err
	}
	return by.regroup(ctx, tx, g.id, joined, left, concerned)
}

// lacks returns those of the sorted list wanted that the sorted list has lacks.
func lacks(has, wanted []string) (out []string) {
	for _, one := range wanted {
		if _, there := slices.BinarySearch(has, one); !there {
			out = append(out, one)
		}
	}
	return out
}

// DeleteGroup removes a group. Its users stay.
func DeleteGroup(ctx context.Context, by By, id string) error {
	return by.Org.Tx(ctx, func(tx *store.Tx) error {
		g, err := by.lockGroup(ctx, tx, id)
		if err != nil {
			return err
		}
		if err := audit.Record(ctx, tx, by.Org.ID(), by.Actor, "scim_group.delete", id); err != nil {
			return err
		}
		if err := by.regroup(ctx, tx, id, nil, g.Members, nil); err != nil {
			return err
		}
		if _, err := tx.Exec(ctx, deleteGroupStatement, nil, id, by.Org.ID()); err != nil {
			return fmt.Errorf("remove the group: %w", err)
		}
		return by.tell(ctx, tx, g.Members)
	})
}

// regroup lets users join and leave a group, and then tells those who are concerned.
func (by By) regroup(ctx context.Context, tx *store.Tx, group string, joining, leaving, concerned []string) error {
	if len(joining) > 0 {
		n, err := tx.Exec(ctx, joinStatement, store.IDRows(joinStatement, joining), group, by.Org.ID())
		if err != nil {
			return fmt.Errorf("let users join: %w", err)
		}
		if n != int64(len(joining)) {
			return errNoMember
		}
	}
	if len(leaving) > 0 {
		if _, err := tx.Exec(ctx, leaveStatement, store.IDRows(leaveStatement, leaving), group, by.Org.ID()); err != nil {
			return fmt.Errorf("let users leave: %w", err)
		}
	}
	return by.tell(ctx, tx, concerned)
}
