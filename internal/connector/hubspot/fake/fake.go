// Package fake is a server that behaves like HubSpot's contacts, properties and
// lists, as its documentation describes them.
package fake

import (
	"encoding/json"
	"fmt"
	"net/http"
	"net/mail"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"sync"

	"usersync/internal/connector"
	"usersync/internal/connector/fakeplatform"
)

// Token is the access token that the fake takes.
const Token = "pat-na1-fake" //nolint:gosec // of a fake

// These are the portal, the list of Config and the property that takes tags.
const (
	Portal       = 1234567
	ListID       = "42"
	ListName     = "active-clients"
	TagsProperty = "usersync_tags"
)

// maxBatch is how many records a batch call takes.
const maxBatch = 100

// Fake is one HubSpot account.
type Fake struct {
	mux    *http.ServeMux
	people *fakeplatform.People

	mu         sync.Mutex
	properties map[string]property
	lists      map[string]list
	// blocked are addresses that were erased while nobody had them.
	blocked  map[string]bool
	archived map[string]bool // addresses of contacts in the recycle bin
	optedOut map[string]bool // addresses that want no mail, of contacts or not
}

type property struct {
	Name      string   `json:"name"`
	Type      string   `json:"type"`
	FieldType string   `json:"fieldType"`
	Unique    bool     `json:"hasUniqueValue"`
	Options   []option `json:"options"`
	Modify    struct {
		ReadOnly bool `json:"readOnlyValue"`
	} `json:"modificationMetadata"`
}

type option struct {
	Label string `json:"label"`
	Value string `json:"value"`
}

type list struct {
	ID         string `json:"listId"`
	Name       string `json:"name"`
	Type       string `json:"objectTypeId"`
	Processing string `json:"processingType"`
}

// New returns an account with the usual properties and three lists: one that
// people can be added to, one that fills itself, one of companies.
func New() *Fake {
	f := &Fake{people: fakeplatform.NewPeople(), properties: properties(), blocked: map[string]bool{}, optedOut: map[string]bool{}, archived: map[string]bool{}}
	f.lists = map[string]list{
		ListID: {ListID, ListName, "0-1", "MANUAL"},
		"43":   {"43", "everybody-new", "0-1", "DYNAMIC"},
		"44":   {"44", "companies", "0-2", "MANUAL"},
	}
	f.mux = http.NewServeMux()
	for _, at := range []struct{ objects, properties, lists string }{
		{"/crm/v3/objects", "/crm/v3/properties", "/crm/v3/lists"},
		{"/crm/objects/{version}", "/crm/properties/{version}", "/crm/lists/{version}"},
	} {
		f.mux.HandleFunc("POST "+at.objects+"/contacts/batch/upsert", f.upsert)
		f.mux.HandleFunc("POST "+at.objects+"/contacts/batch/read", f.readMany)
		f.mux.HandleFunc("POST "+at.objects+"/contacts/gdpr-delete", f.erase)
		f.mux.HandleFunc("GET "+at.objects+"/contacts/{id}", f.contact)
		f.mux.HandleFunc("PATCH "+at.objects+"/contacts/{id}", f.move)
		f.mux.HandleFunc("DELETE "+at.objects+"/contacts/{id}", f.archive)
		f.mux.HandleFunc("GET "+at.properties+"/contacts/{name}", f.property)
		f.mux.HandleFunc("GET "+at.properties+"/contacts", f.allProperties)
		f.mux.HandleFunc("POST "+at.properties+"/contacts", f.makeProperty)
		f.mux.HandleFunc("POST "+at.lists, f.makeList)
		f.mux.HandleFunc("GET "+at.lists+"/{id}", f.list)
		f.mux.HandleFunc("GET "+at.lists+"/object-type-id/{type}/name/{name}", f.listByName)
		f.mux.HandleFunc("PUT "+at.lists+"/{id}/memberships/add", f.join)
		f.mux.HandleFunc("PUT "+at.lists+"/{id}/memberships/remove", f.takeOff)
	}
	f.mux.HandleFunc("POST /communication-preferences/v4/statuses/{email}/unsubscribe-all", f.optOut)
	f.mux.HandleFunc("GET /account-info/v3/details", f.account)
	f.mux.HandleFunc("/", func(w http.ResponseWriter, _ *http.Request) { f.Refuse(w, http.StatusNotFound) })
	return f
}

