package brevo

import (
	"context"
	"encoding/json"
	"fmt"
	"net/http"
	"slices"
	"strconv"
	"strings"
	"sync"

	"usersync/internal/connector"
	"usersync/internal/connector/form"
	"usersync/internal/usersync"
)

// platform is what sentences call Brevo.
const platform = "Brevo"

// contact is a person in Brevo's shape. It never mentions blocklists, so Brevo leaves
// them as they are.
type contact struct {
	Email      string         `json:"email"`
	ExtID      string         `json:"ext_id,omitempty"`
	Attributes map[string]any `json:"attributes"`
}

// Content is the contact and the list.
func (b *brevo) Content(p connector.Profile) any {
	return map[string]any{"contact": b.contact(p), "list": b.list}
}

func (b *brevo) contact(p connector.Profile) contact {
	out := contact{Email: p.Email.Display(), Attributes: map[string]any{}}
	if b.settings.SendUserID {
		out.ExtID = p.UserID
	}
	values, _ := b.values(p)
	for name, v := range values {
		out.Attributes[name] = typed(v, b.facts.Labels["attribute:"+name])
	}
	if len(b.settings.Tags) > 0 {
		out.Attributes[b.settings.TagsAttribute] = b.tags()
	}
	return out
}

// phones are the attributes that Brevo keeps telephone numbers in. It wants each to be of
// one contact.
var phones = []string{"SMS", "WHATSAPP", "LANDLINE_NUMBER"}

// values are the mapped attributes of a person, and what is left out of them.
func (b *brevo) values(p connector.Profile) (map[string]any, []connector.LeftOut) {
	values := b.attributes.Values(p)
	left := connector.Phones(values, p, func(name string) bool { return slices.Contains(phones, name) })
	return values, append(left, form.Dates(values, b.dateForm)...)
}

// dateForm is how an attribute of a date is written.
func (b *brevo) dateForm(name string) func(form.Date) any {
	if b.facts.Labels["attribute:"+name] == "date" {
		return form.Date.Day
	}
	return nil
}

// LeavesOut returns the telephone numbers and dates that are none.
func (b *brevo) LeavesOut(p connector.Profile) []connector.LeftOut {
	_, left := b.values(p)
	return left
}

// clears reports whether a person has an attribute that is to hold nothing.
func (b *brevo) clears(p connector.Profile) bool {
	for _, v := range b.attributes.Values(p) {
		if v == nil {
			return true
		}
	}
	return false
}

// typed turns a value into the type of its attribute, because Brevo silently drops
// values of another type. What was cleared is empty.
func typed(v any, kind string) any {
	if kind == multipleChoice {
		return form.List(v)
	}
	switch value := v.(type) {
	case nil:
		return ""
	case []any:
		return connector.Text(value)
	case string:
		if _, err := strconv.ParseFloat(value, 64); kind == "float" && err == nil && json.Valid([]byte(value)) {
			return json.Number(value)
		}
		if truth, err := strconv.ParseBool(value); kind == "boolean" && err == nil {
			return truth
		}
	case json.Number, bool:
		if kind == "text" {
			return connector.Text(value)
		}
	}
	return v
}

// multipleChoice is the type of an attribute that takes several values.
const multipleChoice = "multiple-choice"

func (b *brevo) tags() any {
	if kind := b.facts.Labels["attribute:"+b.settings.TagsAttribute]; kind == multipleChoice {
		return b.settings.Tags
	}
	return strings.Join(b.settings.Tags, ",")
}

// target is where people are put, and the tags they get.
func (b *brevo) target() connector.Target {
	return connector.Target{Place: connector.Named("list", b.facts.NameOf("list", b.settings.List)), Tags: b.settings.Tags}
}

// outcome is the result of a person who is written. Those who have left the list, but not
// all mail, are not added to it.
func (b *brevo) outcome(tense connector.Tense, status connector.Status, k known) connector.Result {
	if b.awaits(k) {
		details := tense.UpdateOnly(connector.Target{Tags: b.settings.Tags}, "has not confirmed", "added to "+b.target().Place)
		return connector.Result{Status: status, Details: details, Remote: k.remote()}
	}
	if k.hasLeft(b.list) {
		details := tense.UpdateOnly(connector.Target{Tags: b.settings.Tags}, "has left "+b.target().Place, "added to it again")
		return connector.Unsubscribed(k.remote(), details)
	}
	return tense.Outcome(status, b.target(), k.remote())
}

