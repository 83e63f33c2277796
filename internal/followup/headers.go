package followup

import (
	"cmp"
	"fmt"
	"maps"
	"net/textproto"
	"slices"

	"usersync/internal/usersync"
)

// This file keeps the values of webhooks' headers apart from their definition, since they
// are credentials more often than not.

// Hidden stands for the value of a header wherever a definition is stored or shown. Written
// by a client it stands for the value that the header has.
const Hidden = "••••"

// Headers are the values of a webhook's headers, but for the Content-Type, which is no
// secret and says how the body is escaped.
type Headers struct {
	// Place is that of the action, and Address its url as it is written: the values are for
	// that address alone.
	Place, Address string
	Values         map[string]string
}

// Hide returns a definition with its headers hidden, and what they are.
func (d Definition) Hide() (Definition, []Headers) {
	var found []Headers
	d.Actions = eachWebhook("actions", d.Actions, func(place string, a *Action) {
		h := Headers{Place: place, Address: a.URL, Values: map[string]string{}}
		shown := map[string]string{}
		for name, value := range a.Headers {
			shown[name] = value
			if hides(name) {
				h.Values[name], shown[name] = value, Hidden
			}
		}
		if len(h.Values) > 0 {
			a.Headers, found = shown, append(found, h)
		}
	})
	return d, found
}

// Restore returns a definition with those values in the place of Hidden that it had before.
// A value is taken from the action in the same place, or else from the only ones for that
// address. faults name those that must be given again.
func (d Definition) Restore(before []Headers) (out Definition, faults []usersync.FieldError) {
	d.Actions = eachWebhook("actions", d.Actions, func(place string, a *Action) {
		a.Headers = maps.Clone(a.Headers)
		for _, name := range slices.Sorted(maps.Keys(a.Headers)) {
			if a.Headers[name] != Hidden || !hides(name) {
				continue
			}
			value, known := valueOf(before, place, a.URL, name)
			if a.Headers[name] = value; !known {
				faults = append(faults, usersync.FieldError{Field: place + ".headers." + name, Message: "must be given, since no value is known for this address"})
			}
		}
	})
	return d, faults
}

// valueOf returns the value that a header had.
func valueOf(before []Headers, place, address, name string) (value string, known bool) {
	for _, h := range before {
		if h.Address != address {
			continue
		}
		one, has := h.Values[name]
		switch {
		case !has:
		case h.Place == place:
			return one, true
		case known && one != value:
			return "", false
		default:
			value, known = one, true
		}
	}
	return value, known
}

// hides reports whether the values of a header are hidden.
func hides(name string) bool { return textproto.CanonicalMIMEHeaderKey(name) != contentType }

// eachWebhook returns a copy of actions in which change has changed the webhooks.
func eachWebhook(place string, list []Action, change func(place string, a *Action)) []Action {
	if len(list) == 0 {
		return list
	}
	out := slices.Clone(list)
	for i := range out {
		at, a := fmt.Sprintf("%s[%d]", place, i), &out[i]
		if a.Type == SendWebhook {
			change(at, a)
		}
		a.Then, a.Else = eachWebhook(at+".then", a.Then, change), eachWebhook(at+".else", a.Else, change)
	}
	return out
}

// SameHeaders reports whether two definitions have the same values.
func SameHeaders(a, b []Headers) bool {
	byPlace := func(x, y Headers) int { return cmp.Compare(x.Place, y.Place) }
	a, b = slices.SortedFunc(slices.Values(a), byPlace), slices.SortedFunc(slices.Values(b), byPlace)
	return slices.EqualFunc(a, b, func(x, y Headers) bool {
		return x.Place == y.Place && x.Address == y.Address && maps.Equal(x.Values, y.Values)
	})
}

// Address returns the address of a webhook whose headers are hidden; hidden is false for
// every other step.
func (s Step) Address() (address string, hidden bool) {
	for name, value := range s.action.Headers {
		if hides(name) && value == Hidden {
			return s.action.URL, true
		}
	}
	return "", false
}

// WithHeaders returns the step with the values of its headers. The error is invalid for one
// that is missing.
func (s Step) WithHeaders(values map[string]string) (Step, error) {
	s.action.Headers = maps.Clone(s.action.Headers)
	for name, shown := range s.action.Headers {
		if shown != Hidden || !hides(name) {
			continue
		}
		value, known := values[name]
		if !known {
			return s, usersync.Errorf(usersync.CodeInvalid, "%s.headers.%s must be given again.", s.Place, name)
		}
		s.action.Headers[name] = value
	}
	return s, nil
}
