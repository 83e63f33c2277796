// Package mailchimp keeps an audience ("list") of Mailchimp in step with people:
// Marketing API 3.0. README.md says what it does and what it does not.
package mailchimp

import (
	"cmp"
	"context"
	"crypto/md5" // names a member, by the rule of the platform; protects nothing
	"encoding/base64"
	"encoding/hex"
	"net/http"
	"net/url"
	"regexp"
	"slices"
	"strings"
	"time"
	"unicode/utf8"

	"usersync/internal/connector"
	"usersync/internal/outbound"
	"usersync/internal/usersync"
)

const (
	// slice is how many members POST /lists/{id} takes.
	slice = 500
	// singleTimeout bounds a call about one person. A call about a slice has
	// Limits.Timeout; Mailchimp itself gives up after 120 s.
	singleTimeout = 30 * time.Second
	// maxTag is the longest name of a tag, in characters.
	maxTag = 100
)

// Kind is Mailchimp. An account takes ten calls at once, over all programs that
// use it; two are left to others. It publishes no rate.
var Kind = connector.Define(connector.Kind{
	Name: "mailchimp", Title: "Mailchimp", Batch: 2 * slice,
	Limits:   connector.Limits{Concurrent: 8, Timeout: 60 * time.Second},
	Classify: classify,
}, open)

// Credentials are those of an account.
type Credentials struct {
	APIKey usersync.Secret `json:"apiKey" help:"An API key of the account: Account > Extras > API keys. It ends in the datacentre, as in -us21."`
}

var datacentre = regexp.MustCompile(`^us\d{1,3}$`)

// Validate refuses a key whose end is no datacentre: a host is made of it.
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

// Settings say what is written where.
type Settings struct {
	ListID      string            `json:"listId" role:"list" help:"The audience: Audience > Settings > Audience name and defaults > Audience ID."`
	Tags        []string          `json:"tags,omitempty" role:"tags" help:"Tags that everybody gets who is pushed. No tag is taken away."`
	MergeFields connector.Mapping `json:"mergeFields,omitempty" default:"FNAME firstName, LNAME lastName" help:"Merge tags of the audience and what goes into them; FNAME and LNAME are filled where not named, and left alone where named with an empty source."`
	StatusIfNew string            `json:"statusIfNew,omitempty" default:"subscribed" options:"subscribed|pending|transactional" help:"What a person is who is not in the audience yet: pending has Mailchimp ask them to confirm, transactional gets no campaigns. Nobody who is there is changed."`
}

// listID is what ids look like; maxLists of them have room in what is kept.
var listID = regexp.MustCompile(`^[0-9A-Za-z]{1,15}$`)

// Validate finds faults that need no look at the platform.
func (s Settings) Validate() []usersync.FieldError {
	out := s.MergeFields.Check("mergeFields")
	if !listID.MatchString(s.ListID) {
		out = append(out, usersync.FieldError{Field: "listId", Message: "must be the audience's id: letters and digits, as in a36b032126"})
	}
	for _, tag := range s.Tags {
		if strings.TrimSpace(tag) == "" || utf8.RuneCountInString(tag) > maxTag {
			out = append(out, usersync.FieldError{Field: "tags", Message: "must be names of 1 to 100 characters"})
			break
		}
	}
	return out
}

// client is one connection.
type client struct {
	credentials Credentials
	settings    Settings
	mapping     connector.Mapping
	labels      map[string]string
	http        *connector.Client
}

func open(credentials Credentials, settings Settings, facts connector.Facts, http *connector.Client) (connector.Connector, error) {
	settings.StatusIfNew = cmp.Or(settings.StatusIfNew, "subscribed")
	settings.Tags = slices.Clone(settings.Tags)
	slices.Sort(settings.Tags)
	settings.Tags = slices.Compact(settings.Tags)
	return &client{credentials: credentials, settings: settings, labels: facts.Labels, http: http,
		mapping: settings.MergeFields.Or(connector.Mapping{"FNAME": "firstName", "LNAME": "lastName"})}, nil
}

