// Package hubspot pushes people into HubSpot as contacts. README.md says what a
// connection needs and what of HubSpot's behaviour is not confirmed.
package hubspot

import (
	"regexp"
	"strings"
	"time"

	"usersync/internal/connector"
	"usersync/internal/usersync"
)

// Kind is HubSpot. The limits are those of a private app in a Free or Starter
// account: 100 calls in 10 s, the burst included.
var Kind = connector.Define(connector.Kind{
	Name: "hubspot", Title: "HubSpot", Batch: maxBatch, Classify: classify,
	Limits: connector.Limits{PerSecond: 9, Burst: 10, Timeout: 30 * time.Second},
}, open)

// maxBatch is how many records a batch call takes:
// https://developers.hubspot.com/docs/api-reference/latest/crm/objects/contacts/guide
const maxBatch = 100

const (
	baseURL = "https://api.hubapi.com"
	// byEmail is the property that contacts are found by unless a connection
	// names another.
	byEmail        = "email"
	defaultVersion = "v3"
	// contactType is HubSpot's id of the object type "contact", which lists name.
	contactType = "0-1"
)

// Credentials of a connection.
type Credentials struct {
	AccessToken usersync.Secret `json:"accessToken" help:"Access token of a private app with the scopes crm.objects.contacts.read and .write, crm.schemas.contacts.read and, for lists, crm.lists.read and .write."`
}

// Settings of a connection.
type Settings struct {
	List         string            `json:"list,omitempty" help:"Id of the static list (segment) that people are added to, such as 42." role:"list"`
	Tags         []string          `json:"tags,omitempty" help:"Values added to the property tagsProperty of everybody." role:"tags"`
	TagsProperty string            `json:"tagsProperty,omitempty" help:"Internal name of the contact property that takes the tags, best one of multiple checkboxes."`
	Properties   connector.Mapping `json:"properties,omitempty" help:"Internal names of contact properties with the field each takes its value from; beside firstname, lastname and jobtitle. An empty field leaves a property out."`
	IDProperty   string            `json:"idProperty,omitempty" help:"Contact property that people are found by: email, or a property with unique values that takes our user id." default:"email"`
	APIVersion   string            `json:"apiVersion,omitempty" help:"Version of HubSpot's API: v3, or a date such as 2026-03." default:"v3"`
}

// defaultProperties are properties that every account has.
var defaultProperties = connector.Mapping{"firstname": "firstName", "lastname": "lastName", "jobtitle": "jobTitle"}

var (
	listID       = regexp.MustCompile(`^[0-9]{1,20}$`)
	propertyName = regexp.MustCompile(`^[a-z0-9_]{1,100}$`)
	version      = regexp.MustCompile(`^(v3|[0-9]{4}-[0-9]{2}(-beta)?)$`)
)

// Validate finds what the types cannot say.
func (s Settings) Validate() []usersync.FieldError {
	out := s.Properties.Check("properties")
	fault := func(wrong bool, field, message string) {
		if wrong {
			out = append(out, usersync.FieldError{Field: field, Message: message})
		}
	}
	fault(s.List != "" && !listID.MatchString(s.List), "list", "must be the number of a list")
	fault(s.APIVersion != "" && !version.MatchString(s.APIVersion), "apiVersion", "must be v3 or a date such as 2026-03")
	fault(len(s.Tags) > 0 && s.TagsProperty == "", "tagsProperty", "is required where there are tags: the property that takes them")
	for _, tag := range s.Tags {
		fault(tag == "" || strings.Contains(tag, ";"), "tags", "must not be empty and must not contain a semicolon")
	}
	for name := range s.Properties {
		fault(!propertyName.MatchString(name), "properties."+name, "must be the internal name of a property: lower case letters, digits and underscores")
		fault(consent(name), "properties."+name, "says whether a person wants mail: only HubSpot and the person may change it")
	}
	for field, name := range map[string]string{"tagsProperty": s.TagsProperty, "idProperty": s.IDProperty} {
		fault(name != "" && !propertyName.MatchString(name), field, "must be the internal name of a property")
		fault(consent(name), field, "says whether a person wants mail: only HubSpot and the person may change it")
	}
	return out
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
	labels     map[string]string
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
		token: c.AccessToken, settings: s, properties: s.Properties.Or(defaultProperties), labels: facts.Labels, client: client,
	}, nil
}

// path returns the path of a family of calls, such as objects and lists, in the
// version that is set: /crm/v3/objects/contacts, but /crm/objects/2026-03/contacts.
func (h *hubspot) path(family, rest string) string {
	if h.settings.APIVersion == defaultVersion {
		return "/crm/v3/" + family + rest
	}
	return "/crm/" + family + "/" + h.settings.APIVersion + rest
}

// listName is what the list is called, its id where no check has told the name.
func (h *hubspot) listName() string {
	if name := h.labels["list:"+h.settings.List]; name != "" {
		return name
	}
	return h.settings.List
}