func properties() map[string]property {
	out := map[string]property{}
	for _, name := range []string{"email", "firstname", "lastname", "jobtitle", "country", "company", "plan", "phone"} {
		out[name] = property{Name: name, Type: "string", FieldType: "text"}
	}
	out["seats"] = property{Name: "seats", Type: "number", FieldType: "number"}
	out["joined"] = property{Name: "joined", Type: "date", FieldType: "date"}
	out["plans"] = property{Name: "plans", Type: "enumeration", FieldType: "checkbox", Options: []option{{"Gold", "gold"}, {"New", "new"}}}
	out["usersync_id"] = property{Name: "usersync_id", Type: "string", FieldType: "text", Unique: true}
	out["usersync_labels"] = property{Name: "usersync_labels", Type: "string", FieldType: "text"}
	out[TagsProperty] = property{Name: TagsProperty, Type: "enumeration", FieldType: "checkbox",
		Options: []option{{"Usersync user", "usersync-user"}, {"VIP", "vip"}, {"Trial", "trial"}}}
	readOnly := property{Name: "createdate", Type: "datetime", FieldType: "date"}
	readOnly.Modify.ReadOnly = true
	out["createdate"] = readOnly
	return out
}

// Name returns the connector's name.
func (f *Fake) Name() string { return "hubspot" }

// Config is a connection with a list and a tag.
func (f *Fake) Config() connector.Config {
	return fakeplatform.Config(
		`{"accessToken":"`+Token+`"}`,
		`{"list":"`+ListID+`","tags":["usersync-user"],"tagsProperty":"`+TagsProperty+`"}`)
}

// People are the contacts.
func (f *Fake) People() *fakeplatform.People { return f.people }

// Option gives the property that takes tags one more option.
func (f *Fake) Option(value string) {
	f.mu.Lock()
	defer f.mu.Unlock()
	p := f.properties[TagsProperty]
	p.Options = append(slices.Clone(p.Options), option{value, value})
	f.properties[TagsProperty] = p
}

// ServeHTTP answers like HubSpot.
func (f *Fake) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	if r.Header.Get("Authorization") != "Bearer "+Token {
		f.Refuse(w, http.StatusUnauthorized)
		return
	}
	w.Header().Set("X-HubSpot-RateLimit-Daily", "250000")
	w.Header().Set("X-HubSpot-RateLimit-Daily-Remaining", "249000")
	w.Header().Set("X-HubSpot-RateLimit-Max", "100")
	w.Header().Set("X-HubSpot-RateLimit-Remaining", "99")
	w.Header().Set("X-HubSpot-RateLimit-Interval-Milliseconds", "10000")
	f.mux.ServeHTTP(w, r)
}

// refusals are the errors of the gateway before any call.
var refusals = map[int]problem{
	http.StatusBadRequest:   {Category: "VALIDATION_ERROR", Message: "Invalid input JSON on line 1, column 1"},
	http.StatusUnauthorized: {Category: "INVALID_AUTHENTICATION", Message: "Authentication credentials not found. This API supports OAuth 2.0 authentication."},
	http.StatusForbidden:    {Category: "MISSING_SCOPES", Message: "This app hasn't been granted all required scopes to make this call."},
	http.StatusNotFound:     {Category: "OBJECT_NOT_FOUND", Message: "resource not found"},
	http.StatusConflict:     {Category: "CONFLICT", Message: "Contact already exists. Existing ID: 1001"},
	423:                     {Category: "LOCKED", Message: "The resource is locked. Try again in 2 seconds."},
	429:                     {Category: "RATE_LIMITS", Message: "You have reached your secondly limit."},
	477:                     {Category: "MIGRATION_IN_PROGRESS", Message: "This account is being moved."},
}

