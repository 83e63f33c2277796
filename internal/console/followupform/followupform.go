// Package followupform makes follow-ups of what stands in the fields of a form.
package followupform

import (
	"fmt"
	"net/url"

	"usersync/internal/console/ui"
	"usersync/internal/followup"
	"usersync/internal/management/followups"
	"usersync/internal/usersync"
)

// How many comparisons and actions the form has. A definition with more of them, or with
// branches, is written as JSON.
const (
	Comparisons = 3
	Actions     = 4
)

// Triggers are the types of events that a form offers.
var Triggers = ui.Options(followup.EventTypes)

// Ways are the ways to compare that a form offers.
var Ways = []ui.Option{
	{Value: "equals", Text: "is"}, {Value: "notEquals", Text: "is not"}, {Value: "contains", Text: "contains"}, {Value: "notContains", Text: "does not contain"},
	{Value: "less", Text: "is less than"}, {Value: "more", Text: "is more than"}, {Value: "matches", Text: "matches (RE2)"},
	{Value: "isSet", Text: "is set"}, {Value: "isNotSet", Text: "is not set"},
}

// Kinds are the actions that a form offers, and what its text says of each.
var Kinds = []ui.Option{
	{Value: string(followup.AddTag), Text: "add a tag: the tag"}, {Value: string(followup.RemoveTag), Text: "remove a tag: the tag"},
	{Value: string(followup.Wait), Text: "wait: how long, as in 24h or 3d"}, {Value: string(followup.SyncToPlatforms), Text: "sync to all platforms"},
	{Value: string(followup.RemoveFromPlatforms), Text: "remove from all platforms"}, {Value: string(followup.Unsubscribe), Text: "unsubscribe: email or sms"},
	{Value: string(followup.SendWebhook), Text: "call an address: the https address"}, {Value: string(followup.TriggerEvent), Text: "trigger an event: custom/its-name"},
	{Value: string(followup.FindColleagues), Text: "find colleagues"}, {Value: string(followup.SendInvitation), Text: "invite colleagues"},
}

// Read makes a definition of a form.
func Read(form url.Values) followups.Input {
	name, trigger := form.Get("name"), followup.Trigger{Type: followup.EventType(form.Get("trigger"))}
	actions := []followup.Action{}
	for i := range Actions {
		if a, ok := actionOf(form.Get(fmt.Sprintf("action%d", i)), form.Get(fmt.Sprintf("with%d", i))); ok {
			actions = append(actions, a)
		}
	}
	in := followups.Input{Name: &name, Trigger: &trigger, Actions: &actions}
	var all []followup.Condition
	for i := range Comparisons {
		if one, ok := comparisonOf(form.Get(fmt.Sprintf("field%d", i)), form.Get(fmt.Sprintf("compare%d", i)), form.Get(fmt.Sprintf("value%d", i))); ok {
			all = append(all, one)
		}
	}
	switch {
	case len(all) == 1:
		in.Condition = &all[0]
	case len(all) > 1 && form.Get("join") == "any":
		in.Condition = &followup.Condition{Any: all}
	case len(all) > 1:
		in.Condition = &followup.Condition{All: all}
	}
	return in
}

// comparisonOf makes one comparison of three fields; ok is false for an empty row.
func comparisonOf(field, compare, text string) (c followup.Condition, ok bool) {
	if field == "" {
		return c, false
	}
	c.Field = field
	value, yes, no := valueFrom(text), true, false
	switch compare {
	case "notEquals":
		c.NotEquals = &value
	case "contains":
		c.Contains = &value
	case "notContains":
		c.NotContains = &value
	case "less":
		c.Less = &value
	case "more":
		c.More = &value
	case "matches":
		c.Matches = &text
	case "isSet":
		c.IsSet = &yes
	case "isNotSet":
		c.IsSet = &no
	default:
		c.Equals = &value
	}
	return c, true
}

// valueFrom is a number, true or false where the text is one, and else the text.
func valueFrom(text string) followup.Value {
	var v followup.Value
	if text != "" && v.UnmarshalJSON([]byte(text)) == nil {
		return v
	}
	return followup.ValueOf(text)
}

// actionOf makes an action of its type and the one text that it needs.
func actionOf(kind, with string) (a followup.Action, ok bool) {
	a.Type = followup.ActionType(kind)
	switch a.Type {
	case "":
		return a, false
	case followup.AddTag, followup.RemoveTag:
		a.Tags = []string{with}
	case followup.Wait:
		a.For = with
	case followup.Unsubscribe:
		a.Channel = usersync.Channel(with)
	case followup.SendWebhook:
		a.URL = with
	case followup.TriggerEvent:
		a.Event = followup.EventType(with)
	}
	return a, true
}
