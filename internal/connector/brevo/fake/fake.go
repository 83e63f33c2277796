// Package fake is a server that behaves like Brevo's contacts, lists and
// imports, as its documentation describes them.
package fake

import (
	"cmp"
	"encoding/json"
	"fmt"
	"maps"
	"net/http"
	"net/mail"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"sync"
	"time"

	"usersync/internal/connector"
	"usersync/internal/connector/fakeplatform"
)

// APIKey is the key that the fake takes.
const APIKey = "xkeysib-fake-0123456789" //nolint:gosec // of a fake

// These are the organization, and the list and the attribute of Config.
const (
	Organization  = "org-5f2a"
	ListID        = 7
	ListName      = "active-clients"
	TagsAttribute = "USERSYNC_TAGS"
)

// maxImport is the longest body of an import, in bytes.
const maxImport = 10_000_000

// Fake is one Brevo account.
type Fake struct {
	mux    *http.ServeMux
	people *fakeplatform.People

	mu        sync.Mutex
	lists     []list
	folders   []list
	imports   []*work
	held      bool
	takes     time.Duration      // of an import
	left      map[string][]int64 // by address: lists that somebody left
	outcome   string             // of imports; "" is completed
	attribute map[string]string  // type by name
	asked     map[string]int     // by address: e-mails that asked somebody to confirm
}

type list struct {
	ID     int64  `json:"id"`
	Name   string `json:"name"`
	Folder int64  `json:"folderId,omitempty"`
}

// work is one import.
type work struct {
	id       int64
	contacts []contact
	lists    []int64
	due      time.Time
	// reports are the contacts that were left out, by what a report is about.
	reports map[string][]string
	done    bool
}

type contact struct {
	Email         string         `json:"email"`
	ExtID         string         `json:"ext_id"`
	Attributes    map[string]any `json:"attributes"`
	ListIDs       []int64        `json:"listIds"`
	UpdateEnabled bool           `json:"updateEnabled"`
	Blacklisted   *bool          `json:"emailBlacklisted"`
}

// New returns an account with the attributes of a new one, some more, and one list.
func New() *Fake {
	f := &Fake{
		people: fakeplatform.NewPeople(), left: map[string][]int64{}, asked: map[string]int{},
		folders: []list{{ID: 1, Name: "Your first folder"}}, lists: []list{{ID: ListID, Name: ListName, Folder: 1}},
		attribute: map[string]string{
			"FIRSTNAME": "text", "LASTNAME": "text", "SMS": "text", "COMPANY": "text", "CITY": "text", "SEATS": "float", "TRIAL": "boolean", "JOINED": "date", "PLANS": "multiple-choice",
			TagsAttribute: "multiple-choice", "LABELS": "text",
		},
	}
	about := func(do func(http.ResponseWriter, *http.Request, fakeplatform.Person)) http.HandlerFunc {
		return fakeplatform.About(f.find, f.Refuse, do)
	}
	f.mux = fakeplatform.Routes{
		"GET /account": f.account, "GET /contacts/attributes": f.attributes, "POST /contacts/attributes/{category}/{name}": f.makeAttribute, "GET /contacts/lists": f.allLists,
		"POST /contacts/lists": f.makeList, "GET /contacts/lists/{id}": f.oneList, "POST /contacts/lists/{id}/contacts/remove": f.takeOff, "GET /contacts/folders": f.allFolders,
		"GET /contacts": f.allContacts, "POST /contacts": f.upsert, "GET /contacts/{id}": about(f.contact), "PUT /contacts/{id}": f.update, "DELETE /contacts/{id}": about(f.remove),
		"POST /contacts/doubleOptinConfirmation": f.askToConfirm, "POST /contacts/import": f.importAll, "GET /processes/{id}": f.process, "GET /reports/{id}/{what}": f.report,
	}.Mux(f.Refuse)
	return f
}

// Name returns the connector's name.
func (f *Fake) Name() string { return "brevo" }

