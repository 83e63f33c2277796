package fake

import (
	"encoding/json"
	"net/http"
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

// readAll reads contacts by their ids. Unknown ones are left out.
func (f *Fake) readAll(w http.ResponseWriter, r *http.Request) {
	var in struct {
		Inputs []struct {
			ID string `json:"id"`
		} `json:"inputs"`
	}
	if err := json.NewDecoder(r.Body).Decode(&in); err != nil || len(in.Inputs) == 0 || len(in.Inputs) > 100 {
		f.Refuse(w, http.StatusBadRequest)
		return
	}
	results := []record{}
	for _, one := range in.Inputs {
		if p, ok := f.people.ByID(one.ID); ok {
			results = append(results, record{ID: p.ID, Properties: map[string]any{"email": p.Email}})
		}
	}
	answer(w, http.StatusOK, map[string]any{"status": "COMPLETE", "results": results})
}
