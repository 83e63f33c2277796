// Package fake is a server that behaves like Customer.io's Track API and App API,
// as their documentation describes them.
package fake

import (
	"bytes"
	"cmp"
	"encoding/json"
	"fmt"
	"net/http"
	"net/mail"
	"slices"
	"strconv"
	"strings"
	"sync"

	"usersync/internal/connector"
	"usersync/internal/connector/fakeplatform"
)

// The fake takes these keys.
const (
	SiteID    = "5f0a6c1b2d3e4f506172"
	APIKey    = "a1b2c3d4e5f60718293a" //nolint:gosec // of a fake
	AppAPIKey = "9f8e7d6c5b4a39281706" //nolint:gosec // of a fake
)

// These are the workspace and the segment of Config.
const (
	Environment = 135711
	SegmentID   = 3
	SegmentName = "active-clients"
)

// A call takes no more than this.
const (
	maxBody       = 500_000
	maxItem       = 32_000
	maxAttributes = 300
	maxName       = 150
	maxIDs        = 1000
	maxValue      = 1000
	maxID         = 150
)

// Fake is one workspace, in which people are known by address or id.
type Fake struct {
	mux    *http.ServeMux
	people *fakeplatform.People
	region string

	mu         sync.Mutex
	segments   []segment
	suppressed map[string]bool
}

type segment struct {
	ID          int      `json:"id"`
	Duplicate   string   `json:"deduplicate_id"`
	Name        string   `json:"name"`
	Description string   `json:"description"`
	State       string   `json:"state"`
	Progress    *int     `json:"progress"`
	Type        string   `json:"type"`
	Tags        []string `json:"tags"`
}

// New returns a workspace in the US with two segments, one of which fills itself.
func New() *Fake {
	f := &Fake{
		people: fakeplatform.NewPeople(), region: "us", suppressed: map[string]bool{},
		segments: []segment{{ID: SegmentID, Name: SegmentName, Type: "manual", State: "finished"}, {ID: 4, Name: "everybody", Type: "dynamic", State: "finished"}},
	}
	f.mux = fakeplatform.Routes{
		"GET /api/v1/accounts/region": f.accountRegion, "POST /api/v2/batch": f.batch,
		"POST /api/v1/segments/{id}/add_customers":    f.join,
		"POST /api/v1/segments/{id}/remove_customers": f.takeOff,
		"POST /api/v1/customers/{id}/suppress":        f.suppress, "DELETE /api/v1/customers/{id}": f.remove,
		"GET /v1/customers": f.byEmail, "POST /v1/customers": f.search, "GET /v1/customers/{id}/attributes": f.attributes, "GET /v1/workspaces": f.workspaces,
		"GET /v1/segments": f.allSegments, "POST /v1/segments": f.makeSegment, "GET /v1/segments/{id}": f.oneSegment,
	}.Mux(f.Refuse)
	return f
}

// NewEU returns a workspace in the EU.
func NewEU() *Fake {
	f := New()
	f.region = "eu"
	return f
}

// Name returns the connector's name.
func (f *Fake) Name() string { return "customerio" }

// Config is a connection with both keys, a segment and a tag.
func (f *Fake) Config() connector.Config {
	return fakeplatform.Config(
		`{"siteId":"`+SiteID+`","apiKey":"`+APIKey+`","appApiKey":"`+AppAPIKey+`"}`,
		fmt.Sprintf(`{"region":%q,"segment":"%d","tags":["usersync-user"]}`, f.region, SegmentID))
}

// People are the people of the workspace.
func (f *Fake) People() *fakeplatform.People { return f.people }

// ServeHTTP answers like both APIs, which have hosts of their own and no path in
// common.
func (f *Fake) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	site, key, _ := r.BasicAuth()
	track := strings.HasPrefix(r.URL.Path, "/api/")
	if track && (site != SiteID || key != APIKey) || !track && r.Header.Get("Authorization") != "Bearer "+AppAPIKey {
		f.Refuse(w, http.StatusUnauthorized)
		return
	}
	f.mux.ServeHTTP(w, r)
}

var refusals = map[int]string{
	http.StatusBadRequest:      "malformed request",
	http.StatusUnauthorized:    "unauthorized",
	http.StatusForbidden:       "forbidden",
	http.StatusNotFound:        "not found",
	http.StatusTooManyRequests: "too many requests",
}

