package fake

import (
	"encoding/json"
	"net/http"
	"slices"

	"usersync/internal/connector/fakeplatform"
)

// OnList reports whether somebody is on the list of Config.
func (f *Fake) OnList(email string) bool {
	p, ok := f.people.Get(email)
	return ok && slices.Contains(p.Lists, ListID)
}

// takeOff takes contacts off a static list. Those who are not on it stand nowhere.
func (f *Fake) takeOff(w http.ResponseWriter, r *http.Request) {
	var ids []string
	if err := json.NewDecoder(r.Body).Decode(&ids); err != nil {
		f.Refuse(w, http.StatusBadRequest)
		return
	}
	f.mu.Lock()
	l, ok := f.lists[r.PathValue("id")]
	f.mu.Unlock()
	if !ok {
		f.showList(w, list{}, false)
		return
	}
	removed, missing := []string{}, []string{}
	for _, id := range ids {
		one, found := f.people.ByID(id)
		if !found {
			missing = append(missing, id)
			continue
		}
		if slices.Contains(one.Lists, l.ID) {
			removed = append(removed, id)
		}
		f.people.Put(one.Email, func(p *fakeplatform.Person, _ bool) {
			p.Lists = slices.DeleteFunc(p.Lists, func(on string) bool { return on == l.ID })
		})
	}
	answer(w, http.StatusOK, map[string]any{"recordsIdsAdded": []string{}, "recordIdsMissing": missing, "recordIdsRemoved": removed})
}
