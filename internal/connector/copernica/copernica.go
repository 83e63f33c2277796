// Package copernica pushes people to a database of Copernica as profiles. See
// README.md for what is known of the platform and from where.
package copernica

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"maps"
	"net/http"
	"regexp"
	"slices"
	"strings"
	"time"

	"usersync/internal/connector"
	"usersync/internal/usersync"
)

const (
	base = "https://api.copernica.com"
	api  = "/v4"
)

// Platform is Copernica. It publishes no limits, so these are modest. A profile takes a
// call of its own, so a batch of 50 takes some ten seconds.
var Platform = connector.Define(connector.Platform{
	Name: "copernica", Title: "Copernica", Batch: 50,
	Limits:   connector.Limits{Concurrent: 4, PerSecond: 5, Burst: 2, Timeout: 30 * time.Second},
	Classify: classify, Inbound: &inbound,
}, open)

// defaults are mapped unless the settings say otherwise.
var defaults = connector.Mapping{"email": "email", "firstname": "firstName", "lastname": "lastName"}

// fieldName is what may stand before the operator of a condition.
var fieldName = regexp.MustCompile(`^[A-Za-z0-9_-]{1,64}$`)

// Credentials are what a connection signs in with.
type Credentials struct {
	AccessToken usersync.Secret `json:"accessToken" help:"API token from the Marketing Suite, API access. It is exchanged for a token of 24 hours."`
}

// Settings say where people are put and what is sent of them.
type Settings struct {
	Database  string            `json:"databaseId" help:"Number of the database that people are kept in."`
	Interests []string          `json:"interests,omitempty" role:"tags" help:"Interests that every profile gets, Copernica's tags. They must exist in the database."`
	Fields    connector.Mapping `json:"fields,omitempty" default:"email: email, firstname: firstName, lastname: lastName" help:"Field of the database → ours. A field mapped to nothing is not sent."`
	Match     string            `json:"matchField,omitempty" default:"email" help:"Field that tells profiles apart. It must be mapped. One that is the user's own, such as a field mapped to userId, also follows a changed address."`
	Keep      bool              `json:"keepInBackend,omitempty" help:"Delete erased people the ordinary way, which leaves their profiles in Copernica's backend, marked as removed." role:"archive"`
}

// Validate returns what is wrong with the settings.
func (s Settings) Validate() []usersync.FieldError {
	var faults connector.Faults = s.Fields.Check("fields")
	faults.Add(!connector.IsNumber(s.Database), "databaseId", "must be the number of a database")
	match := cmp.Or(s.Match, "email")
	isName := fieldName.MatchString(match)
	faults.Add(!isName, "matchField", "must be of letters, digits, hyphens and underscores")
	faults.Add(isName && s.Fields.Or(defaults)[match] == "", "matchField", "must be one of the mapped fields")
	return faults
}

type copernica struct {
	client   *connector.Client
	token    usersync.Secret
	settings Settings
	mapping  connector.Mapping
	facts    connector.Facts
}

func open(credentials Credentials, settings Settings, facts connector.Facts, client *connector.Client) (connector.Connector, error) {
	settings.Match = cmp.Or(settings.Match, "email")
	return &copernica{
		client: client, token: credentials.AccessToken, settings: settings,
		mapping: settings.Fields.Or(defaults), facts: facts,
	}, nil
}

// call makes a call with a token of the day. A nil body sends none, and a nil to reads
// none. If a kept token is refused, the call is made once more with a new one.
func (c *copernica) call(ctx context.Context, method, path string, body, to any) (*connector.Response, error) {
	token, fresh, err := c.jwt(ctx)
	if err != nil {
		return nil, fmt.Errorf("get a token: %w", err)
	}
	response, err := c.callWith(ctx, token, method, path, body)
	if usersync.CodeOf(err) == usersync.CodeDisconnected && !fresh && isAuth(response) {
		if err := c.forget(ctx, token); err != nil {
			return nil, fmt.Errorf("drop the refused token: %w", err)
		}
		if token, _, err = c.jwt(ctx); err != nil {
			return nil, fmt.Errorf("get another token: %w", err)
		}
		response, err = c.callWith(ctx, token, method, path, body)
	}
	if err == nil && to != nil {
		err = connector.Decode(response, to)
	}
	return response, err
}

