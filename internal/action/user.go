package action

import (
	"context"
	"encoding/json"
	"fmt"
	"maps"
	"slices"
	"strings"
	"unicode/utf8"

	"usersync/internal/event"
	"usersync/internal/followup"
	"usersync/internal/identity"
	"usersync/internal/intake"
	"usersync/internal/store"
	"usersync/internal/user"
	"usersync/internal/usersync"
)

// The bounds of what an update says of a user: those of the API.
const (
	maxField = user.MaxField
	maxLink  = user.MaxLink
	maxName  = user.MaxName
	maxValue = user.MaxValue
)

// attributePrefix begins the names of the fields that are attributes.
const attributePrefix = "attributes."

// updateUser gives fields a value, or clears them.
func updateUser(_ context.Context, d Doing) (Done, error) {
	in, err := inputOf(d.Action)
	if err != nil {
		return Done{}, err
	}
	return say(d, in)
}

func addTags(_ context.Context, d Doing) (Done, error)    { return tag(d, true) }
func removeTags(_ context.Context, d Doing) (Done, error) { return tag(d, false) }

func tag(d Doing, has bool) (Done, error) {
	in := usersync.UserInput{Tags: map[string]bool{}}
	for _, one := range d.Action.Tags {
		in.Tags[one] = has
	}
	return say(d, in)
}

// say merges what an action says into the user, as a request does that is accepted now: a
// text without characters clears, and what would be too much is left out.
func say(d Doing, in usersync.UserInput) (Done, error) {
	if d.User == nil {
		return Done{}, errNobody
	}
	u := d.User.User()
	newest := newestOf(u) + 1
	in, left := u.Fitting(in, newest)
	changed := u.Changes(in, newest)
	details := sentence(changed, left)
	if len(changed) == 0 {
		return Done{Details: details}, nil
	}
	attributes := map[string]any{"fields": changed}
	if len(left) > 0 {
		attributes["leftOut"] = left
	}
	told := event.Event{ID: d.ID(usersync.PrefixEvent, string(event.UserUpdated)), Type: event.UserUpdated, Source: d.Run.FollowUpID,
		UserID: u.ID, Cause: d.Run.ID, Attributes: attributes}
	return Done{Details: details, Write: func(ctx context.Context, tx *store.Tx) error {
		sequence, err := intake.NextSequence(ctx, tx)
		if err != nil {
			return fmt.Errorf("number the change: %w", err)
		}
		now := d.User.User()
		now.Apply(in, sequence)
		if err := user.Save(ctx, tx, []user.Update{{User: now, Identity: user.IdentityOf(now.UserInput)}}); err != nil {
			return fmt.Errorf("save the user: %w", err)
		}
		return event.Save(ctx, tx, d.Org.ID(), []event.Event{told})
	}}, nil
}

// newestOf returns the sequence of the newest request that set a field of a user.
func newestOf(u usersync.User) (newest int64) {
	for _, sequence := range u.Sequences {
		newest = max(newest, sequence)
	}
	return newest
}

func sentence(changed []usersync.Field, left []string) string {
	out := "Nothing changed"
	if len(changed) > 0 {
		names := make([]string, len(changed))
		for i, f := range changed {
			names[i] = string(f)
		}
		out = "Changed " + strings.Join(names, ", ")
	}
	if len(left) > 0 {
		out += "; no room for " + strings.Join(left, ", ")
	}
	return out
}

// inputOf returns what an update says.
func inputOf(a followup.Action) (in usersync.UserInput, err error) {
	in.Attributes = map[string]any{}
	for _, name := range slices.Sorted(maps.Keys(a.Set)) {
		if err := set(&in, name, a.Set[name].Any()); err != nil {
			return in, err
		}
	}
	for _, name := range a.Unset {
		if err := set(&in, name, ""); err != nil {
			return in, err
		}
	}
	return in, nil
}

// set notes one field. A text without characters clears it.
func set(in *usersync.UserInput, name string, value any) error {
	if attribute, ok := strings.CutPrefix(name, attributePrefix); ok {
		return setAttribute(in, attribute, value)
	}
	text, _ := value.(string)
	text = strings.TrimSpace(text)
	f := usersync.Field(name)
	limit := maxField
	to := map[usersync.Field]*string{
		usersync.FieldFirstName: &in.FirstName, usersync.FieldLastName: &in.LastName, usersync.FieldName: &in.Name,
		usersync.FieldJobTitle: &in.JobTitle, usersync.FieldInviteLink: &in.InviteLink, usersync.FieldCountry: &in.Country,
	}[f]
	switch {
	case to == nil:
		return fault(name, "is no field of a user")
	case f == usersync.FieldInviteLink:
		limit = maxLink
	case f == usersync.FieldCountry:
		country, known := identity.ParseCountry(text)
		if !known {
			return fault(name, "is no country, and cannot be cleared")
		}
		text = country
	}
	if utf8.RuneCountInString(text) > limit {
		return fault(name, fmt.Sprintf("must have at most %d characters", limit))
	}
	if *to = text; text == "" {
		in.Cleared = append(in.Cleared, f)
	}
	return nil
}

func setAttribute(in *usersync.UserInput, name string, value any) error {
	if utf8.RuneCountInString(name) > maxName {
		return fault(attributePrefix+name, fmt.Sprintf("must have a name of at most %d characters", maxName))
	}
	switch v := value.(type) {
	case string:
		if len(v) > maxValue {
			return fault(attributePrefix+name, fmt.Sprintf("must have at most %d bytes", maxValue))
		}
		if v == "" {
			value = nil
		}
	case json.Number, bool:
	default:
		return fault(attributePrefix+name, "must be a text, a number, true or false")
	}
	in.Attributes[name] = value
	return nil
}

func fault(field, what string) error {
	return usersync.Errorf(usersync.CodeInvalid, "%s %s", field, what)
}
