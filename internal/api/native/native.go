// Package native is the dialect of product back ends, which send users, poll their
// requests and receive webhooks. It is compatible with Wazper's API.
package native

import (
	"fmt"
	"net/http"

	"usersync/internal/api"
	"usersync/internal/management"
	"usersync/internal/tenant"
)

// Handlers answer the calls of the dialect.
type Handlers struct {
	// Management carries out the calls on requests and colleagues.
	Management *management.Service
}

// Dialect returns the native routes.
func (h *Handlers) Dialect() api.Dialect {
	return api.Dialect{
		Name:     "native",
		Prefixes: []string{"/v1/user-sync", "/v1/requests", "/v1/colleagues-", "/v1/send-invitation"},
		Auth:     api.KeyAuth,
		Render:   render,
		Routes: []api.Route{
			{Method: http.MethodPost, Path: "/v1/user-sync", Scope: tenant.ScopeSync, Handler: h.syncUser,
				Summary: "Accepts one user and works on it in the background."},
			{Method: http.MethodPost, Path: "/v1/user-sync/batch", Scope: tenant.ScopeSync, Handler: h.syncBatch, BodyLimit: batchLimit,
				Summary: "Accepts up to 1,000 users in one transaction."},
			{Method: http.MethodGet, Path: "/v1/requests", Scope: tenant.ScopeRead, Handler: h.listRequests,
				Query:   api.PageQuery(append([]string{"include"}, filterNames...)...),
				Summary: "Lists requests, newest first."},
			{Method: http.MethodPost, Path: "/v1/requests/retry", Scope: tenant.ScopeSync, Handler: api.Once(h.retryRequests), Query: []string{},
				Summary: "Runs again what has failed of the requests that a filter finds."},
			{Method: http.MethodGet, Path: "/v1/requests/:id", Scope: tenant.ScopeRead, Handler: h.getRequest, Query: []string{},
				Summary: "Shows a request and its steps."},
			{Method: http.MethodGet, Path: "/v1/requests/:id/errors", Scope: tenant.ScopeRead, Handler: h.listRequestErrors, Query: api.PageQuery(),
				Summary: "Lists the users of a bulk that failed or were skipped, and why; CSV with Accept: text/csv."},
			{Method: http.MethodGet, Path: "/v1/requests/:id/attempts", Scope: tenant.ScopeRead, Handler: h.listAttempts, Query: api.PageQuery(),
				Summary: "Lists the last attempts at the pushes of a request: what was called, what came of it, and what to do."},
			{Method: http.MethodPost, Path: "/v1/requests/:id/steps/:step/try-now", Scope: tenant.ScopeSync, Handler: api.Once(h.tryStepNow), Query: []string{},
				Summary: "Has what a step waits for pushed now."},
			{Method: http.MethodPost, Path: "/v1/requests/:id/retry", Scope: tenant.ScopeSync, Handler: h.retryRequest, Query: []string{},
				Summary: "Runs the failed steps of a request again, or the failed users of a bulk."},
			{Method: http.MethodGet, Path: "/v1/colleagues-list", Scope: tenant.ScopeColleagues, Handler: h.listColleagues,
				Summary: "Lists the colleagues of the user with an e-mail address."},
			{Method: http.MethodPost, Path: "/v1/colleagues-create", Scope: tenant.ScopeColleagues, Handler: api.Once(h.createColleague),
				Summary: "Makes a colleague by hand."},
			{Method: http.MethodPatch, Path: "/v1/colleagues-update", Scope: tenant.ScopeColleagues, Handler: h.updateColleague,
				Summary: "Changes a colleague's status or e-mail address."},
			{Method: http.MethodPost, Path: "/v1/send-invitation", Scope: tenant.ScopeColleagues, Handler: api.Once(h.sendInvitation),
				Summary: "Invites a colleague by e-mail."},
		},
	}
}

// readBody returns what read finds in the body of a call.
func readBody[T any](c *api.Call, read func([]byte) (T, error)) (in T, err error) {
	body, err := c.Body()
	if err != nil {
		return in, fmt.Errorf("read the body: %w", err)
	}
	return read(body)
}

// refusal is an error in the dialect's shape.
type refusal struct {
	Error string `json:"error"`
}

// breakdown is an internal error in the dialect's shape.
type breakdown struct {
	Success bool   `json:"success"`
	Error   string `json:"error"`
	Details string `json:"details"`
}

func render(c *api.Call, f api.Failure) error {
	if f.Status == http.StatusInternalServerError {
		return c.JSON(f.Status, breakdown{Error: "Internal server error", Details: c.Quote()})
	}
	return c.JSON(f.Status, refusal{f.Message})
}
