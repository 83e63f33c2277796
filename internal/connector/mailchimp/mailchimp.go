// Package mailchimp keeps an audience ("list") of Mailchimp in step with people, by
// the Marketing API 3.0. README.md says what it does and what it does not do.
package mailchimp

import (
	"cmp"
	"context"
	"encoding/base64"
	"fmt"
	"net/http"
	"net/url"
	"regexp"
	"slices"
	"strings"
	"time"
	"unicode/utf8"

	"usersync/internal/connector"
	"usersync/internal/usersync"
)

const (
	// slice is how many members POST /lists/{id} takes.
	slice = 500
	// singleTimeout bounds a call about one person. A call about a slice has
	// Limits.Timeout. Mailchimp itself gives up after 120 s.
	singleTimeout = 30 * time.Second
	// maxTag is the longest name of a tag, in characters.
	maxTag = 100
)

// Platform is Mailchimp. An account takes ten calls at once from all programs that use it.
// Two of them are left to other programs. Mailchimp publishes no rate.
var Platform = connector.Define(connector.Platform{
	Name: "mailchimp", Title: "Mailchimp", Batch: 2 * slice,
	Limits:   connector.Limits{Concurrent: 8, Timeout: 60 * time.Second},
	Classify: classify, Inbound: &inbound,
}, open)

var datacentre = regexp.MustCompile(`^us\d{1,3}$`)

// Credentials are what a connection signs in with.
type Credentials struct {
	APIKey        usersync.Secret `json:"apiKey" help:"An API key of the account: Account > Extras > API keys. It ends in the datacentre, as in -us21."`
	WebhookSecret usersync.Secret `json:"webhookSecret,omitzero" help:"Secret of the audience's webhook, which Mailchimp shows once: calls that do not carry its signature are refused then."`
}

// Settings say where people are put and what is sent of them.
type Settings struct {
	ListID               string            `json:"listId" role:"list" help:"The audience: Audience > Settings > Audience name and defaults > Audience ID."`
	Tags                 []string          `json:"tags,omitempty" role:"tags" help:"Tags that all pushed people get. No tag is taken away."`
	MergeFields          connector.Mapping `json:"mergeFields,omitempty" default:"FNAME firstName, LNAME lastName" help:"Merge tags of the audience and what goes into them; FNAME and LNAME are filled where not named, and left alone where named with an empty source."`
	StatusIfNew          string            `json:"statusIfNew,omitempty" default:"subscribed" options:"subscribed|pending|transactional" help:"Status of a person who is not in the audience yet: pending has Mailchimp ask them to confirm, transactional gets no campaigns. Nobody who is there is changed."`
	MarketingPermissions []string          `json:"marketingPermissions,omitempty" help:"Ids of the marketing permissions (GDPR fields) of the audience that people get who agreed to e-mail."`
	Archive              bool              `json:"archive,omitempty" default:"false" help:"Archive people who are erased here, instead of deleting them for good: their data stays at Mailchimp, and they can be added again." role:"archive"`
}

// Validate refuses a key that does not end in a datacentre, because the host is made
// of it.
func (c Credentials) Validate() []usersync.FieldError {
	if datacentre.MatchString(c.datacentre()) {
		return nil
	}
	return []usersync.FieldError{{Field: "apiKey", Message: "must end in the datacentre of the account, as in -us21"}}
}

func (c Credentials) datacentre() string {
	key := c.APIKey.Reveal()
	return key[strings.LastIndexByte(key, '-')+1:]
}

// listID matches ids of lists. Twenty of them fit into what is kept of a person, see
// maxLists.
var listID = regexp.MustCompile(`^[0-9A-Za-z]{1,15}$`)

// Validate finds faults that can be found without asking the platform.
func (s Settings) Validate() []usersync.FieldError {
	var faults connector.Faults = s.MergeFields.Check("mergeFields")
	faults.Add(!listID.MatchString(s.ListID), "listId", "must be the audience's id: letters and digits, as in a36b032126")
	faults.Add(slices.ContainsFunc(s.Tags, func(tag string) bool { return !isTag(tag) }), "tags", "must be names of 1 to 100 characters")
	return faults
}

func isTag(tag string) bool {
	return strings.TrimSpace(tag) != "" && utf8.RuneCountInString(tag) <= maxTag
}

// client is one connection.
type client struct {
	credentials Credentials
	settings    Settings
	mapping     connector.Mapping
	facts       connector.Facts
	http        *connector.Client
}

