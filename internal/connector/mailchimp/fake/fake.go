// Package fake answers like Mailchimp's Marketing API 3.0: the calls about a list
// and its members, with the statuses, bodies and headers that were recorded of it.
package fake

import (
	"crypto/md5" // the platform's name for a member
	"encoding/hex"
	"encoding/json"
	"fmt"
	"net/http"
	"slices"
	"strconv"
	"strings"
	"sync"
	"sync/atomic"

	"usersync/internal/connector"
	"usersync/internal/connector/fakeplatform"
)

// These are the key that the fake accepts, and its two lists.
const (
	Key       = "0123456789abcdef0123456789abcdef-us21"
	List      = "a36b032126"
	OtherList = "1b724bb934"
)

var listNames = map[string]string{List: "active-clients", OtherList: "newsletter"}

const (
	account = "5f6e3ecf127508cdb5e31e90b"
	// atOnce is how many calls an account may make at once.
	atOnce = 10
	// maxMembers is how many members one batch takes.
	maxMembers = 500
)

// Fake is a Mailchimp account with two lists.
type Fake struct {
	mux    *http.ServeMux
	people *fakeplatform.People
	calls  atomic.Int64
	under  atomic.Int64

	mu        sync.Mutex
	fields    map[string]field  // by merge tag
	status    map[string]string // of members who are not just subscribed, by address
	forgotten map[string]bool   // erased for good, by address
	busy      map[string]bool   // joined too many lists, by address
	names     map[string]string // addresses by member id
}

// field is a merge field.
type field struct {
	kind     string // text, number, phone, date or birthday
	required bool
}

// New returns an empty account.
func New() *Fake {
	f := &Fake{people: fakeplatform.NewPeople(), status: map[string]string{}, forgotten: map[string]bool{}, busy: map[string]bool{}, names: map[string]string{},
		fields: map[string]field{"FNAME": {kind: "text"}, "LNAME": {kind: "text"}, "COMPANY": {kind: "text"}, "JOBTITLE": {kind: "text"},
			"COUNTRY": {kind: "text"}, "LTV": {kind: "number"}, "PHONE": {kind: "phone"}, "JOINED": {kind: "date"}, "BIRTHDAY": {kind: "birthday"}}}
	about := func(do func(http.ResponseWriter, *http.Request, fakeplatform.Person)) http.HandlerFunc {
		return fakeplatform.About(f.find, f.Refuse, do)
	}
	f.mux = fakeplatform.Routes{
		"GET /3.0/lists/{list}":                                            f.list,
		"POST /3.0/lists/{list}":                                           f.batch,
		"GET /3.0/lists/{list}/merge-fields":                               f.mergeFields,
		"POST /3.0/lists/{list}/merge-fields":                              f.makeField,
		"GET /3.0/lists/{list}/members/{member}":                           about(f.get),
		"PUT /3.0/lists/{list}/members/{member}":                           f.put,
		"DELETE /3.0/lists/{list}/members/{member}":                        about(f.archive),
		"POST /3.0/lists/{list}/members/{member}/tags":                     about(f.tag),
		"POST /3.0/lists/{list}/members/{member}/actions/delete-permanent": about(f.erase),
	}.Mux(nil)
	return f
}

// Name returns the connector's name.
func (f *Fake) Name() string { return "mailchimp" }

// People are the members of both lists. A person without lists is in both.
func (f *Fake) People() *fakeplatform.People { return f.people }

// Config is a connection to List.
func (f *Fake) Config() connector.Config {
	return fakeplatform.Config(
		`{"apiKey":"`+Key+`"}`,
		`{"listId":"`+List+`","mergeFields":{"COMPANY":"attributes.company"}}`)
}

// Require makes the list's form require a merge field.
func (f *Fake) Require(tag string) {
	f.mu.Lock()
	defer f.mu.Unlock()
	f.fields[tag] = field{kind: f.fields[tag].kind, required: true}
}

// Clean makes mail to a member bounce for good.
func (f *Fake) Clean(email string) {
	f.mu.Lock()
	defer f.mu.Unlock()
	f.status[strings.ToLower(email)] = "cleaned"
}

