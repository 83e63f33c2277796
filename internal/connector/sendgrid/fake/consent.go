package fake

import (
	"encoding/json"
	"net/http"

	"usersync/internal/connector/fakeplatform"
)

// suppressAll puts addresses on the global list, whether they are contacts or not.
func (f *Fake) suppressAll(w http.ResponseWriter, r *http.Request) {
	var body struct {
		Emails []string `json:"recipient_emails"`
	}
	if err := json.NewDecoder(r.Body).Decode(&body); err != nil || len(body.Emails) == 0 {
		refuse(w, http.StatusBadRequest, about("recipient_emails", "recipient_emails is required"))
		return
	}
	for _, email := range body.Emails {
		f.people.Put(email, func(p *fakeplatform.Person, _ bool) { p.Unsubscribed = true })
	}
	write(w, http.StatusCreated, map[string]any{"recipient_emails": body.Emails})
}