func open(credentials Credentials, settings Settings, facts connector.Facts, http *connector.Client) (connector.Connector, error) {
	settings.StatusIfNew = cmp.Or(settings.StatusIfNew, "subscribed")
	settings.Tags = slices.Clone(settings.Tags)
	slices.Sort(settings.Tags)
	settings.Tags = slices.Compact(settings.Tags)
	return &client{credentials: credentials, settings: settings, facts: facts, http: http,
		mapping: settings.MergeFields.Or(connector.Mapping{"FNAME": "firstName", "LNAME": "lastName"})}, nil
}

// call makes a call below /3.0/lists/{list}. A nil body sends none, and a nil to reads
// none.
func (c *client) call(ctx context.Context, method, list, path string, query url.Values, body, to any) (*connector.Response, error) {
	base := "https://" + c.credentials.datacentre() + ".api.mailchimp.com"
	address := c.http.URL(base, "/3.0/lists/"+url.PathEscape(list)+path)
	if len(query) > 0 {
		address += "?" + query.Encode()
	}
	login := base64.StdEncoding.EncodeToString([]byte("usersync:" + c.credentials.APIKey.Reveal()))
	return c.http.Call(ctx, method, address, http.Header{"Authorization": {"Basic " + login}}, body, to)
}

// one makes a call about one person.
func (c *client) one(ctx context.Context, method, list, path string, query url.Values, body, to any) (*connector.Response, error) {
	ctx, cancel := context.WithTimeout(ctx, singleTimeout)
	defer cancel()
	return c.call(ctx, method, list, path, query, body, to)
}

// Check reads the audience and its merge fields.
func (c *client) Check(ctx context.Context) (connector.Facts, error) {
	list, err := c.list(ctx)
	if failure := usersync.AsError(err); isListMissing(failure) {
		failure.Code = usersync.CodeDisconnected
	}
	if err != nil {
		return connector.Facts{}, fmt.Errorf("read the audience: %w", err)
	}
	labels := map[string]string{"list:" + c.settings.ListID: list.Name}
	if err := c.checkFields(ctx, labels); err != nil {
		return connector.Facts{}, fmt.Errorf("check the merge fields: %w", err)
	}
	return connector.Facts{Account: c.account(list.Subscribe), Labels: labels}, nil
}

// account names the account. The address of a list's form carries its id.
func (c *client) account(subscribe string) string {
	form, err := url.Parse(subscribe)
	if err == nil && form.Query().Get("u") != "" {
		return c.credentials.datacentre() + ":" + form.Query().Get("u")
	}
	return c.credentials.datacentre() + ":" + connector.Fingerprint(c.credentials.APIKey)
}

// checkFields notes the types of merge fields, and finds merge tags that the audience
// does not have. Mailchimp takes them in a push and silently drops their values.
func (c *client) checkFields(ctx context.Context, labels map[string]string) error {
	if len(c.mapping) == 0 {
		return nil
	}
	var fields struct {
		MergeFields []struct {
			Tag  string `json:"tag"`
			Type string `json:"type"`
		} `json:"merge_fields"`
	}
	query := url.Values{"count": {"1000"}, "fields": {"merge_fields.tag,merge_fields.type"}}
	if _, err := c.one(ctx, http.MethodGet, c.settings.ListID, "/merge-fields", query, nil, &fields); err != nil {
		return fmt.Errorf("read the merge fields: %w", err)
	}
	if fields.MergeFields == nil {
		return connector.Unexpected(platform)
	}
	known := map[string]bool{}
	for _, f := range fields.MergeFields {
		known[f.Tag] = true
		if _, mapped := c.mapping[f.Tag]; mapped {
			labels["field:"+f.Tag] = f.Type
		}
	}
	failure := usersync.Errorf(usersync.CodeDisconnected, "The audience does not have these merge fields.")
	for tag := range c.mapping {
		// Nobody asks for the two default fields.
		if _, asked := c.settings.MergeFields[tag]; asked && !known[tag] {
			failure.Fields = append(failure.Fields, usersync.FieldError{Field: "settings.mergeFields." + tag, Message: "is no merge field of the audience"})
		}
	}
	if len(failure.Fields) == 0 {
		return nil
	}
	slices.SortFunc(failure.Fields, func(a, b usersync.FieldError) int { return strings.Compare(a.Field, b.Field) })
	return failure
}
