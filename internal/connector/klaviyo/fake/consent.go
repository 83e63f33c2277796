package fake

import (
	"encoding/json"
	"net/http"

	"usersync/internal/connector/fakeplatform"
)

// leftAt is when people who have unsubscribed did so.
const leftAt = "2026-03-01T00:00:00+00:00"

// subscriptionJob is a job that changes what people agreed to.
type subscriptionJob struct {
	Data struct {
		Type       string `json:"type"`
		Attributes struct {
			Profiles struct {
				Data []profile `json:"data"`
			} `json:"profiles"`
		} `json:"attributes"`
		Relationships struct {
			List struct {
				Data struct {
					ID string `json:"id"`
				} `json:"data"`
			} `json:"list"`
		} `json:"relationships"`
	} `json:"data"`
}

// readJob reads a job of a kind with at most so many profiles, and answers for one that
// is wrong.
func (f *Fake) readJob(w http.ResponseWriter, r *http.Request, kind string, most int) (j subscriptionJob, ok bool) {
	err := json.NewDecoder(r.Body).Decode(&j)
	n := len(j.Data.Attributes.Profiles.Data)
	if err != nil || j.Data.Type != kind || n == 0 || n > most {
		refuse(w, http.StatusBadRequest, problem{"invalid", "Invalid input.", "The payload provided in the request is invalid.", "/data"})
		return j, false
	}
	for _, p := range j.Data.Attributes.Profiles.Data {
		if p.Type != "profile" || !address.MatchString(p.email()) || p.Attributes["subscriptions"] == nil {
			refuse(w, http.StatusBadRequest, problem{"invalid", "Invalid input.", "The profile is invalid.", "/data/attributes/profiles"})
			return j, false
		}
	}
	if list := j.Data.Relationships.List.Data.ID; list != "" {
		if _, known := f.listName(list); !known {
			refuse(w, http.StatusNotFound, problem{"not_found", "Not found.", "A list with this id does not exist.", ""})
			return j, false
		}
	}
	return j, true
}

// subscribe brings people to the list and takes away that they had unsubscribed.
func (f *Fake) subscribe(w http.ResponseWriter, r *http.Request) {
	j, ok := f.readJob(w, r, "profile-subscription-bulk-create-job", 1000)
	if !ok {
		return
	}
	for _, p := range j.Data.Attributes.Profiles.Data {
		f.people.Put(p.email(), func(held *fakeplatform.Person, _ bool) {
			held.Unsubscribed, held.Fields["consent"] = false, "SUBSCRIBED"
			if list := j.Data.Relationships.List.Data.ID; list != "" {
				held.Lists = fakeplatform.With(held.Lists, list)
			}
		})
	}
	w.WriteHeader(http.StatusAccepted)
}

// unsubscribe makes profiles of those who are none.
func (f *Fake) unsubscribe(w http.ResponseWriter, r *http.Request) {
	j, ok := f.readJob(w, r, "profile-subscription-bulk-delete-job", 100)
	if !ok {
		return
	}
	for _, p := range j.Data.Attributes.Profiles.Data {
		f.people.Put(p.email(), func(held *fakeplatform.Person, _ bool) {
			held.Unsubscribed, held.Lists = true, nil
			delete(held.Fields, "consent")
		})
	}
	w.WriteHeader(http.StatusAccepted)
}

// move gives a profile another address.
func (f *Fake) move(w http.ResponseWriter, r *http.Request) {
	var body struct {
		Data profile `json:"data"`
	}
	one, ok := f.people.ByID(r.PathValue("id"))
	switch err := json.NewDecoder(r.Body).Decode(&body); {
	case err != nil || body.Data.ID != r.PathValue("id") || body.Data.email() == "":
		f.Refuse(w, http.StatusBadRequest)
	case !ok:
		f.Refuse(w, http.StatusNotFound)
	case !f.people.Move(one.Email, body.Data.email()):
		f.Refuse(w, http.StatusConflict)
	default:
		one.Email = body.Data.email()
		answer(w, http.StatusOK, data(f.shown(one, false)))
	}
}
