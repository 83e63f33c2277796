package fake

import (
	"encoding/json"
	"maps"
	"net/http"
	"slices"
	"strings"

	"usersync/internal/connector/fakeplatform"
)

// optOut opts an address out of all e-mail. HubSpot takes addresses of nobody too.
func (f *Fake) optOut(w http.ResponseWriter, r *http.Request) {
	if r.URL.Query().Get("channel") != "EMAIL" {
		f.Refuse(w, http.StatusBadRequest)
		return
	}
	f.mu.Lock()
	defer f.mu.Unlock()
	f.optedOut[strings.ToLower(r.PathValue("email"))] = true
	if one, ok := f.people.Get(r.PathValue("email")); ok {
		f.people.Put(one.Email, func(held *fakeplatform.Person, _ bool) { held.Unsubscribed = true })
	}
	answer(w, http.StatusOK, map[string]any{"status": "COMPLETE", "results": []any{}})
}

// move gives a contact another address.
func (f *Fake) move(w http.ResponseWriter, r *http.Request) {
	var in struct {
		Properties map[string]string `json:"properties"`
	}
	one, ok := f.people.ByID(r.PathValue("id"))
	switch err := json.NewDecoder(r.Body).Decode(&in); {
	case err != nil || in.Properties["email"] == "":
		f.Refuse(w, http.StatusBadRequest)
	case !ok:
		f.Refuse(w, http.StatusNotFound)
	case !f.people.Move(one.Email, in.Properties["email"]):
		f.Refuse(w, http.StatusConflict)
	default:
		answer(w, http.StatusOK, record{ID: one.ID, Properties: map[string]any{"email": in.Properties["email"]}})
	}
}

// allProperties lists the properties of contacts.
func (f *Fake) allProperties(w http.ResponseWriter, _ *http.Request) {
	f.mu.Lock()
	defer f.mu.Unlock()
	results := []property{}
	for _, name := range slices.Sorted(maps.Keys(f.properties)) {
		results = append(results, f.properties[name])
	}
	answer(w, http.StatusOK, map[string]any{"results": results})
}