// Fields are merge fields of the lists.
func (f *Fake) Fields() fakeplatform.Fields {
	return fakeplatform.Fields{Setting: "mergeFields", Text: "COMPANY", Number: "LTV", Phone: "PHONE",
		Date: "JOINED", Day: "2026-03-04", Moment: "2026-03-04", List: "COMPANY", Several: "gold, new"}
}

// Leave makes a member leave. Members leave one list; a complaint is an unsubscribe too.
func (f *Fake) Leave(email string, how fakeplatform.Leaving) bool {
	if how == fakeplatform.LeftCleaned {
		f.Clean(email)
		return true
	}
	f.people.Put(email, func(p *fakeplatform.Person, _ bool) { p.Unsubscribed = true })
	return how != fakeplatform.LeftAll
}

// Gone reports whether a member still has the status of one who has left.
func (f *Fake) Gone(email string, how fakeplatform.Leaving) bool {
	p, ok := f.people.Get(email)
	f.mu.Lock()
	defer f.mu.Unlock()
	return ok && f.statusOf(p) == map[bool]string{true: "cleaned", false: "unsubscribed"}[how == fakeplatform.LeftCleaned]
}

// Busy makes the fake refuse an address as one that joined too many lists lately.
func (f *Fake) Busy(email string) {
	f.mu.Lock()
	defer f.mu.Unlock()
	f.busy[strings.ToLower(email)] = true
}

// ServeHTTP answers a call.
func (f *Fake) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	defer f.under.Add(-1)
	f.headers(w)
	_, key, ok := r.BasicAuth()
	switch {
	case f.under.Add(1) > atOnce:
		f.Refuse(w, http.StatusTooManyRequests)
	case !ok || key != Key:
		f.Refuse(w, http.StatusUnauthorized)
	default:
		f.route(w, r)
	}
}

func (f *Fake) route(w http.ResponseWriter, r *http.Request) {
	if _, pattern := f.mux.Handler(r); pattern == "" {
		f.Refuse(w, http.StatusNotFound)
		return
	}
	if list, _, _ := strings.Cut(strings.TrimPrefix(r.URL.Path, "/3.0/lists/"), "/"); listNames[list] == "" {
		f.Refuse(w, http.StatusNotFound)
		return
	}
	f.mu.Lock()
	defer f.mu.Unlock()
	f.mux.ServeHTTP(w, r)
}

func (f *Fake) headers(w http.ResponseWriter) {
	h := w.Header()
	h.Set("Server", "openresty")
	h.Set("X-Request-Id", f.instance())
	h.Set("Vary", "Accept-Encoding")
	h.Set("Content-Type", "application/json; charset=utf-8")
}

func (f *Fake) instance() string {
	return fmt.Sprintf("14c40d88-9b23-1adf-9d0b-%012d", f.calls.Add(1))
}

// refusals are the platform's problems, by status.
var refusals = map[int][2]string{
	http.StatusBadRequest:          {"Invalid Resource", "The resource submitted could not be validated. For field-specific details, see the 'errors' array."},
	http.StatusUnauthorized:        {"API Key Invalid", "Your API key may be invalid, or you've attempted to access the wrong datacenter."},
	http.StatusForbidden:           {"User Disabled", "This account has been disabled."},
	http.StatusNotFound:            {"Resource Not Found", "The requested resource could not be found."},
	http.StatusMethodNotAllowed:    {"Method Not Allowed", "The requested method and resource are not compatible. See the Allow header for this resource's available methods."},
	http.StatusTooManyRequests:     {"Too Many Requests", "You have exceeded the limit of 10 simultaneous connections."},
	http.StatusInternalServerError: {"Internal Server Error", "An unexpected internal error has occurred. Please contact Support for more information."},
}

// Refuse answers with the problem that goes with a status.
func (f *Fake) Refuse(w http.ResponseWriter, status int) {
	text, ok := refusals[status]
	if !ok {
		text = [2]string{http.StatusText(status), "An unexpected internal error has occurred. Please contact Support for more information."}
	}
	f.refuse(w, problem{Type: problemType, Title: text[0], Status: status, Detail: text[1]})
}

const problemType = "https://mailchimp.com/developer/marketing/docs/errors/"

