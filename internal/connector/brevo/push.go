package brevo

import (
	"context"
	"encoding/json"
	"fmt"
	"net/http"
	"slices"
	"strconv"
	"strings"
	"time"

	"usersync/internal/connector"
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
	for name, v := range b.attributes.Values(p) {
		out.Attributes[name] = typed(v, b.facts.Labels["attribute:"+name])
	}
	if len(b.settings.Tags) > 0 {
		out.Attributes[b.settings.TagsAttribute] = b.tags()
	}
	return out
}

// typed turns a value into the type of its attribute, because Brevo silently drops
// values of another type.
func typed(v any, kind string) any {
	switch value := v.(type) {
	case string:
		if number, err := strconv.ParseFloat(value, 64); kind == "float" && err == nil {
			return number
		}
		if truth, err := strconv.ParseBool(value); kind == "boolean" && err == nil {
			return truth
		}
	case float64:
		if kind == "text" {
			return strconv.FormatFloat(value, 'f', -1, 64)
		}
	case bool:
		if kind == "text" {
			return strconv.FormatBool(value)
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

// sentence tells of a person who may have left the list, but not all mail.
func (b *brevo) sentence(tense connector.Tense, status connector.Status, left bool) string {
	if left {
		return tense.UpdateOnly(connector.Target{Tags: b.settings.Tags}, "has left "+b.target().Place, "added to it again")
	}
	return tense.Sync(status, b.target())
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

// maxAlone is how many people one push brings one by one. At two calls each and 10
// calls a second, they take 10 s.
const maxAlone = 50

// Push adds or updates a few people one by one, and many by an import. If no import is
// wanted, people beyond maxAlone have to come again.
func (b *brevo) Push(ctx context.Context, people []connector.Profile) ([]connector.Result, error) {
	if len(people) >= b.settings.ImportFrom {
		return b.importAll(ctx, people)
	}
	results := make([]connector.Result, len(people))
	some, err := b.client.Each(ctx, people[:min(len(people), maxAlone)], b.pushOne)
	copy(results, some)
	if err == nil && len(people) > maxAlone {
		err = &usersync.Error{Code: usersync.CodeRateLimited, RetryAfter: time.Second, Message: "The others have to wait for Brevo's limit of calls."}
	}
	return results, err
}

// known is what Brevo has of a contact.
type known struct {
	ID          int64   `json:"id"`
	Blacklisted bool    `json:"emailBlacklisted"`
	Left        []int64 `json:"listUnsubscribed"`
}

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
	body := map[string]any{"email": p.Email.Display(), "attributes": b.contact(p).Attributes, "updateEnabled": true}
	if b.settings.SendUserID {
		body["ext_id"] = p.UserID
	}
	left := slices.Contains(k.Left, b.list)
	if !left {
		body["listIds"] = []int64{b.list}
	}
	r, err := b.call(ctx, http.MethodPost, "/contacts", body, nil)
	if err != nil {
		return connector.Result{}, b.listFault(r, err)
	}
	status := connector.Updated
	if r.Status == http.StatusCreated {
		status = connector.Added
		if err := connector.Decode(r, &k); err != nil {
			return connector.Result{}, fmt.Errorf("read the answer to the push: %w", err)
		}
	}
	return connector.Result{Status: status, Details: b.sentence(connector.Did, status, left), Remote: k.remote()}, nil
}

// unsubscribed is the result of a person who gets no mail any more.
func unsubscribed(k known, tense connector.Tense) connector.Result {
	return connector.Unsubscribed(k.remote(), tense.LeaveAlone("has unsubscribed at "+platform))
}

// importAll hands all people over at once. Brevo tells later how the import went.
func (b *brevo) importAll(ctx context.Context, people []connector.Profile) ([]connector.Result, error) {
	contacts := make([]contact, len(people))
	for i, p := range people {
		contacts[i] = b.contact(p)
	}
	body := map[string]any{
		"listIds": []int64{b.list}, "jsonBody": contacts, "updateExistingContacts": true,
		"emptyContactsAttributes": false, "disableNotification": true,
	}
	if text, err := json.Marshal(body); err == nil && len(text) > maxImport {
		return nil, usersync.Errorf(usersync.CodeRejected, "The attributes are too long for an import.")
	}
	var answer struct {
		Process int64 `json:"processId"`
	}
	r, err := b.call(ctx, http.MethodPost, "/contacts/import", body, &answer)
	if err != nil {
		return nil, b.listFault(r, err)
	}
	if answer.Process == 0 {
		return nil, usersync.Errorf(usersync.CodeUnavailable, "Brevo's answer names no process.")
	}
	return connector.Everybody(people, connector.Working(platform, strconv.FormatInt(answer.Process, 10), "")), nil
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
	status := connector.AddedOrUpdated(k.ID != 0)
	return connector.Result{Status: status, Details: b.sentence(connector.Would, status, slices.Contains(k.Left, b.list)), Remote: k.remote()}, nil
}

// Remove deletes the contact with the person's address. It also deletes the contact
// that was last pushed to, if that is another one.
func (b *brevo) Remove(ctx context.Context, p connector.Profile) (connector.Result, error) {
	paths := []string{contactPath(p.Email.Display(), byEmail)}
	if p.Remote != "" {
		paths = append(paths, contactPath(p.Remote, byID))
	}
	for _, path := range paths {
		if r, err := b.call(ctx, http.MethodDelete, path, nil, nil); err != nil && !connector.NotFound(r) {
			return connector.Result{}, fmt.Errorf("delete the contact: %w", err)
		}
	}
	return connector.RemovedFrom(platform), nil
}
