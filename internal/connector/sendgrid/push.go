package sendgrid

import (
	"context"
	"encoding/json"
	"fmt"
	"maps"
	"net/http"
	"net/url"
	"strconv"
	"strings"
	"unicode/utf8"

	"usersync/internal/connector"
	"usersync/internal/connector/form"
	"usersync/internal/usersync"
)

// platform is what sentences call SendGrid.
const platform = "SendGrid"

// content is what SendGrid is told of a person.
type content struct {
	Lists  []string       `json:"lists"`
	Email  string         `json:"email"`
	Fields map[string]any `json:"fields"` // by name
	Tags   []string       `json:"tags,omitempty"`
}

// Content is the person's address, fields, lists and tags.
func (c *client) Content(p connector.Profile) any {
	return content{Lists: c.settings.ListIDs, Email: p.Email.Display(), Fields: c.values(p), Tags: c.settings.Tags}
}

// mapped is what is mapped of a person, and what is left out of it.
func (c *client) mapped(p connector.Profile) (map[string]any, []connector.LeftOut) {
	values := c.mapping.Values(p)
	left := connector.Phones(values, p, func(name string) bool { return name == "phone_number_id" })
	return values, append(left, form.Dates(values, c.dateForm)...)
}

// dateForm is how a custom field of a date is written.
func (c *client) dateForm(name string) func(form.Date) any {
	if strings.HasSuffix(c.facts.Labels["field:"+name], "_D") {
		return form.Date.Moment
	}
	return nil
}

func (c *client) values(p connector.Profile) map[string]any {
	values, _ := c.mapped(p)
	return values
}

// LeavesOut returns the telephone number and dates that are none.
func (c *client) LeavesOut(p connector.Profile) []connector.LeftOut {
	_, left := c.mapped(p)
	return left
}

// contact is a person in SendGrid's shape. It has SendGrid's own fields by name and
// custom fields by id.
func (c *client) contact(p connector.Profile) map[string]any {
	out, custom := map[string]any{"email": p.Email.Display()}, map[string]any{}
	for name, value := range c.values(p) {
		if most, ok := reserved[name]; ok {
			out[name] = cut(connector.Text(value), most) // the empty text clears it
			continue
		}
		id := c.facts.Labels["field:"+name]
		custom[id] = typed(id, value)
	}
	if len(c.settings.Tags) > 0 {
		custom[c.facts.Labels["field:"+c.settings.TagsField]] = strings.Join(c.settings.Tags, ", ")
	}
	out["custom_fields"] = custom
	return out
}

// cut shortens a text to most characters, because SendGrid would refuse the whole
// contact for a longer one.
func cut(text string, most int) string {
	if runes := []rune(text); most > 0 && len(runes) > most {
		return string(runes[:most])
	}
	return text
}

// typed returns a value in the type of a custom field. The end of the field's id tells
// numbers (_N) from texts (_T) and dates (_D). A text is cleared by the empty one, all
// others by null.
func typed(id string, value any) any {
	if strings.HasSuffix(id, "_T") || value != nil && !strings.HasSuffix(id, "_N") {
		return connector.Text(value)
	}
	text, isText := value.(string)
	if _, err := strconv.ParseFloat(text, 64); isText && err == nil && json.Valid([]byte(text)) {
		return json.Number(text)
	}
	return value
}

// unsubscribed is the result of a person who has left.
func unsubscribed(p connector.Profile, tense connector.Tense) connector.Result {
	return connector.Unsubscribed(p.Remote, tense.LeaveAlone("has unsubscribed from all mail of the account at SendGrid"))
}

// sentence says what was done, or what would be done. SendGrid's tags are a field of a
// contact. Without a list they are all that is worth telling.
func (c *client) sentence(tense connector.Tense, status connector.Status) string {
	to := connector.Target{Place: c.place(), Tags: c.settings.Tags}
	if len(c.settings.ListIDs) == 0 && len(to.Tags) > 0 {
		return tense.Tag(to)
	}
	return tense.Sync(status, to)
}

// place names the lists.
func (c *client) place() string {
	var names []string
	for _, id := range c.settings.ListIDs {
		names = append(names, c.facts.NameOf("list", id))
	}
	switch len(names) {
	case 0:
		return "the contacts"
	case 1:
		return connector.Named("list", names[0])
	}
	return connector.Named("lists", strings.Join(names, "', '"))
}

// Push hands people over, and SendGrid works on them later. Those who have unsubscribed
// from all mail, or complained, are not made contacts, as contacts cost money.
//
// A list that no check has seen, such as one that a bulk call names, is looked up too.
// If it does not exist, that is the fault of the call and not of the connection.
func (c *client) Push(ctx context.Context, people []connector.Profile) ([]connector.Result, error) {
	if faults := c.missing(c.facts.Labels); len(faults) > 0 {
		return nil, absent(faults)
	}
	faults, err := c.findLists(ctx, maps.Clone(c.facts.Labels))
	if err != nil {
		return nil, fmt.Errorf("find the lists: %w", err)
	}
	if len(faults) > 0 {
		return connector.Everybody(people, connector.Rejected(noList(faults))), nil
	}
	left, err := c.left(ctx, people)
	if err != nil {
		return nil, fmt.Errorf("ask who has unsubscribed: %w", err)
	}
	results := make([]connector.Result, len(people))
	var entries []connector.Entry
	for i, p := range people {
		if left[p.Email.Key()] {
			results[i] = unsubscribed(p, connector.Did)
			continue
		}
		text, err := json.Marshal(c.contact(p))
		if err != nil {
			return nil, usersync.Errorf(usersync.CodeInternal, "The contact cannot be written.").Because(err)
		}
		entries = append(entries, connector.Entry{Place: i, Remote: p.Remote, Body: text})
	}
	return results, connector.Jobs{Platform: platform, Make: c.makeJob}.HandIn(ctx, entries, results)
}