// problem is the body of a refusal. Those about a member's state have no type.
type problem struct {
	Type     string       `json:"type,omitempty"`
	Title    string       `json:"title"`
	Status   int          `json:"status"`
	Detail   string       `json:"detail"`
	Instance string       `json:"instance"`
	Errors   []fieldFault `json:"errors,omitempty"`
}

type fieldFault struct {
	Field   string `json:"field"`
	Message string `json:"message"`
}

func (f *Fake) refuse(w http.ResponseWriter, p problem) {
	f.headers(w)
	p.Instance = w.Header().Get("X-Request-Id")
	w.Header().Set("Content-Type", "application/problem+json; charset=utf-8")
	w.Header().Set("Link", `<https://us21.api.mailchimp.com/schema/3.0/Definitions/ProblemDetailDocument.json>; rel="describedBy"`)
	w.WriteHeader(p.Status)
	_ = json.NewEncoder(w).Encode(p)
}

func answer(w http.ResponseWriter, v any) { _ = json.NewEncoder(w).Encode(v) }

func (f *Fake) list(w http.ResponseWriter, r *http.Request) {
	id := r.PathValue("list")
	all := map[string]any{
		"id": id, "web_id": 382062, "name": listNames[id], "permission_reminder": "You signed up at our site.", "use_archive_bar": true,
		"email_type_option": false, "visibility": "prv", "double_optin": false, "marketing_permissions": false, "modules": []string{},
		"subscribe_url_short": "http://eepurl.com/haJ6YH",
		"subscribe_url_long":  "https://usersync.us21.list-manage.com/subscribe?u=" + account + "&id=" + id,
		"stats":               map[string]any{"member_count": f.people.Len(), "last_unsub_date": ""},
	}
	answer(w, chosen(r, all))
}

// chosen returns the fields that the query asks for. It does not cut nested fields.
func chosen(r *http.Request, all map[string]any) map[string]any {
	fields := r.URL.Query().Get("fields")
	if fields == "" {
		return all
	}
	out := map[string]any{}
	for _, name := range strings.Split(fields, ",") {
		if v, ok := all[name]; ok {
			out[name] = v
		}
	}
	return out
}

func (f *Fake) mergeFields(w http.ResponseWriter, r *http.Request) {
	count, err := strconv.Atoi(r.URL.Query().Get("count"))
	if err != nil {
		count = 10
	}
	var out []map[string]any
	for tag, def := range f.fields {
		out = append(out, map[string]any{"tag": tag, "name": tag, "type": def.kind, "required": def.required, "default_value": "", "list_id": r.PathValue("list")})
	}
	slices.SortFunc(out, func(a, b map[string]any) int { return strings.Compare(a["tag"].(string), b["tag"].(string)) })
	answer(w, map[string]any{"merge_fields": out[:min(len(out), count)], "list_id": r.PathValue("list"), "total_items": len(out)})
}

// memberID names a member.
func memberID(email string) string {
	sum := md5.Sum([]byte(strings.ToLower(email)))
	return hex.EncodeToString(sum[:])
}

// find returns the member whom a path names, by hash or by address.
func (f *Fake) find(r *http.Request) (fakeplatform.Person, bool) {
	f.index()
	name := r.PathValue("member")
	email := f.names[name]
	if strings.Contains(name, "@") {
		email = name
	}
	p, ok := f.people.Get(email)
	return p, ok && in(p, r.PathValue("list")) && !p.Refused
}

// index learns of people who came or left without a call.
func (f *Fake) index() {
	if len(f.names) == f.people.Len() {
		return
	}
	f.names = map[string]string{}
	for _, email := range f.people.Emails() {
		f.names[memberID(email)] = email
	}
}

// in reports whether a person is in a list.
func in(p fakeplatform.Person, list string) bool {
	return len(p.Lists) == 0 || slices.Contains(p.Lists, list)
}

// statusOf is a member's status.
func (f *Fake) statusOf(p fakeplatform.Person) string {
	if p.Unsubscribed {
		return "unsubscribed"
	}
	if s := f.status[strings.ToLower(p.Email)]; s != "" {
		return s
	}
	return "subscribed"
}

func (f *Fake) get(w http.ResponseWriter, r *http.Request, p fakeplatform.Person) {
	answer(w, chosen(r, f.member(p, r.PathValue("list"))))
}

