package fake

import (
	"bytes"
	"encoding/csv"
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"regexp"
	"slices"
	"strings"
	"time"

	"usersync/internal/connector/fakeplatform"
)

// These are the bounds of one upsert.
const (
	maxContacts = 30_000
	maxBytes    = 6_000_000
)

// reserved are the writable fields and the most characters they take.
var reserved = map[string]int{"first_name": 50, "last_name": 50, "country": 50, "state_province_region": 50, "city": 60, "postal_code": 100,
	"address_line_1": 100, "address_line_2": 100, "external_id": 254, "anonymous_id": 254, "phone_number_id": 254}

// job is one upsert that SendGrid works on.
type job struct {
	id       string
	base     string // address of the fake, for the file of errors
	lists    []string
	contacts []map[string]any
	status   string
	created  int
	updated  int
	errors   [][]string // address and reason
}

var address = regexp.MustCompile(`^[A-Za-z0-9.!#$%&'*+/=?^_{|}~-]+@[A-Za-z0-9-]+(\.[A-Za-z0-9-]+)+$`)

func (f *Fake) upsert(w http.ResponseWriter, r *http.Request) {
	text, err := io.ReadAll(r.Body)
	var body struct {
		Lists    []string         `json:"list_ids"`
		Contacts []map[string]any `json:"contacts"`
	}
	if err != nil || fakeplatform.Read(bytes.NewReader(text), &body) != nil {
		refuse(w, http.StatusBadRequest, fault{nil, "invalid JSON"})
		return
	}
	switch {
	case len(text) > maxBytes:
		f.Refuse(w, http.StatusRequestEntityTooLarge)
		return
	case len(body.Contacts) == 0 || len(body.Contacts) > maxContacts:
		refuse(w, http.StatusBadRequest, about("contacts", "contacts must have between 1 and 30000 items"))
		return
	case slices.ContainsFunc(body.Lists, func(id string) bool { return f.lists[id] == "" }):
		f.Refuse(w, http.StatusNotFound)
		return
	}
	if faults := addressFaults(body.Contacts); len(faults) > 0 {
		refuse(w, http.StatusBadRequest, faults...)
		return
	}
	j := &job{id: f.id(), base: base(r), lists: body.Lists, contacts: body.Contacts, status: "pending"}
	f.jobs[j.id] = j
	f.work.Add(func() { f.do(j) })
	write(w, http.StatusAccepted, map[string]any{"job_id": j.id})
}

// base is the address at which the fake was called.
func base(r *http.Request) string {
	prefix, _, _ := strings.Cut(r.RequestURI, "/v3/")
	return "http://" + r.Host + prefix
}

// addressFaults finds addresses that are not valid. Of all faults of contacts, only
// these make SendGrid refuse the call itself.
func addressFaults(contacts []map[string]any) []fault {
	var out []fault
	for i, c := range contacts {
		email, given := c["email"].(string)
		switch {
		case !given && c["external_id"] == nil && c["phone_number_id"] == nil && c["anonymous_id"] == nil:
			out = append(out, about(fmt.Sprintf("contacts[%d]", i), "at least one identifier is required"))
		case given && (len(email) > 254 || !address.MatchString(email)):
			out = append(out, about(fmt.Sprintf("contacts[%d].email", i), "email '"+email+"' is not valid"))
		}
	}
	return out
}

// do does a job.
func (f *Fake) do(j *job) {
	for _, c := range j.contacts {
		email, _ := c["email"].(string)
		email = strings.ToLower(email)
		before, exists := f.people.Get(email)
		if why := f.contactFault(c, before); why != "" {
			j.errors = append(j.errors, []string{email, why})
			continue
		}
		isNew := !exists || before.Unsubscribed && len(before.Fields) == 0 // suppressed, but no contact
		f.save(email, j.lists, c)
		after, _ := f.people.Get(email)
		switch {
		case isNew:
			j.created++
		case fmt.Sprint(before.Fields, before.Lists) != fmt.Sprint(after.Fields, after.Lists):
			j.updated++ // a contact that did not change is not counted
		}
	}
	switch len(j.errors) {
	case 0:
		j.status = "completed"
	case len(j.contacts):
		j.status = "failed"
	default:
		j.status = "errored"
	}
}

// e164 is a telephone number with the code of its country.
var e164 = regexp.MustCompile(`^\+[1-9][0-9]{6,14}$`)

