package fake

import (
	"encoding/json"
	"net/http"
	"slices"
	"strconv"

	"usersync/internal/connector/fakeplatform"
)

// OnList reports whether somebody is in the segment of Config.
func (f *Fake) OnList(email string) bool {
	one, ok := f.people.Get(email)
	return ok && slices.Contains(one.Lists, strconv.Itoa(SegmentID))
}

// takeOff takes people out of a manual segment. It ignores those who are not in it.
func (f *Fake) takeOff(w http.ResponseWriter, r *http.Request) {
	var in struct {
		IDs []string `json:"ids"`
	}
	s, ok := f.segment(r.PathValue("id"))
	if err := json.NewDecoder(r.Body).Decode(&in); err != nil || len(in.IDs) == 0 || len(in.IDs) > maxIDs || !ok || s.Type != "manual" {
		fakeplatform.Answer(w, http.StatusBadRequest, map[string]any{"meta": map[string]any{"errors": []string{"ids or segment are not valid"}}})
		return
	}
	find := f.withID
	if r.URL.Query().Get("id_type") == "email" {
		find = f.people.Get
	}
	for _, id := range in.IDs {
		if one, found := find(id); found {
			f.people.Put(one.Email, func(one *fakeplatform.Person, _ bool) {
				one.Lists = slices.DeleteFunc(one.Lists, func(l string) bool { return l == strconv.Itoa(s.ID) })
			})
		}
	}
	done(w)
}
