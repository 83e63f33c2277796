// Package copernica pushes people to a database of Copernica as profiles. See
// README.md for what is known of the platform and from where.
package copernica

import (
	"cmp"
	"context"
	"errors"
	"maps"
	"net/http"
	"net/url"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"time"

	"usersync/internal/connector"
	"usersync/internal/outbound"
	"usersync/internal/usersync"
)

const (
	base = "https://api.copernica.com"
	api  = "/v4"
)

// Kind is Copernica. It publishes no limits: these are modest. A profile takes a
// call or two of its own, so a batch of 20 takes some seconds.
var Kind = connector.Define(connector.Kind{
	Name: "copernica", Title: "Copernica", Batch: 20,
	Limits:   connector.Limits{Concurrent: 4, PerSecond: 5, Burst: 5, Timeout: 30 * time.Second},
	Classify: classify,
}, open)

// Credentials are what Copernica knows us by.
type Credentials struct {
	AccessToken usersync.Secret `json:"accessToken" help:"API token from the Marketing Suite, API access. It is exchanged for a token of 24 hours."`
}

// Settings say where and what is pushed.
type Settings struct {
	Database  string            `json:"databaseId" help:"Number of the database that people are kept in."`
	Interests []string          `json:"interests,omitempty" role:"tags" help:"Interests that every profile gets, Copernica's tags. They must exist in the database."`
	Fields    connector.Mapping `json:"fields,omitempty" default:"email: email, firstname: firstName, lastname: lastName" help:"Field of the database → ours. A field mapped to nothing is not sent."`
	Match     string            `json:"matchField,omitempty" default:"email" help:"Field that tells profiles apart. It must be mapped. One that is the user's own, such as a field mapped to userId, also follows a changed address."`
	Keep      bool              `json:"keepInBackend,omitempty" help:"Delete erased people the ordinary way, which leaves their profiles in Copernica's backend, marked as removed."`
}

// defaults are mapped where the settings do not say otherwise.
var defaults = connector.Mapping{"email": "email", "firstname": "firstName", "lastname": "lastName"}

var (
	number = regexp.MustCompile(`^[0-9]{1,18}$`)
	// fieldName is what may stand before the operator of a condition.
	fieldName = regexp.MustCompile(`^[A-Za-z0-9_-]{1,64}$`)
)

// Validate returns what is wrong with the settings.
func (s Settings) Validate() []usersync.FieldError {
	faults := s.Fields.Check("fields")
	mapping := s.Fields.Or(defaults)
	if !number.MatchString(s.Database) {
		faults = append(faults, usersync.FieldError{Field: "databaseId", Message: "must be the number of a database"})
	}
	match := cmp.Or(s.Match, "email")
	switch {
	case !fieldName.MatchString(match):
		faults = append(faults, usersync.FieldError{Field: "matchField", Message: "must be of letters, digits, hyphens and underscores"})
	case mapping[match] == "":
		faults = append(faults, usersync.FieldError{Field: "matchField", Message: "must be one of the mapped fields"})
	}
	return faults
}

type copernica struct {
	client   *connector.Client
	token    usersync.Secret
	settings Settings
	mapping  connector.Mapping
	labels   map[string]string
}

func open(credentials Credentials, settings Settings, facts connector.Facts, client *connector.Client) (connector.Connector, error) {
	settings.Match = cmp.Or(settings.Match, "email")
	return &copernica{
		client: client, token: credentials.AccessToken, settings: settings,
		mapping: settings.Fields.Or(defaults), labels: facts.Labels,
	}, nil
}

// call makes a call with a token of the day; body nil sends none, to nil reads
// none. When a kept token is refused, the call is made once more with a new one.
func (c *copernica) call(ctx context.Context, method, path string, body, to any) (*outbound.Response, error) {
	token, fresh, err := c.jwt(ctx)
	if err != nil {
		return nil, err
	}
	response, err := c.callWith(ctx, token, method, path, body)
	if usersync.CodeOf(err) == usersync.CodeDisconnected && !fresh && isAuth(response) {
		if err := c.forget(ctx, token); err != nil {
			return nil, err
		}
		if token, _, err = c.jwt(ctx); err != nil {
			return nil, err
		}
		response, err = c.callWith(ctx, token, method, path, body)
	}
	if err == nil && to != nil {
		err = connector.Decode(response, to)
	}
	return response, err
}

func (c *copernica) callWith(ctx context.Context, token usersync.Secret, method, path string, body any) (*outbound.Response, error) {
	header := http.Header{"Authorization": {"Bearer " + token.Reveal()}, "Accept": {"application/json"}}
	response, err := c.client.JSON(ctx, method, c.client.URL(base, api+path), header, body)
	if e, ok := errors.AsType[*usersync.Error](err); ok {
		e.Message = strings.ReplaceAll(e.Message, token.Reveal(), "(secret)")
	}
	return response, err
}

// id is a number that Copernica writes now as text, now as a number.
type id string

// UnmarshalJSON takes digits, with or without quotes; anything else is none.
func (i *id) UnmarshalJSON(b []byte) error {
	if text := strings.Trim(string(b), `"`); number.MatchString(text) {
		*i = id(text)
	}
	return nil
}

// named is a field or an interest of a database. Names are matched regardless of
// case, as encoding/json does with those of members: Copernica writes ID and id.
type named struct {
	Data []struct {
		Name string `json:"name"`
	} `json:"data"`
}

