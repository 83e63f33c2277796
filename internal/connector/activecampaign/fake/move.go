package fake

import (
	"encoding/json"
	"net/http"

	"usersync/internal/connector/fakeplatform"
)

// move gives a contact another address.
func (f *Fake) move(w http.ResponseWriter, r *http.Request, one fakeplatform.Person) {
	var body struct {
		Contact struct {
			Email string `json:"email"`
		} `json:"contact"`
	}
	if err := json.NewDecoder(r.Body).Decode(&body); err != nil || body.Contact.Email == "" {
		f.Refuse(w, http.StatusBadRequest)
		return
	}
	if !f.people.Move(one.Email, body.Contact.Email) {
		fakeplatform.Answer(w, http.StatusUnprocessableEntity, map[string]any{"errors": []any{map[string]any{
			"title": "Email address already exists in the system", "code": "duplicate", "source": map[string]any{"pointer": "/data/attributes/email"}}}})
		return
	}
	one.Email = body.Contact.Email
	fakeplatform.Answer(w, http.StatusOK, map[string]any{"contact": shown(one)})
}