// Config is a connection with a list and a tag. Two people are an import.
func (f *Fake) Config() connector.Config {
	return fakeplatform.Config(
		`{"apiKey":"`+APIKey+`"}`,
		fmt.Sprintf(`{"list":"%d","tags":["usersync-user"],"tagsAttribute":%q,"importFrom":2}`, ListID, TagsAttribute))
}

// People are the contacts.
func (f *Fake) People() *fakeplatform.People { return f.people }

// Hold keeps imports from being done until it is called with false.
func (f *Fake) Hold(held bool) {
	f.mu.Lock()
	defer f.mu.Unlock()
	f.held = held
}

// End makes imports end with this status, failed or cancelled, without being worked
// on.
func (f *Fake) End(status string) {
	f.mu.Lock()
	defer f.mu.Unlock()
	f.outcome = status
}

// Fields are contact attributes.
func (f *Fake) Fields() fakeplatform.Fields {
	return fakeplatform.Fields{Setting: "attributes", Text: "COMPANY", Number: "SEATS", Phone: "SMS",
		Date: "JOINED", Day: "2026-03-04", Moment: "2026-03-04", List: "PLANS", Several: []string{"gold", "new"}}
}

// Leave makes a contact leave. Mail that comes back, and a complaint, block a contact for
// all mail.
func (f *Fake) Leave(email string, how fakeplatform.Leaving) bool {
	if how == fakeplatform.LeftList {
		f.LeaveList(email, ListID)
		return true
	}
	f.people.Put(email, func(one *fakeplatform.Person, _ bool) { one.Unsubscribed = true })
	return true
}

// Gone reports whether a contact is still blocked, or still off the list.
func (f *Fake) Gone(email string, how fakeplatform.Leaving) bool {
	one, ok := f.people.Get(email)
	if how == fakeplatform.LeftList {
		return ok && !slices.Contains(one.Lists, strconv.Itoa(ListID))
	}
	return ok && one.Unsubscribed
}

// LeaveList makes somebody leave a list, but not all mail.
func (f *Fake) LeaveList(email string, from int64) {
	f.people.Put(email, func(one *fakeplatform.Person, _ bool) {
		one.Lists = slices.DeleteFunc(one.Lists, func(l string) bool { return l == strconv.FormatInt(from, 10) })
	})
	f.mu.Lock()
	defer f.mu.Unlock()
	f.left[strings.ToLower(email)] = append(f.left[strings.ToLower(email)], from)
}

// ServeHTTP answers like Brevo. Reports of imports are files that need no key.
func (f *Fake) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	if strings.HasPrefix(r.URL.Path, "/reports/") {
		if r.Header.Get("Api-Key") != "" {
			http.Error(w, "the key was sent to a host of files", http.StatusBadRequest)
			return
		}
	} else if r.Header.Get("Api-Key") != APIKey {
		f.Refuse(w, http.StatusUnauthorized)
		return
	}
	w.Header().Set("X-Sib-Ratelimit-Limit", "10")
	w.Header().Set("X-Sib-Ratelimit-Remaining", "9")
	w.Header().Set("X-Sib-Ratelimit-Reset", "1")
	f.mux.ServeHTTP(w, r)
}

type problem struct {
	Code     string         `json:"code"`
	Message  string         `json:"message"`
	Metadata map[string]any `json:"metadata,omitempty"`
}

var refusals = map[int]problem{
	http.StatusBadRequest:       {Code: "bad_request", Message: "Input must be a valid JSON object"},
	http.StatusUnauthorized:     {Code: "unauthorized", Message: "Key not found"},
	http.StatusPaymentRequired:  {Code: "not_enough_credits", Message: "You don't have enough credits."},
	http.StatusForbidden:        {Code: "permission_denied", Message: "Your account is not allowed to do this."},
	http.StatusNotFound:         {Code: "document_not_found", Message: "Contact does not exist"},
	http.StatusMethodNotAllowed: {Code: "method_not_allowed", Message: "POST Method is not allowed on this path"},
	http.StatusNotAcceptable:    {Code: "not_acceptable", Message: "Not acceptable"},
	http.StatusTooManyRequests:  {Code: "too_many_requests", Message: "You have reached the limit of calls."},
}

