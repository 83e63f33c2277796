// Package activecampaign pushes people to ActiveCampaign as contacts. See
// README.md for what is known of the platform and from where.
package activecampaign

import (
	"context"
	"fmt"
	"net/http"
	"net/url"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"sync"
	"time"

	"usersync/internal/connector"
	"usersync/internal/usersync"
)

const (
	// api is the path of the API below the account's address.
	api = "/api/3"
	// singly is the most people who are pushed one by one. ActiveCampaign asks not to
	// import up to 10 people in bulk.
	singly = 10
)

// Platform is ActiveCampaign. It counts 5 calls a second for an account, over all its
// keys. A batch is an import of 250 contacts, which is as many as it takes.
var Platform = connector.Define(connector.Platform{
	Name: "activecampaign", Title: "ActiveCampaign", Batch: 250,
	Limits: connector.Limits{
		Concurrent: 4, PerSecond: 4.5, Burst: 1, Timeout: 30 * time.Second,
		Published: []connector.Window{{Calls: 5, In: time.Second}},
	},
	Classify: classify, Inbound: &inbound,
}, open)

// defaults are mapped unless the settings say otherwise.
var defaults = connector.Mapping{"firstName": "firstName", "lastName": "lastName"}

// accountHost is the host of an account. ActiveCampaign's documentation shows names
// that end like this. The letters in api-us1 are those of the region that the account is
// in.
var accountHost = regexp.MustCompile(`^([a-z0-9-]+\.)+(api-[a-z]{2}[0-9]{1,2}|activehosted)\.com$`)

// anyHost is any name of a host, for an account that is called at another address.
var anyHost = regexp.MustCompile(`^([a-z0-9-]+\.)+[a-z]{2,}$`)

// Credentials are what a connection signs in with.
type Credentials struct {
	APIToken usersync.Secret `json:"apiToken" help:"API key of a user, from Settings, Developer. The user needs the permissions to manage contacts, lists and tags."`
}

// Settings say where people are put and what is sent of them.
type Settings struct {
	AccountURL string            `json:"accountUrl" role:"address" help:"API address of the account, from Settings, Developer: https://….api-us1.com, https://….api-eu1.com or https://….activehosted.com. For any other host set baseUrl too, which is called then."`
	List       string            `json:"listId,omitempty" role:"list" help:"Number of the list that people are subscribed to. Without it they are subscribed to none. People who have unsubscribed from it stay unsubscribed."`
	Tags       []string          `json:"tags,omitempty" role:"tags" help:"Names of tags that every person gets. A tag that does not exist is made at the first push."`
	Fields     connector.Mapping `json:"fields,omitempty" default:"firstName: firstName, lastName: lastName" help:"ActiveCampaign's field → ours: firstName, lastName, phone, or a custom field by its number, personalisation tag or title."`
	Quiet      bool              `json:"excludeAutomations,omitempty" help:"Keep bulk imports from starting automations. Single contacts always start them."`
}

// Validate returns what is wrong with the settings.
func (s Settings) Validate() []usersync.FieldError {
	var faults connector.Faults = s.Fields.Check("fields")
	_, email := s.Fields["email"]
	faults.Add(email, "fields.email", "is always the user's address")
	faults.Add(s.List != "" && !connector.IsNumber(s.List), "listId", "must be the number of a list")
	faults.Add(hostOf(s.AccountURL, anyHost) == "", "accountUrl", wrongAddress)
	return faults
}

const wrongAddress = "must be like https://example.api-us1.com or https://example.activehosted.com; for any other host set baseUrl too"

// host returns the account's host in lower case. It returns "" for an address that is
// not one of ActiveCampaign's.
func host(raw string) string { return hostOf(raw, accountHost) }

// hostOf returns the host of an address in lower case if it is of a form, else "". It
// takes the path of the API, because people copy it, and no other path.
func hostOf(raw string, form *regexp.Regexp) string {
	u, err := url.Parse(strings.TrimRight(raw, "/"))
	if err != nil || u.Scheme != "https" || u.User != nil || u.Port() != "" || u.RawQuery != "" || u.Fragment != "" {
		return ""
	}
	name := strings.ToLower(u.Hostname())
	if !form.MatchString(name) || u.Path != "" && u.Path != api {
		return ""
	}
	return name
}

type activeCampaign struct {
	client   *connector.Client
	token    usersync.Secret
	settings Settings
	mapping  connector.Mapping

	// making is locked while tags are looked up and made.
	making sync.Mutex

	facts connector.Facts

	mu sync.Mutex
	// labels are those of the last check, and those that were looked up since.
	labels map[string]string
}

func open(credentials Credentials, settings Settings, facts connector.Facts, client *connector.Client) (connector.Connector, error) {
	if host(settings.AccountURL) == "" && client.URL("", "") == "" {
		return nil, connector.Faults{{Field: "settings.accountUrl", Message: wrongAddress}}.Err()
	}
	a := &activeCampaign{
		client: client, token: credentials.APIToken, settings: settings,
		mapping: settings.Fields.Or(defaults), facts: facts, labels: map[string]string{},
	}
	for name, label := range facts.Labels {
		a.labels[name] = label
	}
	return a, nil
}

