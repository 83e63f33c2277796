// Package brevo pushes people into Brevo as contacts of a list. A few people take a
// call each. Many go by an import that Brevo works on later. README.md says what a
// connection needs, and what of Brevo's behaviour is not confirmed.
package brevo

import (
	"context"
	"fmt"
	"net/http"
	"regexp"
	"slices"
	"strconv"
	"time"

	"usersync/internal/connector"
	"usersync/internal/usersync"
)

const (
	baseURL = "https://api.brevo.com/v3"
	// importFrom is the number of people from which one import is cheaper than a call or
	// two for each. So many calls take about two seconds of the limit.
	importFrom = 10
	// maxImport is the size of an import that Brevo recommends, in bytes. Brevo takes 10
	// MB.
	maxImport = 8_000_000
)

// Platform is Brevo. The limit is that of /contacts in a plan without a raised limit: 10
// calls a second, which is the same as 36,000 an hour.
//
// An import takes far more people than Batch. But everybody is looked up before it, because
// a list takes back who has left it. In an account of many contacts that is a call for
// each: 250 people take 28 s.
var Platform = connector.Define(connector.Platform{
	Name: "brevo", Title: "Brevo", Batch: 250,
	Limits: connector.Limits{
		PerSecond: 9, Burst: 1, Timeout: 30 * time.Second,
		Published: []connector.Window{{Calls: 10, In: time.Second}, {Calls: 36_000, In: time.Hour}},
	},
	Classify: classify, Inbound: &inbound,
}, open)

// defaultAttributes are attributes that every account has. Accounts in English call
// them so.
var defaultAttributes = connector.Mapping{"FIRSTNAME": "firstName", "LASTNAME": "lastName"}

var (
	webPage       = regexp.MustCompile(`^https?://[^/\s]+(/\S*)?$`)
	listID        = regexp.MustCompile(`^[1-9][0-9]{0,17}$`)
	attributeName = regexp.MustCompile(`^[A-Z0-9_]{1,50}$`)
	// keptOut are attributes that a push must not write. Another EMAIL would
	// subscribe a blocklisted contact again:
	// https://developers.brevo.com/reference/update-contact
	keptOut = []string{"EMAIL", "OPT_IN", "DOUBLE_OPT_IN"}
)

// Credentials are what a connection signs in with.
type Credentials struct {
	APIKey       usersync.Secret `json:"apiKey" help:"API key (v3) of the account, from SMTP & API in its settings; calls from this service's addresses must be allowed there."`
	WebhookToken usersync.Secret `json:"webhookToken,omitzero" help:"Token that Brevo's webhook sends as Authorization: Bearer; calls without it are refused then."`
}

// Settings say where people are put and what is sent of them.
type Settings struct {
	List          string            `json:"list" help:"Id of the list that people are added to, such as 7." role:"list"`
	Tags          []string          `json:"tags,omitempty" help:"Values that the attribute tagsAttribute of everybody gets." role:"tags"`
	TagsAttribute string            `json:"tagsAttribute,omitempty" help:"Name of the contact attribute that takes the tags, best one of type multiple-choice; its value is replaced."`
	Attributes    connector.Mapping `json:"attributes,omitempty" help:"Names of contact attributes with the field each takes its value from; beside FIRSTNAME and LASTNAME. An empty field leaves an attribute out."`
	SendUserID    bool              `json:"sendUserId,omitempty" help:"Whether our user id goes into ext_id." default:"false"`
	ImportFrom    int               `json:"importFrom,omitempty" help:"From how many people on a push goes as one import, after they were looked up; 251 has every person pushed alone." default:"10"`
	Folder        int               `json:"folder,omitempty" help:"Id of the folder that new lists are made in; the first one where not set."`

	DoubleOptInTemplate int    `json:"doubleOptInTemplate,omitempty" help:"Id of the template of a double opt-in e-mail. With it nobody is put on the list before they confirm, and who agreed to e-mail is sent it once."`
	DoubleOptInURL      string `json:"doubleOptInUrl,omitempty" help:"Address of the page that people see when they have confirmed; required with doubleOptInTemplate."`
}

