// Package fake behaves like Copernica's API as it is documented and as others have
// seen it, with its statuses, bodies and headers, and its checks of what it is sent.
// The authentication service is at its root.
package fake

import (
	"cmp"
	"encoding/base64"
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"net/url"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"sync"
	"time"

	"usersync/internal/connector"
	"usersync/internal/connector/fakeplatform"
)

const (
	token = "9c41d7e0b35a68f2714c"
	// Database is the one that people are in, with this name.
	Database     = "7616"
	databaseName = "active-clients"
	// newsletter is the field that marks people who have unsubscribed, by "no".
	newsletter = "newsletter"
)

var (
	fields    = []string{"email", "firstname", "lastname", "user_id", newsletter, "company", "seats", "mobile", "joined"}
	interests = []string{"onlyautomator-user", "football"}
)

// Fake is Copernica.
type Fake struct {
	people *fakeplatform.People
	mux    *http.ServeMux

	mu sync.Mutex
	// exchanges counts the tokens that were given. Tokens before revoked are not good any
	// more.
	exchanges, revoked int
	behavior           string
	made               map[string]string // types of fields that were made, by name
	lifetime           time.Duration
}

// New returns a Copernica with one database and nobody in it. The database marks
// people who unsubscribe.
func New() *Fake {
	f := &Fake{people: fakeplatform.NewPeople(), mux: http.NewServeMux(), behavior: "update", made: map[string]string{}, lifetime: 24 * time.Hour}
	f.mux.HandleFunc("GET /v4/identity", f.identity)
	f.mux.HandleFunc("GET /v4/database/{database}", f.database)
	f.mux.HandleFunc("GET /v4/database/{database}/unsubscribe", f.unsubscribe)
	f.mux.HandleFunc("POST /v4/database/{database}/fields", f.makeField)
	f.mux.HandleFunc("GET /v4/database/{database}/profiles", f.find)
	f.mux.HandleFunc("PUT /v4/database/{database}/profiles", f.put)
	f.mux.HandleFunc("DELETE /v4/profile/{id}", f.remove)
	f.mux.HandleFunc("/", func(w http.ResponseWriter, _ *http.Request) { fail(w, "Invalid method") })
	return f
}

// Name returns the connector's name.
func (*Fake) Name() string { return "copernica" }

// Config is a connection to the database.
func (*Fake) Config() connector.Config {
	return fakeplatform.Config(
		`{"accessToken":"`+token+`"}`,
		`{"databaseId":"`+Database+`","interests":["onlyautomator-user"]}`)
}

// People are the profiles.
func (f *Fake) People() *fakeplatform.People { return f.people }

// Fields are fields of the database.
func (*Fake) Fields() fakeplatform.Fields {
	return fakeplatform.Fields{Setting: "fields", Text: "company", Number: "seats", Phone: "mobile",
		Date: "joined", Day: "2026-03-04 00:00:00", Moment: "2026-03-04 08:30:00", List: "company", Several: "gold, new"}
}

// Leave makes a profile unsubscribe in the database, which is all that it can leave.
func (f *Fake) Leave(email string, how fakeplatform.Leaving) bool {
	f.people.Put(email, func(one *fakeplatform.Person, _ bool) { one.Unsubscribed = true })
	return how == fakeplatform.LeftList
}

// Gone reports whether a profile is marked still.
func (f *Fake) Gone(email string, _ fakeplatform.Leaving) bool {
	one, ok := f.people.Get(email)
	return ok && one.Unsubscribed
}

// Exchanges is how often a token was asked for.
func (f *Fake) Exchanges() int {
	f.mu.Lock()
	defer f.mu.Unlock()
	return f.exchanges
}

// Revoke makes the fake refuse all tokens that were given so far.
func (f *Fake) Revoke() {
	f.mu.Lock()
	defer f.mu.Unlock()
	f.revoked = f.exchanges
}

// Issue makes tokens good for another time than 24 hours.
func (f *Fake) Issue(lifetime time.Duration) {
	f.mu.Lock()
	defer f.mu.Unlock()
	f.lifetime = lifetime
}

// Behave sets what is done with people who unsubscribe: nothing, remove or update.
func (f *Fake) Behave(behavior string) {
	f.mu.Lock()
	defer f.mu.Unlock()
	f.behavior = behavior
}

// ServeHTTP answers a call.
func (f *Fake) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	if r.URL.Path == "/" {
		f.authenticate(w, r)
		return
	}
	if !f.admits(r.Header.Get("Authorization")) {
		fail(w, "Invalid access token")
		return
	}
	f.mux.ServeHTTP(w, r)
}

