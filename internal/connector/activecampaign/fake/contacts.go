package fake

import (
	"bytes"
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"slices"
	"strconv"
	"strings"

	"usersync/internal/connector/fakeplatform"
)

func (f *Fake) sync(w http.ResponseWriter, r *http.Request) {
	var body struct {
		Contact *struct {
			Email  string  `json:"email"`
			First  *string `json:"firstName"`
			Last   *string `json:"lastName"`
			Phone  *string `json:"phone"`
			Values []struct {
				Field string `json:"field"`
				Value string `json:"value"`
			} `json:"fieldValues"`
		} `json:"contact"`
	}
	if err := json.NewDecoder(r.Body).Decode(&body); err != nil || body.Contact == nil {
		fakeplatform.Answer(w, http.StatusBadRequest, map[string]any{"message": "The contact was not provided."})
		return
	}
	c := body.Contact
	if !f.takes(c.Email) {
		invalid(w, "Email address is not valid.", "email_invalid", "/data/attributes/email")
		return
	}
	for _, v := range c.Values {
		if _, ok := f.fields[v.Field]; !ok {
			invalid(w, "The related field does not exist.", "related_missing", "/data/attributes/fieldValues")
			return
		}
		if !f.fits(v.Field, v.Value) {
			invalid(w, "The value is not valid for the field.", "field_invalid", "/data/attributes/fieldValues")
			return
		}
	}
	status := http.StatusOK
	f.mu.Lock()
	defer f.mu.Unlock()
	f.people.Put(c.Email, func(held *fakeplatform.Person, isNew bool) {
		if isNew {
			status = http.StatusCreated
		}
		// A 201 was seen for contacts that were there. Here it is the answer for who left.
		if held.Unsubscribed || f.standing[strings.ToLower(c.Email)] != "" {
			status = http.StatusCreated
		}
		for name, value := range map[string]*string{"firstName": c.First, "lastName": c.Last, "phone": c.Phone} {
			if value != nil {
				held.Fields[name] = *value
			}
		}
		for _, v := range c.Values {
			held.Fields[f.fields[v.Field].tag] = v.Value
		}
	})
	one, _ := f.people.Get(c.Email)
	fakeplatform.Answer(w, status, map[string]any{"fieldValues": []any{}, "contact": shown(one)})
}

func shown(one fakeplatform.Person) map[string]any {
	return map[string]any{"id": one.ID, "email": one.Email, "firstName": one.Fields["firstName"], "lastName": one.Fields["lastName"]}
}

// entries are the lists a person is on, with their standing.
func (f *Fake) entries(one fakeplatform.Person) []any {
	out := []any{}
	for _, l := range one.Lists {
		status := f.statusOf(one)
		out = append(out, map[string]any{"id": "9" + one.ID, "contact": one.ID, "list": l, "status": status})
	}
	return out
}

func (f *Fake) find(w http.ResponseWriter, r *http.Request) {
	query := r.URL.Query()
	var some []fakeplatform.Person
	if email := query.Get("email"); email != "" {
		if one, ok := f.people.Get(email); ok {
			some = append(some, one)
		}
	}
	for _, id := range query["ids[]"] {
		if one, ok := f.people.ByID(id); ok {
			some = append(some, one)
		}
	}
	contacts, lists := []any{}, []any{}
	for _, one := range page(r, some) {
		contacts = append(contacts, shown(one))
		lists = append(lists, f.entries(one)...)
	}
	body := map[string]any{"contacts": contacts, "scoreValues": []any{}, "meta": map[string]any{"total": strconv.Itoa(len(some))}}
	if strings.Contains(query.Get("include"), "contactLists") {
		body["contactLists"] = lists
	}
	fakeplatform.Answer(w, http.StatusOK, body)
}

// byID finds the person whom a path names.
func (f *Fake) byID(r *http.Request) (fakeplatform.Person, bool) {
	return f.people.ByID(r.PathValue("id"))
}

func (f *Fake) listsOf(w http.ResponseWriter, _ *http.Request, one fakeplatform.Person) {
	fakeplatform.Answer(w, http.StatusOK, map[string]any{"contactLists": f.entries(one)})
}

func (f *Fake) remove(w http.ResponseWriter, _ *http.Request, one fakeplatform.Person) {
	f.people.Delete(one.Email)
	fakeplatform.Answer(w, http.StatusOK, map[string]any{})
}

// subscribe sets how a contact stands to a list. Status 1 subscribes a contact again
// who has left.
func (f *Fake) subscribe(w http.ResponseWriter, r *http.Request) {
	var body struct {
		Entry struct {
			List    string `json:"list"`
			Contact string `json:"contact"`
			Status  string `json:"status"`
		} `json:"contactList"`
	}
	err := json.NewDecoder(r.Body).Decode(&body)
	one, ok := f.people.ByID(body.Entry.Contact)
	if err != nil || !ok || body.Entry.List != List || body.Entry.Status != "1" && body.Entry.Status != "2" {
		invalid(w, "The related list or contact does not exist.", "related_missing", "/data/attributes/list")
		return
	}
	f.people.Put(one.Email, func(held *fakeplatform.Person, _ bool) {
		held.Lists = fakeplatform.With(held.Lists, List)
		held.Unsubscribed = body.Entry.Status == left
		f.mu.Lock()
		defer f.mu.Unlock()
		delete(f.standing, strings.ToLower(one.Email))
	})
	fakeplatform.Answer(w, http.StatusCreated, map[string]any{"contacts": []any{shown(one)}, "contactList": body.Entry})
}

