// Package sendgrid keeps the marketing contacts of a Twilio SendGrid account in
// step with people: API v3. README.md says what it does and what it does not.
package sendgrid

import (
	"context"
	"encoding/json"
	"fmt"
	"maps"
	"net/http"
	"net/url"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"time"
	"unicode/utf8"

	"usersync/internal/connector"
	"usersync/internal/outbound"
	"usersync/internal/usersync"
)

// Kind is SendGrid. It counts 600 calls a minute for most routes of an account and
// 200 for the contacts; a connection makes one push after another, each of which
// takes some 0.4 s there, and so stays below the second by itself.
var Kind = connector.Define(connector.Kind{
	Name: "sendgrid", Title: "Twilio SendGrid", Batch: 1000,
	Limits:   connector.Limits{Concurrent: 4, PerSecond: 10, Burst: 10, Timeout: 30 * time.Second},
	Classify: classify,
}, open)

// Credentials are those of an account.
type Credentials struct {
	APIKey usersync.Secret `json:"apiKey" help:"An API key with full access to Marketing, and to Suppressions and Recipients' Data Erasure: Settings > API Keys."`
}

// Settings say what is written where.
type Settings struct {
	Region       string            `json:"region,omitempty" default:"global" options:"global|eu" help:"Where the account is: eu for a subuser that SendGrid keeps in the European Union."`
	ListIDs      []string          `json:"listIds,omitempty" role:"list" help:"Ids of the lists that everybody is put on who is pushed; none keeps people as contacts only."`
	Tags         []string          `json:"tags,omitempty" role:"tags" help:"Tags that everybody gets who is pushed. SendGrid has no tags of its own: they are written to tagsField."`
	TagsField    string            `json:"tagsField,omitempty" help:"Name of the custom text field that tags are written to, separated by commas; needed with tags."`
	CustomFields connector.Mapping `json:"customFields,omitempty" default:"first_name firstName, last_name lastName, country country" help:"Names of custom or reserved fields and what goes into them; first_name, last_name and country are filled where not named, and left alone where named with an empty source."`
}

var (
	listID = regexp.MustCompile(`^[0-9A-Fa-f]{8}(-[0-9A-Fa-f]{4}){3}-[0-9A-Fa-f]{12}$`)
	// reserved are SendGrid's own fields that may be written, and the most
	// characters they take; 0 is no bound that is published. The last three are
	// identifiers.
	reserved = map[string]int{"first_name": 50, "last_name": 50, "country": 50, "state_province_region": 50, "city": 60, "postal_code": 0,
		"address_line_1": 100, "address_line_2": 100, "phone_number_id": 0, "external_id": 254, "anonymous_id": 254}
)

// maxTag is the longest tag, in characters.
const maxTag = 100

// Validate finds faults that need no look at the platform.
func (s Settings) Validate() []usersync.FieldError {
	out := s.CustomFields.Check("customFields")
	for _, id := range s.ListIDs {
		if !listID.MatchString(id) {
			out = append(out, usersync.FieldError{Field: "listIds", Message: "must be ids of lists, as in 3f641067-6b50-4353-8c87-0825fbb85228"})
			break
		}
	}
	for _, tag := range s.Tags {
		if strings.TrimSpace(tag) == "" || strings.Contains(tag, ",") || utf8.RuneCountInString(tag) > maxTag {
			out = append(out, usersync.FieldError{Field: "tags", Message: "must be names of 1 to 100 characters without commas"})
			break
		}
	}
	if len(s.Tags) > 0 && s.TagsField == "" {
		out = append(out, usersync.FieldError{Field: "tagsField", Message: "is required with tags: the name of a custom text field"})
	}
	return out
}

// client is one connection.
type client struct {
	key      usersync.Secret
	settings Settings
	mapping  connector.Mapping
	facts    connector.Facts
	http     *connector.Client
}

