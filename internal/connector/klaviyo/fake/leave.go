package fake

import (
	"encoding/json"
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
	var body struct {
		Data []profile `json:"data"`
	}
	err := json.NewDecoder(r.Body).Decode(&body)
	if _, ok := f.listName(r.PathValue("id")); !ok {
		refuse(w, http.StatusNotFound, problem{"not_found", "Not found.", "A list with this id does not exist.", ""})
		return
	}
	if err != nil || len(body.Data) == 0 || len(body.Data) > maxMembers {
		refuse(w, http.StatusBadRequest, problem{"invalid", "Invalid input.", "The payload must name 1 to 1000 profiles.", "/data"})
		return
	}
	for _, p := range body.Data {
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
