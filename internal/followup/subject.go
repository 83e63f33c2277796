package followup

import (
	"strings"

	"usersync/internal/usersync"
)

// Subject is an event that conditions are asked about, with its user. All conditions of
// the follow-ups of one event are asked about the same Subject, because it bounds what
// they cost together. It is not safe for concurrent use.
type Subject struct {
	data map[string]any
	left int
}

// maxAsked bounds what the questions about one Subject cost together: 1,000 follow-ups
// with ten comparisons each, with room for regular expressions. A comparison costs one.
const maxAsked = 50_000

// whySpent is the answer when the questions have cost too much.
const whySpent = "not asked to the end: the conditions of this event's follow-ups cost too much together"

// NewSubject returns a Subject of data that begins with Roots. Values are strings,
// json.Numbers, int64s, bools, nil, lists ([]any, []string) and maps (map[string]any).
func NewSubject(data map[string]any) *Subject {
	return &Subject{data: data, left: maxAsked}
}

func (s *Subject) spend(n int) bool {
	s.left -= n
	return s.left >= 0
}

func (s *Subject) spent() bool { return s.left < 0 }

// find returns the value at a path, or nil. Beneath the root a name may have dots: what is
// left of the path is first looked for as it is.
func (s *Subject) find(path string) any {
	root, rest, nested := strings.Cut(path, ".")
	value := s.data[root]
	for nested {
		beneath, ok := value.(map[string]any)
		if !ok {
			return nil
		}
		if whole, ok := beneath[rest]; ok {
			return whole
		}
		var head string
		if head, rest, nested = strings.Cut(rest, "."); !nested {
			return nil
		}
		value = beneath[head]
	}
	return value
}

// Profile returns what conditions and templates know of a user: the part "profile" of an
// event's data. A field that has no value is "", so that a template may show it.
func Profile(id string, u usersync.UserInput, tags []string, removed bool) map[string]any { //lint:flag removed is one of the fields
	consent := map[string]any{}
	for channel, c := range u.Consent {
		consent[string(channel)] = string(c.Status)
	}
	attributes := make(map[string]any, len(u.Attributes))
	for name, value := range u.Attributes {
		attributes[name] = value
	}
	return map[string]any{
		"userId": id, string(usersync.FieldEmail): u.Email.Display(), string(usersync.FieldFirstName): u.FirstName, string(usersync.FieldLastName): u.LastName,
		string(usersync.FieldName): u.FullName(), string(usersync.FieldCountry): u.Country, string(usersync.FieldJobTitle): u.JobTitle,
		string(usersync.FieldInviteLink): u.InviteLink, "tags": tags, "removed": removed, "attributes": attributes, "consent": consent,
	}
}
