package brevo

import (
	"context"
	"encoding/json"
	"net/http"
	"slices"
	"strconv"
	"strings"
	"time"

	"usersync/internal/connector"
	"usersync/internal/outbound"
	"usersync/internal/usersync"
)

// contact is a person as Brevo is told of them. Blocklists are never mentioned:
// Brevo then leaves them as they are.
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
		out.Attributes[name] = typed(v, b.labels["attribute:"+name])
	}
	if len(b.settings.Tags) > 0 {
		out.Attributes[b.settings.TagsAttribute] = b.tags()
	}
	return out
}

// typed turns a value into the type of its attribute, as Brevo drops values of
// another type without a word.
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
	if kind := b.labels["attribute:"+b.settings.TagsAttribute]; kind == multipleChoice {
		return b.settings.Tags
	}
	return strings.Join(b.settings.Tags, ",")
}

// maxAlone is how many people one push brings one by one: at two calls each and
// 10 calls a second that is 10 s.
const maxAlone = 50

// Push adds or updates a few people one by one, many by an import. Where no
// import is wanted, those beyond maxAlone have to come again.
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

// find returns what Brevo has of a person, the zero value when it has nothing.
func (b *brevo) find(ctx context.Context, p connector.Profile) (known, error) {
	r, err := b.call(ctx, http.MethodGet, contactPath(p.Email.Display(), byEmail), nil)
	if isMissing(r) {
		return known{}, nil
	}
	if err != nil {
		return known{}, err
	}
	var k known
	if err := connector.Decode(r, &k); err != nil {
		return k, err
	}
	if k.ID == 0 {
		return k, usersync.Errorf(usersync.CodeUnavailable, "Brevo's answer names no contact.")
	}
	return k, nil
}

// pushOne looks first whether the person has left: the list, or all mail.
func (b *brevo) pushOne(ctx context.Context, p connector.Profile) (connector.Result, error) {
	k, err := b.find(ctx, p)
	if err != nil {
		return connector.Result{}, err
	}
	if k.Blacklisted {
		return unsubscribed(k), nil
	}
	body := map[string]any{"email": p.Email.Display(), "attributes": b.contact(p).Attributes, "updateEnabled": true}
	if b.settings.SendUserID {
		body["ext_id"] = p.UserID
	}
	left := slices.Contains(k.Left, b.list)
	if !left {
		body["listIds"] = []int64{b.list}
	}
	r, err := b.call(ctx, http.MethodPost, "/contacts", body)
	if err != nil {
		return connector.Result{}, b.listFault(r, err)
	}
	status := connector.Updated
	if r.Status == http.StatusCreated {
		status = connector.Added
		if err := connector.Decode(r, &k); err != nil {
			return connector.Result{}, err
		}
	}
	return connector.Result{Status: status, Details: b.details(connector.Did, status, left), Remote: k.remote()}, nil
}

func unsubscribed(k known) connector.Result {
	return connector.Result{
		Status: connector.Skipped, Reason: usersync.ReasonUnsubscribed, Remote: k.remote(),
		Details: "User has unsubscribed at Brevo and was left as they are",
	}
}

// details says what happens, or happened, to somebody who may have left the list.
func (b *brevo) details(tell func(connector.Status, string, []string) string, status connector.Status, left bool) string {
	if left {
		return tell(status, "", b.settings.Tags) + "; not added to the '" + b.listName() + "' list, which they left"
	}
	return tell(status, b.listName(), b.settings.Tags)
}

// importAll hands all people over at once. Brevo says later how it went.
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
	r, err := b.call(ctx, http.MethodPost, "/contacts/import", body)
	if err != nil {
		return nil, b.listFault(r, err)
	}
	var answer struct {
		Process int64 `json:"processId"`
	}
	if err := connector.Decode(r, &answer); err != nil {
		return nil, err
	}
	if answer.Process == 0 {
		return nil, usersync.Errorf(usersync.CodeUnavailable, "Brevo's answer names no process.")
	}
	results := make([]connector.Result, len(people))
	for i := range results {
		results[i] = connector.Result{Status: connector.Pending, Job: strconv.FormatInt(answer.Process, 10)}
	}
	return results, nil
}

// process is how an import goes. Reports are addresses of files, null for none.
type process struct {
	Status string `json:"status"`
	Info   struct {
		Import struct {
			InvalidEmails string `json:"invalid_emails"`
			TakenExtIDs   string `json:"duplicate_ext_id"`
		} `json:"import"`
	} `json:"info"`
}

