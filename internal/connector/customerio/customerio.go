// Package customerio pushes people into Customer.io by its Track API. It reads by the
// App API if the connection has a key for that. README.md says what a connection
// needs, and what of Customer.io's behaviour is not confirmed.
package customerio

import (
	"cmp"
	"context"
	"encoding/base64"
	"encoding/json"
	"fmt"
	"net/http"
	"regexp"
	"slices"
	"strings"
	"time"

	"usersync/internal/connector"
	"usersync/internal/usersync"
)

// hosts are the addresses of the two APIs by region.
var hosts = map[string]struct{ track, app string }{
	"us": {"https://track.customer.io", "https://api.customer.io"},
	"eu": {"https://track-eu.customer.io", "https://api-eu.customer.io"},
}

// These are choices of settings. The defaults come first.
const (
	byEmail  = "email"
	byID     = "id"
	suppress = "suppress"
	remove   = "delete"
)

const defaultTags = "tags"

// The longest name of an attribute, value of one and identifier, in bytes.
const (
	maxName  = 150
	maxValue = 1000
	maxID    = 150
)

// platform is what sentences call Customer.io.
const platform = "Customer.io"

// Platform is Customer.io. It publishes two limits for the Track API, 100 and 1,000 calls
// a second. This is the lower one.
var Platform = connector.Define(connector.Platform{
	Name: "customerio", Title: "Customer.io", Batch: 500,
	Limits: connector.Limits{
		PerSecond: 80, Burst: 10, Timeout: 30 * time.Second,
		Published: []connector.Window{{Calls: 100, In: time.Second}},
	},
	// The App API takes 10 calls a second: https://docs.customer.io/integrations/api/app/
	Lanes: []connector.Lane{{Name: "app", Path: appPath, Limits: connector.Limits{
		PerSecond: 9, Burst: 1, Published: []connector.Window{{Calls: 10, In: time.Second}},
	}}},
	Classify: classify, Inbound: &inbound,
}, open)

// appPath is what all paths of the App API begin with. Those of the Track API begin with
// /api.
const appPath = "/v1/"

// defaultAttributes are the names of these fields in the platform's own examples.
// Attributes need not exist before a push.
var defaultAttributes = connector.Mapping{
	"first_name": "firstName", "last_name": "lastName", "country": "country", "job_title": "jobTitle",
}

var (
	segmentID = regexp.MustCompile(`^[1-9][0-9]{0,9}$`)
	// reserved are attributes that Customer.io acts on. The first two hold what a person
	// wants to receive. Only the person and Customer.io may change them.
	reserved = []string{"unsubscribed", "cio_subscription_preferences", "cio_id", "_update", "id", "email"}
)

// Credentials are what a connection signs in with.
type Credentials struct {
	SiteID     string          `json:"siteId" help:"Site ID of the workspace, from its Track API keys."`
	APIKey     usersync.Secret `json:"apiKey" help:"API key that belongs to the Site ID."`
	AppAPIKey  usersync.Secret `json:"appApiKey,omitzero" help:"App API key of the workspace: with it a dry run tells new people from known ones, and segments are looked for and made."`
	WebhookKey usersync.Secret `json:"webhookKey,omitzero" help:"Signing key of the reporting webhook: without it no call of Customer.io is taken."`
}

// Settings say where people are put and what is sent of them.
type Settings struct {
	Region        string            `json:"region,omitempty" help:"Where the account's data is." default:"us" options:"us|eu"`
	IdentifyBy    string            `json:"identifyBy,omitempty" help:"What identifies people there: email, or id, which is our user id." default:"email" options:"email|id"`
	Segment       string            `json:"segment,omitempty" help:"Id of the manual segment that people are added to, such as 3." role:"list"`
	Tags          []string          `json:"tags,omitempty" help:"Values that the attribute tagsAttribute of everybody gets, as a list." role:"tags"`
	TagsAttribute string            `json:"tagsAttribute,omitempty" help:"Name of the attribute that takes the tags; its value is replaced." default:"tags"`
	Attributes    connector.Mapping `json:"attributes,omitempty" help:"Names of attributes with the field each takes its value from; beside first_name, last_name, country and job_title. An empty field leaves an attribute out."`
	Removal       string            `json:"removal,omitempty" help:"What an erasure does: suppress deletes the person and has Customer.io ignore them from then on, delete lets them come back." default:"suppress" options:"suppress|delete"`
}

// Validate finds what the types cannot say.
func (s Settings) Validate() []usersync.FieldError {
	var faults connector.Faults = s.Attributes.Check("attributes")
	faults.Add(s.Segment != "" && !segmentID.MatchString(s.Segment), "segment", "must be the number of a segment")
	faults.Add(slices.Contains(s.Tags, ""), "tags", "must not be empty")
	faults.Add(s.TagsAttribute != "" && !writable(s.TagsAttribute), "tagsAttribute", notWritable)
	for name := range s.Attributes {
		faults.Add(!writable(name), "attributes."+name, notWritable)
	}
	return faults
}