func (c *copernica) callWith(ctx context.Context, token usersync.Secret, method, path string, body any) (*connector.Response, error) {
	header := http.Header{"Authorization": {"Bearer " + token.Reveal()}, "Accept": {"application/json"}}
	response, err := c.client.JSON(ctx, method, c.client.URL(base, api+path), header, body)
	if e, ok := errors.AsType[*usersync.Error](err); ok {
		e.Message = strings.ReplaceAll(e.Message, token.Reveal(), "(secret)")
	}
	return response, err
}

// id is the number of a thing at Copernica.
type id = connector.NumberID

// named is the fields or the interests of a database. Their names are compared
// regardless of case. encoding/json does the same with the names of members, because
// Copernica writes both ID and id.
type named struct {
	Data []column `json:"data"`
}

// column is a field or an interest.
type column struct {
	Name string `json:"name"`
	Type string `json:"type"` // of a field
}

func (n named) missing(names []string) string {
	for _, name := range names {
		if !slices.ContainsFunc(n.Data, func(one column) bool { return strings.EqualFold(one.Name, name) }) {
			return name
		}
	}
	return ""
}

// Check tries the token. It finds the database with its fields and interests, and what
// it does with people who unsubscribe.
func (c *copernica) Check(ctx context.Context) (connector.Facts, error) {
	var identity struct {
		ID   id     `json:"id"`
		Name string `json:"name"`
	}
	if _, err := c.call(ctx, http.MethodGet, "/identity", nil, &identity); err != nil {
		return connector.Facts{}, fmt.Errorf("read the account: %w", err)
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
		return connector.Facts{}, fmt.Errorf("read the database: %w", err)
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
		return connector.Facts{}, fmt.Errorf("read what happens to people who unsubscribe: %w", err)
	}
	for _, one := range database.Fields.Data {
		for mapped := range c.mapping {
			if strings.EqualFold(mapped, one.Name) && strings.HasPrefix(one.Type, "phone") {
				labels[phoneLabel+mapped] = one.Type
			}
			if strings.EqualFold(mapped, one.Name) && strings.Contains(one.Type, "date") {
				labels[dateLabel+mapped] = one.Type
			}
		}
	}
	labels["database:"+c.settings.Database] = cmp.Or(database.Name, c.settings.Database)
	if identity.Name != "" {
		labels["account"] = identity.Name
	}
	return connector.Facts{Account: string(identity.ID), Labels: labels}, nil
}

// These labels say what the database does with people who unsubscribe, and what its fields
// hold.
const (
	behaviorLabel = "unsubscribe"
	leftLabel     = "left:" // and the name of a field → what it then holds
	// phoneLabel and the name of a field that takes telephone numbers lead to its type.
	phoneLabel = "phone:"
	// dateLabel and the name of a field that takes dates lead to its type: date, datetime,
	// empty_date or empty_datetime.
	dateLabel = "date:"
)

// These behaviours matter here. The third one is "nothing".
const (
	behaviorUpdate = "update"
	behaviorRemove = "remove"
)

// unsubscribeLabels reads what the database does with people who unsubscribe. A field
// that marks them must not be pushed to, because that would bring them back.
func (c *copernica) unsubscribeLabels(ctx context.Context) (map[string]string, error) {
	var answer struct {
		Behavior string         `json:"behavior"`
		Fields   map[string]any `json:"fields"`
	}
	if _, err := c.call(ctx, http.MethodGet, "/database/"+c.settings.Database+"/unsubscribe", nil, &answer); err != nil {
		return nil, fmt.Errorf("read the settings of the database: %w", err)
	}
	if answer.Behavior == "" {
		return nil, connector.Unexpected(platform)
	}
	labels := map[string]string{behaviorLabel: answer.Behavior}
	if answer.Behavior != behaviorUpdate {
		return labels, nil
	}
	for name, value := range answer.Fields {
		labels[leftLabel+name] = connector.Text(value)
		for mapped := range c.mapping {
			if strings.EqualFold(mapped, name) {
				return nil, usersync.Errorf(usersync.CodeDisconnected,
					"The field '%s' marks who has unsubscribed: it must not be mapped.", name)
			}
		}
	}
	return labels, nil
}