// Refuse answers as the platform does: a 429 says nothing about how long to wait.
func (f *Fake) Refuse(w http.ResponseWriter, status int) {
	message, known := refusals[status]
	if !known {
		fakeplatform.Gateway(w, status)
		return
	}
	fakeplatform.Answer(w, status, map[string]any{"meta": map[string]any{"error": message}})
}

func done(w http.ResponseWriter) { fakeplatform.Answer(w, http.StatusOK, struct{}{}) }

func (f *Fake) accountRegion(w http.ResponseWriter, _ *http.Request) {
	url := map[string]string{"us": "https://track.customer.io", "eu": "https://track-eu.customer.io"}[f.region]
	fakeplatform.Answer(w, http.StatusOK, map[string]any{"url": url, "region": f.region, "environment_id": Environment})
}

// filter is a condition of a search, as far as it is known here.
type filter struct {
	And       []filter `json:"and"`
	Or        []filter `json:"or"`
	Attribute struct {
		Field    string `json:"field"`
		Operator string `json:"operator"`
		Value    string `json:"value"`
	} `json:"attribute"`
}

func (c filter) takes(one *fakeplatform.Person) bool {
	not := func(inner filter) bool { return !inner.takes(one) }
	switch {
	case len(c.And) > 0:
		return !slices.ContainsFunc(c.And, not)
	case len(c.Or) > 0:
		return slices.ContainsFunc(c.Or, func(inner filter) bool { return inner.takes(one) })
	case c.Attribute.Operator != "eq":
		return false
	case c.Attribute.Field == "email":
		return strings.EqualFold(one.Email, c.Attribute.Value)
	case c.Attribute.Field == "unsubscribed":
		return strconv.FormatBool(one.Unsubscribed) == c.Attribute.Value
	}
	return fmt.Sprint(one.Fields[c.Attribute.Field]) == c.Attribute.Value
}

func (f *Fake) search(w http.ResponseWriter, r *http.Request) {
	var in struct {
		Filter filter `json:"filter"`
	}
	if err := json.NewDecoder(r.Body).Decode(&in); err != nil {
		f.Refuse(w, http.StatusBadRequest)
		return
	}
	found, ids := []map[string]any{}, []any{}
	for _, one := range f.people.All(in.Filter.takes) {
		found = append(found, map[string]any{"email": one.Email, "id": one.Fields["id"], "cio_id": "a3000001" + one.ID})
		ids = append(ids, one.Fields["id"])
	}
	fakeplatform.Answer(w, http.StatusOK, map[string]any{"identifiers": found, "ids": ids, "next": ""})
}

// Fields are attributes of people.
func (f *Fake) Fields() fakeplatform.Fields {
	return fakeplatform.Fields{Setting: "attributes", Text: "company", Number: "seats", Phone: "phone",
		Date: "joined", Day: 1772582400, Moment: 1772613000, AnyDate: true, List: "plans", Several: []string{"gold", "new"}}
}

// Leave makes a person unsubscribe from everything, which a complaint does too. A segment
// is nothing that people leave, and a bounce shows nowhere.
func (f *Fake) Leave(email string, how fakeplatform.Leaving) bool {
	if how == fakeplatform.LeftList || how == fakeplatform.LeftCleaned {
		return false
	}
	f.people.Put(email, func(one *fakeplatform.Person, _ bool) { one.Unsubscribed, one.Lists = true, nil })
	return true
}

// Gone reports whether a person is unsubscribed still, and in no segment again.
func (f *Fake) Gone(email string, _ fakeplatform.Leaving) bool {
	one, ok := f.people.Get(email)
	return ok && one.Unsubscribed && len(one.Lists) == 0
}

type item struct {
	Type        string            `json:"type"`
	Action      string            `json:"action"`
	Identifiers map[string]string `json:"identifiers"`
	Attributes  map[string]any    `json:"attributes"`
}

type problem struct {
	Index   int    `json:"batch_index"`
	Reason  string `json:"reason"`
	Field   string `json:"field"`
	Message string `json:"message"`
}

