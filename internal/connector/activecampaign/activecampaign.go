// Package activecampaign pushes people to ActiveCampaign as contacts. See
// README.md for what is known of the platform and from where.
package activecampaign

import (
	"cmp"
	"context"
	"net/http"
	"net/url"
	"regexp"
	"strings"
	"sync"
	"time"

	"usersync/internal/connector"
	"usersync/internal/outbound"
	"usersync/internal/usersync"
)

const (
	// api is where the API is below the account's address.
	api = "/api/3"
	// singly is up to how many people are pushed one by one: ActiveCampaign asks
	// not to import up to 10 in bulk.
	singly = 10
)

// Kind is ActiveCampaign. It counts 5 calls a second of an account, all keys
// together. An import takes 250 contacts, but before it everybody has to be
// looked up who may have left the list, which can be a call for each: 50 take ten
// seconds at most.
var Kind = connector.Define(connector.Kind{
	Name: "activecampaign", Title: "ActiveCampaign", Batch: 50,
	Limits:   connector.Limits{Concurrent: 4, PerSecond: 5, Burst: 5, Timeout: 30 * time.Second},
	Classify: classify,
}, open)

// Credentials are what ActiveCampaign knows us by.
type Credentials struct {
	APIToken usersync.Secret `json:"apiToken" help:"API key of a user, from Settings, Developer. The user needs the permissions to manage contacts, lists and tags."`
}

// Settings say where and what is pushed.
type Settings struct {
	AccountURL string            `json:"accountUrl" help:"API address of the account, from Settings, Developer: https://….api-us1.com or https://….activehosted.com. For any other host set baseUrl too."`
	List       string            `json:"listId,omitempty" role:"list" help:"Number of the list that people are subscribed to; none when left out. Who has unsubscribed from it stays off."`
	Tags       []string          `json:"tags,omitempty" role:"tags" help:"Names of tags that every person gets. A tag that does not exist is made at the first push."`
	Fields     connector.Mapping `json:"fields,omitempty" default:"firstName: firstName, lastName: lastName" help:"ActiveCampaign's field → ours: firstName, lastName, phone, or a custom field by its number, personalisation tag or title."`
	Quiet      bool              `json:"excludeAutomations,omitempty" help:"Keep bulk imports from starting automations. Single contacts always start them."`
}

// defaults are mapped where the settings do not say otherwise.
var defaults = connector.Mapping{"firstName": "firstName", "lastName": "lastName"}

var (
	// accountHost is the host of an account: the ends of such names that
	// ActiveCampaign's documentation shows.
	accountHost = regexp.MustCompile(`^([a-z0-9-]+\.)+(api-us1|activehosted)\.com$`)

	number = regexp.MustCompile(`^[0-9]{1,18}$`)
)

// Validate returns what is wrong with the settings.
func (s Settings) Validate() []usersync.FieldError {
	faults := s.Fields.Check("fields")
	if _, ok := s.Fields["email"]; ok {
		faults = append(faults, usersync.FieldError{Field: "fields.email", Message: "is always the user's address"})
	}
	if s.List != "" && !number.MatchString(s.List) {
		faults = append(faults, usersync.FieldError{Field: "listId", Message: "must be the number of a list"})
	}
	if host(s.AccountURL) == "" {
		faults = append(faults, usersync.FieldError{Field: "accountUrl",
			Message: "must be like https://example.api-us1.com or https://example.activehosted.com"})
	}
	return faults
}

// host returns the account's host, in lower case; "" for an address that is none
// of ActiveCampaign's. A path is taken only when it is that of the API, as people
// copy it.
func host(raw string) string {
	u, err := url.Parse(strings.TrimRight(raw, "/"))
	if err != nil || u.Scheme != "https" || u.User != nil || u.Port() != "" || u.RawQuery != "" || u.Fragment != "" {
		return ""
	}
	name := strings.ToLower(u.Hostname())
	if !accountHost.MatchString(name) || u.Path != "" && u.Path != api {
		return ""
	}
	return name
}

type activeCampaign struct {
	client   *connector.Client
	token    usersync.Secret
	settings Settings
	mapping  connector.Mapping

	// making is held while tags are looked up and made.
	making sync.Mutex

	mu sync.Mutex
	// labels are those of the last check, and what was looked up since.
	labels map[string]string
}

