package catalog

import (
	"context"
	"fmt"
	"slices"

	"usersync/internal/followup"
	"usersync/internal/store"
	"usersync/internal/tenant"
	"usersync/internal/usersync"
)

// Outcome says what Put did about a follow-up.
type Outcome int

// The outcomes.
const (
	Created Outcome = iota + 1
	Updated
	Unchanged
)

// Placed is a follow-up as it is now, and what was done about it.
type Placed struct {
	FollowUp
	Outcome Outcome
}

var namedStatement = store.Define("catalog.named", `SELECT id, name FROM follow_ups WHERE organization_id = $1 ORDER BY id`)

// Put stores follow-ups, whose definitions were compiled and whose names differ, in one
// transaction: it changes the one of the same name, or makes one. The error is a conflict
// where several have that name.
func Put(ctx context.Context, o *store.Org, actor string, wanted []FollowUp) (out []Placed, err error) {
	err = o.Tx(ctx, func(tx *store.Tx) error {
		out = make([]Placed, 0, len(wanted))
		if err := tenant.Lock(ctx, tx, o.ID()); err != nil {
			return fmt.Errorf("lock the organization: %w", err)
		}
		ids, err := idsByName(ctx, tx, o.ID())
		if err != nil {
			return err
		}
		for i, f := range wanted { //lint:loop an import has few
			one, err := put(ctx, tx, o.ID(), actor, f, ids[f.Name])
			if err != nil {
				return numbered(i, err)
			}
			out = append(out, one)
		}
		return nil
	})
	return out, err
}

// numbered says of which follow-up an error is, in its places too.
func numbered(i int, err error) error {
	faults := slices.Clone(usersync.AsError(err).Fields)
	if len(faults) == 0 {
		return fmt.Errorf("put follow-up %d: %w", i, err)
	}
	for j := range faults {
		faults[j].Field = fmt.Sprintf("followUps[%d].%s", i, faults[j].Field)
	}
	return invalid(faults)
}

// idsByName returns the ids of the follow-ups of each name.
func idsByName(ctx context.Context, tx *store.Tx, organization string) (map[string][]string, error) {
	type named struct{ id, name string }
	list, err := store.Collect(ctx, tx.Conn, namedStatement, nil, func(scan func(...any) error) (n named, err error) {
		return n, scan(&n.id, &n.name)
	}, organization)
	out := map[string][]string{}
	for _, n := range list {
		out[n.name] = append(out[n.name], n.id)
	}
	if err != nil {
		return nil, fmt.Errorf("read the names: %w", err)
	}
	return out, nil
}

func put(ctx context.Context, tx *store.Tx, organization, actor string, f FollowUp, ids []string) (p Placed, err error) {
	switch len(ids) {
	case 0:
		p.Outcome = Created
		p.FollowUp, err = create(ctx, tx, organization, actor, f.Definition, f.Status)
		return p, err
	case 1:
	default:
		return p, usersync.Errorf(usersync.CodeConflict, "%d follow-ups are named %q; rename all but one.", len(ids), f.Name)
	}
	p.Outcome = Unchanged
	p.FollowUp, err = changeIn(ctx, tx, organization, actor, "follow_up.import", ids[0], func(now *FollowUp, known []followup.Headers) ([]string, error) {
		before, err := encode(now.Definition)
		if err != nil {
			return nil, err
		}
		if f.Definition, err = restored(f.Definition, known); err != nil {
			return nil, err
		}
		hidden, headers := f.Hide()
		after, err := encode(hidden)
		if err != nil || before == after && now.Status == f.Status && followup.SameHeaders(known, headers) {
			return nil, err
		}
		p.Outcome = Updated
		now.Definition, now.Status = f.Definition, f.Status
		return []string{"trigger", "condition", "overlap", "actions", "status"}, nil
	})
	return p, err
}
