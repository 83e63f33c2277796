package fake

import (
	"fmt"
	"net/http"
	"regexp"
	"strconv"
	"strings"

	"usersync/internal/connector/fakeplatform"
)

// write is one member to be written.
type write struct {
	Email       string         `json:"email_address"`
	Status      string         `json:"status"`
	StatusIfNew string         `json:"status_if_new"`
	MergeFields map[string]any `json:"merge_fields"`
	Tags        []string       `json:"tags"`
}

// refusal is why a member is not written.
type refusal struct {
	title, detail string
	typed         bool // whether its problem has a type
	faults        []fieldFault
}

func invalid(detail string) *refusal {
	return &refusal{title: "Invalid Resource", detail: detail, typed: true}
}

// check finds what is wrong with a member. Like the platform, it drops merge fields
// that it does not know.
func (f *Fake) check(in write, lenient bool) *refusal {
	local, domain, ok := strings.Cut(in.Email, "@")
	key := strings.ToLower(in.Email)
	switch {
	case !ok || local == "" || !strings.Contains(domain, ".") || strings.ContainsAny(in.Email, " ,;"):
		return invalid("Please provide a valid email address.")
	case strings.EqualFold(domain, "example.com"):
		return invalid(in.Email + " looks fake or invalid, please enter a real email address.")
	case f.busy[key]:
		return invalid(in.Email + " has signed up to a lot of lists very recently; we're not allowing more signups for now")
	case f.forgotten[key]:
		return &refusal{title: "Forgotten Email Not Subscribed",
			detail: in.Email + " was permanently deleted and cannot be re-imported. The contact must re-subscribe to get back on the list."}
	}
	if p, ok := f.people.Get(in.Email); ok && p.Refused {
		return &refusal{title: "Member In Compliance State",
			detail: in.Email + " is in a compliance state due to unsubscribe, bounce, or compliance review and cannot be subscribed."}
	}
	return f.checkFields(in.MergeFields, lenient)
}

// e164 is a telephone number with the code of its country.
var e164 = regexp.MustCompile(`^\+[1-9][0-9]{6,14}$`)

// dateForms are how dates and birthdays are taken, whatever the audience shows.
var dateForms = map[string]*regexp.Regexp{
	"date": regexp.MustCompile(`^[0-9]{4}-[0-9]{2}-[0-9]{2}$`), "birthday": regexp.MustCompile(`^[01][0-9]/[0-3][0-9]$`),
}

func isList(value any) bool {
	_, ok := value.([]any)
	return ok
}

func (f *Fake) checkFields(values map[string]any, lenient bool) *refusal {
	var faults []fieldFault
	for tag, def := range f.fields {
		value, given := values[tag]
		text := fmt.Sprint(value)
		_, err := strconv.ParseFloat(text, 64)
		switch {
		case def.required && !lenient && (!given || text == ""):
			faults = append(faults, fieldFault{tag, "Please enter a value"})
		case def.kind == "number" && given && text != "" && err != nil:
			faults = append(faults, fieldFault{tag, "Please enter a number"})
		case def.kind == "phone" && given && text != "" && !e164.MatchString(text):
			faults = append(faults, fieldFault{tag, "Please enter a phone number"})
		case dateForms[def.kind] != nil && given && text != "" && !dateForms[def.kind].MatchString(text):
			faults = append(faults, fieldFault{tag, "Please enter a date"})
		case given && isList(value):
			faults = append(faults, fieldFault{tag, "Please enter a text"})
		}
	}
	if len(faults) == 0 {
		return nil
	}
	return &refusal{title: "Invalid Resource", detail: "Your merge fields were invalid.", typed: true, faults: faults}
}

// save writes a member to a list and returns how it is then.
func (f *Fake) save(email, list string, in write) map[string]any {
	key := strings.ToLower(email)
	status := in.Status
	f.people.Put(email, func(p *fakeplatform.Person, isNew bool) {
		if !isNew && f.status[key] == "archived" || isNew && status == "" {
			status = in.StatusIfNew
		}
		if isNew || len(p.Lists) > 0 {
			p.Lists = fakeplatform.With(p.Lists, list)
		}
		p.Email = in.Email
		for tag, value := range in.MergeFields {
			if _, known := f.fields[tag]; known {
				p.Fields[tag] = value
			}
		}
		for _, tag := range in.Tags {
			p.Tags = fakeplatform.With(p.Tags, tag)
		}
		if status != "" {
			p.Unsubscribed = status == "unsubscribed"
			f.status[key] = status
		}
	})
	p, _ := f.people.Get(email)
	f.names[memberID(email)] = email
	return f.member(p, list)
}

