// Package fake answers like Twilio SendGrid's API v3. It knows the calls about
// marketing contacts, their lists and fields, suppressions and erasures. Statuses,
// bodies and headers are those that were recorded of SendGrid.
package fake

import (
	"encoding/json"
	"fmt"
	"maps"
	"net/http"
	"slices"
	"strconv"
	"strings"
	"sync"

	"usersync/internal/connector"
	"usersync/internal/connector/fakeplatform"
)

// These are the key that the fake accepts, and its two lists.
const (
	Key       = "SG.0123456789abcdefghijkl.0123456789abcdefghijklmnopqrstuvwxyz0123456"
	List      = "3f641067-6b50-4353-8c87-0825fbb85228"
	OtherList = "faf2f326-ff23-44f1-bd34-554932b0723b"
)

// fields are the custom fields by id. The end of an id tells the type.
var fields = map[string]string{"e1_T": "company", "e2_T": "tags", "e3_N": "score", "e4_D": "joined"}

// Fake is a SendGrid account.
type Fake struct {
	mux    *http.ServeMux
	people *fakeplatform.People

	mu      sync.Mutex
	calls   int
	lists   map[string]string // names by id
	fields  map[string]string // names of custom fields, by id
	jobs    map[string]*job
	work    fakeplatform.Work
	spam    map[string]bool // who complained, by address in lower case
	noFile  bool
	noErase bool
}

// New returns an empty account.
func New() *Fake {
	f := &Fake{people: fakeplatform.NewPeople(), fields: maps.Clone(fields), jobs: map[string]*job{}, spam: map[string]bool{}, lists: map[string]string{List: "active-clients", OtherList: "newsletter"}}
	f.mux = fakeplatform.Routes{
		"GET /v3/marketing/field_definitions":       f.fieldDefinitions,
		"POST /v3/marketing/field_definitions":      f.makeField,
		"GET /v3/marketing/lists":                   f.allLists,
		"POST /v3/marketing/lists":                  f.makeList,
		"GET /v3/marketing/lists/{id}":              f.oneList,
		"DELETE /v3/marketing/lists/{id}/contacts":  f.takeOff,
		"PUT /v3/marketing/contacts":                f.upsert,
		"DELETE /v3/marketing/contacts":             f.remove,
		"GET /v3/marketing/contacts/imports/{id}":   f.job,
		"POST /v3/marketing/contacts/search/emails": f.search,
		"GET /v3/asm/suppressions/global/{email}":   f.suppression,
		"POST /v3/asm/suppressions/global":          f.suppressAll,
		"GET /v3/suppression/unsubscribes":          f.suppressed(func(p *fakeplatform.Person) bool { return p.Unsubscribed }),
		"GET /v3/suppression/spam_reports":          f.suppressed(f.complained),
		"GET /v3/suppression/spam_reports/{email}":  f.complaint,
		"POST /v3/recipients/erasejob":              f.erase,
		"GET /files/{id}":                           f.file,
	}.Mux(nil)
	return f
}

// Name returns the connector's name.
func (f *Fake) Name() string { return "sendgrid" }

// People are the contacts. People who are Unsubscribed are on the global list of
// suppressions. Jobs fail for people who are Refused.
func (f *Fake) People() *fakeplatform.People { return f.people }

// Config is a connection that puts people on List.
func (f *Fake) Config() connector.Config {
	return fakeplatform.Config(
		`{"apiKey":"`+Key+`"}`,
		`{"listIds":["`+List+`"],"customFields":{"company":"attributes.company"}}`)
}

// Hold keeps jobs from being done until it is called with false.
func (f *Fake) Hold(held bool) {
	f.mu.Lock()
	defer f.mu.Unlock()
	f.work.Hold(held)
}

// LoseFiles makes the fake leave the file of errors out of its jobs.
func (f *Fake) LoseFiles() {
	f.mu.Lock()
	defer f.mu.Unlock()
	f.noFile = true
}

// ForbidErasure takes the right to erase from the key. Keys of older accounts lack
// it.
func (f *Fake) ForbidErasure() {
	f.mu.Lock()
	defer f.mu.Unlock()
	f.noErase = true
}

// ServeHTTP answers a call.
func (f *Fake) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	f.mu.Lock()
	defer f.mu.Unlock()
	f.calls++
	headers(w, r.URL.Path)
	_, pattern := f.mux.Handler(r)
	switch {
	case strings.HasPrefix(r.URL.Path, "/files/") && r.Header.Get("Authorization") == "":
		f.mux.ServeHTTP(w, r)
	case r.Header.Get("Authorization") != "Bearer "+Key:
		f.Refuse(w, http.StatusUnauthorized)
	case pattern == "":
		f.Refuse(w, http.StatusNotFound)
	default:
		f.mux.ServeHTTP(w, r)
	}
}

