// Package marketing is the dialect of marketing operations. It pushes one known
// user, or many, to the connected platforms, or shows what a push would do. It is
// compatible with OnlyAutomator's marketing API.
package marketing

import (
	"context"
	"errors"
	"fmt"
	"net/http"

	"usersync/internal/api"
	"usersync/internal/connector"
	"usersync/internal/management"
	"usersync/internal/tenant"
	"usersync/internal/usersync"
)

// Handlers answer the calls of the dialect.
type Handlers struct {
	// Management carries out the calls.
	Management *management.Service
	// Open opens a connection of an organization with what a call overrides of its
	// settings. It makes no call.
	Open func(ctx context.Context, organization, connection string, patch usersync.PlatformSync) (connector.Connector, error)
}

const (
	syncUserPath  = "/api/marketing/sync-user"
	syncUsersPath = "/api/marketing/sync-users"
	testUserPath  = "/api/test/sync-user"
)

// Dialect returns the marketing routes.
func (h *Handlers) Dialect() api.Dialect {
	const scope = tenant.ScopeMarketing
	return api.Dialect{
		Name:     "marketing",
		Prefixes: []string{"/api/marketing/", "/api/test/"},
		Auth:     h.authenticate,
		Render:   render,
		Routes: []api.Route{
			{Method: http.MethodPost, Path: syncUserPath, Scope: scope, Handler: h.syncUser,
				Summary: "Pushes one known user to the connected platforms, now."},
			{Method: http.MethodGet, Path: testUserPath, Writes: true, Scope: scope, Handler: h.testSyncUser,
				Summary: "Shows what pushing a known user would do; dryRun is true unless it is given."},
			{Method: http.MethodPost, Path: testUserPath, Scope: scope, Handler: h.testSyncUser,
				Summary: "Shows what pushing a known user would do; dryRun is true unless it is given."},
			{Method: http.MethodPost, Path: syncUsersPath, Scope: scope, Handler: h.syncUsers, BodyLimit: bulkLimit,
				Summary: "Pushes many known users to one platform, or to a new audience there."},
			{Method: http.MethodGet, Path: syncUsersPath, Scope: scope, Handler: h.previewUsers,
				Summary: "Counts the users that such a push would take and shows the first five."},
		},
	}
}

// authenticate takes the key from a header, or from the query, where clients of
// these routes put it.
func (h *Handlers) authenticate(c *api.Call) error {
	key := api.HeaderKey(c.Request().Header)
	if key.IsZero() {
		query, err := c.Query()
		if err != nil {
			return fmt.Errorf("read the query: %w", err)
		}
		key = usersync.NewSecret(query.Get("apiKey"))
	}
	err := c.Authenticate(key)
	if errors.Is(err, api.ErrUnlinked) {
		return api.ErrNoKey // the contract knows only valid and invalid keys
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
