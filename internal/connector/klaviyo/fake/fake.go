// Package fake behaves like Klaviyo's API as it is documented, with its statuses,
// bodies and headers, its limits and its checks of what it is sent.
package fake

import (
	"encoding/json"
	"fmt"
	"net/http"
	"regexp"
	"strings"
	"sync"

	"usersync/internal/connector"
	"usersync/internal/connector/fakeplatform"
)

const (
	key = "pk_7c1f5a90e2d84b63"
	// List is the one that people are added to, with this name.
	List     = "Y6nRLr"
	listName = "active-clients"
)

// Fake is Klaviyo.
type Fake struct {
	people *fakeplatform.People
	mux    *http.ServeMux

	mu   sync.Mutex
	work fakeplatform.Work
	jobs map[string]*job
	// lists are names by id.
	lists map[string]string
	// left is how people left, by address in lower case.
	left map[string]fakeplatform.Leaving
}

// New returns a Klaviyo with one list and nobody.
func New() *Fake {
	f := &Fake{
		people: fakeplatform.NewPeople(),
		jobs:   map[string]*job{}, lists: map[string]string{List: listName}, left: map[string]fakeplatform.Leaving{},
	}
	f.mux = fakeplatform.Routes{
		"GET /api/accounts":                                    f.accounts,
		"GET /api/lists":                                       f.findList,
		"POST /api/lists":                                      f.makeList,
		"GET /api/lists/{id}":                                  f.list,
		"POST /api/lists/{id}/relationships/profiles":          f.addToList,
		"DELETE /api/lists/{id}/relationships/profiles":        f.takeOff,
		"POST /api/profile-import":                             f.importOne,
		"PATCH /api/profiles/{id}":                             f.move,
		"GET /api/profiles":                                    f.find,
		"POST /api/profile-bulk-import-jobs":                   f.makeJob,
		"GET /api/profile-bulk-import-jobs/{id}":               f.ofJob(f.job),
		"GET /api/profile-bulk-import-jobs/{id}/import-errors": f.ofJob(f.jobErrors),
		"POST /api/data-privacy-deletion-jobs":                 f.erase,
		"POST /api/profile-subscription-bulk-create-jobs":      f.subscribe,
		"POST /api/profile-subscription-bulk-delete-jobs":      f.unsubscribe,
	}.Mux(nil)
	return f
}

// Name returns the connector's name.
func (*Fake) Name() string { return "klaviyo" }

// Config is a connection to the list.
func (*Fake) Config() connector.Config {
	return fakeplatform.Config(
		`{"apiKey":"`+key+`"}`,
		`{"listId":"`+List+`","tags":["onlyautomator-user"]}`)
}

// People are the profiles.
func (f *Fake) People() *fakeplatform.People { return f.people }

// Hold keeps jobs from being done.
func (f *Fake) Hold(held bool) {
	f.mu.Lock()
	defer f.mu.Unlock()
	f.work.Hold(held)
}

// ServeHTTP answers a call.
func (f *Fake) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	w.Header().Set("RateLimit-Limit", "150, 10;w=1, 150;w=60")
	w.Header().Set("RateLimit-Remaining", "149")
	w.Header().Set("RateLimit-Reset", "31")
	scheme, given, _ := strings.Cut(r.Header.Get("Authorization"), " ")
	switch {
	case scheme != "Klaviyo-API-Key" || given == "":
		refuse(w, http.StatusUnauthorized, problem{"not_authenticated", "Authentication credentials were not provided.", "Missing or invalid authorization header.", ""})
	case given != key:
		refuse(w, http.StatusUnauthorized, problem{"authentication_failed", "Incorrect authentication credentials.", "Incorrect authentication credentials.", ""})
	case !revision.MatchString(r.Header.Get("Revision")):
		refuse(w, http.StatusBadRequest, problem{"invalid", "Invalid input.", "The revision header is missing or is no date.", ""})
	case r.Method == http.MethodPost && r.Header.Get("Content-Type") != mediaType:
		refuse(w, http.StatusUnsupportedMediaType, problem{"unsupported_media_type", "Unsupported media type.", "The body must be " + mediaType + ".", ""})
	default:
		f.mux.ServeHTTP(w, r)
	}
}

const mediaType = "application/vnd.api+json"

var revision = regexp.MustCompile(`^\d{4}-\d{2}-\d{2}`)

// Refuse answers with a status in Klaviyo's shape.
func (*Fake) Refuse(w http.ResponseWriter, status int) {
	p, ok := problems[status]
	if !ok {
		p = problem{"error", http.StatusText(status), "The call could not be handled.", ""}
	}
	w.Header().Del("RateLimit-Reset") // Klaviyo does not send it with 429
	refuse(w, status, p)
}

var problems = map[int]problem{
	http.StatusBadRequest:      {"invalid", "Invalid input.", "The payload provided in the request is invalid.", "/data"},
	http.StatusUnauthorized:    {"authentication_failed", "Incorrect authentication credentials.", "Incorrect authentication credentials.", ""},
	http.StatusForbidden:       {"permission_denied", "You do not have permission to perform this action.", "The API key is missing required scopes.", ""},
	http.StatusNotFound:        {"not_found", "Not found.", "The resource could not be found.", ""},
	http.StatusConflict:        {"duplicate_profile", "Conflict.", "A profile already exists with one of these identifiers.", "/data/attributes"},
	http.StatusTooManyRequests: {"throttled", "Request was throttled.", "Request was throttled.", ""},
}

