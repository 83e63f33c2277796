package fake

import (
	"encoding/json"
	"fmt"
	"net/http"
	"regexp"
	"slices"
	"strconv"
	"strings"

	"usersync/internal/connector/fakeplatform"
)

// These are the most that Klaviyo takes.
const (
	maxProfile = 100_000 // bytes
	maxBody    = 5_000_000
	maxJob     = 10_000 // profiles
	maxMembers = 1_000
	maxPage    = 100
)

// profile is a person in a body.
type profile struct {
	Type       string         `json:"type"`
	ID         string         `json:"id"`
	Attributes map[string]any `json:"attributes"`
	Meta       struct {
		Patch struct {
			Unset []string `json:"unset"`
		} `json:"patch_properties"`
	} `json:"meta"`
}

func (p profile) email() string {
	email, _ := p.Attributes["email"].(string)
	return email
}

// address matches the addresses that Klaviyo accepts. As far as is known they are
// ASCII.
var address = regexp.MustCompile(`^[A-Za-z0-9.!#$%&'*+/=?^_{|}~-]+@[A-Za-z0-9-]+(\.[A-Za-z0-9-]+)+$`)

// e164 is a telephone number with the code of its country.
var e164 = regexp.MustCompile(`^\+[1-9][0-9]{6,14}$`)

// holder returns the profile that has one of the other identifiers.
func (f *Fake) holder(p profile) (fakeplatform.Person, bool) {
	all := f.people.All(func(one *fakeplatform.Person) bool {
		return slices.ContainsFunc([]string{"phone_number", "external_id"}, func(identifier string) bool {
			value, given := p.Attributes[identifier].(string)
			return given && one.Fields[identifier] == value
		})
	})
	if len(all) == 0 {
		return fakeplatform.Person{}, false
	}
	return all[0], true
}

// conflict returns the profile that stands in the way of a profile: one that has one of
// its identifiers and is not the one that is meant, by id or by address.
func (f *Fake) conflict(p profile) (id string) {
	byEmail, known := f.people.Get(p.email())
	other, taken := f.holder(p)
	switch {
	case p.ID != "" && known && byEmail.ID != p.ID:
		return byEmail.ID
	case p.ID != "" && taken && other.ID != p.ID, p.ID == "" && taken && other.ID != byEmail.ID:
		return other.ID
	}
	return ""
}

// rename gives the profile with an id the address of p.
func (f *Fake) rename(p profile) {
	old, ok := f.people.ByID(p.ID)
	if !ok || strings.EqualFold(old.Email, p.email()) {
		return
	}
	f.people.Delete(old.Email)
	f.people.Put(p.email(), func(one *fakeplatform.Person, _ bool) {
		one.ID, one.Fields, one.Lists, one.Tags, one.Unsubscribed = old.ID, old.Fields, old.Lists, old.Tags, old.Unsubscribed
	})
}

var attributes = map[string]bool{
	"email": true, "phone_number": true, "external_id": true, "first_name": true, "last_name": true, "organization": true,
	"locale": true, "title": true, "image": true, "location": true, "properties": true,
}

// fault returns what is wrong with a profile.
func (f *Fake) fault(p profile) (problem, bool) {
	if p.Type != "profile" {
		return problem{"invalid", "Invalid input.", "The type must be profile.", "/type"}, true
	}
	for name, value := range p.Attributes {
		if !attributes[name] {
			return problem{"invalid", "Invalid input.", "'" + name + "' is not a valid field for the resource 'profile'.", "/attributes/" + name}, true
		}
		if _, isText := value.(string); !isText && value != nil && name != "location" && name != "properties" {
			return problem{"invalid", "Invalid input.", "'" + name + "' must be a string.", "/attributes/" + name}, true
		}
	}
	if number, given := p.Attributes["phone_number"].(string); given && !e164.MatchString(number) {
		return problem{"invalid", "Invalid input.", "Invalid phone number format (Example of a valid format: +12345678901)", "/attributes/phone_number"}, true
	}
	if !address.MatchString(p.email()) {
		return problem{"invalid", "Invalid input.", "Invalid email address " + p.email(), "/attributes/email"}, true
	}
	if one, ok := f.people.Get(p.email()); ok && one.Refused {
		return problem{"invalid", "Invalid input.", "This profile cannot be imported.", "/attributes/email"}, true
	}
	return problem{}, false
}