// Refuse answers as Brevo does. Its gateway answers with HTML.
func (f *Fake) Refuse(w http.ResponseWriter, status int) {
	p, known := refusals[status]
	if !known {
		fakeplatform.Gateway(w, status)
		return
	}
	if status == http.StatusTooManyRequests {
		w.Header().Set("X-Sib-Ratelimit-Limit", "10")
		w.Header().Set("X-Sib-Ratelimit-Remaining", "0")
		w.Header().Set("X-Sib-Ratelimit-Reset", "1")
	}
	fakeplatform.Answer(w, status, p)
}

func invalid(w http.ResponseWriter, message string) {
	fakeplatform.Answer(w, http.StatusBadRequest, problem{Code: "invalid_parameter", Message: message})
}

func (f *Fake) account(w http.ResponseWriter, _ *http.Request) {
	fakeplatform.Answer(w, http.StatusOK, map[string]any{"organization_id": Organization, "companyName": "Example Ltd", "email": "owner@example.com"})
}

func (f *Fake) attributes(w http.ResponseWriter, _ *http.Request) {
	f.mu.Lock()
	defer f.mu.Unlock()
	all := []map[string]string{{"name": "BLACKLIST", "category": "global"}, {"name": "COUNT", "category": "calculated"}}
	for _, name := range slices.Sorted(maps.Keys(f.attribute)) {
		all = append(all, map[string]string{"name": name, "category": "normal", "type": f.attribute[name]})
	}
	fakeplatform.Answer(w, http.StatusOK, map[string]any{"attributes": all})
}

// page is the part of a list that a call asks for.
func page[T any](r *http.Request, all []T) []T {
	limit, _ := strconv.Atoi(r.URL.Query().Get("limit"))
	offset, _ := strconv.Atoi(r.URL.Query().Get("offset"))
	offset = min(offset, len(all))
	return all[offset:min(offset+max(limit, 1), len(all))]
}

func (f *Fake) allLists(w http.ResponseWriter, r *http.Request) {
	f.mu.Lock()
	defer f.mu.Unlock()
	if limit, _ := strconv.Atoi(r.URL.Query().Get("limit")); limit > 50 {
		fakeplatform.Answer(w, http.StatusBadRequest, problem{Code: "out_of_range", Message: "Limit exceeds max value"})
		return
	}
	fakeplatform.Answer(w, http.StatusOK, map[string]any{"count": len(f.lists), "lists": page(r, f.lists)})
}

func (f *Fake) allFolders(w http.ResponseWriter, r *http.Request) {
	fakeplatform.Answer(w, http.StatusOK, map[string]any{"count": len(f.folders), "folders": page(r, f.folders)})
}

func (f *Fake) makeList(w http.ResponseWriter, r *http.Request) {
	var in list
	if err := json.NewDecoder(r.Body).Decode(&in); err != nil || in.Name == "" {
		f.Refuse(w, http.StatusBadRequest)
		return
	}
	f.mu.Lock()
	defer f.mu.Unlock()
	if !slices.ContainsFunc(f.folders, func(l list) bool { return l.ID == in.Folder }) {
		invalid(w, "Folder ID does not exist")
		return
	}
	in.ID = f.lists[len(f.lists)-1].ID + 1
	f.lists = append(f.lists, in)
	fakeplatform.Answer(w, http.StatusCreated, map[string]any{"id": in.ID})
}

func (f *Fake) oneList(w http.ResponseWriter, r *http.Request) {
	f.mu.Lock()
	defer f.mu.Unlock()
	for _, l := range f.lists {
		if strconv.FormatInt(l.ID, 10) == r.PathValue("id") {
			fakeplatform.Answer(w, http.StatusOK, l)
			return
		}
	}
	fakeplatform.Answer(w, http.StatusNotFound, problem{Code: "document_not_found", Message: "List ID does not exist"})
}