// authenticate gives a JSON Web Token, as text, for the API token.
func (f *Fake) authenticate(w http.ResponseWriter, r *http.Request) {
	if r.Method != http.MethodPost || r.PostFormValue("access_token") != token || r.URL.RawQuery != "" {
		fail(w, "Invalid access token")
		return
	}
	f.mu.Lock()
	defer f.mu.Unlock()
	f.exchanges++
	part := func(v any) string {
		text, _ := json.Marshal(v) // of plain values
		return base64.RawURLEncoding.EncodeToString(text)
	}
	header := part(map[string]string{"alg": "RS256", "typ": "JWT"})
	claims := part(map[string]int64{"exp": time.Now().Add(f.lifetime).Unix(), "jti": int64(f.exchanges)})
	_, _ = io.WriteString(w, header+"."+claims+"."+part("signature"))
}

func (f *Fake) admits(authorization string) bool {
	parts := strings.Split(strings.TrimPrefix(authorization, "Bearer "), ".")
	if len(parts) != 3 {
		return false
	}
	var claims struct {
		Exp int64 `json:"exp"`
		ID  int   `json:"jti"`
	}
	text, err := base64.RawURLEncoding.DecodeString(parts[1])
	if err != nil || json.Unmarshal(text, &claims) != nil {
		return false
	}
	f.mu.Lock()
	defer f.mu.Unlock()
	return claims.ID > f.revoked && claims.ID <= f.exchanges && time.Now().Unix() < claims.Exp
}

// Refuse answers with a status. The load balancer's answers are HTML, and all others
// are JSON.
func (*Fake) Refuse(w http.ResponseWriter, status int) {
	if status >= http.StatusBadGateway {
		w.Header().Set("Content-Type", "text/html")
		w.WriteHeader(status)
		_, _ = fmt.Fprintf(w, "<html><head><title>Loadbalancer Error</title></head><body><h1>%d %s</h1></body></html>", status, http.StatusText(status))
		return
	}
	refuse(w, status, http.StatusText(status))
}

// fail answers in the way of nearly all refusals.
func fail(w http.ResponseWriter, message string) { refuse(w, http.StatusBadRequest, message) }

func refuse(w http.ResponseWriter, status int, message string) {
	fakeplatform.Answer(w, status, map[string]any{"error": map[string]string{"message": message}})
}

func answer(w http.ResponseWriter, body any) {
	fakeplatform.Answer(w, http.StatusOK, body)
}

func list(all []any) map[string]any {
	return map[string]any{"start": 0, "limit": 1000, "count": len(all), "data": all}
}

// mostListed is the most that one answer lists.
const mostListed = 1000

// page is the part of a list that a query asks for: 100 from the beginning, unless it says
// otherwise.
func page(all []any, query url.Values) map[string]any {
	start, limit := 0, 100
	if n, err := strconv.Atoi(query.Get("start")); err == nil {
		start = min(max(n, 0), len(all))
	}
	if n, err := strconv.Atoi(query.Get("limit")); err == nil {
		limit = min(max(n, 0), mostListed)
	}
	some := all[start:min(start+limit, len(all))]
	out := map[string]any{"start": start, "limit": limit, "count": len(some), "data": some}
	if query.Get("total") != "0" {
		out["total"] = len(all)
	}
	return out
}

func (*Fake) identity(w http.ResponseWriter, _ *http.Request) {
	answer(w, map[string]any{"id": "34", "name": "Development", "description": "An account for tests", "company": "Example Ltd"})
}

func known(w http.ResponseWriter, r *http.Request) bool {
	if r.PathValue("database") != Database {
		fail(w, "No database with supplied ID")
		return false
	}
	return true
}

func (f *Fake) database(w http.ResponseWriter, r *http.Request) {
	if !known(w, r) {
		return
	}
	var columns, wishes []any
	for i, name := range f.names() {
		kind := cmp.Or(map[string]string{"mobile": "phone_gsm", "joined": "empty_datetime"}[name], f.kind(name), "text")
		columns = append(columns, map[string]any{"ID": fmt.Sprint(20989 + i), "name": name, "type": kind})
	}
	for i, name := range interests {
		wishes = append(wishes, map[string]any{"ID": fmt.Sprint(3053 + i), "name": name, "group": "tags"})
	}
	answer(w, map[string]any{
		"ID": Database, "name": databaseName, "archived": false, "fields": list(columns), "interests": list(wishes),
	})
}

func (f *Fake) unsubscribe(w http.ResponseWriter, r *http.Request) {
	if !known(w, r) {
		return
	}
	f.mu.Lock()
	defer f.mu.Unlock()
	body := map[string]any{"behavior": f.behavior}
	if f.behavior == "update" {
		body["fields"] = map[string]string{newsletter: "no"}
	}
	answer(w, body)
}

// address is what a field of type email takes: ASCII, as far as is known.
var address = regexp.MustCompile(`^[A-Za-z0-9.!#$%&'*+/=?^_{|}~-]+@[A-Za-z0-9-]+(\.[A-Za-z0-9-]+)+$`)

// e164 is a telephone number with the code of its country.
var e164 = regexp.MustCompile(`^\+[1-9][0-9]{6,14}$`)

// expression is a condition; other operators than == are not needed here.
var expression = regexp.MustCompile(`^([A-Za-z0-9_-]+)(==|!=|<>|<=|>=|<|>|=~|!~)(.*)$`)

