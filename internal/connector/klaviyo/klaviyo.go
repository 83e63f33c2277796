// Package klaviyo pushes people to Klaviyo as profiles. See README.md for what
// is known of the platform and from where.
package klaviyo

import (
	"cmp"
	"context"
	"fmt"
	"net/http"
	"regexp"
	"time"

	"usersync/internal/connector"
	"usersync/internal/usersync"
)

const (
	base = "https://a.klaviyo.com"
	// mediaType is the media type of JSON:API, which Klaviyo wants for bodies.
	mediaType = "application/vnd.api+json"
	// revision is the version of the API that this package was written for.
	revision = "2026-07-15"
	// singly is the most people who are pushed one by one. Klaviyo asks not to import
	// small numbers by a job.
	singly = 5
)

// Platform is Klaviyo. It counts the calls of an account to each endpoint, in windows of a
// second and of a minute. The limits are for jobs and list members; those of profiles are
// higher, and those of deletions lower. Batch is well below the 10,000 profiles of a job, so that the reads before the job and the job
// together take a few seconds.
var Platform = connector.Define(connector.Platform{
	Name: "klaviyo", Title: "Klaviyo", Batch: 500,
	Limits: connector.Limits{
		Concurrent: 4, PerSecond: 2.4, Burst: 5, Timeout: 30 * time.Second,
		Published: []connector.Window{{Calls: 10, In: time.Second}, {Calls: 150, In: time.Minute}},
	},
	// By the descriptions of the endpoints.
	Lanes: []connector.Lane{
		{Name: "profiles", Path: "/api/profiles", Limits: profileLimits},
		{Name: "profile import", Path: "/api/profile-import", Limits: profileLimits},
		{Name: "deletions", Path: "/api/data-privacy-deletion-jobs", Limits: connector.Limits{
			PerSecond: 0.95, Burst: 1, Published: []connector.Window{{Calls: 3, In: time.Second}, {Calls: 60, In: time.Minute}},
		}},
	},
	Classify: classify, Inbound: &inbound,
	// Klaviyo supports a revision for two years:
	// https://developers.klaviyo.com/en/docs/api_versioning_and_deprecation_policy
	Revision: connector.Revision{Name: revision, Retires: time.Date(2028, time.July, 15, 0, 0, 0, 0, time.UTC)},
}, open)

// profileLimits are those of an endpoint about profiles.
var profileLimits = connector.Limits{
	Concurrent: 4, PerSecond: 11.5, Burst: 20, Published: []connector.Window{{Calls: 75, In: time.Second}, {Calls: 750, In: time.Minute}},
}

// defaults are mapped unless the settings say otherwise.
var defaults = connector.Mapping{
	"first_name": "firstName", "last_name": "lastName", "title": "jobTitle", "location.country": "country", "invite_link": "inviteLink",
}

var (
	listID       = regexp.MustCompile(`^[A-Za-z0-9_-]{1,64}$`)
	revisionDate = regexp.MustCompile(`^\d{4}-\d{2}-\d{2}(\.[a-z]+)?$`)
)

// Credentials are what a connection signs in with.
type Credentials struct {
	APIKey        usersync.Secret `json:"apiKey" help:"Private API key (pk_…) with the scopes accounts:read, lists:read, lists:write, profiles:read, profiles:write and data-privacy:write; to pass on consent, subscriptions:write."`
	WebhookSecret usersync.Secret `json:"webhookSecret,omitzero" help:"Secret key of Klaviyo's webhook, which signs its calls: without it none is taken."`
}

// Settings say where people are put and what is sent of them.
type Settings struct {
	List         string            `json:"listId,omitempty" role:"list" help:"Id of the list that people are added to. Without it they are added to none. Being on a list is not a consent: nobody is ever subscribed."`
	Tags         []string          `json:"tags,omitempty" role:"tags" help:"Tags of every person. Klaviyo has none for people: they are kept as a list in a custom property, which each push replaces."`
	TagsProperty string            `json:"tagsProperty,omitempty" default:"tags" help:"Custom property that holds the tags."`
	Attributes   connector.Mapping `json:"attributes,omitempty" default:"first_name: firstName, last_name: lastName, title: jobTitle, location.country: country, invite_link: inviteLink" help:"Klaviyo's attribute → ours: phone_number, external_id, first_name, last_name, organization, locale, title, image, location.city and so on; every other name is a custom property."`
	Revision     string            `json:"revision,omitempty" default:"2026-07-15" help:"Revision of Klaviyo's API that is asked for."`
}

// Validate returns what is wrong with the settings.
func (s Settings) Validate() []usersync.FieldError {
	var faults connector.Faults = s.Attributes.Check("attributes")
	_, email := s.Attributes["email"]
	faults.Add(email, "attributes.email", "is always the user's address")
	faults.Add(s.List != "" && !listID.MatchString(s.List), "listId", "must be the id of a list, such as Y6nRLr")
	faults.Add(s.Revision != "" && !revisionDate.MatchString(s.Revision), "revision", "must be a date such as "+revision)
	return faults
}

type klaviyo struct {
	client   *connector.Client
	key      usersync.Secret
	settings Settings
	mapping  connector.Mapping
	facts    connector.Facts
}

func open(credentials Credentials, settings Settings, facts connector.Facts, client *connector.Client) (connector.Connector, error) {
	settings.TagsProperty = cmp.Or(settings.TagsProperty, "tags")
	settings.Revision = cmp.Or(settings.Revision, revision)
	return &klaviyo{
		client: client, key: credentials.APIKey, settings: settings,
		mapping: settings.Attributes.Or(defaults), facts: facts,
	}, nil
}

// call makes a call. A nil body sends none, and a nil to reads none.
func (k *klaviyo) call(ctx context.Context, method, path string, body, to any) (*connector.Response, error) {
	header := http.Header{
		"Authorization": {"Klaviyo-API-Key " + k.key.Reveal()},
		"Accept":        {mediaType},
		"Revision":      {k.settings.Revision},
	}
	if body != nil {
		header.Set("Content-Type", mediaType)
	}
	return k.client.Call(ctx, method, k.client.URL(base, path), header, body, to)
}

// Check reads the account and the list.
func (k *klaviyo) Check(ctx context.Context) (connector.Facts, error) {
	var accounts struct {
		Data []struct {
			ID         string `json:"id"`
			Attributes struct {
				Contact struct {
					Name string `json:"organization_name"`
				} `json:"contact_information"`
			} `json:"attributes"`
		} `json:"data"`
	}
	if _, err := k.call(ctx, http.MethodGet, "/api/accounts", nil, &accounts); err != nil {
		return connector.Facts{}, fmt.Errorf("read the account: %w", err)
	}
	if len(accounts.Data) == 0 || accounts.Data[0].ID == "" {
		return connector.Facts{}, usersync.Errorf(usersync.CodeUnavailable, "Klaviyo named no account for the key.")
	}
	facts := connector.Facts{Account: accounts.Data[0].ID, Labels: map[string]string{}}
	if name := accounts.Data[0].Attributes.Contact.Name; name != "" {
		facts.Labels["account"] = name
	}
	if k.settings.List == "" {
		return facts, nil
	}
	name, err := k.listName(ctx)
	if usersync.CodeOf(err) == usersync.CodeRejected {
		err = connector.WrongSetting("listId", usersync.AsError(err).Message)
	}
	if err != nil {
		return connector.Facts{}, fmt.Errorf("read the list: %w", err)
	}
	facts.Labels["list:"+k.settings.List] = name
	return facts, nil
}