// Validate finds what the types cannot say.
func (s Settings) Validate() []usersync.FieldError {
	var faults connector.Faults = s.Attributes.Check("attributes")
	faults.Add(!listID.MatchString(s.List), "list", "must be the number of a list")
	faults.Add(s.ImportFrom < 0, "importFrom", "must not be negative")
	faults.Add(s.Folder < 0, "folder", "must not be negative")
	faults.Add(s.DoubleOptInTemplate < 0, "doubleOptInTemplate", "must not be negative")
	faults.Add(s.DoubleOptInTemplate == 0 && s.DoubleOptInURL != "", "doubleOptInTemplate", "is required with doubleOptInUrl")
	faults.Add(s.DoubleOptInTemplate > 0 && !webPage.MatchString(s.DoubleOptInURL), "doubleOptInUrl", "must be the address of a web page, where there is a doubleOptInTemplate")
	faults.Add(len(s.Tags) > 0 && s.TagsAttribute == "", "tagsAttribute", "is required where there are tags: the attribute that takes them")
	faults.Add(slices.Contains(s.Tags, ""), "tags", "must not be empty")
	faults.Add(s.TagsAttribute != "" && !writable(s.TagsAttribute), "tagsAttribute", notWritable)
	for name := range s.Attributes {
		faults.Add(!writable(name), "attributes."+name, notWritable)
	}
	return faults
}

const notWritable = "must be the name of an attribute, in capital letters, digits and underscores, and not one of address or consent"

func writable(attribute string) bool {
	return attributeName.MatchString(attribute) && !slices.Contains(keptOut, attribute)
}

// brevo is one connection.
type brevo struct {
	key        usersync.Secret
	settings   Settings
	list       int64
	attributes connector.Mapping
	facts      connector.Facts
	client     *connector.Client
}

func open(c Credentials, s Settings, facts connector.Facts, client *connector.Client) (connector.Connector, error) {
	if s.ImportFrom == 0 {
		s.ImportFrom = importFrom
	}
	list, err := strconv.ParseInt(s.List, 10, 64)
	if err != nil {
		return nil, usersync.Errorf(usersync.CodeInvalid, "The list must be the number of a list.")
	}
	b := &brevo{key: c.APIKey, settings: s, list: list, attributes: s.Attributes.Or(defaultAttributes), facts: facts, client: client}
	if s.DoubleOptInTemplate > 0 {
		return doubleOptIn{b}, nil
	}
	return b, nil
}

// call makes a call. A nil body sends none, and a nil to reads none.
func (b *brevo) call(ctx context.Context, method, path string, body, to any) (*connector.Response, error) {
	header := http.Header{"Api-Key": {b.key.Reveal()}}
	return b.client.Call(ctx, method, b.client.URL(baseURL, path), header, body, to)
}

// Check asks whose account it is, and looks for the list and every attribute.
func (b *brevo) Check(ctx context.Context) (connector.Facts, error) {
	facts := connector.Facts{Labels: map[string]string{}, Account: connector.Fingerprint(b.key)}
	var account struct {
		Organization string `json:"organization_id"`
		Email        string `json:"email"`
	}
	if _, err := b.call(ctx, http.MethodGet, "/account", nil, &account); err != nil {
		return facts, fmt.Errorf("read the account: %w", err)
	}
	if account.Organization == "" && account.Email == "" {
		return facts, connector.Unexpected(platform)
	}
	if account.Organization != "" {
		facts.Account = account.Organization
	}
	if err := b.checkList(ctx, facts.Labels); err != nil {
		return facts, fmt.Errorf("check the list: %w", err)
	}
	return facts, b.checkAttributes(ctx, facts.Labels)
}

func (b *brevo) checkList(ctx context.Context, labels map[string]string) error {
	var found list
	r, err := b.call(ctx, http.MethodGet, "/contacts/lists/"+b.settings.List, nil, &found)
	if connector.NotFound(r) {
		return connector.WrongSetting("list", "Brevo has no list "+b.settings.List+".")
	}
	if err == nil && found.ID == 0 {
		err = connector.Unexpected(platform)
	}
	labels["list:"+b.settings.List] = found.Name
	return err
}

func (b *brevo) checkAttributes(ctx context.Context, labels map[string]string) error {
	var answer struct {
		Attributes []struct {
			Name     string `json:"name"`
			Category string `json:"category"`
			Type     string `json:"type"`
		} `json:"attributes"`
	}
	if _, err := b.call(ctx, http.MethodGet, "/contacts/attributes", nil, &answer); err != nil {
		return fmt.Errorf("read the attributes: %w", err)
	}
	if answer.Attributes == nil {
		return connector.Unexpected(platform)
	}
	types := map[string]string{}
	for _, a := range answer.Attributes {
		if a.Category == "calculated" || a.Category == "global" {
			continue // Brevo computes them
		}
		types[a.Name] = a.Type
	}
	fields := map[string]string{}
	for name := range b.attributes {
		fields[name] = "attributes." + name
	}
	if b.settings.TagsAttribute != "" {
		fields[b.settings.TagsAttribute] = "tagsAttribute"
	}
	for name, field := range fields {
		kind, ok := types[name]
		if !ok {
			return connector.WrongSetting(field, fmt.Sprintf("Brevo has no contact attribute '%s' that can be written.", name))
		}
		labels["attribute:"+name] = kind
	}
	return nil
}