// problem is one entry of the errors of a refusal.
type problem struct{ code, title, detail, pointer string }

// duplicate is the refusal of a profile whose identifiers are those of two.
func duplicate(w http.ResponseWriter, id string) {
	p := problems[http.StatusConflict]
	answer(w, http.StatusConflict, map[string]any{"errors": []any{map[string]any{
		"id": "e4eebb08-9", "status": http.StatusConflict, "code": p.code, "title": p.title, "detail": p.detail,
		"source": map[string]any{"pointer": p.pointer}, "meta": map[string]any{"duplicate_profile_id": id},
	}}})
}

// Fields are attributes of profiles.
func (*Fake) Fields() fakeplatform.Fields {
	return fakeplatform.Fields{Setting: "attributes", Text: "organization", Number: "properties.seats", Phone: "phone_number",
		Date: "properties.joined", Day: "2026-03-04", Moment: "2026-03-04 08:30:00+00:00", AnyDate: true,
		List: "properties.plans", Several: []string{"gold", "new"}}
}

// Leave makes a person leave.
func (f *Fake) Leave(email string, how fakeplatform.Leaving) bool {
	f.mu.Lock()
	f.left[strings.ToLower(email)] = how
	f.mu.Unlock()
	f.people.Put(email, func(one *fakeplatform.Person, _ bool) { one.Lists = nil })
	return true
}

// Gone reports whether a person has not been put on a list again.
func (f *Fake) Gone(email string, _ fakeplatform.Leaving) bool {
	one, ok := f.people.Get(email)
	return ok && len(one.Lists) == 0
}

func refuse(w http.ResponseWriter, status int, problems ...problem) {
	var list []any
	for i, p := range problems {
		list = append(list, map[string]any{
			"id": fmt.Sprintf("e4eebb08-%d", i), "status": status, "code": p.code, "title": p.title, "detail": p.detail,
			"source": map[string]any{"pointer": p.pointer},
		})
	}
	answer(w, status, map[string]any{"errors": list})
}

func answer(w http.ResponseWriter, status int, body any) {
	w.Header().Set("Content-Type", mediaType)
	fakeplatform.Answer(w, status, body)
}

func data(body any) map[string]any { return map[string]any{"data": body} }

func (*Fake) accounts(w http.ResponseWriter, _ *http.Request) {
	answer(w, http.StatusOK, data([]any{map[string]any{
		"type": "account", "id": "AbC123",
		"attributes": map[string]any{"test_account": true, "contact_information": map[string]any{"organization_name": "Example Ltd"}},
	}}))
}

func listOf(id, name string) map[string]any {
	return map[string]any{"type": "list", "id": id, "attributes": map[string]any{"name": name, "opt_in_process": "double_opt_in"}}
}

func (f *Fake) list(w http.ResponseWriter, r *http.Request) {
	name, ok := f.listName(r.PathValue("id"))
	if !ok {
		refuse(w, http.StatusNotFound, problem{"not_found", "Not found.", "A list with this id does not exist.", ""})
		return
	}
	answer(w, http.StatusOK, data(listOf(r.PathValue("id"), name)))
}

func (f *Fake) listName(id string) (string, bool) {
	f.mu.Lock()
	defer f.mu.Unlock()
	name, ok := f.lists[id]
	return name, ok
}

var nameFilter = regexp.MustCompile(`^equals\(name,(".*")\)$`)

func (f *Fake) findList(w http.ResponseWriter, r *http.Request) {
	wanted := ""
	m := nameFilter.FindStringSubmatch(r.URL.Query().Get("filter"))
	if m == nil || json.Unmarshal([]byte(m[1]), &wanted) != nil {
		refuse(w, http.StatusBadRequest, problem{"invalid", "Invalid input.", "Filter provided is invalid.", ""})
		return
	}
	found := []any{}
	f.mu.Lock()
	defer f.mu.Unlock()
	for id, name := range f.lists {
		if name == wanted {
			found = append(found, listOf(id, name))
		}
	}
	answer(w, http.StatusOK, data(found))
}

func (f *Fake) makeList(w http.ResponseWriter, r *http.Request) {
	var body struct {
		Data struct {
			Attributes struct {
				Name string `json:"name"`
			} `json:"attributes"`
		} `json:"data"`
	}
	if err := json.NewDecoder(r.Body).Decode(&body); err != nil || body.Data.Attributes.Name == "" {
		refuse(w, http.StatusBadRequest, problem{"invalid", "Invalid input.", "'name' is a required field.", "/data/attributes/name"})
		return
	}
	f.mu.Lock()
	defer f.mu.Unlock()
	id := fmt.Sprintf("List%d", len(f.lists))
	f.lists[id] = body.Data.Attributes.Name
	answer(w, http.StatusCreated, data(listOf(id, body.Data.Attributes.Name)))
}