const notWritable = "must be a name of at most 150 bytes, and none that Customer.io keeps for itself"

func writable(name string) bool {
	return name != "" && len(name) <= maxName && !slices.Contains(reserved, name) &&
		!strings.HasPrefix(name, "cio_subscription_preferences.")
}

// customerio is one connection.
type customerio struct {
	credentials Credentials
	settings    Settings
	attributes  connector.Mapping
	facts       connector.Facts
	client      *connector.Client
}

func open(c Credentials, s Settings, facts connector.Facts, client *connector.Client) (connector.Connector, error) {
	for setting, fallback := range map[*string]string{&s.Region: "us", &s.IdentifyBy: byEmail, &s.TagsAttribute: defaultTags, &s.Removal: suppress} {
		if *setting == "" {
			*setting = fallback
		}
	}
	opened := &customerio{credentials: c, settings: s, attributes: s.Attributes.Or(defaultAttributes), facts: facts, client: client}
	if s.IdentifyBy == byID {
		return identified{opened}, nil
	}
	return opened, nil
}

// hasApp reports whether the connection may read.
func (c *customerio) hasApp() bool { return !c.credentials.AppAPIKey.IsZero() }

// track calls the Track API, which writes.
func (c *customerio) track(ctx context.Context, method, path string, body, to any) (*connector.Response, error) {
	pair := c.credentials.SiteID + ":" + c.credentials.APIKey.Reveal()
	header := http.Header{"Authorization": {"Basic " + base64.StdEncoding.EncodeToString([]byte(pair))}}
	return c.client.Call(ctx, method, c.client.URL(hosts[c.settings.Region].track, path), header, body, to)
}

// app calls the App API, which reads.
func (c *customerio) app(ctx context.Context, method, path string, body, to any) (*connector.Response, error) {
	header := http.Header{"Authorization": {"Bearer " + c.credentials.AppAPIKey.Reveal()}}
	return c.client.Call(ctx, method, c.client.URL(hosts[c.settings.Region].app, path), header, body, to)
}

// identifier is what the person is known by.
func (c *customerio) identifier(p connector.Profile) string {
	if c.settings.IdentifyBy == byID {
		return p.UserID
	}
	return p.Email.Display()
}

// Check asks which workspace it is, and looks for the segment. Attributes need not
// exist.
func (c *customerio) Check(ctx context.Context) (connector.Facts, error) {
	facts := connector.Facts{Labels: map[string]string{}, Account: connector.Fingerprint(usersync.NewSecret(c.credentials.SiteID))}
	var region struct {
		URL         string      `json:"url"`
		Region      string      `json:"region"`
		DataCenter  string      `json:"data_center"` // was seen in place of region
		Environment json.Number `json:"environment_id"`
	}
	if _, err := c.track(ctx, http.MethodGet, "/api/v1/accounts/region", nil, &region); err != nil {
		return facts, fmt.Errorf("read the region of the account: %w", err)
	}
	if region.URL == "" && region.Environment == "" {
		return facts, connector.Unexpected(platform)
	}
	if is := cmp.Or(region.Region, region.DataCenter); is != "" && is != c.settings.Region {
		return facts, connector.WrongSetting("region", "The account's data is in the region '"+connector.Quote(is)+"'.")
	}
	if region.Environment != "" {
		facts.Account = region.Environment.String()
	}
	return facts, c.checkSegment(ctx, facts.Labels)
}

// checkSegment tries the App API key, together with the segment if there is one.
func (c *customerio) checkSegment(ctx context.Context, labels map[string]string) error {
	if !c.hasApp() {
		return nil
	}
	if c.settings.Segment == "" {
		var answer struct {
			Workspaces []struct{} `json:"workspaces"`
		}
		_, err := c.app(ctx, http.MethodGet, "/v1/workspaces", nil, &answer)
		if err == nil && answer.Workspaces == nil {
			err = connector.Unexpected(platform)
		}
		return err
	}
	var answer struct {
		Segment segmentInfo `json:"segment"`
	}
	r, err := c.app(ctx, http.MethodGet, "/v1/segments/"+c.settings.Segment, nil, &answer)
	if connector.NotFound(r) {
		return connector.WrongSetting("segment", "Customer.io has no segment "+c.settings.Segment+".")
	}
	if err != nil {
		return fmt.Errorf("read the segment: %w", err)
	}
	if answer.Segment.ID == "" {
		return connector.Unexpected(platform)
	}
	if !answer.Segment.manual() {
		return connector.WrongSetting("segment", "People cannot be added to the segment '"+answer.Segment.Name+"': it fills itself.")
	}
	labels["list:"+c.settings.Segment] = answer.Segment.Name
	return nil
}