func open(credentials Credentials, settings Settings, facts connector.Facts, http *connector.Client) (connector.Connector, error) {
	settings.Tags = slices.Clone(settings.Tags)
	slices.Sort(settings.Tags)
	settings.Tags = slices.Compact(settings.Tags)
	return &client{key: credentials.APIKey, settings: settings, facts: facts, http: http,
		mapping: settings.CustomFields.Or(connector.Mapping{"first_name": "firstName", "last_name": "lastName", "country": "country"})}, nil
}

// base is the address of the API.
func (c *client) base() string {
	if c.settings.Region == "eu" {
		return c.http.URL("https://api.eu.sendgrid.com", "")
	}
	return c.http.URL("https://api.sendgrid.com", "")
}

// call makes a call and decodes its answer; to may be nil.
func (c *client) call(ctx context.Context, method, path string, body, to any) (*outbound.Response, error) {
	answer, err := c.http.JSON(ctx, method, c.base()+path, http.Header{"Authorization": {"Bearer " + c.key.Reveal()}}, body)
	if err == nil && to != nil {
		err = connector.Decode(answer, to)
	}
	return answer, err
}

// isMissing reports whether an answer is 404.
func isMissing(answer *outbound.Response) bool {
	return answer != nil && answer.Status == http.StatusNotFound
}

// Check reads the fields and the lists.
func (c *client) Check(ctx context.Context) (connector.Facts, error) {
	// No answer to a key that may only do what is needed names the account.
	facts := connector.Facts{Account: connector.Fingerprint(c.key), Labels: map[string]string{}}
	var definitions struct {
		Custom []struct{ ID, Name string } `json:"custom_fields"`
	}
	if _, err := c.call(ctx, http.MethodGet, "/v3/marketing/field_definitions", nil, &definitions); err != nil {
		return connector.Facts{}, err
	}
	for _, f := range definitions.Custom {
		if _, used := c.mapping[f.Name]; used || f.Name == c.settings.TagsField {
			facts.Labels["field:"+f.Name] = f.ID
		}
	}
	faults := c.missing(facts.Labels)
	lost, err := c.findLists(ctx, facts.Labels)
	if err != nil {
		return connector.Facts{}, err
	}
	if faults = append(faults, lost...); len(faults) > 0 {
		return connector.Facts{}, absent(faults)
	}
	return facts, nil
}

// noList is the refusal of a push that names lists which are not there.
func noList(faults []usersync.FieldError) *usersync.Error {
	return &usersync.Error{Code: usersync.CodeRejected, Message: "SendGrid knows no such list in the account of the key.", Fields: faults}
}

func absent(faults []usersync.FieldError) error {
	return &usersync.Error{Code: usersync.CodeDisconnected, Message: "The account does not have what the settings name.", Fields: faults}
}

// findLists adds the names of the lists that have no label yet, and returns those
// that the account does not have.
func (c *client) findLists(ctx context.Context, labels map[string]string) ([]usersync.FieldError, error) {
	if labels == nil {
		labels = map[string]string{}
	}
	var faults []usersync.FieldError
	for _, id := range c.settings.ListIDs {
		if labels["list:"+id] != "" {
			continue
		}
		var list struct {
			Name string `json:"name"`
		}
		answer, err := c.call(ctx, http.MethodGet, "/v3/marketing/lists/"+url.PathEscape(id), nil, &list)
		switch {
		case isMissing(answer):
			faults = append(faults, usersync.FieldError{Field: "settings.listIds", Message: "the account has no list " + id})
		case err != nil:
			return nil, err
		}
		labels["list:"+id] = list.Name
	}
	return faults, nil
}

