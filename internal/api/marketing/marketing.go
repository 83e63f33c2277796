// Package marketing is the dialect of marketing operations: push one known user,
// or many, to the connected platforms, or see what a push would do. It is
// compatible with OnlyAutomator's marketing API.
package marketing

import (
	"context"
	"errors"
	"net/http"

	"usersync/internal/api"
	"usersync/internal/connector"
	"usersync/internal/tenant"
	"usersync/internal/usersync"
)

// Options are what the dialect works with.
type Options struct {
	// Kinds are the platforms there are.
	Kinds []connector.Platform
	// Open opens a connection of an organization. It makes no call.
	Open func(ctx context.Context, organization, connection string) (connector.Connector, error)
	// Wake has the relay look for bulk work now.
	Wake func()
}

const (
	syncUserPath  = "/api/marketing/sync-user"
	syncUsersPath = "/api/marketing/sync-users"
	testUserPath  = "/api/test/sync-user"
)

// Dialect returns the marketing routes.
func (o Options) Dialect() api.Dialect {
	const scope = tenant.ScopeMarketing
	return api.Dialect{
		Name:     "marketing",
		Prefixes: []string{"/api/marketing/", "/api/test/"},
		Auth:     authenticate,
		Render:   render,
		Routes: []api.Route{
			{Method: http.MethodPost, Path: syncUserPath, Scope: scope, Handler: syncUser(false),
				Summary: "Pushes one known user to the connected platforms, now."},
			{Method: http.MethodGet, Path: testUserPath, Scope: scope, Handler: syncUser(true),
				Summary: "Shows what pushing a known user would do; dryRun is true unless it is given."},
			{Method: http.MethodPost, Path: testUserPath, Scope: scope, Handler: syncUser(true),
				Summary: "Shows what pushing a known user would do; dryRun is true unless it is given."},
			{Method: http.MethodPost, Path: syncUsersPath, Scope: scope, Handler: o.syncUsers, BodyLimit: bulkLimit,
				Summary: "Pushes many known users to one platform, or to a new audience there."},
			{Method: http.MethodGet, Path: syncUsersPath, Scope: scope, Handler: previewUsers,
				Summary: "Counts the users that such a push would take and shows the first five."},
		},
	}
}

// authenticate takes the key from a header, or from the query: clients of these
// routes put it there.
func authenticate(c *api.Call) error {
	key := api.HeaderKey(c.Request().Header)
	if key.IsZero() {
		query, err := c.Query()
		if err != nil {
			return err
		}
		key = usersync.NewSecret(query.Get("apiKey"))
	}
	err := c.Authenticate(key)
	if errors.Is(err, api.ErrUnlinked) {
		return api.ErrNoKey // to these clients a key is valid or not
	}
	return err
}

// refusal is an error in the dialect's shape.
type refusal struct {
	Success bool     `json:"success"`
	Message string   `json:"message"`
	Errors  []string `json:"errors,omitempty"`
}

// Sentences of the contract.
const (
	messageInvalid      = "Invalid parameters"
	messageUnauthorized = "Unauthorized. Invalid or missing API key."
	messageInternal     = "Internal server error"
)

func render(c *api.Call, f api.Failure) error {
	body := refusal{Message: f.Message}
	switch f.Status {
	case http.StatusBadRequest:
		body.Message, body.Errors = messageInvalid, faults(f)
	case http.StatusUnauthorized:
		body.Message = messageUnauthorized
	case http.StatusInternalServerError:
		body.Message, body.Errors = messageInternal, []string{c.Quote()}
	}
	return c.JSON(f.Status, body)
}

// faults are all that is wrong with a call, one sentence each.
func faults(f api.Failure) []string {
	if len(f.Fields) == 0 {
		return []string{f.Message}
	}
	out := make([]string, len(f.Fields))
	for i, field := range f.Fields {
		out[i] = field.Field + " " + field.Message
	}
	return out
}