type problem struct {
	Status      string              `json:"status"`
	Message     string              `json:"message"`
	Correlation string              `json:"correlationId,omitempty"`
	Category    string              `json:"category"`
	Context     map[string][]string `json:"context,omitempty"`
}

// Refuse answers as HubSpot's gateway does. Errors of the servers behind it come as
// HTML. With a 429 only the daily headers are sent.
func (f *Fake) Refuse(w http.ResponseWriter, status int) {
	one, known := refusals[status]
	if !known {
		fakeplatform.Gateway(w, status)
		return
	}
	if status == http.StatusTooManyRequests {
		w.Header().Set("X-HubSpot-RateLimit-Daily", "250000")
		w.Header().Set("X-HubSpot-RateLimit-Daily-Remaining", "249000")
	}
	refuse(w, status, one)
}

func refuse(w http.ResponseWriter, status int, p problem) {
	p.Status, p.Correlation = "error", "00000000-0000-4000-8000-000000000000"
	answer(w, status, p)
}

func answer(w http.ResponseWriter, status int, body any) {
	w.Header().Set("Content-Type", "application/json;charset=utf-8")
	fakeplatform.Answer(w, status, body)
}

func (f *Fake) account(w http.ResponseWriter, _ *http.Request) {
	answer(w, http.StatusOK, map[string]any{"portalId": Portal, "accountType": "STANDARD", "timeZone": "Europe/Amsterdam"})
}

func (f *Fake) property(w http.ResponseWriter, r *http.Request) {
	f.mu.Lock()
	p, ok := f.properties[r.PathValue("name")]
	f.mu.Unlock()
	if !ok {
		refuse(w, http.StatusNotFound, problem{Category: "OBJECT_NOT_FOUND", Message: "Property does not exist"})
		return
	}
	answer(w, http.StatusOK, p)
}

type input struct {
	ID         string            `json:"id"`
	IDProperty string            `json:"idProperty"`
	Properties map[string]string `json:"properties"`
	Trace      string            `json:"objectWriteTraceId"`
}

type record struct {
	ID         string         `json:"id"`
	New        bool           `json:"new"`
	Properties map[string]any `json:"properties"`
	Trace      string         `json:"objectWriteTraceId,omitempty"`
}

// upsert takes a batch. One wrong record makes it refuse the whole batch, unless every
// record has a trace. Then it answers 207 with an error for each wrong record.
func (f *Fake) upsert(w http.ResponseWriter, r *http.Request) {
	var batch struct {
		Inputs []input `json:"inputs"`
	}
	if err := json.NewDecoder(r.Body).Decode(&batch); err != nil || len(batch.Inputs) == 0 {
		f.Refuse(w, http.StatusBadRequest)
		return
	}
	if len(batch.Inputs) > maxBatch {
		refuse(w, http.StatusBadRequest, problem{Category: "VALIDATION_ERROR", Message: "The maximum batch size is 100."})
		return
	}
	records, problems, traced := []record{}, []problem{}, true
	for _, in := range batch.Inputs {
		traced = traced && in.Trace != ""
		if message := f.check(in); message != "" {
			problems = append(problems, problem{Status: "error", Category: "VALIDATION_ERROR", Message: message,
				Context: map[string][]string{"objectWriteTraceId": {in.Trace}}})
		}
	}
	if len(problems) > 0 && !traced {
		refuse(w, http.StatusBadRequest, problem{Category: "VALIDATION_ERROR", Message: problems[0].Message})
		return
	}
	for _, in := range batch.Inputs {
		if f.check(in) == "" {
			records = append(records, f.put(in))
		}
	}
	if len(problems) > 0 {
		answer(w, http.StatusMultiStatus, map[string]any{"status": "COMPLETE", "results": records, "errors": problems, "numErrors": len(problems)})
		return
	}
	answer(w, http.StatusOK, map[string]any{"status": "COMPLETE", "results": records})
}

var number = regexp.MustCompile(`^-?[0-9]+(\.[0-9]+)?$`)

