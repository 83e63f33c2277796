// Package hubspot pushes people into HubSpot as contacts. README.md says what a
// connection needs and what of HubSpot's behaviour is not confirmed.
package hubspot

import (
	"context"
	"fmt"
	"maps"
	"net/http"
	"net/url"
	"regexp"
	"slices"
	"strings"
	"time"

	"usersync/internal/connector"
	"usersync/internal/usersync"
)

// pushed is how many people one push takes: it makes an upsert for every 100 of them, and
// one addition to the list for all.
const pushed = 500

// maxBatch is how many records a batch call takes:
// https://developers.hubspot.com/docs/api-reference/latest/crm/objects/contacts/guide
const maxBatch = 100

const (
	baseURL = "https://api.hubapi.com"
	// byEmail is the property that contacts are found by, unless a connection names
	// another.
	byEmail        = "email"
	defaultVersion = "v3"
	// contactType is HubSpot's id of the object type "contact", which lists name.
	contactType = "0-1"
)

// Platform is HubSpot. The limits are those of a private app in a Free or Starter account.
var Platform = connector.Define(connector.Platform{
	Name: "hubspot", Title: "HubSpot", Batch: pushed,
	Limits: connector.Limits{
		PerSecond: 9, Burst: 10, Timeout: 30 * time.Second,
		Published: []connector.Window{{Calls: 100, In: 10 * time.Second}},
	},
	Classify: classify, Inbound: &inbound,
}, open)

// defaultProperties are properties that every account has.
var defaultProperties = connector.Mapping{"firstname": "firstName", "lastname": "lastName", "jobtitle": "jobTitle"}

var (
	listID       = regexp.MustCompile(`^[0-9]{1,20}$`)
	propertyName = regexp.MustCompile(`^[a-z0-9_]{1,100}$`)
	version      = regexp.MustCompile(`^(v3|[0-9]{4}-[0-9]{2}(-beta)?)$`)
)

// Credentials are what a connection signs in with.
type Credentials struct {
	AccessToken  usersync.Secret `json:"accessToken" help:"Access token of a private app with the scopes crm.objects.contacts.read and .write, crm.schemas.contacts.read and, for lists, crm.lists.read and .write; to pass on who unsubscribed, communication_preferences.read_write."`
	ClientSecret usersync.Secret `json:"clientSecret,omitzero" help:"Client secret of the app, which signs its webhooks: without it no call of HubSpot is taken."`
}

// Settings say where people are put and what is sent of them.
type Settings struct {
	List         string            `json:"list,omitempty" help:"Id of the static list (segment) that people are added to, such as 42." role:"list"`
	Tags         []string          `json:"tags,omitempty" help:"Values added to the property tagsProperty of everybody." role:"tags"`
	TagsProperty string            `json:"tagsProperty,omitempty" help:"Internal name of the contact property that takes the tags, best one of multiple checkboxes."`
	Properties   connector.Mapping `json:"properties,omitempty" help:"Internal names of contact properties with the field each takes its value from; beside firstname, lastname and jobtitle. An empty field leaves a property out."`
	IDProperty   string            `json:"idProperty,omitempty" help:"Contact property that people are found by: email, or a property with unique values that takes our user id." default:"email"`
	APIVersion   string            `json:"apiVersion,omitempty" help:"Version of HubSpot's API: v3, or a date such as 2026-03." default:"v3"`
	Archive      bool              `json:"archive,omitempty" help:"Archive people who are erased here, instead of deleting them for good: HubSpot keeps them for 90 days, in which they can be restored." default:"false" role:"archive"`
}

// Validate finds what the types cannot say.
func (s Settings) Validate() []usersync.FieldError {
	var faults connector.Faults = s.Properties.Check("properties")
	faults.Add(s.List != "" && !listID.MatchString(s.List), "list", "must be the number of a list")
	faults.Add(s.APIVersion != "" && !version.MatchString(s.APIVersion), "apiVersion", "must be v3 or a date such as 2026-03")
	faults.Add(len(s.Tags) > 0 && s.TagsProperty == "", "tagsProperty", "is required where there are tags: the property that takes them")
	for _, tag := range s.Tags {
		faults.Add(tag == "" || strings.Contains(tag, ";"), "tags", "must not be empty and must not contain a semicolon")
	}
	for name := range s.Properties {
		faults.Add(!propertyName.MatchString(name), "properties."+name, "must be the internal name of a property: lower case letters, digits and underscores")
		faults.Add(consent(name), "properties."+name, "says whether a person wants mail: only HubSpot and the person may change it")
	}
	for field, name := range map[string]string{"tagsProperty": s.TagsProperty, "idProperty": s.IDProperty} {
		faults.Add(name != "" && !propertyName.MatchString(name), field, "must be the internal name of a property")
		faults.Add(consent(name), field, "says whether a person wants mail: only HubSpot and the person may change it")
	}
	return faults
}

// consent reports whether a property holds what a person agreed to receive.
func consent(property string) bool {
	for _, prefix := range []string{"hs_email_optout", "hs_legal_basis", "hs_marketable"} {
		if strings.HasPrefix(property, prefix) {
			return true
		}
	}
	return false
}

// hubspot is one connection.
type hubspot struct {
	token      usersync.Secret
	settings   Settings
	properties connector.Mapping
	facts      connector.Facts
	client     *connector.Client
}