// contactPath is the path of a contact, by its address or by Brevo's id.
func contactPath(identifier, kind string) string {
	return "/contacts/" + connector.PathSegment(identifier) + "?identifierType=" + kind
}

// These kinds of identifiers are used.
const (
	byEmail = "email_id"
	byID    = "contact_id"
)

// Push looks everybody up, because a list takes back who has left it, also by an import.
// Then it writes a few people one by one, and many by an import.
func (b *brevo) Push(ctx context.Context, people []connector.Profile) ([]connector.Result, error) {
	if len(people) < b.settings.ImportFrom {
		return b.client.Each(ctx, people, b.pushOne)
	}
	return b.pushMany(ctx, people)
}

// known is what Brevo has of a contact.
type known struct {
	ID          int64   `json:"id"`
	Lists       []int64 `json:"listIds"`
	Blacklisted bool    `json:"emailBlacklisted"`
	Left        []int64 `json:"listUnsubscribed"`
}

func (k known) hasLeft(list int64) bool { return slices.Contains(k.Left, list) }

func (k known) remote() string {
	if k.ID == 0 {
		return ""
	}
	return strconv.FormatInt(k.ID, 10)
}

// find returns what Brevo has of a person. It returns the zero value if Brevo has
// nothing.
func (b *brevo) find(ctx context.Context, p connector.Profile) (known, error) {
	var k known
	r, err := b.call(ctx, http.MethodGet, contactPath(p.Email.Display(), byEmail), nil, &k)
	if connector.NotFound(r) {
		return known{}, nil
	}
	if err != nil {
		return known{}, fmt.Errorf("look the contact up: %w", err)
	}
	if k.ID == 0 {
		return k, usersync.Errorf(usersync.CodeUnavailable, "Brevo's answer names no contact.")
	}
	return k, nil
}

// pushOne first looks whether the person has left the list, or all mail.
func (b *brevo) pushOne(ctx context.Context, p connector.Profile) (connector.Result, error) {
	k, err := b.find(ctx, p)
	if err != nil {
		return connector.Result{}, fmt.Errorf("find the contact: %w", err)
	}
	if k.Blacklisted {
		return unsubscribed(k, connector.Did), nil
	}
	return b.write(ctx, p, k)
}

// write adds or updates a person of whom it is known how they stand to the list.
func (b *brevo) write(ctx context.Context, p connector.Profile, k known) (connector.Result, error) {
	body := map[string]any{"email": p.Email.Display(), "attributes": b.contact(p).Attributes, "updateEnabled": true}
	if b.settings.SendUserID {
		body["ext_id"] = p.UserID
	}
	if !k.hasLeft(b.list) && !b.awaits(k) {
		body["listIds"] = []int64{b.list}
	}
	r, err := b.call(ctx, http.MethodPost, "/contacts", body, nil)
	if err != nil {
		return connector.Result{}, b.listFault(r, err)
	}
	if err := connector.Expect(platform, r, http.StatusCreated, http.StatusNoContent); err != nil {
		return connector.Result{}, err
	}
	status := connector.Updated
	if r.Status == http.StatusCreated {
		status = connector.Added
		if err := connector.Decode(r, &k); err != nil {
			return connector.Result{}, fmt.Errorf("read the answer to the push: %w", err)
		}
		if k.ID == 0 {
			return connector.Result{}, connector.Unexpected(platform)
		}
	}
	return b.outcome(connector.Did, status, k), nil
}

// unsubscribed is the result of a person who gets no mail any more.
func unsubscribed(k known, tense connector.Tense) connector.Result {
	return connector.Unsubscribed(k.remote(), tense.LeaveAlone("has unsubscribed at "+platform))
}

// pushMany looks people up. Those who are not to be put on the list, or have values that are
// to be cleared, are written alone, since an import takes a list for all and clears nothing.
// All others go by one import. When a call fails, those who were looked up before still
// arrive.
func (b *brevo) pushMany(ctx context.Context, people []connector.Profile) ([]connector.Result, error) {
	results, found, err := b.lookUp(ctx, people)
	if err != nil && usersync.CodeOf(err) != usersync.CodeRateLimited {
		return results, err
	}
	var alone, together []int
	for i, p := range people {
		k, ok := found[p.Email.Key()]
		switch {
		case !ok || results[i].Status != "":
		case k.hasLeft(b.list) || b.awaits(k) || b.clears(p):
			alone = append(alone, i)
		default:
			together = append(together, i)
		}
	}
	if len(together) < b.settings.ImportFrom {
		alone, together = append(alone, together...), nil
	}
	if failed := b.writeAlone(ctx, people, alone, found, results); failed != nil {
		return results, failed
	}
	if failed := b.importAll(ctx, people, together, found, results); failed != nil {
		return results, failed
	}
	return results, err
}