func (n named) missing(names []string) string {
	for _, name := range names {
		if !slices.ContainsFunc(n.Data, func(one struct {
			Name string `json:"name"`
		},
		) bool {
			return strings.EqualFold(one.Name, name)
		}) {
			return name
		}
	}
	return ""
}

// Check tries the token, and finds the database with its fields, its interests
// and what it does with those who unsubscribe.
func (c *copernica) Check(ctx context.Context) (connector.Facts, error) {
	var identity struct {
		ID   id     `json:"id"`
		Name string `json:"name"`
	}
	if _, err := c.call(ctx, http.MethodGet, "/identity", nil, &identity); err != nil {
		return connector.Facts{}, err
	}
	if identity.ID == "" {
		return connector.Facts{}, usersync.Errorf(usersync.CodeUnavailable, "Copernica named no account for the token.")
	}
	var database struct {
		ID        id     `json:"id"`
		Name      string `json:"name"`
		Fields    named  `json:"fields"`
		Interests named  `json:"interests"`
	}
	if _, err := c.call(ctx, http.MethodGet, "/database/"+c.settings.Database, nil, &database); err != nil {
		return connector.Facts{}, err
	}
	if database.ID == "" {
		return connector.Facts{}, usersync.Errorf(usersync.CodeDisconnected, "Copernica has no database %s.", c.settings.Database)
	}
	if name := database.Fields.missing(slices.Sorted(maps.Keys(c.mapping))); name != "" {
		return connector.Facts{}, usersync.Errorf(usersync.CodeDisconnected, "The database '%s' has no field '%s'.", database.Name, name)
	}
	if name := database.Interests.missing(c.settings.Interests); name != "" {
		return connector.Facts{}, usersync.Errorf(usersync.CodeDisconnected, "The database '%s' has no interest '%s'.", database.Name, name)
	}
	labels, err := c.unsubscribeLabels(ctx)
	if err != nil {
		return connector.Facts{}, err
	}
	labels["database:"+c.settings.Database] = cmp.Or(database.Name, c.settings.Database)
	if identity.Name != "" {
		labels["account"] = identity.Name
	}
	return connector.Facts{Account: string(identity.ID), Labels: labels}, nil
}

// The labels that say what the database does with those who unsubscribe.
const (
	behaviorLabel = "unsubscribe"
	leftLabel     = "left:" // and the name of a field → what it then holds
)

// The behaviours that are of importance here; the third is "nothing".
const (
	behaviorUpdate = "update"
	behaviorRemove = "remove"
)

// unsubscribeLabels reads what the database does with those who unsubscribe. A
// field that it marks them by must not be pushed to: that would bring them back.
func (c *copernica) unsubscribeLabels(ctx context.Context) (map[string]string, error) {
	var answer struct {
		Behavior string         `json:"behavior"`
		Fields   map[string]any `json:"fields"`
	}
	if _, err := c.call(ctx, http.MethodGet, "/database/"+c.settings.Database+"/unsubscribe", nil, &answer); err != nil {
		return nil, err
	}
	labels := map[string]string{behaviorLabel: answer.Behavior}
	if answer.Behavior != behaviorUpdate {
		return labels, nil
	}
	for name, value := range answer.Fields {
		labels[leftLabel+name] = text(value)
		for mapped := range c.mapping {
			if strings.EqualFold(mapped, name) {
				return nil, usersync.Errorf(usersync.CodeDisconnected,
					"The field '%s' marks who has unsubscribed: it must not be mapped.", name)
			}
		}
	}
	return labels, nil
}

// condition returns the query that selects the profiles of a person. The value
// becomes part of an expression that knows no quotes, so one that could read as
// another expression is refused.
func (c *copernica) condition(p connector.Profile) (url.Values, error) {
	value := text(p.Value(c.mapping[c.settings.Match]))
	if value == "" {
		return nil, usersync.Errorf(usersync.CodeRejected, "The user has nothing for the field '%s' that tells profiles apart.", c.settings.Match)
	}
	if !plain(value) {
		return nil, usersync.Errorf(usersync.CodeRejected, "The user's '%s' holds characters that Copernica reads as a condition.", c.settings.Match)
	}
	return url.Values{"fields[]": {c.settings.Match + "==" + value}}, nil
}

// plain reports whether a value is free of control characters, of Copernica's
// operators, and of a beginning that would make another one of the == before it.
func plain(value string) bool {
	if strings.ContainsFunc(value, func(r rune) bool { return r < ' ' || r >= 0x7f && r < 0xa0 || r == '<' || r == '>' }) {
		return false
	}
	for _, operator := range []string{"==", "!=", "=~", "!~"} {
		if strings.Contains(value, operator) {
			return false
		}
	}
	return value[0] != '=' && value[0] != '~'
}

// database is the name of the database, in the words of sentences.
func (c *copernica) database() string {
	return "the '" + cmp.Or(c.labels["database:"+c.settings.Database], c.settings.Database) + "' database"
}

// did says what a push did.
func (c *copernica) did(done string) string { return c.sentence(done, "have been") }

func (c *copernica) would(do string) string { return c.sentence("would be "+do, "would be") }

func (c *copernica) sentence(done, have string) string {
	out := "User " + done + " " + c.database()
	if len(c.settings.Interests) == 0 {
		return out
	}
	return out + "; interests '" + strings.Join(c.settings.Interests, "', '") + "' " + have + " applied"
}

func text(value any) string {
	switch v := value.(type) {
	case nil:
		return ""
	case string:
		return v
	case bool:
		return strconv.FormatBool(v)
	case float64:
		return strconv.FormatFloat(v, 'f', -1, 64)
	}
	return ""
}
