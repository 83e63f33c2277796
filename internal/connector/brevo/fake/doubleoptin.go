package fake

import (
	"net/http"
	"strconv"
	"strings"

	"usersync/internal/connector/fakeplatform"
)

// Template is the template of a double opt-in e-mail.
const Template = 3

// askToConfirm makes or updates a contact, and sends the e-mail that asks them to confirm.
// Until they have, they are on none of the lists.
func (f *Fake) askToConfirm(w http.ResponseWriter, r *http.Request) {
	var in struct {
		contact
		Include  []int64 `json:"includeListIds"`
		Template int     `json:"templateId"`
		URL      string  `json:"redirectionUrl"`
	}
	if err := fakeplatform.Read(r.Body, &in); err != nil {
		f.Refuse(w, http.StatusBadRequest)
		return
	}
	f.mu.Lock()
	defer f.mu.Unlock()
	_, known := f.people.Get(in.Email)
	switch {
	case in.Email == "" || in.URL == "" || len(in.Include) == 0:
		fakeplatform.Answer(w, http.StatusBadRequest, problem{Code: "missing_parameter", Message: "email, redirectionUrl and includeListIds are required"})
	case !f.valid(in.Email):
		invalid(w, "Invalid email address")
	case in.Template != Template:
		invalid(w, "Template ID does not exist")
	case !f.haveLists(in.Include):
		invalid(w, "List ID does not exist")
	default:
		f.put(in.contact, nil, true)
		f.asked[strings.ToLower(in.Email)]++
		if known {
			w.WriteHeader(http.StatusNoContent)
			return
		}
		w.WriteHeader(http.StatusCreated)
	}
}

// Asked returns how many e-mails asked a person to confirm.
func (f *Fake) Asked(email string) int {
	f.mu.Lock()
	defer f.mu.Unlock()
	return f.asked[strings.ToLower(email)]
}

// Confirm has a person who was asked confirm.
func (f *Fake) Confirm(email string) {
	f.people.Put(email, func(one *fakeplatform.Person, _ bool) { one.Lists = fakeplatform.With(one.Lists, strconv.Itoa(ListID)) })
}
