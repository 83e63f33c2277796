// Package followup is what organizations write of their follow-ups: on which event, under
// which condition, which actions. It checks a definition, asks its condition about an
// event, and fills in the texts of its actions. It reads no database and calls nobody.
package followup

import (
	"bytes"
	"encoding/json"
	"fmt"

	"usersync/internal/usersync"
)

// Definition is a follow-up as an organization writes it. Compile checks it.
type Definition struct {
	Name    string  `json:"name"`
	Trigger Trigger `json:"trigger"`
	// Condition is asked when the event comes, and again when a wait is over. The empty
	// one always holds.
	Condition *Condition `json:"condition,omitempty"`
	// Overlap says what happens when the same user sets off the follow-up while it waits
	// for them. "" is OverlapAll.
	Overlap Overlap  `json:"overlap,omitempty"`
	Actions []Action `json:"actions"`
}

// Trigger says which events set off a follow-up.
type Trigger struct {
	Type EventType `json:"type"`
}

// EventType says what happened.
type EventType string

// The types of the events that clients report.
const (
	UserUpdate        EventType = "user/update"
	UserRegister      EventType = "user/register"
	UserRemove        EventType = "user/remove"
	WebshopCartAdd    EventType = "webshop/cart/add"
	WebshopCartRemove EventType = "webshop/cart/remove"
)

// EventTypes lists them.
var EventTypes = []EventType{UserUpdate, UserRegister, UserRemove, WebshopCartAdd, WebshopCartRemove}

// CustomPrefix begins the types that an organization makes up, for events that one
// follow-up triggers and another waits for.
const CustomPrefix = "custom/"

// Overlap says what happens when a user sets off a follow-up that waits for them already.
type Overlap string

// The overlaps.
const (
	OverlapAll     Overlap = "all"     // both run
	OverlapReplace Overlap = "replace" // the one that waits ends, and the new one begins
	OverlapIgnore  Overlap = "ignore"  // the one that waits goes on, and there is no new one
)

// Overlaps lists them.
var Overlaps = []Overlap{OverlapAll, OverlapReplace, OverlapIgnore}

// ActionType says what an action does.
type ActionType string

// The types of actions.
const (
	UpdateUser          ActionType = "update-user"
	AddTag              ActionType = "add-tag"
	RemoveTag           ActionType = "remove-tag"
	SyncToPlatforms     ActionType = "sync-to-platforms"
	RemoveFromPlatforms ActionType = "remove-from-platforms"
	Unsubscribe         ActionType = "unsubscribe"
	SendWebhook         ActionType = "send-webhook"
	TriggerEvent        ActionType = "trigger-event"
	FindColleagues      ActionType = "find-colleagues"
	SendInvitation      ActionType = "send-invitation"
	Wait                ActionType = "wait"
	Branch              ActionType = "branch"
)

// Action is one step of a follow-up. Which fields it has follows from its type; the texts
// of most are templates.
type Action struct {
	Type ActionType `json:"type"`

	// Set are the fields that UpdateUser gives a value: those of usersync.Field, but for
	// the address. A text is a template.
	Set map[string]Value `json:"set,omitempty"`
	// Unset are the fields that UpdateUser clears.
	Unset []string `json:"unset,omitempty"`

	// Tags are what AddTag and RemoveTag are about: templates.
	Tags []string `json:"tags,omitempty"`

	// Connections are the ids of those that SyncToPlatforms and RemoveFromPlatforms are
	// about; none for all.
	Connections []string `json:"connections,omitempty"`

	// Limit is how many colleagues SendInvitation invites at most; 0 is 10.
	Limit int `json:"limit,omitempty"`

	// Channel is the one that Unsubscribe is about; "" is usersync.ChannelEmail.
	Channel usersync.Channel `json:"channel,omitempty"`

	// Name is that of SendWebhook's response among the responses; "" for a response that
	// nobody needs.
	Name   string `json:"name,omitempty"`
	Method string `json:"method,omitempty"`
	// URL and the values of Query and Headers are templates. So is Body, whose values are
	// escaped for the Content-Type among the headers: application/json where none is.
	URL     string            `json:"url,omitempty"`
	Query   map[string]string `json:"query,omitempty"`
	Headers map[string]string `json:"headers,omitempty"`
	Body    string            `json:"body,omitempty"`

	// Event is the type of the event that TriggerEvent triggers, about the same user.
	Event EventType `json:"event,omitempty"`
	// Attributes are those of that event. A text is a template.
	Attributes map[string]Value `json:"attributes,omitempty"`

	// For is how long Wait waits, as in 90s, 15m, 24h or 3d.
	For string `json:"for,omitempty"`
	// Until is the moment that Wait waits for instead: a template that makes a time as in
	// RFC 3339, or seconds since 1970. A moment that has passed is now.
	Until string `json:"until,omitempty"`

	// If is the condition of Branch. The actions of Then run where it holds, and
	// otherwise those of Else.
	If   *Condition `json:"if,omitempty"`
	Then []Action   `json:"then,omitempty"`
	Else []Action   `json:"else,omitempty"`
}

// Value is a text, a number, true or false, as it stands in JSON. Numbers keep their
// digits.
type Value struct{ any }

// ValueOf returns the value of a string, a json.Number or a bool.
func ValueOf(v any) Value { return Value{v} }

// Any returns the string, the json.Number or the bool.
func (v Value) Any() any { return v.any }

// MarshalJSON writes the value as it was read.
func (v Value) MarshalJSON() ([]byte, error) { return json.Marshal(v.any) }

// UnmarshalJSON refuses lists, objects and null.
func (v *Value) UnmarshalJSON(text []byte) error {
	d := json.NewDecoder(bytes.NewReader(text))
	d.UseNumber()
	if err := d.Decode(&v.any); err != nil {
		return fmt.Errorf("read a value: %w", err)
	}
	switch v.any.(type) {
	case string, json.Number, bool:
		return nil
	}
	return usersync.Errorf(usersync.CodeInvalid, "must be a text, a number, true or false")
}

// Parse reads a definition as it is stored and compiles it. Its errors are those of
// Compile, but for a text that is no definition at all.
func Parse(text []byte) (*Program, error) {
	d := json.NewDecoder(bytes.NewReader(text))
	d.DisallowUnknownFields()
	var out Definition
	if err := d.Decode(&out); err != nil {
		return nil, usersync.Errorf(usersync.CodeInvalid, "The definition cannot be read.").Because(err)
	}
	if d.More() {
		return nil, usersync.Errorf(usersync.CodeInvalid, "There is text behind the definition.")
	}
	return Compile(out)
}