// missing finds fields that the settings name and the account does not have.
func (c *client) missing(labels map[string]string) []usersync.FieldError {
	var out []usersync.FieldError
	for name := range c.mapping {
		if _, ok := reserved[name]; !ok && labels["field:"+name] == "" {
			out = append(out, usersync.FieldError{Field: "settings.customFields." + name, Message: "the account has no custom field of this name"})
		}
	}
	if id := labels["field:"+c.settings.TagsField]; c.settings.TagsField != "" && !strings.HasSuffix(id, "_T") {
		out = append(out, usersync.FieldError{Field: "settings.tagsField", Message: "the account has no custom text field of this name"})
	}
	slices.SortFunc(out, func(a, b usersync.FieldError) int { return strings.Compare(a.Field, b.Field) })
	return out
}

// content is what SendGrid is told of a person.
type content struct {
	Lists  []string       `json:"lists"`
	Email  string         `json:"email"`
	Fields map[string]any `json:"fields"` // by name
	Tags   []string       `json:"tags,omitempty"`
}

// Content is the person's address, fields, lists and tags.
func (c *client) Content(p connector.Profile) any {
	return content{Lists: c.settings.ListIDs, Email: p.Email.Display(), Fields: c.mapping.Values(p), Tags: c.settings.Tags}
}