func open(c Credentials, s Settings, facts connector.Facts, client *connector.Client) (connector.Connector, error) {
	if s.IDProperty == "" {
		s.IDProperty = byEmail
	}
	if s.APIVersion == "" {
		s.APIVersion = defaultVersion
	}
	return &hubspot{
		token: c.AccessToken, settings: s, properties: s.Properties.Or(defaultProperties), facts: facts, client: client,
	}, nil
}

// path returns the path of a family of calls, such as objects and lists, in the
// version that is set. It is /crm/v3/objects/contacts, but
// /crm/objects/2026-03/contacts.
func (h *hubspot) path(family, rest string) string {
	if h.settings.APIVersion == defaultVersion {
		return "/crm/v3/" + family + rest
	}
	return "/crm/" + family + "/" + h.settings.APIVersion + rest
}

// call makes a call. A nil body sends none, and a nil to reads none.
func (h *hubspot) call(ctx context.Context, method, path string, body, to any) (*connector.Response, error) {
	header := http.Header{"Authorization": {"Bearer " + h.token.Reveal()}}
	return h.client.Call(ctx, method, h.client.URL(baseURL, path), header, body, to)
}

// looseID is an id that may be a string or a number.
type looseID string

// UnmarshalJSON takes both. A null is "".
func (id *looseID) UnmarshalJSON(raw []byte) error {
	if string(raw) != "null" {
		*id = looseID(strings.Trim(string(raw), `"`))
	}
	return nil
}

// checkboxes is the field type of a property that takes several values.
const checkboxes = "checkbox"

// Check asks whose account it is, and looks for every property and the list.
func (h *hubspot) Check(ctx context.Context) (connector.Facts, error) {
	facts := connector.Facts{Labels: map[string]string{}}
	var account struct {
		Portal looseID `json:"portalId"`
	}
	if _, err := h.call(ctx, http.MethodGet, "/account-info/v3/details", nil, &account); err != nil {
		return facts, fmt.Errorf("read the account: %w", err)
	}
	if facts.Account = string(account.Portal); facts.Account == "" {
		return facts, connector.Unexpected("HubSpot")
	}
	if err := h.checkProperties(ctx, facts.Labels); err != nil {
		return facts, fmt.Errorf("check the properties: %w", err)
	}
	return facts, h.checkList(ctx, facts.Labels)
}

// property is one in HubSpot's schema of contacts.
type property struct {
	Name      string `json:"name"`
	Type      string `json:"type"`
	FieldType string `json:"fieldType"`
	Unique    bool   `json:"hasUniqueValue"`
	Options   []struct {
		Value string `json:"value"`
	} `json:"options"`
	Modification struct {
		ReadOnly bool `json:"readOnlyValue"`
	} `json:"modificationMetadata"`
}

func (h *hubspot) checkProperties(ctx context.Context, labels map[string]string) error {
	for _, name := range slices.Sorted(maps.Keys(h.properties)) {
		found, err := h.property(ctx, name, "properties."+name)
		if err != nil {
			return fmt.Errorf("read a property: %w", err)
		}
		if found.Modification.ReadOnly {
			return connector.WrongSetting("properties."+name, "HubSpot lets nobody write the property '"+name+"'.")
		}
		labels["property:"+name], labels["type:"+name] = found.FieldType, found.Type
	}
	if h.settings.IDProperty != byEmail {
		found, err := h.property(ctx, h.settings.IDProperty, "idProperty")
		if err != nil {
			return fmt.Errorf("read the property that people are found by: %w", err)
		}
		if !found.Unique {
			return connector.WrongSetting("idProperty", "The property '"+h.settings.IDProperty+"' does not have unique values.")
		}
	}
	return h.checkTags(ctx, labels)
}

func (h *hubspot) checkTags(ctx context.Context, labels map[string]string) error {
	if h.settings.TagsProperty == "" {
		return nil
	}
	found, err := h.property(ctx, h.settings.TagsProperty, "tagsProperty")
	if err != nil {
		return fmt.Errorf("read the property of the tags: %w", err)
	}
	labels["property:"+h.settings.TagsProperty] = found.FieldType
	if len(found.Options) == 0 {
		return nil
	}
	options := map[string]bool{}
	for _, o := range found.Options {
		options[o.Value] = true
	}
	for _, tag := range h.settings.Tags {
		if !options[tag] {
			return connector.WrongSetting("tags", "The property '"+h.settings.TagsProperty+"' has no option '"+tag+"'.")
		}
	}
	return nil
}

// property reads one definition. field is the setting that names the property.
func (h *hubspot) property(ctx context.Context, name, field string) (property, error) {
	var found property
	r, err := h.call(ctx, http.MethodGet, h.path("properties", "/contacts/"+url.PathEscape(name)), nil, &found)
	if connector.NotFound(r) {
		return found, connector.WrongSetting(field, "HubSpot has no contact property '"+name+"'.")
	}
	if err == nil && found.Name == "" {
		err = connector.Unexpected("HubSpot")
	}
	return found, err
}

func (h *hubspot) checkList(ctx context.Context, labels map[string]string) error {
	if h.settings.List == "" {
		return nil
	}
	found, err := h.list(ctx, "/"+h.settings.List)
	if err != nil {
		return fmt.Errorf("read the list: %w", err)
	}
	if found.ID == "" {
		return connector.WrongSetting("list", "HubSpot has no list "+h.settings.List+".")
	}
	if !found.static() {
		return connector.WrongSetting("list", "People cannot be added to the list '"+found.Name+"': it is no static list of contacts.")
	}
	labels["list:"+h.settings.List] = found.Name
	return nil
}