// lookUp finds people. Those who get no mail any more, or whose address is refused, have
// their result already. After an error, who was found is still found.
func (b *brevo) lookUp(ctx context.Context, people []connector.Profile) ([]connector.Result, map[string]known, error) {
	surveyed, err := b.survey(ctx, people)
	if err != nil {
		return make([]connector.Result, len(people)), nil, err
	}
	var mu sync.Mutex
	found := map[string]known{}
	results, err := b.client.Each(ctx, people, func(ctx context.Context, p connector.Profile) (connector.Result, error) {
		k, ok := surveyed[p.Email.Key()]
		if !ok {
			var err error
			if k, err = b.find(ctx, p); err != nil {
				return connector.Result{}, fmt.Errorf("find the contact: %w", err)
			}
		}
		if k.Blacklisted {
			return unsubscribed(k, connector.Did), nil
		}
		mu.Lock()
		defer mu.Unlock()
		found[p.Email.Key()] = k
		return connector.Result{}, nil
	})
	return results, found, err
}

// writeAlone writes the people of these places by a call each.
func (b *brevo) writeAlone(ctx context.Context, people []connector.Profile, places []int, found map[string]known, results []connector.Result) error {
	some := make([]connector.Profile, len(places))
	for at, i := range places {
		some[at] = people[i]
	}
	written, err := b.client.Each(ctx, some, func(ctx context.Context, p connector.Profile) (connector.Result, error) {
		return b.write(ctx, p, found[p.Email.Key()])
	})
	for at, i := range places {
		results[i] = written[at]
	}
	return err
}

// importAll hands the people of these places over at once. Brevo tells later how the
// import went.
func (b *brevo) importAll(ctx context.Context, people []connector.Profile, places []int, found map[string]known, results []connector.Result) error {
	if len(places) == 0 {
		return nil
	}
	contacts := make([]contact, len(places))
	for at, i := range places {
		contacts[at] = b.contact(people[i])
	}
	body := map[string]any{
		"listIds": []int64{b.list}, "jsonBody": contacts, "updateExistingContacts": true,
		"emptyContactsAttributes": false, "disableNotification": true,
	}
	if text, err := json.Marshal(body); err == nil && len(text) > maxImport {
		return usersync.Errorf(usersync.CodeRejected, "The attributes are too long for an import.")
	}
	var answer struct {
		Process int64 `json:"processId"`
	}
	r, err := b.call(ctx, http.MethodPost, "/contacts/import", body, &answer)
	if err != nil {
		return b.listFault(r, err)
	}
	if answer.Process == 0 {
		return usersync.Errorf(usersync.CodeUnavailable, "Brevo's answer names no process.")
	}
	for _, i := range places {
		k := found[people[i].Email.Key()]
		results[i] = connector.Working(platform, strconv.FormatInt(answer.Process, 10), k.remote())
	}
	return nil
}

// Preview looks whether the contact is there and subscribed.
func (b *brevo) Preview(ctx context.Context, p connector.Profile) (connector.Result, error) {
	k, err := b.find(ctx, p)
	if err != nil {
		return connector.Result{}, fmt.Errorf("find the contact: %w", err)
	}
	if k.Blacklisted {
		return unsubscribed(k, connector.Would), nil
	}
	return b.outcome(connector.Would, connector.AddedOrUpdated(k.ID != 0), k), nil
}

// Remove deletes the contact with the person's address. It also deletes the contact
// that was last pushed to, if that is another one.
func (b *brevo) Remove(ctx context.Context, p connector.Profile) (connector.Result, error) {
	paths := []string{contactPath(p.Email.Display(), byEmail)}
	if id, _ := split(p.Remote); id != "" {
		paths = append(paths, contactPath(id, byID))
	}
	for _, path := range paths {
		r, err := b.call(ctx, http.MethodDelete, path, nil, nil)
		if err == nil {
			err = connector.Expect(platform, r, http.StatusNoContent)
		}
		if err != nil && !connector.NotFound(r) {
			return connector.Result{}, fmt.Errorf("delete the contact: %w", err)
		}
	}
	return connector.RemovedFrom(platform), nil
}