// makeJob makes one job.
func (c *client) makeJob(ctx context.Context, people []connector.Entry) (string, map[int]string, error) {
	body := struct {
		Lists    []string          `json:"list_ids"`
		Contacts []json.RawMessage `json:"contacts"`
	}{append([]string{}, c.settings.ListIDs...), connector.Bodies(people)}
	var taken struct {
		Job string `json:"job_id"`
	}
	answer, err := c.call(ctx, http.MethodPut, "/v3/marketing/contacts", body, &taken)
	switch {
	case err == nil && taken.Job == "":
		return "", nil, usersync.Errorf(usersync.CodeUnavailable, "SendGrid's answer names no job.")
	case err == nil:
		return taken.Job, nil, nil
	case connector.NotFound(answer):
		return "", nil, &usersync.Error{Code: usersync.CodeDisconnected, Message: "SendGrid does not know a list of the settings.",
			Fields: []usersync.FieldError{{Field: "settings.listIds", Message: "name a list that the account does not have"}}}
	case answer == nil || answer.Status != http.StatusBadRequest:
		return "", nil, err
	}
	return "", refusalOf(answer).contacts(len(people)), err
}

// maxSearched is the longest address that can be looked for, in characters.
const maxSearched = 100

// found is a contact.
type found struct {
	ID        string         `json:"id"`
	External  string         `json:"external_id"`
	Anonymous string         `json:"anonymous_id"`
	Phone     string         `json:"phone_number_id"`
	Custom    map[string]any `json:"custom_fields"` // by name
}

// search looks up to 100 contacts up. It returns those that exist, by address in lower
// case.
func (c *client) search(ctx context.Context, addresses []string) (map[string]found, error) {
	var result struct {
		Result map[string]struct {
			Contact *found `json:"contact"`
		} `json:"result"`
	}
	answer, err := c.call(ctx, http.MethodPost, "/v3/marketing/contacts/search/emails", map[string]any{"emails": addresses}, &result)
	if connector.NotFound(answer) {
		return nil, nil
	}
	if err == nil && result.Result == nil {
		err = connector.Unexpected(platform)
	}
	out := map[string]found{}
	for address, one := range result.Result {
		if one.Contact != nil {
			out[strings.ToLower(address)] = *one.Contact
		}
	}
	return out, err
}

// Preview looks the contact up and says what a push would do. It also looks up lists
// that no check has seen, such as one that a bulk call names.
func (c *client) Preview(ctx context.Context, p connector.Profile) (connector.Result, error) {
	if faults := c.missing(c.facts.Labels); len(faults) > 0 {
		return connector.Result{}, absent(faults)
	}
	faults, err := c.findLists(ctx, maps.Clone(c.facts.Labels))
	if err != nil {
		return connector.Result{}, fmt.Errorf("find the lists: %w", err)
	}
	if len(faults) > 0 {
		return failed(p, noList(faults)), nil
	}
	left, err := c.left(ctx, []connector.Profile{p})
	if err != nil {
		return connector.Result{}, fmt.Errorf("ask whether the person has unsubscribed: %w", err)
	}
	if left[p.Email.Key()] {
		return unsubscribed(p, connector.Would), nil
	}
	status := connector.Synced
	if address := p.Email.Display(); utf8.RuneCountInString(address) <= maxSearched {
		there, err := c.search(ctx, []string{address})
		if usersync.CodeOf(err) == usersync.CodeRejected {
			return failed(p, err), nil // an address that SendGrid takes for none
		}
		if err != nil {
			return connector.Result{}, fmt.Errorf("search the contact: %w", err)
		}
		status = connector.AddedOrUpdated(len(there) > 0)
	}
	return connector.Result{Status: status, Details: c.sentence(connector.Would, status), Remote: p.Remote}, nil
}

// Remove erases everything that SendGrid knows of a person. If the key may not do
// that, as in accounts from before July 2023, the contact is deleted.
func (c *client) Remove(ctx context.Context, p connector.Profile) (connector.Result, error) {
	done := connector.RemovedFrom(platform)
	address := []string{p.Email.Display()}
	answer, err := c.call(ctx, http.MethodPost, "/v3/recipients/erasejob", map[string]any{"email_addresses": address}, nil)
	if err == nil {
		return resultOf(done, connector.Expect(platform, answer, http.StatusAccepted))
	}
	if answer == nil || answer.Status != http.StatusForbidden {
		return resultOf(done, err)
	}
	if utf8.RuneCountInString(address[0]) > maxSearched {
		return connector.Result{}, err
	}
	there, err := c.search(ctx, address)
	done = connector.RemovedFrom("the contacts of SendGrid; the key has no right to erase mail data")
	for _, one := range there {
		answer, failed := c.call(ctx, http.MethodDelete, "/v3/marketing/contacts?"+url.Values{"ids": {one.ID}}.Encode(), nil, nil)
		if err = failed; err == nil {
			err = connector.Expect(platform, answer, http.StatusAccepted)
		}
	}
	return resultOf(done, err)
}

func resultOf(r connector.Result, err error) (connector.Result, error) {
	if err != nil {
		return connector.Result{}, fmt.Errorf("ask for the removal: %w", err)
	}
	return r, nil
}