// write adds or updates a profile. Attributes that the profile does not mention stay
// as they are.
func (f *Fake) write(p profile, lists []string) (one fakeplatform.Person, added bool) {
	f.people.Put(p.email(), func(held *fakeplatform.Person, isNew bool) {
		added = isNew
		for _, name := range p.Meta.Patch.Unset {
			delete(held.Fields, "properties."+name)
		}
		for name, value := range p.Attributes {
			if value == nil {
				delete(held.Fields, name)
				continue
			}
			if name != "properties" {
				held.Fields[name] = value
				continue
			}
			properties, _ := value.(map[string]any)
			for inner, v := range properties {
				held.Fields["properties."+inner] = v
			}
			held.Tags = nil
			tags, _ := properties["tags"].([]any)
			for _, t := range tags {
				held.Tags = append(held.Tags, fmt.Sprint(t))
			}
		}
		for _, l := range lists {
			held.Lists = fakeplatform.With(held.Lists, l)
		}
		one = *held
	})
	return one, added
}

// shown is a profile in an answer.
func (f *Fake) shown(one fakeplatform.Person, withSubscriptions bool) map[string]any {
	attributes := map[string]any{"email": one.Email, "properties": properties(one)}
	if withSubscriptions {
		f.mu.Lock()
		how := f.left[strings.ToLower(one.Email)]
		f.mu.Unlock()
		consent, at, everywhere, lists := "NEVER_SUBSCRIBED", any(nil), []any{}, []any{}
		if one.Fields["consent"] != nil {
			consent = "SUBSCRIBED"
		}
		switch {
		case one.Unsubscribed, how == fakeplatform.LeftAll:
			consent, at, everywhere = "UNSUBSCRIBED", leftAt, []any{map[string]any{"reason": "UNSUBSCRIBE", "timestamp": leftAt}}
		case how == fakeplatform.LeftCleaned:
			everywhere = []any{map[string]any{"reason": "HARD_BOUNCE", "timestamp": leftAt}}
		case how == fakeplatform.LeftComplain:
			everywhere = []any{map[string]any{"reason": "SPAM_COMPLAINT", "timestamp": leftAt}}
		case how == fakeplatform.LeftList:
			lists = []any{map[string]any{"list_id": List, "reason": "UNSUBSCRIBE", "timestamp": leftAt}}
		}
		attributes["subscriptions"] = map[string]any{"email": map[string]any{"marketing": map[string]any{
			"can_receive_email_marketing": len(everywhere) == 0, "consent": consent, "consent_timestamp": at, "suppression": everywhere, "list_suppressions": lists,
		}}}
	}
	return map[string]any{"type": "profile", "id": one.ID, "attributes": attributes}
}

func withSubscriptions(r *http.Request) bool {
	return strings.Contains(r.URL.Query().Get("additional-fields[profile]"), "subscriptions")
}

func (f *Fake) importOne(w http.ResponseWriter, r *http.Request) {
	var body struct {
		Data profile `json:"data"`
	}
	if err := fakeplatform.Read(http.MaxBytesReader(w, r.Body, maxProfile), &body); err != nil {
		refuse(w, http.StatusBadRequest, problem{"invalid", "Invalid input.", "The payload provided in the request is invalid.", "/data"})
		return
	}
	if p, bad := f.fault(body.Data); bad {
		p.pointer = "/data" + p.pointer
		refuse(w, http.StatusBadRequest, p)
		return
	}
	if id := f.conflict(body.Data); id != "" {
		duplicate(w, id)
		return
	}
	f.rename(body.Data)
	one, added := f.write(body.Data, nil)
	status := http.StatusOK
	if added {
		status = http.StatusCreated
	}
	answer(w, status, data(f.shown(one, withSubscriptions(r))))
}

var emailFilter = regexp.MustCompile(`^any\(email,(\[.*\])\)$`)

var idFilter = regexp.MustCompile(`^any\(id,(\[.*\])\)$`)