// batch takes operations. It answers 207 for the wrong ones, and does the others.
func (f *Fake) batch(w http.ResponseWriter, r *http.Request) {
	var in struct {
		Batch []json.RawMessage `json:"batch"`
	}
	if r.ContentLength > maxBody {
		fakeplatform.Answer(w, http.StatusBadRequest, map[string]any{"errors": []problem{{Reason: "invalid", Field: "batch", Message: "request is larger than 500kb"}}})
		return
	}
	if err := json.NewDecoder(r.Body).Decode(&in); err != nil || len(in.Batch) == 0 {
		fakeplatform.Answer(w, http.StatusBadRequest, map[string]any{"errors": []problem{{Reason: "required", Field: "batch", Message: "batch must not be empty"}}})
		return
	}
	f.mu.Lock()
	defer f.mu.Unlock()
	problems := []problem{}
	for i, text := range in.Batch {
		if field, message := f.identify(text); message != "" {
			problems = append(problems, problem{Index: i, Reason: "invalid", Field: field, Message: message})
		}
	}
	if len(problems) > 0 {
		fakeplatform.Answer(w, http.StatusMultiStatus, map[string]any{"errors": problems})
		return
	}
	done(w)
}

// identify does one operation and returns what is wrong with which field.
func (f *Fake) identify(text json.RawMessage) (field, message string) {
	var in item
	if len(text) > maxItem {
		return "", "item is larger than 32kb"
	}
	if err := fakeplatform.Read(bytes.NewReader(text), &in); err != nil || in.Type != "person" || in.Action != "identify" {
		return "action", "must be one of identify, delete"
	}
	if len(in.Identifiers) != 1 {
		return "identifiers", "exactly one of id, email, cio_id is required"
	}
	if len(in.Attributes) > maxAttributes {
		return "attributes", "cannot identify more than 300 attributes in one request"
	}
	for _, id := range in.Identifiers {
		if len(id) > maxID {
			return "identifiers", "identifier cannot be longer than 150 bytes"
		}
	}
	for name, value := range in.Attributes {
		if len(name) > maxName {
			return "attributes", "attribute name cannot be longer than 150 bytes"
		}
		if len(fmt.Sprint(value)) > maxValue {
			return name, "attribute value cannot be longer than 1000 bytes"
		}
	}
	email := f.emailOf(in)
	if _, err := mail.ParseAddress(email); err != nil || strings.HasSuffix(email, ".invalid") {
		return "email", "email is not a valid address"
	}
	if one, known := f.people.Get(email); known && one.Refused {
		return "email", "email is not a valid address"
	}
	f.put(in, email)
	return "", ""
}

func (f *Fake) emailOf(in item) string {
	if email := in.Identifiers["email"]; email != "" {
		return email
	}
	email, _ := in.Attributes["email"].(string)
	return email
}

// put writes a person. It ignores people who are suppressed, which is no error.
func (f *Fake) put(in item, email string) {
	id := in.Identifiers["id"]
	if f.suppressed[strings.ToLower(email)] || f.suppressed[id] {
		return
	}
	if _, known := f.find(cmp.Or(id, email)); !known && in.Attributes["_update"] == true {
		return
	}
	delete(in.Attributes, "_update")
	old, moved := f.withID(id)
	if moved = moved && !strings.EqualFold(old.Email, email); moved {
		f.people.Delete(old.Email)
	}
	f.people.Put(email, func(one *fakeplatform.Person, _ bool) {
		if moved {
			one.Fields, one.Lists, one.Tags, one.Unsubscribed = old.Fields, old.Lists, old.Tags, old.Unsubscribed
		}
		if id != "" {
			one.Fields["id"] = id
		}
		for name, v := range in.Attributes {
			assign(one, name, v)
		}
	})
}

func assign(one *fakeplatform.Person, name string, v any) {
	switch name {
	case "unsubscribed":
		one.Unsubscribed = v == true || v == "true"
	case "tags":
		one.Tags = nil
		tags, _ := v.([]any)
		for _, tag := range tags {
			one.Tags = fakeplatform.With(one.Tags, fmt.Sprint(tag))
		}
	}
	if v == "" {
		delete(one.Fields, name)
		return
	}
	one.Fields[name] = v
}

func (f *Fake) withID(id string) (fakeplatform.Person, bool) {
	if id == "" {
		return fakeplatform.Person{}, false
	}
	return f.people.First(func(one *fakeplatform.Person) bool { return one.Fields["id"] == id })
}

// find returns a person by address or id.
func (f *Fake) find(identifier string) (fakeplatform.Person, bool) {
	if one, ok := f.people.Get(identifier); ok {
		return one, true
	}
	return f.withID(identifier)
}

