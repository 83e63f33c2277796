package hubspot

import (
	"context"
	"fmt"
	"net/http"
	"net/url"
	"slices"
	"strconv"
	"strings"

	"usersync/internal/connector"
	"usersync/internal/connector/form"
	"usersync/internal/usersync"
)

// target is where people are put, and the tags they get.
func (h *hubspot) target() connector.Target {
	return connector.Target{Place: connector.Named("list", h.facts.NameOf("list", h.settings.List)), Tags: h.settings.Tags}
}

// Content is the input of an upsert, without its place in a batch.
func (h *hubspot) Content(p connector.Profile) any {
	return map[string]any{"id": h.id(p), "idProperty": h.settings.IDProperty, "properties": h.values(p), "list": h.settings.List}
}

func (h *hubspot) id(p connector.Profile) string {
	if h.settings.IDProperty == byEmail {
		return p.Email.Display()
	}
	return p.UserID
}

// mapped are the mapped properties of a person, and what is left out of them.
func (h *hubspot) mapped(p connector.Profile) (map[string]any, []connector.LeftOut) {
	values := h.properties.Values(p)
	left := connector.Phones(values, p, h.isPhone)
	return values, append(left, form.Dates(values, h.dateForm)...)
}

// dateForm is how a property of a date is written.
func (h *hubspot) dateForm(property string) func(form.Date) any {
	switch h.facts.Labels["type:"+property] {
	case "date":
		return form.Date.Day
	case "datetime":
		return form.Date.Moment
	}
	return nil
}

// isPhone reports whether a property takes a telephone number. Two of every account do.
func (h *hubspot) isPhone(property string) bool {
	return property == "phone" || property == "mobilephone" || h.facts.Labels["property:"+property] == "phonenumber"
}

// LeavesOut returns the telephone numbers and dates that are none.
func (h *hubspot) LeavesOut(p connector.Profile) []connector.LeftOut {
	_, left := h.mapped(p)
	return left
}

// values are the properties of a person. HubSpot takes strings only. The empty one
// clears a property of any type.
func (h *hubspot) values(p connector.Profile) map[string]string {
	out := map[string]string{}
	mapped, _ := h.mapped(p)
	for name, v := range mapped {
		out[name] = connector.Text(v)
		if list, ok := v.([]any); ok && h.facts.Labels["property:"+name] == checkboxes {
			out[name] = strings.Join(form.List(list), ";")
		}
	}
	if h.settings.IDProperty != byEmail {
		out[byEmail] = p.Email.Display()
	}
	if len(h.settings.Tags) > 0 {
		out[h.settings.TagsProperty] = h.tags()
	}
	return out
}

// tags returns the tags in the form that the property takes. A semicolon before the
// values of multiple checkboxes adds them to those that are there. A property of
// another type has its value replaced.
func (h *hubspot) tags() string {
	joined := strings.Join(h.settings.Tags, ";")
	if kind := h.facts.Labels["property:"+h.settings.TagsProperty]; kind != "" && kind != checkboxes {
		return joined
	}
	return ";" + joined
}

// input is one record of an upsert. Trace is its place in the batch. It comes back
// with the result or the error of the record.
type input struct {
	ID         string            `json:"id"`
	IDProperty string            `json:"idProperty"`
	Properties map[string]string `json:"properties"`
	Trace      string            `json:"objectWriteTraceId"`
}

// upserted is the answer to an upsert. Its status is 207 if there are Errors.
type upserted struct {
	Results []struct {
		ID         looseID        `json:"id"`
		New        bool           `json:"new"`
		Properties map[string]any `json:"properties"`
		Trace      string         `json:"objectWriteTraceId"`
	} `json:"results"`
	Errors []failure `json:"errors"`
}