// call makes one call below /3.0/lists/{list}.
func (c *client) call(ctx context.Context, method, list, path string, query url.Values, body any) (*outbound.Response, error) {
	base := "https://" + c.credentials.datacentre() + ".api.mailchimp.com"
	address := c.http.URL(base, "/3.0/lists/"+url.PathEscape(list)+path)
	if len(query) > 0 {
		address += "?" + query.Encode()
	}
	login := base64.StdEncoding.EncodeToString([]byte("usersync:" + c.credentials.APIKey.Reveal()))
	return c.http.JSON(ctx, method, address, http.Header{"Authorization": {"Basic " + login}}, body)
}

// one makes a call about one person.
func (c *client) one(ctx context.Context, method, list, path string, query url.Values, body any) (*outbound.Response, error) {
	ctx, cancel := context.WithTimeout(ctx, singleTimeout)
	defer cancel()
	return c.call(ctx, method, list, path, query, body)
}

// list is what is read of an audience.
type list struct {
	Name string `json:"name"`
	// Subscribe is the address of its form.
	Subscribe string `json:"subscribe_url_long"`
}

func (c *client) list(ctx context.Context) (list, error) {
	var l list
	answer, err := c.one(ctx, http.MethodGet, c.settings.ListID, "", url.Values{"fields": {"id,name,subscribe_url_long"}}, nil)
	if isMissing(answer) {
		return l, c.listMissing()
	}
	if err != nil {
		return l, err
	}
	return l, connector.Decode(answer, &l)
}

// Check reads the audience and its merge fields.
func (c *client) Check(ctx context.Context) (connector.Facts, error) {
	list, err := c.list(ctx)
	if failure := usersync.AsError(err); isListMissing(failure) {
		failure.Code = usersync.CodeDisconnected
	}
	if err != nil {
		return connector.Facts{}, err
	}
	if err := c.checkFields(ctx); err != nil {
		return connector.Facts{}, err
	}
	return connector.Facts{Account: c.account(list.Subscribe),
		Labels: map[string]string{"list:" + c.settings.ListID: list.Name}}, nil
}

// account names the account: the address of a list's form carries its id.
func (c *client) account(subscribe string) string {
	form, err := url.Parse(subscribe)
	if err == nil && form.Query().Get("u") != "" {
		return c.credentials.datacentre() + ":" + form.Query().Get("u")
	}
	return c.credentials.datacentre() + ":" + connector.Fingerprint(c.credentials.APIKey)
}