// join adds people to a manual segment. It ignores people who do not exist, or who are
// named by another identifier than the call says.
func (f *Fake) join(w http.ResponseWriter, r *http.Request) {
	var in struct {
		IDs []string `json:"ids"`
	}
	s, ok := f.segment(r.PathValue("id"))
	if err := json.NewDecoder(r.Body).Decode(&in); err != nil || len(in.IDs) == 0 || len(in.IDs) > maxIDs || !ok || s.Type != "manual" {
		fakeplatform.Answer(w, http.StatusBadRequest, map[string]any{"meta": map[string]any{"errors": []string{"ids or segment are not valid"}}})
		return
	}
	find := f.withID
	if r.URL.Query().Get("id_type") == "email" {
		find = f.people.Get
	}
	for _, id := range in.IDs {
		if one, found := find(id); found {
			f.people.Put(one.Email, func(one *fakeplatform.Person, _ bool) { one.Lists = fakeplatform.With(one.Lists, strconv.Itoa(s.ID)) })
		}
	}
	done(w)
}

// suppress deletes a person and ignores them from then on.
func (f *Fake) suppress(w http.ResponseWriter, r *http.Request) {
	f.mu.Lock()
	defer f.mu.Unlock()
	f.suppressed[strings.ToLower(r.PathValue("id"))] = true
	if one, ok := f.find(r.PathValue("id")); ok {
		f.suppressed[strings.ToLower(one.Email)] = true
		f.people.Delete(one.Email)
	}
	done(w)
}

func (f *Fake) remove(w http.ResponseWriter, r *http.Request) {
	if one, ok := f.find(r.PathValue("id")); ok {
		f.people.Delete(one.Email)
	}
	done(w)
}

func (f *Fake) byEmail(w http.ResponseWriter, r *http.Request) {
	results := []map[string]any{}
	if one, ok := f.people.Get(r.URL.Query().Get("email")); ok {
		results = append(results, map[string]any{"email": one.Email, "id": one.Fields["id"], "cio_id": "a3000001" + one.ID})
	}
	fakeplatform.Answer(w, http.StatusOK, map[string]any{"results": results})
}

func (f *Fake) attributes(w http.ResponseWriter, r *http.Request) {
	one, ok := f.withID(r.PathValue("id"))
	if r.URL.Query().Get("id_type") == "email" {
		one, ok = f.people.Get(r.PathValue("id"))
	}
	if !ok {
		fakeplatform.Answer(w, http.StatusNotFound, map[string]any{"errors": []map[string]string{{"detail": "not found", "status": "404"}}})
		return
	}
	fakeplatform.Answer(w, http.StatusOK, map[string]any{"customer": map[string]any{
		"id": one.Fields["id"], "attributes": one.Fields, "unsubscribed": one.Unsubscribed,
	}})
}

func (f *Fake) workspaces(w http.ResponseWriter, _ *http.Request) {
	fakeplatform.Answer(w, http.StatusOK, map[string]any{"workspaces": []map[string]any{{"id": Environment, "name": "Example"}}})
}

func (f *Fake) segment(id string) (segment, bool) {
	f.mu.Lock()
	defer f.mu.Unlock()
	i := slices.IndexFunc(f.segments, func(s segment) bool { return strconv.Itoa(s.ID) == id })
	if i < 0 {
		return segment{}, false
	}
	return f.segments[i], true
}

func (f *Fake) allSegments(w http.ResponseWriter, _ *http.Request) {
	f.mu.Lock()
	defer f.mu.Unlock()
	fakeplatform.Answer(w, http.StatusOK, map[string]any{"segments": f.segments})
}

func (f *Fake) oneSegment(w http.ResponseWriter, r *http.Request) {
	s, ok := f.segment(r.PathValue("id"))
	if !ok {
		f.Refuse(w, http.StatusNotFound)
		return
	}
	fakeplatform.Answer(w, http.StatusOK, map[string]any{"segment": s})
}

func (f *Fake) makeSegment(w http.ResponseWriter, r *http.Request) {
	var in struct {
		Segment segment `json:"segment"`
	}
	if err := json.NewDecoder(r.Body).Decode(&in); err != nil || in.Segment.Name == "" {
		f.Refuse(w, http.StatusBadRequest)
		return
	}
	f.mu.Lock()
	defer f.mu.Unlock()
	in.Segment.ID, in.Segment.Type, in.Segment.State = f.segments[len(f.segments)-1].ID+1, "manual", "finished"
	f.segments = append(f.segments, in.Segment)
	fakeplatform.Answer(w, http.StatusOK, map[string]any{"segment": in.Segment})
}