// Push upserts people, by a call for every 100 of them, and adds all to the list by one
// more. Another call for every 100 asks who of those that HubSpot knew has opted out: they
// are not added. When an upsert fails, those before it still arrive.
func (h *hubspot) Push(ctx context.Context, people []connector.Profile) ([]connector.Result, error) {
	results := make([]connector.Result, len(people))
	var failed error
	for from := 0; from < len(people) && failed == nil; from += maxBatch {
		var some []connector.Result
		some, failed = h.write(ctx, people[from:min(from+maxBatch, len(people))])
		copy(results[from:], some)
	}
	if err := h.join(ctx, results); err != nil {
		return onlyDone(results), err
	}
	return results, failed
}

// write upserts up to 100 people, who are not on the list then.
func (h *hubspot) write(ctx context.Context, people []connector.Profile) ([]connector.Result, error) {
	answer, err := h.upsert(ctx, people)
	if err != nil {
		return nil, fmt.Errorf("upsert the contacts: %w", err)
	}
	results, err := h.results(people, answer)
	if leftErr := h.markLeft(ctx, results); leftErr != nil {
		return onlyDone(results), fmt.Errorf("ask who has opted out: %w", leftErr)
	}
	return results, err
}

func (h *hubspot) upsert(ctx context.Context, people []connector.Profile) (upserted, error) {
	inputs := make([]input, len(people))
	for i, p := range people {
		inputs[i] = input{ID: h.id(p), IDProperty: h.settings.IDProperty, Properties: h.values(p), Trace: strconv.Itoa(i)}
	}
	var answer upserted
	_, err := h.call(ctx, http.MethodPost, h.path("objects", "/contacts/batch/upsert"), map[string]any{"inputs": inputs}, &answer)
	return answer, err
}

// results reads an answer. People whom it does not mention, or whom HubSpot may take
// at the next try, have no status. Then the error says why.
func (h *hubspot) results(people []connector.Profile, answer upserted) ([]connector.Result, error) {
	results := make([]connector.Result, len(people))
	for _, r := range answer.Results {
		if i := h.place(people, r.Trace, r.Properties); i >= 0 {
			results[i] = h.result(string(r.ID), r.New)
		}
	}
	var err error
	for _, f := range answer.Errors {
		e := f.classify()
		if e.Code != usersync.CodeRejected || len(f.traces()) == 0 {
			err = e // of a refusal that names nobody: the batch is halved until they stand alone
			continue
		}
		for _, trace := range f.traces() {
			if i := h.place(people, trace, nil); i >= 0 {
				results[i] = connector.Rejected(e)
			}
		}
	}
	if err == nil && slices.ContainsFunc(results, func(r connector.Result) bool { return r.Status == "" }) {
		err = usersync.Errorf(usersync.CodeUnavailable, "HubSpot's answer does not mention everybody.")
	}
	return results, err
}

// place returns the place of a result in the push, or -1 if it is nobody's. If HubSpot
// gives no trace back, the address tells.
func (h *hubspot) place(people []connector.Profile, trace string, properties map[string]any) int {
	if i, err := strconv.Atoi(trace); err == nil && i >= 0 && i < len(people) {
		return i
	}
	email, _ := properties[byEmail].(string)
	return slices.IndexFunc(people, func(p connector.Profile) bool { return email != "" && p.Email.Key() == strings.ToLower(email) })
}

func (h *hubspot) result(id string, isNew bool) connector.Result {
	return connector.Did.Outcome(connector.AddedOrUpdated(!isNew), h.target(), id)
}

// left is the result of a person who has opted out. HubSpot learns who they are now.
func (h *hubspot) left(id string, tense connector.Tense) connector.Result {
	but := "subscribed again"
	if place := h.target().Place; place != "" {
		but = "added to " + place
	}
	return connector.Unsubscribed(id, tense.UpdateOnly(h.target(), "has opted out of all mail at HubSpot", but))
}

// optOut is the property that says that a person wants no mail. A complaint sets it too.
const optOut = "hs_email_optout"

// record is a contact, as far as it is read.
type record struct {
	ID         looseID        `json:"id"`
	Properties map[string]any `json:"properties"`
}

// hasLeft reports whether the person wants no mail.
func (r record) hasLeft() bool { return connector.Text(r.Properties[optOut]) == "true" }