// checkFields finds merge tags that the audience does not have: Mailchimp takes
// them in a push and drops their values without a word.
func (c *client) checkFields(ctx context.Context) error {
	if len(c.mapping) == 0 {
		return nil
	}
	answer, err := c.one(ctx, http.MethodGet, c.settings.ListID, "/merge-fields", url.Values{"count": {"1000"}, "fields": {"merge_fields.tag"}}, nil)
	if err != nil {
		return err
	}
	var fields struct {
		MergeFields []struct {
			Tag string `json:"tag"`
		} `json:"merge_fields"`
	}
	if err := connector.Decode(answer, &fields); err != nil {
		return err
	}
	known := map[string]bool{}
	for _, f := range fields.MergeFields {
		known[f.Tag] = true
	}
	failure := usersync.Errorf(usersync.CodeDisconnected, "The audience does not have these merge fields.")
	for tag := range c.mapping {
		// The two of the default are not asked for by anybody.
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

func isMissing(answer *outbound.Response) bool {
	return answer != nil && answer.Status == http.StatusNotFound
}

// listMissing is what 404 means to a call about the audience. One that a check has
// seen is gone, and the connection with it; one that only this push names, as a
// bulk call may, is the fault of that push.
func (c *client) listMissing() *usersync.Error {
	e := &usersync.Error{Code: usersync.CodeRejected, Message: "Mailchimp knows no audience with this id in the account of the key.",
		Fields: []usersync.FieldError{{Field: "settings.listId", Message: "is no audience of the account"}}}
	if c.labels["list:"+c.settings.ListID] != "" {
		e.Code = usersync.CodeDisconnected
	}
	return e
}

// isListMissing recognizes listMissing.
func isListMissing(e *usersync.Error) bool {
	return e != nil && len(e.Fields) == 1 && e.Fields[0].Field == "settings.listId"
}

// content is what Mailchimp is told of a person.
type content struct {
	List   string         `json:"list"`
	Email  string         `json:"email"`
	Fields map[string]any `json:"fields"`
	Tags   []string       `json:"tags,omitempty"`
}

// Content is the person's address, merge fields and tags.
func (c *client) Content(p connector.Profile) any {
	return content{List: c.settings.ListID, Email: p.Email.Display(), Fields: c.fields(p), Tags: c.settings.Tags}
}

// fields are a person's merge fields. They are text or numbers there.
func (c *client) fields(p connector.Profile) map[string]any {
	values := c.mapping.Values(p)
	for tag, value := range values {
		switch value {
		case true:
			values[tag] = "true"
		case false:
			values[tag] = "false"
		}
	}
	return values
}

// Preview reads the member and says what a push would do. An audience that no
// check has seen, as a bulk call may name, is read too: of one that is not there
// nobody is a member.
func (c *client) Preview(ctx context.Context, p connector.Profile) (connector.Result, error) {
	var err error
	var there *member
	if c.labels["list:"+c.settings.ListID] == "" {
		_, err = c.list(ctx)
	}
	if err == nil {
		there, err = c.look(ctx, memberID(p.Email))
	}
	if failure := usersync.AsError(err); failure != nil && failure.Code == usersync.CodeRejected {
		return c.failed(p, failure), nil
	}
	if err != nil {
		return connector.Result{}, err
	}
	result := c.outcome(there, added(there), would)
	result.Remote = p.Remote
	return result, nil
}

// Remove erases a person from every list they were pushed to. Mailchimp takes
// them into that list no more but by their own hand.
func (c *client) Remove(ctx context.Context, p connector.Profile) (connector.Result, error) {
	kept := remoteOf(p.Remote)
	lists := kept.with(c.settings.ListID, "").Lists
	members := []string{memberID(p.Email)}
	if kept.Member != "" && kept.Member != members[0] {
		members = append(members, kept.Member) // as they were called at the last push
	}
	erased := false
	for _, list := range lists {
		for _, member := range members {
			answer, err := c.one(ctx, http.MethodPost, list, "/members/"+member+"/actions/delete-permanent", nil, nil)
			if err != nil && (answer == nil || answer.Status != http.StatusNotFound) {
				return connector.Result{}, err
			}
			erased = erased || err == nil
		}
	}
	details := "User was not in the " + c.listName(c.settings.ListID) + " list"
	if erased {
		details = "User erased from the " + c.listName(c.settings.ListID) + " list"
	}
	return connector.Result{Status: connector.Removed, Details: details}, nil
}

// MakeAudience makes an audience of this service a tag: Mailchimp shows a tag as a
// segment of the list, and bills nobody twice, as it does in a second list. A tag
// comes into being with the first member that has it.
func (c *client) MakeAudience(_ context.Context, name, _ string) (string, usersync.PlatformSync, error) {
	name = strings.TrimSpace(name)
	if runes := []rune(name); len(runes) > maxTag {
		name = strings.TrimSpace(string(runes[:maxTag]))
	}
	if name == "" {
		return "", usersync.PlatformSync{}, usersync.Errorf(usersync.CodeInvalid, "The audience needs a name.")
	}
	return name, usersync.PlatformSync{Tags: []string{name}}, nil
}

// memberID names a member of a list: the MD5 of the address in lower case.
func memberID(email usersync.Email) string {
	sum := md5.Sum([]byte(strings.ToLower(email.Display())))
	return hex.EncodeToString(sum[:])
}

// The compiler holds the connector to its optional ability.
var _ connector.AudienceMaker = (*client)(nil)