// check returns what is wrong with a record, or "" if nothing is.
func (f *Fake) check(in input) string {
	f.mu.Lock()
	defer f.mu.Unlock()
	id, ok := f.properties[in.IDProperty]
	if !ok || in.IDProperty != "email" && !id.Unique {
		return fmt.Sprintf("Property %q does not have unique values", in.IDProperty)
	}
	email := strings.ToLower(in.email())
	if _, err := mail.ParseAddress(email); err != nil || strings.HasSuffix(email, ".invalid") {
		return invalid("email", "INVALID_EMAIL", "Email address "+email+" is invalid")
	}
	if one, known := f.people.Get(email); f.blocked[email] || known && one.Refused {
		return invalid("email", "INVALID_EMAIL", "Email address "+email+" is on the blocklist of this account")
	}
	for name, value := range in.Properties {
		if message := f.checkValue(name, value); message != "" {
			return message
		}
	}
	return ""
}

func (in input) email() string {
	if in.IDProperty == "email" {
		return in.ID
	}
	return in.Properties["email"]
}

// day is what a property of a date takes.
var day = regexp.MustCompile(`^[0-9]{4}-[0-9]{2}-[0-9]{2}$`)

func (f *Fake) checkValue(name, value string) string {
	p, ok := f.properties[name]
	switch {
	case !ok:
		return invalid(name, "PROPERTY_DOESNT_EXIST", fmt.Sprintf("Property %q does not exist", name))
	case p.Modify.ReadOnly:
		return invalid(name, "READ_ONLY_VALUE", fmt.Sprintf("%q is a read only property", name))
	case p.Type == "number" && value != "" && !number.MatchString(value):
		return invalid(name, "INVALID_LONG", value+" was not a valid long.")
	case p.Type == "date" && value != "" && !day.MatchString(value):
		return invalid(name, "INVALID_DATE", value+" is not a valid date.")
	case len(p.Options) == 0:
		return ""
	}
	for _, one := range strings.Split(strings.Trim(value, ";"), ";") {
		if one != "" && !slices.ContainsFunc(p.Options, func(o option) bool { return o.Value == one }) {
			return invalid(name, "INVALID_OPTION", one+" was not one of the allowed options")
		}
	}
	return ""
}

func invalid(name, code, message string) string {
	list, _ := json.Marshal([]map[string]any{{"isValid": false, "message": message, "error": code, "name": name}})
	return "Property values were not valid: " + string(list)
}

// put writes a record. A contact found by another property than its address
// moves to the new address.
func (f *Fake) put(in input) record {
	email := in.email()
	if old, ok := f.holder(in); ok && !strings.EqualFold(old.Email, email) {
		f.people.Delete(old.Email)
		defer f.people.Put(email, func(one *fakeplatform.Person, _ bool) {
			one.Lists, one.Unsubscribed = old.Lists, old.Unsubscribed
		})
	}
	out := record{Properties: map[string]any{"email": strings.ToLower(email)}, Trace: in.Trace}
	f.people.Put(email, func(one *fakeplatform.Person, isNew bool) {
		one.Unsubscribed = one.Unsubscribed || f.optedOut[strings.ToLower(email)]
		out.ID, out.New = one.ID, isNew
		for name, value := range in.Properties {
			out.Properties[name] = f.assign(one, name, value)
		}
		if in.IDProperty != "email" {
			one.Fields[in.IDProperty] = in.ID
		}
	})
	return out
}

// holder is the contact that an input is about.
func (f *Fake) holder(in input) (fakeplatform.Person, bool) {
	if in.IDProperty == "email" {
		return f.people.Get(in.ID)
	}
	return f.people.First(func(one *fakeplatform.Person) bool { return one.Fields[in.IDProperty] == in.ID })
}