// headers sets the headers of every answer. The reset is a number of seconds,
// although SendGrid describes it as a time.
func headers(w http.ResponseWriter, path string) {
	limit := "600"
	switch {
	case strings.Contains(path, "/marketing/contacts"):
		limit = "200"
	case strings.HasSuffix(path, "/erasejob"):
		limit = "100"
	}
	h := w.Header()
	h.Set("Server", "nginx")
	h.Set("Content-Type", "application/json")
	h.Set("Referrer-Policy", "strict-origin-when-cross-origin")
	h.Set("X-Content-Type-Options", "nosniff")
	h.Set("X-RateLimit-Limit", limit)
	h.Set("X-RateLimit-Remaining", limit[:1]+"9")
	h.Set("X-RateLimit-Reset", "41")
}

// fault is one of the errors in a refusal.
type fault struct {
	Field   *string `json:"field"`
	Message string  `json:"message"`
}

func about(field, message string) fault { return fault{&field, message} }

var refusals = map[int]string{
	http.StatusUnauthorized:    "authorization required",
	http.StatusForbidden:       "access forbidden",
	http.StatusNotFound:        "not found",
	http.StatusTooManyRequests: "too many requests",
}

// Refuse answers with a status, as SendGrid does when no field is wrong.
func (f *Fake) Refuse(w http.ResponseWriter, status int) {
	headers(w, "")
	if status == http.StatusTooManyRequests {
		w.Header().Set("X-RateLimit-Remaining", "0")
	}
	message, ok := refusals[status]
	if !ok {
		message = strings.ToLower(http.StatusText(status))
	}
	refuse(w, status, fault{nil, message})
}

func refuse(w http.ResponseWriter, status int, faults ...fault) {
	write(w, status, map[string]any{"errors": faults})
}

func write(w http.ResponseWriter, status int, v any) {
	w.WriteHeader(status)
	_ = json.NewEncoder(w).Encode(v)
}

// id makes an id in SendGrid's form.
func (f *Fake) id() string { return fmt.Sprintf("d32c6eab-107c-4d26-8428-%012d", f.calls) }

func self(path string) map[string]any {
	return map[string]any{"self": "https://api.sendgrid.com/v3/marketing/" + path}
}

func (f *Fake) fieldDefinitions(w http.ResponseWriter, _ *http.Request) {
	types := map[byte]string{'T': "Text", 'N': "Number", 'D': "Date"}
	custom := []map[string]any{}
	for _, id := range slices.Sorted(maps.Keys(f.fields)) {
		custom = append(custom, map[string]any{"id": id, "name": f.fields[id], "field_type": types[id[len(id)-1]], "_metadata": self("field_definitions/" + id)})
	}
	write(w, http.StatusOK, map[string]any{"custom_fields": custom, "_metadata": self("field_definitions"), "reserved_fields": []map[string]any{
		{"id": "_rf0_T", "name": "first_name", "field_type": "Text"}, {"id": "_rf1_T", "name": "last_name", "field_type": "Text"},
		{"id": "_rf2_T", "name": "email", "field_type": "Text"}, {"id": "_rf9_T", "name": "country", "field_type": "Text"},
		{"id": "_rf21_D", "name": "created_at", "field_type": "Date", "read_only": true},
	}})
}

func (f *Fake) list(id string) map[string]any {
	count := len(f.people.All(func(one *fakeplatform.Person) bool { return slices.Contains(one.Lists, id) }))
	return map[string]any{"id": id, "name": f.lists[id], "contact_count": count, "_metadata": self("lists/" + id)}
}

func (f *Fake) allLists(w http.ResponseWriter, _ *http.Request) {
	result := []map[string]any{}
	for id := range f.lists {
		result = append(result, f.list(id))
	}
	slices.SortFunc(result, func(a, b map[string]any) int { return strings.Compare(a["name"].(string), b["name"].(string)) })
	write(w, http.StatusOK, map[string]any{"result": result, "_metadata": self("lists?page_size=100&page_token=")})
}

func (f *Fake) oneList(w http.ResponseWriter, r *http.Request) {
	id := r.PathValue("id")
	if f.lists[id] == "" {
		f.Refuse(w, http.StatusNotFound)
		return
	}
	write(w, http.StatusOK, f.list(id))
}