func (f *Fake) haveLists(ids []int64) bool {
	for _, id := range ids {
		if !slices.ContainsFunc(f.lists, func(l list) bool { return l.ID == id }) {
			return false
		}
	}
	return true
}

// find returns a contact by address or id.
func (f *Fake) find(r *http.Request) (fakeplatform.Person, bool) {
	if r.URL.Query().Get("identifierType") == "contact_id" {
		return f.people.ByID(r.PathValue("id"))
	}
	return f.people.Get(r.PathValue("id"))
}

func (f *Fake) contact(w http.ResponseWriter, _ *http.Request, one fakeplatform.Person) {
	f.mu.Lock()
	left := f.left[strings.ToLower(one.Email)]
	f.mu.Unlock()
	body := details(one)
	body["listUnsubscribed"] = left
	fakeplatform.Answer(w, http.StatusOK, body)
}

// details are what a list of contacts says of each. Which lists a contact has left is not
// promised there.
func details(one fakeplatform.Person) map[string]any {
	id, _ := strconv.ParseInt(one.ID, 10, 64)
	return map[string]any{
		"id": id, "email": one.Email, "emailBlacklisted": one.Unsubscribed, "smsBlacklisted": false,
		"createdAt": "2026-01-02T03:04:05.000Z", "modifiedAt": "2026-01-02T03:04:05.000Z", "listIds": numbers(one.Lists), "attributes": one.Fields,
	}
}

// allContacts lists contacts in the order in which they were made.
func (f *Fake) allContacts(w http.ResponseWriter, r *http.Request) {
	if limit, _ := strconv.Atoi(r.URL.Query().Get("limit")); limit > 1000 {
		fakeplatform.Answer(w, http.StatusBadRequest, problem{Code: "out_of_range", Message: "Limit exceeds max value"})
		return
	}
	all := []map[string]any{}
	for _, one := range f.people.All(func(*fakeplatform.Person) bool { return true }) {
		all = append(all, details(one))
	}
	slices.SortFunc(all, func(a, b map[string]any) int { return cmp.Compare(a["id"].(int64), b["id"].(int64)) })
	fakeplatform.Answer(w, http.StatusOK, map[string]any{"count": len(all), "contacts": page(r, all)})
}

func numbers(texts []string) []int64 {
	out := []int64{}
	for _, text := range texts {
		n, _ := strconv.ParseInt(text, 10, 64)
		out = append(out, n)
	}
	return out
}

func (f *Fake) remove(w http.ResponseWriter, _ *http.Request, one fakeplatform.Person) {
	f.people.Delete(one.Email)
	w.WriteHeader(http.StatusNoContent)
}

func (f *Fake) upsert(w http.ResponseWriter, r *http.Request) {
	var in contact
	if err := fakeplatform.Read(r.Body, &in); err != nil {
		f.Refuse(w, http.StatusBadRequest)
		return
	}
	f.mu.Lock()
	defer f.mu.Unlock()
	one, known := f.people.Get(in.Email)
	switch {
	case in.Email == "":
		fakeplatform.Answer(w, http.StatusBadRequest, problem{Code: "missing_parameter", Message: "email is missing"})
	case !f.valid(in.Email):
		invalid(w, "Invalid email address")
	case !f.haveLists(in.ListIDs):
		invalid(w, "List ID does not exist")
	case known && !in.UpdateEnabled:
		duplicate(w, "email")
	case f.taken(in):
		duplicate(w, "ext_id")
	case badPhone(in):
		invalid(w, "Invalid phone number")
	case f.phoneTaken(in):
		duplicate(w, "SMS")
	default:
		one = f.put(in, in.ListIDs, true)
		if known {
			w.WriteHeader(http.StatusNoContent)
			return
		}
		id, _ := strconv.ParseInt(one.ID, 10, 64)
		fakeplatform.Answer(w, http.StatusCreated, map[string]any{"id": id})
	}
}

