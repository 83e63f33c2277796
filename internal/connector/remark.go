package connector

import (
	"slices"
	"strings"

	"usersync/internal/identity"
)

// LeftOut is a field of a person that is not sent, because the platform would refuse it
// or the whole person with it.
type LeftOut struct {
	// Field is the platform's name of it.
	Field string
	// Why ends the sentence "'SMS' was left out, as it …". It quotes no value.
	Why string
}

// Remarker is a connector that leaves fields out. The results of people who arrive say
// so.
type Remarker interface {
	// LeavesOut returns what is not sent of a person, sorted by field.
	LeavesOut(p Profile) []LeftOut
}

// remark adds what c leaves out of people to the sentences of those who arrive.
func remark(c any, people []Profile, results []Result, tense Tense) []Result {
	r, ok := c.(Remarker)
	if !ok || len(people) != len(results) {
		return results
	}
	for i, one := range results {
		if one.Status == Added || one.Status == Updated || one.Status == Synced {
			results[i].Details += tense.leftOut(r.LeavesOut(people[i]))
		}
	}
	return results
}

// leftOut is the end of a sentence that says what is not sent.
func (t Tense) leftOut(all []LeftOut) string {
	var out strings.Builder
	for _, one := range all {
		out.WriteString("; '" + one.Field + "' " + t.was + " left out, as it " + one.Why)
	}
	return out.String()
}

// Phones puts the telephone numbers among values into the form of E.164. It takes out
// those that are none, and returns remarks about them.
func Phones(values map[string]any, p Profile, isPhone func(field string) bool) (left []LeftOut) {
	for field, value := range values {
		if value == nil || !isPhone(field) {
			continue
		}
		number, ok := identity.ParsePhone(Text(value), p.Country)
		if !ok {
			delete(values, field)
			left = append(left, LeftOut{field, "is no telephone number of the user's country"})
			continue
		}
		values[field] = number
	}
	slices.SortFunc(left, func(a, b LeftOut) int { return strings.Compare(a.Field, b.Field) })
	return left
}