// contact is a person as SendGrid takes them: its fields by name, custom ones by
// id.
func (c *client) contact(p connector.Profile) map[string]any {
	out, custom := map[string]any{"email": p.Email.Display()}, map[string]any{}
	for name, value := range c.mapping.Values(p) {
		if most, ok := reserved[name]; ok {
			out[name] = cut(fmt.Sprint(value), most)
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

// cut shortens a text to most characters: of a longer one SendGrid would refuse
// the whole contact.
func cut(text string, most int) string {
	if runes := []rune(text); most > 0 && len(runes) > most {
		return string(runes[:most])
	}
	return text
}

// typed is a value as a custom field takes it: the end of its id tells numbers
// (_N) from texts (_T) and dates (_D).
func typed(id string, value any) any {
	text, isText := value.(string)
	if strings.HasSuffix(id, "_N") {
		if number, err := strconv.ParseFloat(text, 64); err == nil {
			return number
		}
		return value
	}
	if isText {
		return text
	}
	other, _ := json.Marshal(value) // a number or a boolean
	return string(other)
}

// suppressed reports whether somebody has unsubscribed from all mail of the
// account. Lists and fields do not change that: a key that may not ask does no
// harm.
func (c *client) suppressed(ctx context.Context, p connector.Profile) (bool, error) {
	var found struct {
		Email string `json:"recipient_email"`
	}
	answer, err := c.call(ctx, http.MethodGet, "/v3/asm/suppressions/global/"+url.PathEscape(p.Email.Display()), nil, &found)
	if isMissing(answer) || answer != nil && answer.Status == http.StatusForbidden {
		return false, nil
	}
	return found.Email != "", err
}

// maxSearched is the longest address that can be looked for, in characters.
const maxSearched = 100

// found is a contact.
type found struct {
	ID string `json:"id"`
}

// search looks contacts up, up to 100, and returns those there are by address in
// lower case.
func (c *client) search(ctx context.Context, addresses []string) (map[string]found, error) {
	var result struct {
		Result map[string]struct {
			Contact *found `json:"contact"`
		} `json:"result"`
	}
	answer, err := c.call(ctx, http.MethodPost, "/v3/marketing/contacts/search/emails", map[string]any{"emails": addresses}, &result)
	if isMissing(answer) {
		return nil, nil
	}
	out := map[string]found{}
	for address, one := range result.Result {
		if one.Contact != nil {
			out[strings.ToLower(address)] = *one.Contact
		}
	}
	return out, err
}

// Preview looks the contact up and says what a push would do. Lists that no check
// has seen, as a bulk call may name, are looked up too.
func (c *client) Preview(ctx context.Context, p connector.Profile) (connector.Result, error) {
	if faults := c.missing(c.facts.Labels); len(faults) > 0 {
		return connector.Result{}, absent(faults)
	}
	faults, err := c.findLists(ctx, maps.Clone(c.facts.Labels))
	if err != nil {
		return connector.Result{}, err
	}
	if len(faults) > 0 {
		return failed(p, noList(faults)), nil
	}
	gone, err := c.suppressed(ctx, p)
	if err != nil {
		return connector.Result{}, err
	}
	if gone {
		return skipped(p, "would not be added"), nil
	}
	status := connector.Synced
	if address := p.Email.Display(); utf8.RuneCountInString(address) <= maxSearched {
		there, err := c.search(ctx, []string{address})
		if usersync.CodeOf(err) == usersync.CodeRejected {
			return failed(p, usersync.AsError(err)), nil // an address that SendGrid takes for none
		}
		if err != nil {
			return connector.Result{}, err
		}
		status = connector.Added
		if len(there) > 0 {
			status = connector.Updated
		}
	}
	return connector.Result{Status: status, Details: c.sentence(status, true), Remote: p.Remote}, nil
}

// Remove erases all that SendGrid knows of a person. Accounts whose key may not
// do that, as that of an account from before July 2023, have the contact deleted.
func (c *client) Remove(ctx context.Context, p connector.Profile) (connector.Result, error) {
	done := connector.Result{Status: connector.Removed, Details: "User erased from SendGrid"}
	address := []string{p.Email.Display()}
	answer, err := c.call(ctx, http.MethodPost, "/v3/recipients/erasejob", map[string]any{"email_addresses": address}, nil)
	if err == nil || answer == nil || answer.Status != http.StatusForbidden {
		return resultOf(done, err)
	}
	if utf8.RuneCountInString(address[0]) > maxSearched {
		return connector.Result{}, err
	}
	there, err := c.search(ctx, address)
	done.Details = "User deleted from the contacts of SendGrid; the key has no right to erase mail data"
	for _, one := range there {
		_, err = c.call(ctx, http.MethodDelete, "/v3/marketing/contacts?"+url.Values{"ids": {one.ID}}.Encode(), nil, nil)
	}
	return resultOf(done, err)
}

func resultOf(r connector.Result, err error) (connector.Result, error) {
	if err != nil {
		return connector.Result{}, err
	}
	return r, nil
}

// maxName is the longest name of a list, in characters; maxPages bounds how far
// one is looked for.
const (
	maxName  = 100
	maxPages = 10
)

// MakeAudience makes a list, or finds the one with that name.
func (c *client) MakeAudience(ctx context.Context, name, _ string) (string, usersync.PlatformSync, error) {
	name = strings.TrimSpace(cut(strings.TrimSpace(name), maxName))
	if name == "" {
		return "", usersync.PlatformSync{}, usersync.Errorf(usersync.CodeInvalid, "The audience needs a name.")
	}
	id, err := c.findList(ctx, name)
	if err == nil && id == "" {
		var list struct {
			ID string `json:"id"`
		}
		_, err = c.call(ctx, http.MethodPost, "/v3/marketing/lists", map[string]any{"name": name}, &list)
		id = list.ID
	}
	if err == nil && !listID.MatchString(id) {
		err = usersync.Errorf(usersync.CodeUnavailable, "SendGrid's answer names no list.")
	}
	return id, usersync.PlatformSync{List: id}, err
}

func (c *client) findList(ctx context.Context, name string) (id string, err error) {
	query := url.Values{"page_size": {"1000"}}
	for range maxPages {
		var page struct {
			Result   []struct{ ID, Name string } `json:"result"`
			Metadata struct {
				Next string `json:"next"`
			} `json:"_metadata"`
		}
		if _, err := c.call(ctx, http.MethodGet, "/v3/marketing/lists?"+query.Encode(), nil, &page); err != nil {
			return "", err
		}
		for _, list := range page.Result {
			if list.Name == name {
				return list.ID, nil
			}
		}
		next, err := url.Parse(page.Metadata.Next)
		if err != nil || next.Query().Get("page_token") == "" {
			break
		}
		query.Set("page_token", next.Query().Get("page_token"))
	}
	return "", nil
}