func duplicate(w http.ResponseWriter, what string) {
	fakeplatform.Answer(w, http.StatusBadRequest, problem{Code: "duplicate_parameter", Metadata: map[string]any{"duplicate_identifiers": []string{what}},
		Message: "Unable to create contact, " + what + " is already associated with another Contact"})
}

func (f *Fake) valid(email string) bool {
	_, err := mail.ParseAddress(email)
	one, known := f.people.Get(email)
	return err == nil && !strings.HasSuffix(email, ".invalid") && (!known || !one.Refused)
}

// taken reports whether another contact has the ext_id.
func (f *Fake) taken(in contact) bool {
	if in.ExtID == "" {
		return false
	}
	_, taken := f.people.First(func(one *fakeplatform.Person) bool {
		return one.Fields["ext_id"] == in.ExtID && !strings.EqualFold(one.Email, in.Email)
	})
	return taken
}

// phone is a telephone number as Brevo takes it.
var phone = regexp.MustCompile(`^(\+|00)?[1-9][0-9]{6,14}$`)

func badPhone(in contact) bool {
	number, given := in.Attributes["SMS"]
	text, _ := number.(string)
	return given && text != "" && !phone.MatchString(text) || given && number != nil && text == "" && number != ""
}

// phoneTaken reports whether another contact has the telephone number.
func (f *Fake) phoneTaken(in contact) bool {
	number, _ := in.Attributes["SMS"].(string)
	if number == "" {
		return false
	}
	_, taken := f.people.First(func(one *fakeplatform.Person) bool {
		return one.Fields["SMS"] == number && !strings.EqualFold(one.Email, in.Email)
	})
	return taken
}

// put writes a contact. An empty value clears, or says nothing in an import. It ignores attributes that do not exist, and values of another
// type. A list that somebody left takes them again.
func (f *Fake) put(in contact, lists []int64, empties bool) (out fakeplatform.Person) {
	f.people.Put(in.Email, func(one *fakeplatform.Person, _ bool) {
		for name, v := range in.Attributes {
			if v == "" {
				if empties {
					delete(one.Fields, name)
				}
				continue
			}
			if f.fits(f.attribute[name], v) {
				one.Fields[name] = v
			}
		}
		if tags, ok := in.Attributes[TagsAttribute].([]any); ok {
			one.Tags = nil
			for _, tag := range tags {
				one.Tags = fakeplatform.With(one.Tags, fmt.Sprint(tag))
			}
		}
		if in.ExtID != "" {
			one.Fields["ext_id"] = in.ExtID
		}
		if in.Blacklisted != nil {
			one.Unsubscribed = *in.Blacklisted
		}
		for _, id := range lists {
			one.Lists = fakeplatform.With(one.Lists, strconv.FormatInt(id, 10))
		}
		out = *one
	})
	return out
}

// day is what an attribute of a date takes.
var day = regexp.MustCompile(`^[0-9]{4}-[0-9]{2}-[0-9]{2}$`)

func (f *Fake) fits(kind string, v any) bool {
	switch value := v.(type) {
	case string:
		return kind == "text" || kind == "date" && day.MatchString(value)
	case json.Number:
		return kind == "float"
	case bool:
		return kind == "boolean"
	case []any:
		return kind == "multiple-choice"
	}
	return false
}

