// Package sendgrid keeps the marketing contacts of a Twilio SendGrid account in step
// with people, by API v3. README.md says what it does and what it does not do.
package sendgrid

import (
	"context"
	"fmt"
	"net/http"
	"regexp"
	"slices"
	"strings"
	"time"
	"unicode/utf8"

	"usersync/internal/connector"
	"usersync/internal/usersync"
)

// maxTag is the longest tag, in characters.
const maxTag = 100

// Platform is SendGrid. It counts 600 calls a minute for most routes of an account, and
// 200 for the contacts. The limits are for the contacts.
var Platform = connector.Define(connector.Platform{
	Name: "sendgrid", Title: "Twilio SendGrid", Batch: 1000,
	Limits: connector.Limits{
		Concurrent: 4, PerSecond: 3.1, Burst: 10, Timeout: 30 * time.Second,
		Published: []connector.Window{{Calls: 200, In: time.Minute}},
	},
	Classify: classify, Inbound: &inbound,
}, open)

var (
	listID = regexp.MustCompile(`^[0-9A-Fa-f]{8}(-[0-9A-Fa-f]{4}){3}-[0-9A-Fa-f]{12}$`)
	// reserved are SendGrid's own fields that may be written, and the most characters they
	// take. 0 means that no bound is published. The last three are identifiers.
	reserved = map[string]int{"first_name": 50, "last_name": 50, "country": 50, "state_province_region": 50, "city": 60, "postal_code": 0,
		"address_line_1": 100, "address_line_2": 100, "phone_number_id": 0, "external_id": 254, "anonymous_id": 254}
)

// Credentials are what a connection signs in with.
type Credentials struct {
	APIKey     usersync.Secret `json:"apiKey" help:"An API key with full access to Marketing, and to Suppressions and Recipients' Data Erasure: Settings > API Keys."`
	WebhookKey string          `json:"webhookKey,omitempty" help:"Verification key of the signed Event Webhook, which is public: without it no call of SendGrid is taken."`
}

// Settings say where people are put and what is sent of them.
type Settings struct {
	ListIDs      []string          `json:"listIds,omitempty" role:"list" help:"Ids of the lists that all pushed people are put on. Without lists people are only contacts."`
	Tags         []string          `json:"tags,omitempty" role:"tags" help:"Tags that all pushed people get. SendGrid has no tags of its own, so they are written to tagsField."`
	TagsField    string            `json:"tagsField,omitempty" help:"Name of the custom text field that tags are written to, separated by commas; needed with tags."`
	CustomFields connector.Mapping `json:"customFields,omitempty" default:"first_name firstName, last_name lastName, country country" help:"Names of custom or reserved fields and what goes into them; first_name, last_name and country are filled where not named, and left alone where named with an empty source."`
}

// Validate finds faults that can be found without asking the platform.
func (s Settings) Validate() []usersync.FieldError {
	var faults connector.Faults = s.CustomFields.Check("customFields")
	faults.Add(slices.ContainsFunc(s.ListIDs, func(id string) bool { return !listID.MatchString(id) }),
		"listIds", "must be ids of lists, as in 3f641067-6b50-4353-8c87-0825fbb85228")
	faults.Add(slices.ContainsFunc(s.Tags, func(tag string) bool { return !isTag(tag) }),
		"tags", "must be names of 1 to 100 characters without commas")
	faults.Add(len(s.Tags) > 0 && s.TagsField == "", "tagsField", "is required with tags: the name of a custom text field")
	return faults
}

func isTag(tag string) bool {
	return strings.TrimSpace(tag) != "" && !strings.Contains(tag, ",") && utf8.RuneCountInString(tag) <= maxTag
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

// base is the address of the API. SendGrid describes no other one for contacts, lists and
// fields, not even for subusers that it keeps in the European Union.
func (c *client) base() string { return c.http.URL("https://api.sendgrid.com", "") }

// call makes a call. A nil body sends none, and a nil to reads none.
func (c *client) call(ctx context.Context, method, path string, body, to any) (*connector.Response, error) {
	return c.http.Call(ctx, method, c.base()+path, http.Header{"Authorization": {"Bearer " + c.key.Reveal()}}, body, to)
}

// Check reads the fields and the lists.
func (c *client) Check(ctx context.Context) (connector.Facts, error) {
	// No answer names the account to a key that may only do what is needed.
	facts := connector.Facts{Account: connector.Fingerprint(c.key), Labels: map[string]string{}}
	var definitions struct {
		Custom   []struct{ ID, Name string } `json:"custom_fields"`
		Reserved []struct{ ID string }       `json:"reserved_fields"`
	}
	if _, err := c.call(ctx, http.MethodGet, "/v3/marketing/field_definitions", nil, &definitions); err != nil {
		return connector.Facts{}, fmt.Errorf("read the fields: %w", err)
	}
	if definitions.Custom == nil && definitions.Reserved == nil {
		return connector.Facts{}, connector.Unexpected(platform)
	}
	for _, f := range definitions.Custom {
		if _, used := c.mapping[f.Name]; used || f.Name == c.settings.TagsField {
			facts.Labels["field:"+f.Name] = f.ID
		}
	}
	faults := c.missing(facts.Labels)
	lost, err := c.findLists(ctx, facts.Labels)
	if err != nil {
		return connector.Facts{}, fmt.Errorf("find the lists: %w", err)
	}
	if faults = append(faults, lost...); len(faults) > 0 {
		return connector.Facts{}, absent(faults)
	}
	return facts, nil
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
