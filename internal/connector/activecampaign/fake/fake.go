// Package fake behaves like ActiveCampaign's API as it is documented, with its
// statuses, bodies and headers, its limits, and its checks of what it is sent. Where
// nothing is documented, it does what harms most. For example, an import subscribes
// people again who have unsubscribed.
package fake

import (
	"encoding/json"
	"maps"
	"net/http"
	"regexp"
	"strconv"
	"strings"
	"sync"

	"usersync/internal/connector"
	"usersync/internal/connector/fakeplatform"
)

const (
	token = "3f8a91c0d7e24b5a6f1098cd"
	// List is the one that people are subscribed to, with this name.
	List     = "3"
	listName = "active-clients"
	pageSize = 100
)

// Fake is ActiveCampaign.
type Fake struct {
	people *fakeplatform.People
	mux    *http.ServeMux

	mu     sync.Mutex
	work   fakeplatform.Work
	jobs   []*job
	fields map[string]field
	// tags are names. The number of a tag is its place plus one.
	tags []string
	// standing is the status of contacts who do not just stand on the list, by address in
	// lower case: 2 for who left, 3 for whom mail came back from.
	standing map[string]string
}

// field is a custom field.
type field struct{ title, tag, kind string }

// fields are the custom fields of the account, by their number.
var fields = map[string]field{
	"1": {"Company", "COMPANY", "text"}, "2": {"Seats", "SEATS", "text"}, "5": {"Invite link", "INVITE_LINK", "text"},
	"7": {"Joined", "JOINED", "date"}, "8": {"Plans", "PLANS", "multiselect"},
}

// forms are what fields take that are no texts.
var forms = map[string]*regexp.Regexp{
	"date": regexp.MustCompile(`^([0-9]{4}-[0-9]{2}-[0-9]{2})?$`), "multiselect": regexp.MustCompile(`^(\|\|[^|]+(\|\|[^|]+)*\|\|)?$`),
}

// fits reports whether a field takes a value.
func (f *Fake) fits(field, value string) bool {
	form := forms[f.fields[field].kind]
	return form == nil || form.MatchString(value)
}

// New returns an ActiveCampaign with one list, two custom fields and nobody.
func New() *Fake {
	f := &Fake{people: fakeplatform.NewPeople(), fields: maps.Clone(fields), tags: []string{"customer"}, standing: map[string]string{}}
	about := func(do func(http.ResponseWriter, *http.Request, fakeplatform.Person)) http.HandlerFunc {
		return fakeplatform.About(f.byID, f.Refuse, do)
	}
	f.mux = fakeplatform.Routes{
		"GET /api/3/users/me":                   f.me,
		"GET /api/3/lists/{id}":                 f.list,
		"GET /api/3/fields":                     f.listFields,
		"POST /api/3/fields":                    f.makeField,
		"POST /api/3/fieldRels":                 f.relateField,
		"GET /api/3/tags":                       f.findTags,
		"POST /api/3/tags":                      f.makeTag,
		"POST /api/3/contact/sync":              f.sync,
		"GET /api/3/contacts":                   f.find,
		"GET /api/3/contacts/{id}/contactLists": about(f.listsOf),
		"DELETE /api/3/contacts/{id}":           about(f.remove),
		"PUT /api/3/contacts/{id}":              about(f.move),
		"POST /api/3/contactLists":              f.subscribe,
		"POST /api/3/contactTags":               f.tag,
		"GET /api/3/contacts/{id}/contactTags":  about(f.tagsOf),
		"DELETE /api/3/contactTags/{id}":        f.untag,
		"POST /api/3/import/bulk_import":        f.bulk,
		"GET /api/3/import/info":                f.info,
	}.Mux(f.Refuse)
	return f
}

// Name returns the connector's name.
func (*Fake) Name() string { return "activecampaign" }

// Config is a connection to the list.
func (*Fake) Config() connector.Config {
	return fakeplatform.Config(
		`{"apiToken":"`+token+`"}`,
		`{"accountUrl":"https://example.api-us1.com","listId":"`+List+`","tags":["onlyautomator-user"],`+
			`"fields":{"INVITE_LINK":"inviteLink"}}`)
}

// People are the contacts.
func (f *Fake) People() *fakeplatform.People { return f.people }

// Fields are fields of contacts.
func (*Fake) Fields() fakeplatform.Fields {
	return fakeplatform.Fields{Setting: "fields", Text: "COMPANY", Number: "SEATS", Phone: "phone",
		Date: "JOINED", Day: "2026-03-04", Moment: "2026-03-04", List: "PLANS", Several: "||gold||new||"}
}

// Leave makes a contact leave the list. A complaint is an unsubscribe too.
func (f *Fake) Leave(email string, how fakeplatform.Leaving) bool {
	f.people.Put(email, func(one *fakeplatform.Person, _ bool) { one.Lists = fakeplatform.With(one.Lists, List) })
	f.mu.Lock()
	defer f.mu.Unlock()
	f.standing[strings.ToLower(email)] = left
	if how == fakeplatform.LeftCleaned {
		f.standing[strings.ToLower(email)] = bounced
	}
	return true
}

// Gone reports whether nobody has given a contact another status.
func (f *Fake) Gone(email string, how fakeplatform.Leaving) bool {
	one, _ := f.people.Get(email)
	want := left
	if how == fakeplatform.LeftCleaned {
		want = bounced
	}
	return f.statusOf(one) == want
}

// These are statuses of a contact on the list.
const (
	active  = "1"
	left    = "2"
	bounced = "3"
)

