package fake

import (
	"encoding/json"
	"net/http"
	"slices"
	"strconv"

	"usersync/internal/connector/fakeplatform"
)

// maxLeaving is how many contacts one call takes off a list.
const maxLeaving = 150

// OnList reports whether somebody is on the list of Config.
func (f *Fake) OnList(email string) bool {
	one, ok := f.people.Get(email)
	return ok && slices.Contains(one.Lists, strconv.Itoa(ListID))
}

// takeOff takes contacts off a list. It refuses a call that would take nobody off.
func (f *Fake) takeOff(w http.ResponseWriter, r *http.Request) {
	var in struct {
		Emails []string `json:"emails"`
	}
	if err := json.NewDecoder(r.Body).Decode(&in); err != nil || len(in.Emails) == 0 || len(in.Emails) > maxLeaving {
		f.Refuse(w, http.StatusBadRequest)
		return
	}
	id, _ := strconv.ParseInt(r.PathValue("id"), 10, 64)
	f.mu.Lock()
	known := f.haveLists([]int64{id})
	f.mu.Unlock()
	if !known {
		fakeplatform.Answer(w, http.StatusNotFound, problem{Code: "document_not_found", Message: "List ID does not exist"})
		return
	}
	success, failure := []string{}, []string{}
	for _, email := range in.Emails {
		if one, ok := f.people.Get(email); !ok || !slices.Contains(one.Lists, r.PathValue("id")) {
			failure = append(failure, email)
			continue
		}
		f.people.Put(email, func(one *fakeplatform.Person, _ bool) {
			one.Lists = slices.DeleteFunc(one.Lists, func(l string) bool { return l == r.PathValue("id") })
		})
		success = append(success, email)
	}
	if len(success) == 0 {
		invalid(w, "Contact already removed from list and/or does not exist")
		return
	}
	fakeplatform.Answer(w, http.StatusCreated, map[string]any{"contacts": map[string]any{"success": success, "failure": failure}})
}