// selected returns the people that all conditions select. ok is false if one of the
// conditions makes no sense.
func (f *Fake) selected(conditions []string) (out []fakeplatform.Person, ok bool) {
	emails := f.people.Emails()
	for _, c := range conditions {
		if email, ok := strings.CutPrefix(c, "email=="); ok {
			emails = []string{email} // there is one profile of an address at most
		}
	}
	for _, email := range emails {
		one, held := f.people.Get(email)
		if !held {
			continue
		}
		matches := true
		for _, c := range conditions {
			m := expression.FindStringSubmatch(c)
			if m == nil || m[2] != "==" || m[1] != "id" && !slices.Contains(f.names(), m[1]) {
				return nil, false
			}
			matches = matches && strings.EqualFold(valueOf(one, m[1]), m[3])
		}
		if matches {
			out = append(out, one)
		}
	}
	return out, true
}

func valueOf(one fakeplatform.Person, field string) string {
	switch field {
	case "id":
		return one.ID
	case "email":
		return one.Email
	case newsletter:
		if one.Unsubscribed {
			return "no"
		}
	}
	text, _ := one.Fields[field].(string)
	return text
}

func (f *Fake) find(w http.ResponseWriter, r *http.Request) {
	if !known(w, r) {
		return
	}
	some, ok := f.selected(r.URL.Query()["fields[]"])
	if !ok {
		fail(w, "Invalid fields parameter")
		return
	}
	all := []any{}
	for _, one := range some {
		values := map[string]string{}
		for _, name := range f.names() {
			values[name] = valueOf(one, name)
		}
		all = append(all, map[string]any{"ID": one.ID, "fields": values, "interests": one.Tags, "modified": "2026-01-01 00:00:00"})
	}
	answer(w, page(all, r.URL.Query()))
}

// profile is the body of a PUT.
type profile struct {
	Fields    map[string]string `json:"fields"`
	Interests map[string]int    `json:"interests"`
}

// fault returns what is wrong with a profile, or "" if nothing is.
func (f *Fake) fault(p profile) string {
	for name := range p.Fields {
		if !slices.Contains(f.names(), name) {
			return "No field with name " + name
		}
	}
	for name := range p.Interests {
		if !slices.Contains(interests, name) {
			return "No interest with name " + name
		}
	}
	if number := p.Fields["mobile"]; number != "" && !e164.MatchString(number) {
		return "Invalid value for field mobile"
	}
	if _, err := time.Parse(time.DateTime, p.Fields["joined"]); err != nil && p.Fields["joined"] != "" {
		return "Invalid value for field joined"
	}
	email, given := p.Fields["email"]
	if !given {
		return "" // the profile keeps the one it has
	}
	if one, held := f.people.Get(email); !address.MatchString(email) || held && one.Refused {
		return "Invalid value for field email"
	}
	return ""
}

// put updates every profile that matches, or makes one.
func (f *Fake) put(w http.ResponseWriter, r *http.Request) {
	if !known(w, r) {
		return
	}
	conditions := r.URL.Query()["fields[]"]
	var body profile
	err := json.NewDecoder(r.Body).Decode(&body)
	some, ok := f.selected(conditions)
	switch {
	case len(conditions) == 0 || !ok:
		fail(w, "Invalid fields parameter")
		return
	case err != nil || r.Header.Get("Content-Type") != "application/json":
		fail(w, "Invalid request data")
		return
	}
	if wrong := f.fault(body); wrong != "" {
		fail(w, wrong)
		return
	}
	for _, one := range some {
		f.write(one.Email, body)
	}
	if len(some) > 0 || r.URL.Query().Get("create") != "1" {
		w.WriteHeader(http.StatusNoContent)
		return
	}
	f.write(body.Fields["email"], body)
	one, _ := f.people.Get(body.Fields["email"])
	w.Header().Set("X-Created", one.ID)
	w.Header().Set("X-Location", "https://api.copernica.com/v4/profile/"+one.ID)
	w.WriteHeader(http.StatusCreated)
}

func (f *Fake) write(email string, p profile) {
	f.people.Put(email, func(held *fakeplatform.Person, _ bool) {
		for name, value := range p.Fields {
			held.Fields[name] = value
		}
		if value, ok := p.Fields[newsletter]; ok {
			held.Unsubscribed = value == "no"
		}
		for name, wanted := range p.Interests {
			if wanted != 0 {
				held.Tags = fakeplatform.With(held.Tags, name)
			} else {
				held.Tags = slices.DeleteFunc(held.Tags, func(has string) bool { return has == name })
			}
		}
	})
}

func (f *Fake) remove(w http.ResponseWriter, r *http.Request) {
	one, ok := f.people.ByID(r.PathValue("id"))
	if !ok {
		fail(w, "No entity with supplied ID")
		return
	}
	f.people.Delete(one.Email)
	w.Header().Set("X-Deleted", "profile "+one.ID)
	w.WriteHeader(http.StatusNoContent)
}