func (f *Fake) find(w http.ResponseWriter, r *http.Request) {
	var wanted []string
	filter := r.URL.Query().Get("filter")
	get, m := f.people.Get, emailFilter.FindStringSubmatch(filter)
	if m == nil {
		get, m = f.people.ByID, idFilter.FindStringSubmatch(filter)
	}
	if m == nil || json.Unmarshal([]byte(m[1]), &wanted) != nil || len(wanted) > maxPage {
		refuse(w, http.StatusBadRequest, problem{"invalid", "Invalid input.", "Filter provided is invalid.", ""})
		return
	}
	found := []any{}
	for _, name := range wanted {
		if one, ok := get(name); ok {
			found = append(found, f.shown(one, withSubscriptions(r)))
		}
	}
	answer(w, http.StatusOK, data(found))
}

// members reads the profiles that a call about a list names. It has answered where ok is false.
func (f *Fake) members(w http.ResponseWriter, r *http.Request) (named []profile, ok bool) {
	var body struct {
		Data []profile `json:"data"`
	}
	err := json.NewDecoder(r.Body).Decode(&body)
	if _, ok := f.listName(r.PathValue("id")); !ok {
		refuse(w, http.StatusNotFound, problem{"not_found", "Not found.", "A list with this id does not exist.", ""})
		return nil, false
	}
	if err != nil || len(body.Data) == 0 || len(body.Data) > maxMembers {
		refuse(w, http.StatusBadRequest, problem{"invalid", "Invalid input.", "The payload must name 1 to 1000 profiles.", "/data"})
		return nil, false
	}
	return body.Data, true
}

func (f *Fake) addToList(w http.ResponseWriter, r *http.Request) {
	named, ok := f.members(w, r)
	if !ok {
		return
	}
	for i, p := range named {
		one, ok := f.people.ByID(p.ID)
		if !ok {
			refuse(w, http.StatusBadRequest, problem{"invalid", "Invalid input.", "The profile does not exist.", fmt.Sprintf("/data/%d/id", i)})
			return
		}
		f.people.Put(one.Email, func(held *fakeplatform.Person, _ bool) {
			held.Lists = fakeplatform.With(held.Lists, r.PathValue("id"))
		})
	}
	w.WriteHeader(http.StatusNoContent)
}

func (f *Fake) erase(w http.ResponseWriter, r *http.Request) {
	var body struct {
		Data struct {
			Type       string `json:"type"`
			Attributes struct {
				Profile struct {
					Data profile `json:"data"`
				} `json:"profile"`
			} `json:"attributes"`
		} `json:"data"`
	}
	err := json.NewDecoder(r.Body).Decode(&body)
	email := body.Data.Attributes.Profile.Data.email()
	if err != nil || body.Data.Type != "data-privacy-deletion-job" || email == "" {
		refuse(w, http.StatusBadRequest, problem{"invalid", "Invalid input.", "Exactly one identifier is needed.", "/data/attributes/profile"})
		return
	}
	f.people.Delete(email)
	w.WriteHeader(http.StatusAccepted)
}

// job is a bulk import.
type job struct {
	id       string
	profiles []profile
	lists    []string
	done     bool
	errors   []map[string]any
}

func (f *Fake) makeJob(w http.ResponseWriter, r *http.Request) {
	var body struct {
		Data struct {
			Type       string `json:"type"`
			Attributes struct {
				Profiles struct {
					Data []profile `json:"data"`
				} `json:"profiles"`
			} `json:"attributes"`
			Relationships struct {
				Lists struct {
					Data []profile `json:"data"`
				} `json:"lists"`
			} `json:"relationships"`
		} `json:"data"`
	}
	err := fakeplatform.Read(http.MaxBytesReader(w, r.Body, maxBody), &body)
	j := &job{profiles: body.Data.Attributes.Profiles.Data, errors: []map[string]any{}}
	if err != nil || body.Data.Type != "profile-bulk-import-job" || len(j.profiles) == 0 || len(j.profiles) > maxJob {
		refuse(w, http.StatusBadRequest, problem{"invalid", "Invalid input.", "A job takes 1 to 10000 profiles and 5 MB.", "/data/attributes/profiles"})
		return
	}
	for _, l := range body.Data.Relationships.Lists.Data {
		if _, ok := f.listName(l.ID); !ok {
			refuse(w, http.StatusNotFound, problem{"not_found", "Not found.", "A list with this id does not exist.", "/data/relationships/lists"})
			return
		}
		j.lists = append(j.lists, l.ID)
	}
	if wrong := malformed(j.profiles); len(wrong) > 0 {
		refuse(w, http.StatusBadRequest, wrong...)
		return
	}
	f.mu.Lock()
	defer f.mu.Unlock()
	j.id = "am9i" + strconv.Itoa(len(f.jobs)+1)
	f.jobs[j.id] = j
	f.work.Add(func() { f.do(j) })
	answer(w, http.StatusAccepted, data(j.shown("queued")))
}