// contactFault finds what is wrong with a contact. Only the job reports that, not the
// call.
func (f *Fake) contactFault(c map[string]any, before fakeplatform.Person) string {
	if before.Refused {
		return "contact is not accepted"
	}
	for name, most := range reserved {
		if text, ok := c[name].(string); ok && len([]rune(text)) > most {
			return name + " is longer than " + fmt.Sprint(most) + " characters"
		}
	}
	if number, _ := c["phone_number_id"].(string); number != "" && !e164.MatchString(number) {
		return "phone_number_id is no valid phone number"
	}
	for _, identifier := range []string{"external_id", "anonymous_id", "phone_number_id"} {
		if before.Fields[identifier] != nil && c[identifier] == nil {
			return "all existing identifiers must be present: " + identifier
		}
	}
	custom, _ := c["custom_fields"].(map[string]any)
	for id, value := range custom {
		_, isNumber := value.(json.Number)
		switch {
		case value == nil && !strings.HasSuffix(id, "_T"): // cleared
		case f.fields[id] == "":
			return "invalid custom field id " + id
		case strings.HasSuffix(id, "_N") != isNumber:
			return "invalid value for custom field " + f.fields[id]
		case strings.HasSuffix(id, "_D") && !isDate(value):
			return "invalid date for custom field " + f.fields[id]
		case isList(value):
			return "invalid value for custom field " + f.fields[id]
		}
	}
	return ""
}

func isList(value any) bool {
	_, ok := value.([]any)
	return ok
}

func isDate(value any) bool {
	text, _ := value.(string)
	for _, layout := range []string{time.RFC3339, "01/02/2006", "2006-01-02"} {
		if _, err := time.Parse(layout, text); err == nil {
			return true
		}
	}
	return false
}

func (f *Fake) save(email string, lists []string, c map[string]any) {
	f.people.Put(email, func(p *fakeplatform.Person, _ bool) {
		for name := range reserved {
			if value, ok := c[name]; ok {
				p.Fields[name] = value
			}
		}
		custom, _ := c["custom_fields"].(map[string]any)
		for id, value := range custom {
			p.Fields[f.fields[id]] = value
		}
		for _, list := range lists {
			p.Lists = fakeplatform.With(p.Lists, list)
		}
		if tags, ok := p.Fields["tags"].(string); ok {
			p.Tags = slices.DeleteFunc(strings.Split(tags, ", "), func(tag string) bool { return tag == "" })
		}
	})
}

func (f *Fake) job(w http.ResponseWriter, r *http.Request) {
	f.work.Settle()
	j := f.jobs[r.PathValue("id")]
	if j == nil {
		f.Refuse(w, http.StatusNotFound)
		return
	}
	results := map[string]any{}
	if j.status != "pending" {
		results = map[string]any{"requested_count": len(j.contacts), "created_count": j.created, "updated_count": j.updated,
			"errored_count": len(j.errors), "errors_url": ""}
		if len(j.errors) > 0 && !f.noFile {
			results["errors_url"] = j.base + "/files/" + j.id
		}
	}
	write(w, http.StatusOK, map[string]any{"id": j.id, "status": j.status, "job_type": "upsert_contacts", "results": results,
		"started_at": "2021-05-10T23:36:19Z", "finished_at": "2021-05-10T23:36:20Z"})
}

// file is the file of a job's errors.
func (f *Fake) file(w http.ResponseWriter, r *http.Request) {
	j := f.jobs[r.PathValue("id")]
	if j == nil {
		w.WriteHeader(http.StatusForbidden)
		return
	}
	w.Header().Set("Content-Type", "text/csv")
	out := csv.NewWriter(w)
	_ = out.WriteAll(append([][]string{{"email", "error"}}, j.errors...))
}

func (f *Fake) search(w http.ResponseWriter, r *http.Request) {
	var body struct{ Emails []string }
	if json.NewDecoder(r.Body).Decode(&body) != nil || len(body.Emails) == 0 || len(body.Emails) > 100 ||
		slices.ContainsFunc(body.Emails, func(e string) bool { return !address.MatchString(e) }) {
		refuse(w, http.StatusBadRequest, about("emails", "emails must be 1 to 100 valid addresses"))
		return
	}
	result, someone := map[string]any{}, false
	for _, email := range body.Emails {
		email = strings.ToLower(email)
		p, ok := f.people.Get(email)
		if !ok || p.Refused {
			result[email] = map[string]any{"error": "contact not found"}
			continue
		}
		someone = true
		result[email] = map[string]any{"contact": f.contact(p)}
	}
	if !someone {
		f.Refuse(w, http.StatusNotFound)
		return
	}
	write(w, http.StatusOK, map[string]any{"result": result})
}

func (f *Fake) contact(p fakeplatform.Person) map[string]any {
	out := map[string]any{"id": p.ID, "email": strings.ToLower(p.Email), "alternate_emails": []string{}, "list_ids": p.Lists, "segment_ids": nil,
		"created_at": "2021-05-10T23:36:19Z", "updated_at": "2021-05-10T23:36:49Z", "_metadata": self("contacts/" + p.ID)}
	custom := map[string]any{}
	for _, name := range f.fields {
		if value, ok := p.Fields[name]; ok {
			custom[name] = value
		}
	}
	out["custom_fields"] = custom
	for name := range reserved {
		out[name] = ""
		if value, ok := p.Fields[name]; ok {
			out[name] = value
		}
	}
	return out
}
