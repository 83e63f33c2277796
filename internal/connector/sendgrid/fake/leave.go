package fake

import (
	"net/http"
	"slices"
	"strings"

	"usersync/internal/connector/fakeplatform"
)

// OnList reports whether somebody is on List.
func (f *Fake) OnList(email string) bool {
	p, ok := f.people.Get(email)
	return ok && slices.Contains(p.Lists, List)
}

// takeOff takes contacts off a list.
func (f *Fake) takeOff(w http.ResponseWriter, r *http.Request) {
	list, ids := r.PathValue("id"), strings.Split(r.URL.Query().Get("contact_ids"), ",")
	if f.lists[list] == "" || slices.ContainsFunc(ids, func(id string) bool { _, ok := f.people.ByID(id); return !ok }) {
		f.Refuse(w, http.StatusNotFound)
		return
	}
	for _, id := range ids {
		one, _ := f.people.ByID(id)
		f.people.Put(one.Email, func(p *fakeplatform.Person, _ bool) {
			p.Lists = slices.DeleteFunc(p.Lists, func(l string) bool { return l == list })
		})
	}
	write(w, http.StatusAccepted, map[string]any{"job_id": f.id()})
}