// malformed finds profiles without an identifier, for which a whole job is refused.
func malformed(profiles []profile) []problem {
	var out []problem
	for i, p := range profiles {
		if p.email() == "" {
			out = append(out, problem{"invalid", "Invalid input.", "One of email, phone_number or external_id is needed.",
				fmt.Sprintf("/data/attributes/profiles/data/%d/attributes", i)})
		}
	}
	return out
}

// do works a job off. The caller holds the lock.
func (f *Fake) do(j *job) {
	j.done = true
	for i, p := range j.profiles {
		wrong, bad := f.fault(p)
		if !bad && f.conflict(p) != "" {
			wrong, bad = problem{"duplicate_profile", "Conflict.", "A profile already exists with one of these identifiers.", "/attributes"}, true
		}
		for name, value := range p.Attributes { // a job clears nothing
			if value == nil {
				delete(p.Attributes, name)
			}
		}
		if !bad {
			f.write(p, j.lists)
			continue
		}
		j.errors = append(j.errors, map[string]any{"type": "import-error", "id": fmt.Sprintf("%s-%d", j.id, i), "attributes": map[string]any{
			"code": wrong.code, "title": wrong.title, "detail": wrong.detail,
			"source": map[string]any{"pointer": wrong.pointer}, "original_payload": p.Attributes,
		}})
	}
}

func (j *job) shown(status string) map[string]any {
	return map[string]any{"type": "profile-bulk-import-job", "id": j.id, "attributes": map[string]any{
		"status": status, "created_at": "2026-01-01T00:00:00+00:00", "total_count": len(j.profiles),
		"completed_count": len(j.profiles) - len(j.errors), "failed_count": len(j.errors),
	}}
}

// ofJob answers calls about a job, under the lock. It answers 404 for a job that does
// not exist.
func (f *Fake) ofJob(do func(w http.ResponseWriter, r *http.Request, j *job)) http.HandlerFunc {
	return func(w http.ResponseWriter, r *http.Request) {
		f.mu.Lock()
		defer f.mu.Unlock()
		f.work.Settle()
		j, ok := f.jobs[r.PathValue("id")]
		if !ok {
			f.Refuse(w, http.StatusNotFound)
			return
		}
		do(w, r, j)
	}
}

func (*Fake) job(w http.ResponseWriter, _ *http.Request, j *job) {
	status := "processing"
	if j.done {
		status = "complete"
	}
	answer(w, http.StatusOK, data(j.shown(status)))
}

// jobErrors shows a page of errors. The cursor is where the page begins.
func (*Fake) jobErrors(w http.ResponseWriter, r *http.Request, j *job) {
	size, err := strconv.Atoi(r.URL.Query().Get("page[size]"))
	if err != nil || size < 1 || size > maxPage {
		refuse(w, http.StatusBadRequest, problem{"invalid", "Invalid input.", "Page size must be an integer between 1 and 100.", ""})
		return
	}
	from, _ := strconv.Atoi(r.URL.Query().Get("page[cursor]")) // none is the beginning
	from = min(max(from, 0), len(j.errors))
	to := min(from+size, len(j.errors))
	links := map[string]any{"self": "https://a.klaviyo.com" + r.URL.Path}
	if to < len(j.errors) {
		links["next"] = fmt.Sprintf("https://a.klaviyo.com%s?page%%5Bcursor%%5D=%d", r.URL.Path, to)
	}
	answer(w, http.StatusOK, map[string]any{"data": j.errors[from:to], "links": links})
}