func open(credentials Credentials, settings Settings, facts connector.Facts, client *connector.Client) (connector.Connector, error) {
	a := &activeCampaign{
		client: client, token: credentials.APIToken, settings: settings,
		mapping: settings.Fields.Or(defaults), labels: map[string]string{},
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

// call makes a call; body nil sends none, to nil reads none.
func (a *activeCampaign) call(ctx context.Context, method, path string, body, to any) (*outbound.Response, error) {
	header := http.Header{"Api-Token": {a.token.Reveal()}, "Accept": {"application/json"}}
	address := a.client.URL("https://"+host(a.settings.AccountURL), api+path)
	response, err := a.client.JSON(ctx, method, address, header, body)
	if err != nil {
		return response, err
	}
	if to != nil {
		err = connector.Decode(response, to)
	}
	return response, err
}

// Check tries the token and finds list, fields and tags. The limits count for
// the account, which is its host.
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
	facts := connector.Facts{Account: host(a.settings.AccountURL), Labels: map[string]string{}}
	if a.settings.List != "" {
		name, err := a.listName(ctx)
		if err != nil {
			return connector.Facts{}, err
		}
		facts.Labels["list:"+a.settings.List] = name
	}
	fields, err := a.findFields(ctx)
	if err != nil {
		return connector.Facts{}, err
	}
	for name, field := range fields {
		facts.Labels["field:"+name] = string(field)
	}
	for _, name := range a.settings.Tags {
		tag, err := a.findTag(ctx, name)
		if err != nil {
			return connector.Facts{}, err
		}
		if tag != "" {
			facts.Labels["tag:"+name] = string(tag)
		}
	}
	return facts, nil
}

// noAccount turns the 404 of a call that names nothing into what it means.
func noAccount(response *outbound.Response, err error) error {
	if response == nil || response.Status != http.StatusNotFound {
		return err
	}
	return usersync.Errorf(usersync.CodeDisconnected, "There is no ActiveCampaign account at this address.")
}

func (a *activeCampaign) listName(ctx context.Context) (string, error) {
	var answer struct {
		List struct {
			Name string `json:"name"`
		} `json:"list"`
	}
	response, err := a.call(ctx, http.MethodGet, "/lists/"+a.settings.List, nil, &answer)
	if err == nil {
		return cmp.Or(answer.List.Name, a.settings.List), nil
	}
	if response != nil && response.Status == http.StatusNotFound {
		return "", usersync.Errorf(usersync.CodeDisconnected, "ActiveCampaign has no list %s.", a.settings.List)
	}
	return "", err
}

// Preview looks the person up.
func (a *activeCampaign) Preview(ctx context.Context, p connector.Profile) (connector.Result, error) {
	one, err := a.lookUp(ctx, p)
	if err != nil {
		return connector.Result{}, err
	}
	switch {
	case one.contact == "":
		return connector.Result{Status: connector.Added, Details: a.would(connector.Added)}, nil
	case one.left:
		return connector.Result{Status: connector.Skipped, Reason: usersync.ReasonUnsubscribed, Remote: string(one.contact),
			Details: "User has unsubscribed from the '" + a.list() + "' list: the contact would be updated, but not be subscribed again"}, nil
	}
	return connector.Result{Status: connector.Updated, Remote: string(one.contact), Details: a.would(connector.Updated)}, nil
}

// Remove deletes the contact with the address.
func (a *activeCampaign) Remove(ctx context.Context, p connector.Profile) (connector.Result, error) {
	one, err := a.lookUp(ctx, p)
	if err != nil {
		return connector.Result{}, err
	}
	if one.contact != "" {
		response, err := a.call(ctx, http.MethodDelete, "/contacts/"+string(one.contact), nil, nil)
		if err != nil && (response == nil || response.Status != http.StatusNotFound) {
			return connector.Result{}, err
		}
	}
	return connector.Result{Status: connector.Removed, Details: "User deleted from ActiveCampaign"}, nil
}

// list is the name of the list people are put on, "" for none.
func (a *activeCampaign) list() string {
	return cmp.Or(a.label("list:"+a.settings.List), a.settings.List)
}

func (a *activeCampaign) did(s connector.Status) string {
	return connector.Did(s, a.list(), a.settings.Tags)
}

func (a *activeCampaign) would(s connector.Status) string {
	return connector.Would(s, a.list(), a.settings.Tags)
}

// leftResult is that of a person who has unsubscribed: known as they are now, but
// not subscribed again.
func (a *activeCampaign) leftResult(contact id) connector.Result {
	return connector.Result{Status: connector.Skipped, Reason: usersync.ReasonUnsubscribed, Remote: string(contact),
		Details: "User has unsubscribed from the '" + a.list() + "' list: contact updated, not subscribed again"}
}
