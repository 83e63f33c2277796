package provision

import (
	"context"
	"fmt"
	"slices"

	"usersync/internal/event"
	"usersync/internal/intake"
	"usersync/internal/platform"
	"usersync/internal/store"
	"usersync/internal/user"
	"usersync/internal/usersync"
)

// This file is about what a change of groups does to their users: the attribute groups of
// each lists the names, and the platforms that know the user follow.

// tellStep is how many users are told of their groups at a time.
const tellStep = 500

// tell gives users the attribute groups that they should have.
func (by By) tell(ctx context.Context, tx *store.Tx, users []string) error {
	if len(users) == 0 {
		return nil
	}
	sequence, err := intake.NextSequence(ctx, tx)
	if err != nil {
		return fmt.Errorf("number the change: %w", err)
	}
	slices.Sort(users)
	for some := range slices.Chunk(slices.Compact(users), tellStep) { //lint:loop a few hundred at a time, so that they take little memory
		if err := by.tellSome(ctx, tx, some, sequence); err != nil {
			return err
		}
	}
	return nil
}

func (by By) tellSome(ctx context.Context, tx *store.Tx, ids []string, sequence int64) error {
	users, err := store.Collect(ctx, tx.Conn, lockStatement, store.IDRows(lockStatement, ids), user.Scan, by.Org.ID())
	if err != nil {
		return fmt.Errorf("lock the users: %w", err)
	}
	groups, err := groupsOf(ctx, tx.Conn, by.Org.ID(), store.IDRows(groupsOfStatement, ids))
	if err != nil {
		return err
	}
	var changed []user.Update
	var events []event.Event
	var push []string
	for _, stored := range users {
		u := stored.User()
		in, _ := u.Fitting(usersync.UserInput{Attributes: map[string]any{groupsAttribute: namesOf(groups[u.ID])}}, sequence)
		fields := u.Changes(in, sequence)
		if len(fields) == 0 {
			continue
		}
		u.Apply(in, sequence)
		changed = append(changed, user.Update{User: u, Identity: user.IdentityOf(u.UserInput)})
		events = append(events, event.Event{
			ID: usersync.DeriveID(usersync.PrefixEvent, by.RequestID, u.ID), Type: event.UserUpdated, Source: source, UserID: u.ID,
			Cause: by.RequestID, Attributes: map[string]any{"fields": fields},
		})
		if !stored.Removed {
			push = append(push, u.ID)
		}
	}
	if err := user.Save(ctx, tx, changed); err != nil {
		return fmt.Errorf("save the users: %w", err)
	}
	if err := event.Save(ctx, tx, by.Org.ID(), events); err != nil {
		return fmt.Errorf("record the changes: %w", err)
	}
	return platform.PushAgain(ctx, tx, by.Org.ID(), push, "")
}

// namesOf returns the names of groups as the attribute lists them, nil for none. What is
// beyond the bound of an attribute is left out.
func namesOf(groups []Membership) any {
	var list []any
	size := 0
	for _, g := range groups {
		if size += len(g.Name); size > user.MaxValue {
			break
		}
		list = append(list, g.Name)
	}
	if len(list) == 0 {
		return nil
	}
	return list
}