// markLeft reads who of the updated people has opted out.
func (h *hubspot) markLeft(ctx context.Context, results []connector.Result) error {
	places := map[string]int{}
	inputs := []map[string]string{}
	for i, r := range results {
		if r.Status == connector.Updated {
			places[r.Remote] = i
			inputs = append(inputs, map[string]string{"id": r.Remote})
		}
	}
	if len(inputs) == 0 {
		return nil
	}
	var answer struct {
		Results []record `json:"results"`
	}
	body := map[string]any{"inputs": inputs, "properties": []string{optOut}, "propertiesWithHistory": []string{}}
	if _, err := h.call(ctx, http.MethodPost, h.path("objects", "/contacts/batch/read"), body, &answer); err != nil {
		return fmt.Errorf("read the contacts: %w", err)
	}
	if answer.Results == nil {
		return connector.Unexpected("HubSpot")
	}
	for _, r := range answer.Results {
		if i, ok := places[string(r.ID)]; ok && r.hasLeft() {
			results[i] = h.left(string(r.ID), connector.Did)
		}
	}
	return nil
}

// onlyDone keeps the results of those that HubSpot refused, and of those who are not to
// be added to the list.
func onlyDone(results []connector.Result) []connector.Result {
	out := make([]connector.Result, len(results))
	for i, r := range results {
		if r.Status == connector.Failed || r.Status == connector.Skipped {
			out[i] = r
		}
	}
	return out
}

// Preview looks whether the contact is there.
func (h *hubspot) Preview(ctx context.Context, p connector.Profile) (connector.Result, error) {
	found, err := h.find(ctx, h.id(p), h.settings.IDProperty)
	if err != nil {
		return connector.Result{}, fmt.Errorf("find the contact: %w", err)
	}
	id := string(found.ID)
	if found.hasLeft() {
		return h.left(id, connector.Would), nil
	}
	return connector.Would.Outcome(connector.AddedOrUpdated(id != ""), h.target(), id), nil
}

// find returns a contact. Its id is "" if there is none.
func (h *hubspot) find(ctx context.Context, value, property string) (record, error) {
	path := h.path("objects", "/contacts/"+connector.PathSegment(value)) + "?idProperty=" + url.QueryEscape(property) + "&properties=" + optOut
	var contact record
	r, err := h.call(ctx, http.MethodGet, path, nil, &contact)
	if connector.NotFound(r) {
		return record{}, nil
	}
	if err == nil && contact.ID == "" {
		err = connector.Unexpected("HubSpot")
	}
	return contact, err
}

// Remove erases the contact with the person's address, and the contact that was last
// pushed to, if that is another one. It looks for them first, because the erasure of
// an address that HubSpot does not know would only block the address.
func (h *hubspot) Remove(ctx context.Context, p connector.Profile) (connector.Result, error) {
	found, err := h.find(ctx, p.Email.Display(), byEmail)
	if err != nil {
		return connector.Result{}, fmt.Errorf("find the contact: %w", err)
	}
	for _, one := range slices.Compact([]string{string(found.ID), p.Remote}) {
		if one == "" {
			continue
		}
		if err := h.erase(ctx, one); err != nil {
			return connector.Result{}, fmt.Errorf("erase the contact: %w", err)
		}
	}
	if h.settings.Archive {
		return connector.Result{Status: connector.Removed, Details: "User archived in HubSpot"}, nil
	}
	return connector.RemovedFrom("HubSpot"), nil
}

// erase deletes a contact for good, or archives it.
func (h *hubspot) erase(ctx context.Context, id string) error {
	method, path, body := http.MethodPost, "/contacts/gdpr-delete", any(map[string]string{"objectId": id})
	if h.settings.Archive {
		method, path, body = http.MethodDelete, "/contacts/"+connector.PathSegment(id), nil
	}
	r, err := h.call(ctx, method, h.path("objects", path), body, nil)
	if connector.NotFound(r) {
		return nil
	}
	if err == nil {
		err = connector.Expect("HubSpot", r, http.StatusNoContent)
	}
	return err
}