// Confirm asks how an import went. It does not tell added from updated.
func (b *brevo) Confirm(ctx context.Context, job string, people []connector.Profile) ([]connector.Result, error) {
	r, err := b.call(ctx, http.MethodGet, "/processes/"+job, nil)
	if isMissing(r) {
		return nil, connector.ErrNoJob
	}
	if err != nil {
		return nil, err
	}
	var p process
	if err := connector.Decode(r, &p); err != nil {
		return nil, err
	}
	switch p.Status {
	case "completed":
		return b.completed(ctx, p, people)
	case "failed", "cancelled":
		return nil, usersync.Errorf(usersync.CodeUnavailable, "Brevo could not work on the import %s.", job)
	}
	results := make([]connector.Result, len(people))
	for i := range results {
		results[i] = connector.Result{Status: connector.Pending, Job: job}
	}
	return results, nil
}

// completed reads who was left out.
func (b *brevo) completed(ctx context.Context, p process, people []connector.Profile) ([]connector.Result, error) {
	invalid, err := b.report(ctx, p.Info.Import.InvalidEmails)
	if err != nil {
		return nil, err
	}
	taken, err := b.report(ctx, p.Info.Import.TakenExtIDs)
	if err != nil {
		return nil, err
	}
	results := make([]connector.Result, len(people))
	for i, one := range people {
		switch email := one.Email.Key(); {
		case invalid[email]:
			results[i] = connector.Rejected(usersync.Errorf(usersync.CodeRejected, "Brevo says that the address is not valid."))
		case taken[email], taken[strings.ToLower(one.UserID)]:
			results[i] = connector.Rejected(usersync.Errorf(usersync.CodeRejected, "Another contact at Brevo has this user's id."))
		default:
			results[i] = connector.Result{Status: connector.Synced, Details: connector.Did(connector.Synced, b.listName(), b.settings.Tags)}
		}
	}
	return results, nil
}

// report reads the words of a report, in lower case: which of its columns holds
// the address is not documented. It goes without the API key, as the file may be
// at another host.
func (b *brevo) report(ctx context.Context, address string) (map[string]bool, error) {
	if address == "" {
		return nil, nil
	}
	r, err := b.client.JSON(ctx, http.MethodGet, address, nil, nil)
	if err != nil || r.Truncated {
		return nil, usersync.Errorf(usersync.CodeUnavailable, "Brevo's report of an import could not be read.").Because(err)
	}
	words := map[string]bool{}
	for _, word := range strings.FieldsFunc(strings.ToLower(string(r.Body)), isBetweenWords) {
		words[word] = true
	}
	return words, nil
}

func isBetweenWords(r rune) bool { return strings.ContainsRune(" \t\r\n,;\"\ufeff", r) }

// Preview looks whether the contact is there and subscribed.
func (b *brevo) Preview(ctx context.Context, p connector.Profile) (connector.Result, error) {
	k, err := b.find(ctx, p)
	if err != nil {
		return connector.Result{}, err
	}
	if k.Blacklisted {
		r := unsubscribed(k)
		r.Details = "User has unsubscribed at Brevo and would be left as they are"
		return r, nil
	}
	status := connector.Updated
	if k.ID == 0 {
		status = connector.Added
	}
	return connector.Result{Status: status, Details: b.details(connector.Would, status, slices.Contains(k.Left, b.list)), Remote: k.remote()}, nil
}

// Remove deletes the contact with the person's address, and the one that was
// pushed to, should that be another.
func (b *brevo) Remove(ctx context.Context, p connector.Profile) (connector.Result, error) {
	paths := []string{contactPath(p.Email.Display(), byEmail)}
	if p.Remote != "" {
		paths = append(paths, contactPath(p.Remote, byID))
	}
	for _, path := range paths {
		if r, err := b.call(ctx, http.MethodDelete, path, nil); err != nil && !isMissing(r) {
			return connector.Result{}, err
		}
	}
	return connector.Result{Status: connector.Removed, Details: "User erased"}, nil
}

// listFault says whose fault it is that a list is not there: the connection's,
// when a check has seen its list, else that of the one push that named another.
func (b *brevo) listFault(r *outbound.Response, err error) error {
	if r == nil || r.Status != http.StatusBadRequest && r.Status != http.StatusNotFound || !aboutLists(r) {
		return err
	}
	code := usersync.CodeRejected
	if _, checked := b.labels["list:"+b.settings.List]; checked {
		code = usersync.CodeDisconnected
	}
	return usersync.Errorf(code, "Brevo has no list '%s'.", b.listName())
}

// aboutLists goes by the words: there is no code of its own for a missing list.
func aboutLists(r *outbound.Response) bool {
	said := strings.ToLower(read(r).Message)
	return strings.Contains(said, "list id") || strings.Contains(said, "listid") || strings.Contains(said, "list does not exist")
}