func (a *activeCampaign) label(name string) string {
	a.mu.Lock()
	defer a.mu.Unlock()
	return a.labels[name]
}

func (a *activeCampaign) learn(name, label string) {
	a.mu.Lock()
	defer a.mu.Unlock()
	a.labels[name] = label
}

// id is the number of a thing at ActiveCampaign.
type id = connector.NumberID

// call makes a call. A nil body sends none, and a nil to reads none.
func (a *activeCampaign) call(ctx context.Context, method, path string, body, to any) (*connector.Response, error) {
	header := http.Header{"Api-Token": {a.token.Reveal()}, "Accept": {"application/json"}}
	address := a.client.URL("https://"+host(a.settings.AccountURL), api+path)
	return a.client.Call(ctx, method, address, header, body, to)
}

// Check tries the token and finds the list, the fields and the tags. The limits are
// counted for the account, which its host names.
func (a *activeCampaign) Check(ctx context.Context) (connector.Facts, error) {
	var me struct {
		User struct {
			ID id `json:"id"`
		} `json:"user"`
	}
	if response, err := a.call(ctx, http.MethodGet, "/users/me", nil, &me); err != nil {
		return connector.Facts{}, noAccount(response, err)
	}
	if me.User.ID == "" {
		return connector.Facts{}, usersync.Errorf(usersync.CodeUnavailable, "ActiveCampaign named no user for the key.")
	}
	facts := connector.Facts{Account: hostOf(a.settings.AccountURL, anyHost), Labels: map[string]string{}}
	if a.settings.List != "" {
		name, err := a.listName(ctx)
		if usersync.CodeOf(err) == usersync.CodeRejected {
			err = connector.WrongSetting("listId", usersync.AsError(err).Message)
		}
		if err != nil {
			return connector.Facts{}, fmt.Errorf("find the list: %w", err)
		}
		facts.Labels["list:"+a.settings.List] = name
	}
	fields, err := a.findFields(ctx)
	if err != nil {
		return connector.Facts{}, fmt.Errorf("find the custom fields: %w", err)
	}
	for name, field := range fields {
		facts.Labels["field:"+name] = string(field)
		facts.Labels["type:"+name] = a.label("type:" + name)
	}
	for _, name := range a.settings.Tags {
		tag, err := a.findTag(ctx, name)
		if err != nil {
			return connector.Facts{}, fmt.Errorf("find a tag: %w", err)
		}
		if tag != "" {
			facts.Labels["tag:"+name] = string(tag)
		}
	}
	return facts, nil
}

// fields returns the numbers of the mapped custom fields, by the names in the
// settings. It takes them from the last check, or looks them up.
func (a *activeCampaign) fields(ctx context.Context) (map[string]id, error) {
	known := map[string]id{}
	complete := true
	for _, name := range a.custom() {
		known[name] = id(a.label("field:" + name))
		complete = complete && known[name] != ""
	}
	if complete {
		return known, nil
	}
	return a.findFields(ctx)
}

// custom are the names of the custom fields that are mapped.
func (a *activeCampaign) custom() []string {
	var out []string
	for name := range a.mapping {
		if !slices.Contains(standard, name) {
			out = append(out, name)
		}
	}
	slices.Sort(out)
	return out
}

// pageSize is how many fields or tags one read asks for. pages is the most reads; no
// account has so many fields or tags.
const (
	pageSize = 100
	pages    = 50
)

type field struct {
	ID    id     `json:"id"`
	Title string `json:"title"`
	Tag   string `json:"perstag"`
	Type  string `json:"type"`
}

// findFields looks up the mapped custom fields. A field that does not exist
// disconnects, because nothing could be pushed as the settings say.
func (a *activeCampaign) findFields(ctx context.Context) (map[string]id, error) {
	names := a.custom()
	out := map[string]id{}
	if len(names) == 0 {
		return out, nil
	}
	all, err := a.allFields(ctx)
	if err != nil {
		return nil, err
	}
	for _, name := range names {
		i := slices.IndexFunc(all, func(f field) bool {
			return string(f.ID) == name || strings.EqualFold(f.Tag, strings.Trim(name, "%")) || strings.EqualFold(f.Title, name)
		})
		if i < 0 {
			return nil, usersync.Errorf(usersync.CodeDisconnected, "ActiveCampaign has no field '%s'.", name)
		}
		out[name] = all[i].ID
		a.learn("field:"+name, string(all[i].ID))
		a.learn("type:"+name, all[i].Type)
	}
	return out, nil
}

func (a *activeCampaign) allFields(ctx context.Context) ([]field, error) {
	var all []field
	for page := range pages {
		var answer struct {
			Fields []field `json:"fields"`
		}
		query := url.Values{"limit": {strconv.Itoa(pageSize)}, "offset": {strconv.Itoa(page * pageSize)}}
		if _, err := a.call(ctx, http.MethodGet, "/fields?"+query.Encode(), nil, &answer); err != nil {
			return nil, fmt.Errorf("read a page of fields: %w", err)
		}
		if answer.Fields == nil {
			return nil, connector.Unexpected(platform)
		}
		all = append(all, answer.Fields...)
		if len(answer.Fields) < pageSize {
			break
		}
	}
	return all, nil
}
