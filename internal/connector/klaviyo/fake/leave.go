package fake

import (
	"net/http"
	"slices"
	"strings"

	"usersync/internal/connector/fakeplatform"
)

// OnList reports whether somebody is on List.
func (f *Fake) OnList(email string) bool {
	one, ok := f.people.Get(email)
	return ok && slices.Contains(one.Lists, List)
}

// takeOff takes profiles off a list.
func (f *Fake) takeOff(w http.ResponseWriter, r *http.Request) {
	named, ok := f.members(w, r)
	if !ok {
		return
	}
	for _, p := range named {
		if one, ok := f.people.ByID(p.ID); ok {
			f.people.Put(one.Email, func(held *fakeplatform.Person, _ bool) {
				held.Lists = slices.DeleteFunc(held.Lists, func(l string) bool { return l == r.PathValue("id") })
			})
		}
	}
	w.WriteHeader(http.StatusNoContent)
}

// properties are the custom properties of a profile.
func properties(one fakeplatform.Person) map[string]any {
	out := map[string]any{}
	for name, value := range one.Fields {
		if inner, ok := strings.CutPrefix(name, "properties."); ok {
			out[inner] = value
		}
	}
	return out
}