// rename gives a member another address.
func (f *Fake) rename(from fakeplatform.Person, to string) {
	f.people.Put(to, func(p *fakeplatform.Person, _ bool) {
		p.Fields, p.Lists, p.Tags, p.Unsubscribed = from.Fields, from.Lists, from.Tags, from.Unsubscribed
	})
	f.status[strings.ToLower(to)] = f.status[strings.ToLower(from.Email)]
	f.people.Delete(from.Email)
	delete(f.names, memberID(from.Email))
}

func lenient(r *http.Request) bool { return r.URL.Query().Get("skip_merge_validation") == "true" }

func (f *Fake) put(w http.ResponseWriter, r *http.Request) {
	var in write
	if err := fakeplatform.Read(r.Body, &in); err != nil {
		f.Refuse(w, http.StatusBadRequest)
		return
	}
	there, exists := f.find(r)
	if in.Email == "" {
		in.Email = there.Email
	}
	why := f.check(in, lenient(r))
	if why == nil && !exists && in.StatusIfNew == "" && in.Status == "" {
		why = &refusal{title: "Invalid Resource", detail: refusals[http.StatusBadRequest][1], typed: true,
			faults: []fieldFault{{"status_if_new", "Data did not match any of the schemas described in anyOf."}}}
	}
	if why == nil && exists && !strings.EqualFold(there.Email, in.Email) {
		if _, taken := f.people.Get(in.Email); taken {
			why = &refusal{title: "Member Exists", detail: in.Email + " is already a list member. Use PUT to insert or update list members."}
		} else {
			f.rename(there, in.Email)
		}
	}
	if why != nil {
		p := problem{Title: why.title, Status: http.StatusBadRequest, Detail: why.detail, Errors: why.faults}
		if why.typed {
			p.Type = problemType
		}
		f.refuse(w, p)
		return
	}
	answer(w, f.save(in.Email, r.PathValue("list"), in))
}

// itemFault is why one member of a batch was not written.
type itemFault struct {
	Email        string `json:"email_address"`
	Error        string `json:"error"`
	Code         string `json:"error_code"`
	Field        string `json:"field"`
	FieldMessage string `json:"field_message"`
}

func (f *Fake) batch(w http.ResponseWriter, r *http.Request) {
	var body struct {
		Members        []write `json:"members"`
		UpdateExisting bool    `json:"update_existing"`
		SyncTags       bool    `json:"sync_tags"`
	}
	if err := fakeplatform.Read(r.Body, &body); err != nil || len(body.Members) == 0 {
		f.Refuse(w, http.StatusBadRequest)
		return
	}
	if len(body.Members) > maxMembers {
		f.refuse(w, problem{Type: problemType, Title: "Invalid Resource", Status: http.StatusBadRequest, Detail: refusals[http.StatusBadRequest][1],
			Errors: []fieldFault{{"members", "This collection should contain 500 elements or less."}}})
		return
	}
	list := r.PathValue("list")
	added, updated, faults := []map[string]any{}, []map[string]any{}, []itemFault{}
	for _, m := range body.Members {
		p, exists := f.people.Get(m.Email)
		exists = exists && in(p, list) && f.status[strings.ToLower(m.Email)] != "archived"
		fault := f.checkItem(m, exists, body.UpdateExisting, lenient(r))
		switch {
		case fault != nil:
			faults = append(faults, *fault)
		case exists:
			updated = append(updated, f.save(p.Email, list, m))
		default:
			m.StatusIfNew = m.Status
			added = append(added, f.save(m.Email, list, m))
		}
	}
	answer(w, map[string]any{"new_members": added, "updated_members": updated, "errors": faults, "total_created": len(added),
		"total_updated": len(updated), "error_count": len(faults), "_links": []string{}})
}

func (f *Fake) checkItem(m write, exists, updateExisting, lenient bool) *itemFault {
	why := f.check(m, lenient)
	switch {
	case why != nil:
		fault := &itemFault{Email: m.Email, Error: why.detail, Code: "ERROR_GENERIC"}
		if len(why.faults) > 0 {
			fault.Field, fault.FieldMessage = why.faults[0].Field, why.faults[0].Message
		}
		return fault
	case exists && !updateExisting:
		return &itemFault{Email: m.Email, Code: "ERROR_CONTACT_EXISTS",
			Error: m.Email + " is already a list member, do you want to update? please provide update_existing:true in the request body"}
	case !exists && m.Status == "":
		return &itemFault{Email: m.Email, Code: "ERROR_GENERIC", Error: "The status of a new member is missing.", Field: "status"}
	}
	return nil
}