// statusOf is how a contact stands to the list.
func (f *Fake) statusOf(one fakeplatform.Person) string {
	f.mu.Lock()
	defer f.mu.Unlock()
	if one.Unsubscribed {
		return left
	}
	if status, ok := f.standing[strings.ToLower(one.Email)]; ok {
		return status
	}
	return active
}

// Hold keeps imports from being done.
func (f *Fake) Hold(held bool) {
	f.mu.Lock()
	defer f.mu.Unlock()
	f.work.Hold(held)
}

// ServeHTTP answers a call.
func (f *Fake) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	if r.Header.Get("Api-Token") != token {
		f.Refuse(w, http.StatusForbidden)
		return
	}
	w.Header().Set("RateLimit-Limit", "5")
	w.Header().Set("RateLimit-Remaining", "4")
	f.mux.ServeHTTP(w, r)
}

// Refuse answers with a status in ActiveCampaign's shape.
func (*Fake) Refuse(w http.ResponseWriter, status int) {
	switch status {
	case http.StatusForbidden:
		fakeplatform.Answer(w, status, map[string]any{"message": "You do not have permission to perform this action"})
	case http.StatusNotFound:
		fakeplatform.Answer(w, status, map[string]any{"message": "No Result found"})
	case http.StatusUnprocessableEntity, http.StatusBadRequest:
		invalid(w, "The field is invalid.", "field_invalid", "/data/attributes")
	case http.StatusTooManyRequests:
		fakeplatform.Answer(w, status, map[string]any{"message": "You've exceeded your API rate limit."})
	default:
		fakeplatform.Answer(w, status, map[string]any{"message": http.StatusText(status)})
	}
}

// invalid refuses what was sent.
func invalid(w http.ResponseWriter, title, code, pointer string) {
	fakeplatform.Answer(w, http.StatusUnprocessableEntity, map[string]any{"errors": []any{map[string]any{
		"title": title, "detail": "", "code": code, "source": map[string]any{"pointer": pointer},
	}}})
}

// page cuts a list as limit and offset say. It shows 20 entries if they say nothing.
func page[T any](r *http.Request, all []T) []T {
	limit, err := strconv.Atoi(r.URL.Query().Get("limit"))
	if err != nil || limit < 1 || limit > pageSize {
		limit = 20
	}
	offset, _ := strconv.Atoi(r.URL.Query().Get("offset")) // none is the beginning
	offset = min(max(offset, 0), len(all))
	return all[offset:min(offset+limit, len(all))]
}

func (*Fake) me(w http.ResponseWriter, _ *http.Request) {
	fakeplatform.Answer(w, http.StatusOK, map[string]any{"user": map[string]any{"id": "1", "username": "admin", "firstName": "Example"}})
}

func (f *Fake) list(w http.ResponseWriter, r *http.Request) {
	if r.PathValue("id") != List {
		f.Refuse(w, http.StatusNotFound)
		return
	}
	fakeplatform.Answer(w, http.StatusOK, map[string]any{"list": map[string]any{"id": List, "name": listName, "stringid": listName}})
}

func (f *Fake) listFields(w http.ResponseWriter, r *http.Request) {
	f.mu.Lock()
	defer f.mu.Unlock()
	all := []any{}
	for id, one := range f.fields {
		all = append(all, map[string]any{"id": id, "title": one.title, "perstag": one.tag, "type": one.kind})
	}
	fakeplatform.Answer(w, http.StatusOK, map[string]any{"fields": page(r, all), "meta": map[string]any{"total": strconv.Itoa(len(f.fields))}})
}

func (f *Fake) findTags(w http.ResponseWriter, r *http.Request) {
	f.mu.Lock()
	defer f.mu.Unlock()
	all := []any{}
	for i, name := range f.tags {
		if strings.Contains(strings.ToLower(name), strings.ToLower(r.URL.Query().Get("search"))) {
			all = append(all, tagOf(i+1, name))
		}
	}
	fakeplatform.Answer(w, http.StatusOK, map[string]any{"tags": page(r, all), "meta": map[string]any{"total": strconv.Itoa(len(all))}})
}

func tagOf(id int, name string) map[string]any {
	return map[string]any{"id": strconv.Itoa(id), "tag": name, "tagType": "contact"}
}

func (f *Fake) makeTag(w http.ResponseWriter, r *http.Request) {
	var body struct {
		Tag struct {
			Name string `json:"tag"`
			Type string `json:"tagType"`
		} `json:"tag"`
	}
	if err := json.NewDecoder(r.Body).Decode(&body); err != nil || body.Tag.Name == "" || body.Tag.Type != "contact" {
		invalid(w, "The tag name was not provided.", "field_missing", "/data/attributes/tag")
		return
	}
	f.mu.Lock()
	defer f.mu.Unlock()
	fakeplatform.Answer(w, http.StatusCreated, map[string]any{"tag": tagOf(f.tagNumber(body.Tag.Name), body.Tag.Name)})
}

// tagNumber returns a tag's number. It makes the tag if there is none. The caller
// holds the lock.
func (f *Fake) tagNumber(name string) int {
	for i, one := range f.tags {
		if strings.EqualFold(one, name) {
			return i + 1
		}
	}
	f.tags = append(f.tags, name)
	return len(f.tags)
}

// address is what ActiveCampaign accepts as one. As far as is known, it is ASCII.
var address = regexp.MustCompile(`^[A-Za-z0-9.!#$%&'*+/=?^_{|}~-]+@[A-Za-z0-9-]+(\.[A-Za-z0-9-]+)+$`)

// takes reports whether a contact may have this address.
func (f *Fake) takes(email string) bool {
	one, known := f.people.Get(email)
	return address.MatchString(email) && (!known || !one.Refused)
}