func (f *Fake) tag(w http.ResponseWriter, r *http.Request) {
	var body struct {
		Entry struct {
			Contact string `json:"contact"`
			Tag     string `json:"tag"`
		} `json:"contactTag"`
	}
	err := json.NewDecoder(r.Body).Decode(&body)
	one, ok := f.people.ByID(body.Entry.Contact)
	number, _ := strconv.Atoi(body.Entry.Tag) // none is number 0, which no tag has
	f.mu.Lock()
	known := number >= 1 && number <= len(f.tags)
	name := ""
	if known {
		name = f.tags[number-1]
	}
	f.mu.Unlock()
	if err != nil || !ok || !known {
		invalid(w, "The related tag or contact does not exist.", "related_missing", "/data/attributes/tag")
		return
	}
	f.people.Put(one.Email, func(held *fakeplatform.Person, _ bool) { held.Tags = fakeplatform.With(held.Tags, name) })
	fakeplatform.Answer(w, http.StatusCreated, map[string]any{"contactTag": body.Entry})
}

// An import takes no more than this.
const (
	maxContacts = 250
	maxBytes    = 399_999
)

// row is a contact of an import.
type row struct {
	Email  string   `json:"email"`
	First  string   `json:"first_name"`
	Last   string   `json:"last_name"`
	Phone  string   `json:"phone"`
	Tags   []string `json:"tags"`
	Fields []struct {
		ID    int    `json:"id"`
		Value string `json:"value"`
	} `json:"fields"`
	Subscribe []rowList `json:"subscribe"`
}

type rowList struct {
	List int `json:"listid"`
}

// job is an import.
type job struct {
	rows             []row
	done             bool
	success, failure []string
}

func notQueued(w http.ResponseWriter, reasons ...any) {
	fakeplatform.Answer(w, http.StatusBadRequest, map[string]any{
		"success":        0,
		"message":        "JSON payload did not pass validation. Please fix failureReasons and retry. The import was not queued for processing.",
		"failureReasons": reasons,
	})
}

func (f *Fake) bulk(w http.ResponseWriter, r *http.Request) {
	text, err := io.ReadAll(r.Body)
	var body struct {
		Contacts []row `json:"contacts"`
	}
	if err != nil || len(text) > maxBytes || json.NewDecoder(bytes.NewReader(text)).Decode(&body) != nil {
		notQueued(w, "The payload is too large or no JSON.")
		return
	}
	if len(body.Contacts) == 0 || len(body.Contacts) > maxContacts {
		notQueued(w, "An import takes 1 to 250 contacts.")
		return
	}
	var reasons []any
	for i, c := range body.Contacts {
		if c.Email == "" {
			reasons = append(reasons, map[string]any{"contact": i + 1, "failureReason": "Field 'email' not found"})
		}
	}
	if len(reasons) > 0 {
		notQueued(w, reasons...)
		return
	}
	f.mu.Lock()
	defer f.mu.Unlock()
	j := &job{rows: body.Contacts}
	f.jobs = append(f.jobs, j)
	f.work.Add(func() { f.do(j) })
	fakeplatform.Answer(w, http.StatusOK, map[string]any{
		"success": 1, "queued_contacts": len(j.rows), "batchId": fmt.Sprintf("batch-%d", len(f.jobs)), "message": "Contact import queued",
	})
}

// do works an import off. The caller holds the lock.
func (f *Fake) do(j *job) {
	j.done = true
	for _, c := range j.rows {
		if !f.takes(c.Email) || slices.ContainsFunc(c.Subscribe, func(l rowList) bool { return strconv.Itoa(l.List) != List }) {
			j.failure = append(j.failure, c.Email)
			continue
		}
		for _, t := range c.Tags {
			f.tagNumber(t) // an import makes tags
		}
		f.people.Put(c.Email, func(held *fakeplatform.Person, isNew bool) {
			c.write(f, held)
			if len(c.Subscribe) > 0 { // this subscribes who left, too
				delete(f.standing, strings.ToLower(c.Email))
			}
			if isNew { // it tells the numbers of newly made contacts only
				j.success = append(j.success, held.ID)
			}
		})
	}
}

func (c row) write(f *Fake, held *fakeplatform.Person) {
	for name, value := range map[string]string{"firstName": c.First, "lastName": c.Last, "phone": c.Phone} {
		if value != "" {
			held.Fields[name] = value
		}
	}
	for _, v := range c.Fields {
		if v.Value == "" || !f.fits(strconv.Itoa(v.ID), v.Value) { // an import clears nothing
			continue
		}
		held.Fields[f.fields[strconv.Itoa(v.ID)].tag] = v.Value
	}
	for _, t := range c.Tags {
		held.Tags = fakeplatform.With(held.Tags, t)
	}
	for _, l := range c.Subscribe {
		held.Lists = fakeplatform.With(held.Lists, strconv.Itoa(l.List))
		held.Unsubscribed = false
	}
}

func (f *Fake) info(w http.ResponseWriter, r *http.Request) {
	number, err := strconv.Atoi(strings.TrimPrefix(r.URL.Query().Get("batchId"), "batch-"))
	f.mu.Lock()
	defer f.mu.Unlock()
	if err != nil || number < 1 || number > len(f.jobs) {
		fakeplatform.Answer(w, http.StatusBadRequest, map[string]any{"success": 0, "message": "'batchId' is a required field."})
		return
	}
	f.work.Settle()
	j := f.jobs[number-1]
	if !j.done {
		fakeplatform.Answer(w, http.StatusOK, map[string]any{"status": false, "success": []string{}, "failure": []string{}})
		return
	}
	fakeplatform.Answer(w, http.StatusOK, map[string]any{"status": "completed", "success": j.success, "failure": j.failure})
}