// assign sets a property and returns its value. A semicolon before the values of
// multiple checkboxes adds them.
func (f *Fake) assign(one *fakeplatform.Person, name, value string) string {
	if name == TagsProperty {
		if !strings.HasPrefix(value, ";") {
			one.Tags = nil
		}
		for _, tag := range strings.FieldsFunc(value, func(r rune) bool { return r == ';' }) {
			one.Tags = fakeplatform.With(one.Tags, tag)
		}
		value = strings.Join(one.Tags, ";")
	}
	one.Fields[name] = value
	return value
}

func (f *Fake) contact(w http.ResponseWriter, r *http.Request) {
	in := input{ID: r.PathValue("id"), IDProperty: r.URL.Query().Get("idProperty")}
	one, ok := f.people.ByID(in.ID)
	if in.IDProperty != "" {
		one, ok = f.holder(in)
	}
	if !ok {
		f.Refuse(w, http.StatusNotFound)
		return
	}
	answer(w, http.StatusOK, record{ID: one.ID, Properties: shown(one, strings.Split("email,"+r.URL.Query().Get("properties"), ","))})
}

// erase deletes a contact for good; an address that nobody has is blocked.
// archive puts a contact into the recycle bin. It answers alike where there is none.
func (f *Fake) archive(w http.ResponseWriter, r *http.Request) {
	if one, ok := f.people.ByID(r.PathValue("id")); ok {
		f.people.Delete(one.Email)
		f.mu.Lock()
		f.archived[strings.ToLower(one.Email)] = true
		f.mu.Unlock()
	}
	w.WriteHeader(http.StatusNoContent)
}

// Archived reports whether somebody was archived and not deleted.
func (f *Fake) Archived(email string) bool {
	f.mu.Lock()
	defer f.mu.Unlock()
	return f.archived[strings.ToLower(email)]
}

func (f *Fake) erase(w http.ResponseWriter, r *http.Request) {
	var in struct {
		ID       string `json:"objectId"`
		Property string `json:"idProperty"`
	}
	if err := json.NewDecoder(r.Body).Decode(&in); err != nil || in.ID == "" {
		f.Refuse(w, http.StatusBadRequest)
		return
	}
	one, ok := f.people.ByID(in.ID)
	if in.Property == "email" {
		one, ok = f.people.Get(in.ID)
	}
	if !ok && in.Property != "email" {
		f.Refuse(w, http.StatusNotFound)
		return
	}
	if !f.people.Delete(one.Email) {
		f.mu.Lock()
		f.blocked[strings.ToLower(in.ID)] = true
		f.mu.Unlock()
	}
	w.WriteHeader(http.StatusNoContent)
}

func (f *Fake) list(w http.ResponseWriter, r *http.Request) {
	f.mu.Lock()
	l, ok := f.lists[r.PathValue("id")]
	f.mu.Unlock()
	f.showList(w, l, ok)
}

func (f *Fake) listByName(w http.ResponseWriter, r *http.Request) {
	f.mu.Lock()
	l, ok := f.named(r.PathValue("name"), r.PathValue("type"))
	f.mu.Unlock()
	f.showList(w, l, ok)
}

func (f *Fake) showList(w http.ResponseWriter, l list, ok bool) {
	if !ok {
		refuse(w, http.StatusNotFound, problem{Category: "OBJECT_NOT_FOUND", Message: "List does not exist."})
		return
	}
	answer(w, http.StatusOK, map[string]any{"list": l})
}

func (f *Fake) named(name, kind string) (list, bool) {
	for _, l := range f.lists {
		if l.Name == name && l.Type == kind {
			return l, true
		}
	}
	return list{}, false
}

func (f *Fake) makeList(w http.ResponseWriter, r *http.Request) {
	var l list
	if err := json.NewDecoder(r.Body).Decode(&l); err != nil || l.Name == "" || l.Type == "" || l.Processing == "" {
		f.Refuse(w, http.StatusBadRequest)
		return
	}
	f.mu.Lock()
	defer f.mu.Unlock()
	if _, taken := f.named(l.Name, l.Type); taken {
		refuse(w, http.StatusBadRequest, problem{Category: "VALIDATION_ERROR", Message: "A list with this name already exists."})
		return
	}
	l.ID = strconv.Itoa(42 + len(f.lists))
	f.lists[l.ID] = l
	answer(w, http.StatusOK, map[string]any{"list": l})
}