// member is a member in an answer, as long as a real one.
func (f *Fake) member(p fakeplatform.Person, list string) map[string]any {
	id := memberID(p.Email)
	fields := map[string]any{}
	for tag := range f.fields {
		fields[tag] = ""
		if v, ok := p.Fields[tag]; ok {
			fields[tag] = v
		}
	}
	tags := []map[string]any{}
	for _, name := range p.Tags {
		tags = append(tags, map[string]any{"id": 4788452 + len(name), "name": name})
	}
	return map[string]any{
		"id": id, "email_address": p.Email, "unique_email_id": id[:10], "contact_id": id, "web_id": 400751728, "email_type": "html",
		"full_name": fmt.Sprint(fields["FNAME"], " ", fields["LNAME"]), "status": f.statusOf(p), "consents_to_one_to_one_messaging": true,
		"merge_fields": fields, "stats": map[string]any{"avg_open_rate": 0, "avg_click_rate": 0}, "ip_signup": "", "timestamp_signup": "",
		"ip_opt": "192.0.2.1", "timestamp_opt": "2021-11-23T22:51:56+00:00", "member_rating": 2, "last_changed": "2021-11-23T22:51:57+00:00",
		"language": "", "vip": false, "email_client": "", "source": "API - Generic", "tags_count": len(tags), "tags": tags, "list_id": list,
		"location": map[string]any{"latitude": 0, "longitude": 0, "gmtoff": 0, "dstoff": 0, "country_code": "", "timezone": ""},
		"_links":   links(list, id),
	}
}

// links make an answer as long as the platform's, which has 3 KB for each member. The
// answer to a batch has 1.7 MB.
func links(list, id string) []map[string]string {
	self := "https://us21.api.mailchimp.com/3.0/lists/" + list + "/members/" + id
	const schema = "https://us21.api.mailchimp.com/schema/3.0/"
	out := []map[string]string{}
	for _, rel := range []string{"self", "parent", "update", "upsert", "delete", "activity", "goals", "notes", "events", "delete_permanent"} {
		out = append(out, map[string]string{"rel": rel, "href": self, "method": "GET",
			"targetSchema": schema + "Definitions/Lists/Members/Response.json", "schema": schema + "Paths/Lists/Members/Collection.json"})
	}
	return out
}

func (f *Fake) archive(w http.ResponseWriter, _ *http.Request, p fakeplatform.Person) {
	if s := f.statusOf(p); s == "archived" || s == "pending" || s == "cleaned" {
		f.refuse(w, problem{Type: problemType, Title: "Method Not Allowed", Status: http.StatusMethodNotAllowed,
			Detail: "This list member cannot be removed. Can not archive a contact that is bounced, pending or archived"})
		return
	}
	f.status[strings.ToLower(p.Email)] = "archived"
	w.WriteHeader(http.StatusNoContent)
}

// Archived reports whether somebody was archived and not deleted.
func (f *Fake) Archived(email string) bool {
	f.mu.Lock()
	defer f.mu.Unlock()
	return f.status[strings.ToLower(email)] == "archived"
}

func (f *Fake) erase(w http.ResponseWriter, _ *http.Request, p fakeplatform.Person) {
	f.people.Delete(p.Email)
	delete(f.names, memberID(p.Email))
	delete(f.status, strings.ToLower(p.Email))
	f.forgotten[strings.ToLower(p.Email)] = true
	w.WriteHeader(http.StatusNoContent)
}

func (f *Fake) tag(w http.ResponseWriter, r *http.Request, p fakeplatform.Person) {
	var body struct {
		Tags []struct{ Name, Status string } `json:"tags"`
	}
	if fakeplatform.Read(r.Body, &body) != nil || len(body.Tags) == 0 {
		f.Refuse(w, http.StatusBadRequest)
		return
	}
	f.people.Put(p.Email, func(one *fakeplatform.Person, _ bool) {
		for _, t := range body.Tags {
			if t.Status == "inactive" {
				one.Tags = slices.DeleteFunc(one.Tags, func(have string) bool { return have == t.Name })
				continue
			}
			one.Tags = fakeplatform.With(one.Tags, t.Name)
		}
	})
	w.WriteHeader(http.StatusNoContent)
}