func (f *Fake) makeList(w http.ResponseWriter, r *http.Request) {
	var body struct{ Name string }
	if json.NewDecoder(r.Body).Decode(&body) != nil || body.Name == "" || len([]rune(body.Name)) > 100 {
		refuse(w, http.StatusBadRequest, about("name", "name must be between 1 and 100 characters"))
		return
	}
	for _, name := range f.lists {
		if name == body.Name {
			refuse(w, http.StatusBadRequest, about("name", "name already in use"))
			return
		}
	}
	id := f.id()
	f.lists[id] = body.Name
	write(w, http.StatusCreated, f.list(id))
}

func (f *Fake) suppression(w http.ResponseWriter, r *http.Request) {
	if p, ok := f.people.Get(r.PathValue("email")); ok && p.Unsubscribed {
		write(w, http.StatusOK, map[string]any{"recipient_email": strings.ToLower(p.Email)})
		return
	}
	write(w, http.StatusOK, map[string]any{})
}

func (f *Fake) complained(p *fakeplatform.Person) bool { return f.spam[strings.ToLower(p.Email)] }

// suppressed is a page of the people who are on a list.
func (f *Fake) suppressed(isOn func(*fakeplatform.Person) bool) http.HandlerFunc {
	return func(w http.ResponseWriter, r *http.Request) {
		limit, _ := strconv.Atoi(r.URL.Query().Get("limit"))
		offset, _ := strconv.Atoi(r.URL.Query().Get("offset"))
		all := []map[string]any{}
		for _, one := range f.people.All(isOn) {
			all = append(all, map[string]any{"created": 1443651141, "email": one.Email})
		}
		offset = min(max(offset, 0), len(all))
		write(w, http.StatusOK, all[offset:min(offset+max(limit, 1), len(all))])
	}
}

func (f *Fake) complaint(w http.ResponseWriter, r *http.Request) {
	found := []map[string]any{}
	if f.spam[strings.ToLower(r.PathValue("email"))] {
		found = append(found, map[string]any{"created": 1454433146, "email": r.PathValue("email"), "ip": "192.0.2.1"})
	}
	write(w, http.StatusOK, found)
}

// Fields are fields of contacts.
func (f *Fake) Fields() fakeplatform.Fields {
	return fakeplatform.Fields{Setting: "customFields", Text: "company", Number: "score", Phone: "phone_number_id",
		Date: "joined", Tags: map[string]any{"tagsField": "tags"}, Day: "2026-03-04T00:00:00Z", Moment: "2026-03-04T08:30:00Z", List: "company", Several: "gold, new"}
}

// Leave makes a person want no mail of the account. A list is nothing that people leave.
func (f *Fake) Leave(email string, how fakeplatform.Leaving) bool {
	f.mu.Lock()
	defer f.mu.Unlock()
	switch how {
	case fakeplatform.LeftAll:
		f.people.Put(email, func(p *fakeplatform.Person, _ bool) { p.Unsubscribed = true })
	case fakeplatform.LeftComplain:
		f.spam[strings.ToLower(email)] = true
	default:
		return false
	}
	return true
}

// Gone reports whether a person is on the list of those still.
func (f *Fake) Gone(email string, how fakeplatform.Leaving) bool {
	f.mu.Lock()
	defer f.mu.Unlock()
	p, ok := f.people.Get(email)
	return ok && (how == fakeplatform.LeftAll && p.Unsubscribed || f.spam[strings.ToLower(email)])
}

func (f *Fake) erase(w http.ResponseWriter, r *http.Request) {
	var body struct {
		Emails []string `json:"email_addresses"`
	}
	err := json.NewDecoder(r.Body).Decode(&body)
	switch {
	case f.noErase:
		f.Refuse(w, http.StatusForbidden)
		return
	case err != nil || len(body.Emails) == 0 || len(body.Emails) > 5000:
		refuse(w, http.StatusBadRequest, about("email_addresses", "email_addresses must have between 1 and 5000 items"))
		return
	}
	for _, email := range body.Emails {
		f.people.Delete(email)
	}
	write(w, http.StatusAccepted, map[string]any{"job_id": f.id()})
}

func (f *Fake) remove(w http.ResponseWriter, r *http.Request) {
	ids := r.URL.Query().Get("ids")
	if ids == "" {
		refuse(w, http.StatusBadRequest, about("ids", "ids or delete_all_contacts is required"))
		return
	}
	for _, id := range strings.Split(ids, ",") {
		if p, ok := f.people.ByID(id); ok {
			f.people.Delete(p.Email)
		}
	}
	write(w, http.StatusAccepted, map[string]any{"job_id": f.id()})
}