// join adds contacts to a list; those who are in it stay.
func (f *Fake) join(w http.ResponseWriter, r *http.Request) {
	var ids []string
	if err := json.NewDecoder(r.Body).Decode(&ids); err != nil {
		f.Refuse(w, http.StatusBadRequest)
		return
	}
	f.mu.Lock()
	l, ok := f.lists[r.PathValue("id")]
	f.mu.Unlock()
	if !ok || l.Type != "0-1" {
		f.showList(w, list{}, false)
		return
	}
	if l.Processing == "DYNAMIC" {
		refuse(w, http.StatusBadRequest, problem{Category: "VALIDATION_ERROR", Message: "The list fills itself: it takes no records."})
		return
	}
	added, missing := []string{}, []string{}
	for _, id := range ids {
		one, found := f.people.ByID(id)
		if !found {
			missing = append(missing, id)
			continue
		}
		added = append(added, id)
		f.people.Put(one.Email, func(one *fakeplatform.Person, _ bool) { one.Lists = fakeplatform.With(one.Lists, l.ID) })
	}
	answer(w, http.StatusOK, map[string]any{"recordsIdsAdded": added, "recordIdsMissing": missing, "recordIdsRemoved": []string{}})
}

// readMany shows contacts by their ids. It answers 207 if some do not exist.
func (f *Fake) readMany(w http.ResponseWriter, r *http.Request) {
	var in struct {
		Properties []string `json:"properties"`
		IDProperty string   `json:"idProperty"`
		Inputs     []struct {
			ID string `json:"id"`
		} `json:"inputs"`
	}
	if err := json.NewDecoder(r.Body).Decode(&in); err != nil || len(in.Inputs) == 0 || len(in.Inputs) > maxBatch {
		f.Refuse(w, http.StatusBadRequest)
		return
	}
	records, status := []record{}, http.StatusOK
	for _, one := range in.Inputs {
		p, ok := f.people.ByID(one.ID)
		if in.IDProperty == "email" {
			p, ok = f.people.Get(one.ID)
		}
		if !ok {
			status = http.StatusMultiStatus
			continue
		}
		records = append(records, record{ID: p.ID, Properties: shown(p, in.Properties)})
	}
	answer(w, status, map[string]any{"status": "COMPLETE", "results": records})
}

// shown are the properties of a contact that a call asks for. Like a few others, the
// address is shown to a call that asks for none.
func shown(p fakeplatform.Person, names []string) map[string]any {
	out := map[string]any{"hs_object_id": p.ID}
	for _, name := range names {
		out[name] = p.Fields[name]
	}
	if len(names) == 0 || slices.Contains(names, "email") {
		out["email"] = p.Email
	}
	if slices.Contains(names, "hs_email_optout") {
		out["hs_email_optout"] = strconv.FormatBool(p.Unsubscribed)
	}
	return out
}

// Fields are properties of contacts.
func (f *Fake) Fields() fakeplatform.Fields {
	return fakeplatform.Fields{Setting: "properties", Text: "company", Number: "seats", Phone: "phone",
		Date: "joined", Day: "2026-03-04", Moment: "2026-03-04", List: "plans", Several: "gold;new"}
}

// Leave makes a contact opt out of all mail, which a complaint does too. A static list
// is nothing that people leave, and a bounce changes no consent.
func (f *Fake) Leave(email string, how fakeplatform.Leaving) bool {
	if how == fakeplatform.LeftList || how == fakeplatform.LeftCleaned {
		return false
	}
	f.people.Put(email, func(p *fakeplatform.Person, _ bool) { p.Unsubscribed, p.Lists = true, nil })
	return true
}

// Gone reports whether a contact is opted out still, and on no list again.
func (f *Fake) Gone(email string, _ fakeplatform.Leaving) bool {
	p, ok := f.people.Get(email)
	return ok && p.Unsubscribed && len(p.Lists) == 0
}