func (f *Fake) importAll(w http.ResponseWriter, r *http.Request) {
	var in struct {
		ListIDs []int64         `json:"listIds"`
		NewList json.RawMessage `json:"newList"`
		Update  *bool           `json:"updateExistingContacts"`
		JSON    []contact       `json:"jsonBody"`
	}
	if r.ContentLength > maxImport {
		w.WriteHeader(http.StatusRequestEntityTooLarge)
		return
	}
	if err := fakeplatform.Read(r.Body, &in); err != nil {
		f.Refuse(w, http.StatusBadRequest)
		return
	}
	f.mu.Lock()
	defer f.mu.Unlock()
	switch {
	case len(in.JSON) == 0:
		fakeplatform.Answer(w, http.StatusBadRequest, problem{Code: "missing_parameter", Message: "Either fileBody, fileUrl or jsonBody is required"})
	case len(in.ListIDs) == 0 && in.NewList == nil:
		fakeplatform.Answer(w, http.StatusBadRequest, problem{Code: "missing_parameter", Message: "Either listIds or newList is required"})
	case !f.haveLists(in.ListIDs):
		invalid(w, "List ID does not exist")
	default:
		one := &work{id: int64(70 + len(f.imports)), contacts: in.JSON, lists: in.ListIDs, due: time.Now().Add(f.takes), reports: map[string][]string{}}
		f.imports = append(f.imports, one)
		fakeplatform.Answer(w, http.StatusAccepted, map[string]any{"processId": one.id})
	}
}

// These are what the reports of an import are about.
const (
	invalidEmails = "invalid_emails"
	takenIDs      = "duplicate_ext_id"
	takenPhones   = "duplicate_phone_id"
)

// reports are all of them, as Brevo names them.
var reports = []string{
	invalidEmails, takenIDs, takenPhones, "duplicate_email_id", "duplicate_contact_id", "duplicate_whatsapp_id", "duplicate_landline_number_id",
}

func (one *work) leave(about, who string) { one.reports[about] = append(one.reports[about], who) }

// do works on an import.
func (f *Fake) do(one *work) {
	for _, c := range one.contacts {
		switch {
		case !f.valid(c.Email):
			one.leave(invalidEmails, c.Email)
		case f.taken(c):
			one.leave(takenIDs, c.ExtID)
		case f.phoneTaken(c):
			number, _ := c.Attributes["SMS"].(string)
			one.leave(takenPhones, strings.TrimPrefix(number, "+"))
		default:
			if badPhone(c) {
				delete(c.Attributes, "SMS")
			}
			f.put(c, one.lists, false)
		}
	}
	one.done = true
}

func (f *Fake) work(id string) *work {
	for _, one := range f.imports {
		if strconv.FormatInt(one.id, 10) == id {
			return one
		}
	}
	return nil
}

// process says how an import goes. It is done by the time somebody asks, unless it is
// held.
func (f *Fake) process(w http.ResponseWriter, r *http.Request) {
	f.mu.Lock()
	defer f.mu.Unlock()
	one := f.work(r.PathValue("id"))
	if one == nil {
		fakeplatform.Answer(w, http.StatusNotFound, problem{Code: "document_not_found", Message: "Process ID does not exist"})
		return
	}
	status := map[string]any{"id": one.id, "name": "IMPORTUSER", "status": "in_process"}
	switch {
	case f.held || time.Now().Before(one.due):
	case f.outcome != "":
		status["status"] = f.outcome
	default:
		if !one.done {
			f.do(one)
		}
		status["status"] = "completed"
		addresses := map[string]any{}
		for _, about := range reports {
			addresses[about] = reportURL(r, about, one.reports[about])
		}
		status["info"] = map[string]any{"import": addresses}
	}
	fakeplatform.Answer(w, http.StatusOK, status)
}

// reportURL returns the address of a report, or nil if the report would be empty.
func reportURL(r *http.Request, what string, lines []string) any {
	if len(lines) == 0 {
		return nil
	}
	mount, _, _ := strings.Cut(r.RequestURI, "/processes/") // the fakes are served below their names
	return "http://" + r.Host + mount + "/reports/" + r.PathValue("id") + "/" + what
}

func (f *Fake) report(w http.ResponseWriter, r *http.Request) {
	f.mu.Lock()
	defer f.mu.Unlock()
	one := f.work(r.PathValue("id"))
	if one == nil {
		http.NotFound(w, r)
		return
	}
	w.Header().Set("Content-Type", "text/csv")
	lines := one.reports[r.PathValue("what")]
	_, _ = fmt.Fprintf(w, "EMAIL;REASON\n%s;refused\n", strings.Join(lines, ";refused\n"))
}
