package fake

import (
	"encoding/json"
	"fmt"
	"net/http"

	"usersync/internal/connector/fakeplatform"
)

// update changes a contact.
func (f *Fake) update(w http.ResponseWriter, r *http.Request) {
	var in contact
	one, known := f.find(r)
	switch err := json.NewDecoder(r.Body).Decode(&in); {
	case err != nil:
		f.Refuse(w, http.StatusBadRequest)
		return
	case !known:
		f.Refuse(w, http.StatusNotFound)
		return
	}
	if to, _ := in.Attributes["EMAIL"].(string); to != "" {
		if !f.people.Move(one.Email, to) {
			duplicate(w, "email")
			return
		}
		one.Email = to
	}
	f.people.Put(one.Email, func(held *fakeplatform.Person, _ bool) {
		if in.Blacklisted != nil {
			held.Unsubscribed = *in.Blacklisted
		}
		if tags, ok := in.Attributes[TagsAttribute].([]any); ok {
			held.Fields[TagsAttribute], held.Tags = tags, nil
			for _, tag := range tags {
				held.Tags = fakeplatform.With(held.Tags, fmt.Sprint(tag))
			}
		}
	})
	w.WriteHeader(http.StatusNoContent)
}
