package activecampaign

import (
	"cmp"
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

// platform is what sentences call ActiveCampaign.
const platform = "ActiveCampaign"

// contact is a person in ActiveCampaign's shape.
// What is nil is not sent, and an empty text clears a field.
type contact struct {
	Email     string       `json:"email"`
	FirstName *string      `json:"firstName,omitempty"`
	LastName  *string      `json:"lastName,omitempty"`
	Phone     *string      `json:"phone,omitempty"`
	Fields    []fieldValue `json:"fieldValues,omitempty"`
}

// fieldValue is what a custom field holds.
type fieldValue struct {
	Field id     `json:"field"`
	Value string `json:"value"`
}

// content is what ActiveCampaign is told of a person. Fields have the names of the
// settings; a push replaces the names by numbers.
type content struct {
	Email  string            `json:"email"`
	Fields map[string]string `json:"fields"`
	List   string            `json:"list,omitempty"`
	Tags   []string          `json:"tags,omitempty"`
}

// Content is what would be sent.
func (a *activeCampaign) Content(p connector.Profile) any {
	return content{p.Email.Display(), a.values(p), a.settings.List, a.settings.Tags}
}

func (a *activeCampaign) values(p connector.Profile) map[string]string {
	out := map[string]string{}
	values, _ := a.mapped(p)
	for name, value := range values {
		out[name] = a.text(name, value)
	}
	return out
}

// several are the types of fields that take several values.
var several = []string{"checkbox", "listbox", "multiselect"}

// text is a value as a field of its type takes it.
func (a *activeCampaign) text(name string, value any) string {
	if value == nil || !slices.Contains(several, a.label("type:"+name)) {
		return connector.Text(value)
	}
	return "||" + strings.Join(form.List(value), "||") + "||"
}

// dateForm is how a field of a date is written.
func (a *activeCampaign) dateForm(name string) func(form.Date) any {
	switch a.label("type:" + name) {
	case "date":
		return form.Date.Day
	case "datetime":
		return form.Date.Moment
	}
	return nil
}

// mapped is what is mapped of a person, and what is left out of it.
func (a *activeCampaign) mapped(p connector.Profile) (map[string]any, []connector.LeftOut) {
	values := a.mapping.Values(p)
	left := connector.Phones(values, p, func(name string) bool { return name == "phone" })
	return values, append(left, form.Dates(values, a.dateForm)...)
}

// LeavesOut returns the telephone number and dates that are none.
func (a *activeCampaign) LeavesOut(p connector.Profile) []connector.LeftOut {
	_, left := a.mapped(p)
	return left
}

// clears reports whether a person has a field that is to hold nothing.
func (a *activeCampaign) clears(p connector.Profile) bool {
	for _, value := range a.mapping.Values(p) {
		if value == nil {
			return true
		}
	}
	return false
}

// standard are the fields that every account has.
var standard = []string{"firstName", "lastName", "phone"}

// contact makes the body of a person, with the numbers of their custom fields.
func (a *activeCampaign) contact(p connector.Profile, fields map[string]id) contact {
	values := a.values(p)
	own := func(name string) *string {
		if value, ok := values[name]; ok {
			return &value
		}
		return nil
	}
	out := contact{Email: p.Email.Display(), FirstName: own("firstName"), LastName: own("lastName"), Phone: own("phone")}
	for name, value := range values {
		if field, ok := fields[name]; ok {
			out.Fields = append(out.Fields, fieldValue{field, value})
		}
	}
	slices.SortFunc(out.Fields, func(x, y fieldValue) int { return strings.Compare(string(x.Field), string(y.Field)) })
	return out
}

// target is where people are put, and the tags they get.
func (a *activeCampaign) target() connector.Target {
	name := cmp.Or(a.label("list:"+a.settings.List), a.settings.List)
	return connector.Target{Place: connector.Named("list", name), Tags: a.settings.Tags}
}

// leftSentence tells of a person who has unsubscribed. ActiveCampaign learns who they
// are now, but they are not subscribed again.
func (a *activeCampaign) leftSentence(tense connector.Tense) string {
	return tense.UpdateOnly(a.target(), "has unsubscribed from "+a.target().Place, "subscribed again")
}

// Push sends a few people one by one, and more by an import. It is not documented that an
// import clears anything, so people who have something to clear are sent one by one too.
func (a *activeCampaign) Push(ctx context.Context, people []connector.Profile) ([]connector.Result, error) {
	return connector.InParts(ctx, people, a.clears, a.pushSingly, func(ctx context.Context, some []connector.Profile) ([]connector.Result, error) {
		if len(some) <= singly {
			return a.pushSingly(ctx, some)
		}
		return a.pushImport(ctx, some)
	})
}

func (a *activeCampaign) pushSingly(ctx context.Context, people []connector.Profile) ([]connector.Result, error) {
	fields, err := a.fields(ctx)
	if err != nil {
		return nil, fmt.Errorf("find the custom fields: %w", err)
	}
	tags, err := a.tags(ctx)
	if err != nil {
		return nil, fmt.Errorf("find the tags: %w", err)
	}
	return a.client.Each(ctx, people, func(ctx context.Context, p connector.Profile) (connector.Result, error) {
		return a.pushOne(ctx, a.contact(p, fields), tags)
	})
}

// pushOne adds or updates a contact, subscribes it and tags it.
func (a *activeCampaign) pushOne(ctx context.Context, c contact, tags []id) (connector.Result, error) {
	var answer struct {
		Contact struct {
			ID id `json:"id"`
		} `json:"contact"`
	}
	response, err := a.call(ctx, http.MethodPost, "/contact/sync", map[string]any{"contact": c}, &answer)
	if err != nil {
		return connector.Result{}, noAccount(response, err)
	}
	contact := answer.Contact.ID
	if contact == "" {
		return connector.Result{}, usersync.Errorf(usersync.CodeUnavailable, "ActiveCampaign's answer named no contact.")
	}
	done := connector.AddedOrUpdated(response.Status != http.StatusCreated)
	left, err := a.subscribe(ctx, contact)
	if err != nil {
		return connector.Result{}, fmt.Errorf("subscribe the contact: %w", err)
	}
	for i, tag := range tags {
		if err := a.tag(ctx, contact, a.settings.Tags[i], tag); err != nil {
			return connector.Result{}, fmt.Errorf("tag the contact: %w", err)
		}
	}
	if left {
		return connector.Unsubscribed(string(contact), a.leftSentence(connector.Did)), nil
	}
	return connector.Did.Outcome(done, a.target(), string(contact)), nil
}

// contacts is an answer with contacts and the lists they are on.
type contacts struct {
	Contacts []struct {
		ID    id     `json:"id"`
		Email string `json:"email"`
	} `json:"contacts"`
	Lists []contactList `json:"contactLists"`
}

// lookUp finds one person by their address.
func (a *activeCampaign) lookUp(ctx context.Context, p connector.Profile) (standing, error) {
	found, err := a.search(ctx, url.Values{"email": {p.Email.Display()}})
	return found[p.Email.Key()], err
}

// search reads contacts with the lists they are on. Its result is by address in lower
// case.
func (a *activeCampaign) search(ctx context.Context, query url.Values) (map[string]standing, error) {
	query.Set("include", "contactLists")
	query.Set("limit", strconv.Itoa(pageSize))
	var answer contacts
	if _, err := a.call(ctx, http.MethodGet, "/contacts?"+query.Encode(), nil, &answer); err != nil {
		return nil, fmt.Errorf("search contacts: %w", err)
	}
	if answer.Contacts == nil {
		return nil, connector.Unexpected(platform)
	}
	out := map[string]standing{}
	for _, c := range answer.Contacts {
		out[strings.ToLower(c.Email)] = stands(c.ID, answer.Lists, a.settings.List)
	}
	return out, nil
}

// Preview looks the person up.
func (a *activeCampaign) Preview(ctx context.Context, p connector.Profile) (connector.Result, error) {
	one, err := a.lookUp(ctx, p)
	if err != nil {
		return connector.Result{}, fmt.Errorf("look the person up: %w", err)
	}
	if one.left {
		return connector.Unsubscribed(string(one.contact), a.leftSentence(connector.Would)), nil
	}
	status := connector.AddedOrUpdated(one.contact != "")
	return connector.Would.Outcome(status, a.target(), string(one.contact)), nil
}

// Remove deletes the contact with the address.
func (a *activeCampaign) Remove(ctx context.Context, p connector.Profile) (connector.Result, error) {
	one, err := a.lookUp(ctx, p)
	if err != nil {
		return connector.Result{}, fmt.Errorf("look the person up: %w", err)
	}
	if one.contact != "" {
		response, err := a.call(ctx, http.MethodDelete, "/contacts/"+string(one.contact), nil, nil)
		if err == nil && !connector.IsEmpty(response) {
			err = connector.Unexpected(platform)
		}
		if err != nil && !connector.NotFound(response) {
			return connector.Result{}, fmt.Errorf("delete the contact: %w", err)
		}
	}
	return connector.RemovedFrom("ActiveCampaign"), nil
}
