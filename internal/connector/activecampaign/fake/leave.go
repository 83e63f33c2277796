package fake

import (
	"net/http"
	"slices"
	"strconv"

	"usersync/internal/connector/fakeplatform"
)

// OnList reports whether somebody is subscribed to the list.
func (f *Fake) OnList(email string) bool {
	one, ok := f.people.Get(email)
	return ok && slices.Contains(one.Lists, List) && f.statusOf(one) == active
}

// perContact is how many numbers each tag has for those who have it.
const perContact = 1_000_000

// tagsOf are the tags that a contact has, each with the number that it has there.
func (f *Fake) tagsOf(w http.ResponseWriter, _ *http.Request, one fakeplatform.Person) {
	f.mu.Lock()
	defer f.mu.Unlock()
	number, _ := strconv.Atoi(one.ID)
	all := []any{}
	for i, name := range f.tags {
		if slices.Contains(one.Tags, name) {
			all = append(all, map[string]any{"id": strconv.Itoa((i+1)*perContact + number), "contact": one.ID, "tag": strconv.Itoa(i + 1)})
		}
	}
	fakeplatform.Answer(w, http.StatusOK, map[string]any{"contactTags": all})
}

// untag takes a tag from a contact.
func (f *Fake) untag(w http.ResponseWriter, r *http.Request) {
	number, _ := strconv.Atoi(r.PathValue("id"))
	one, ok := f.people.ByID(strconv.Itoa(number % perContact))
	f.mu.Lock()
	defer f.mu.Unlock()
	if tag := number / perContact; !ok || tag < 1 || tag > len(f.tags) {
		f.Refuse(w, http.StatusNotFound)
		return
	}
	f.people.Put(one.Email, func(held *fakeplatform.Person, _ bool) {
		held.Tags = slices.DeleteFunc(held.Tags, func(name string) bool { return name == f.tags[number/perContact-1] })
	})
	fakeplatform.Answer(w, http.StatusOK, map[string]any{})
}
