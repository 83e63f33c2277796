// Package event is the dialect of CRMs and shops that report events. It is compatible
// with Copernica's REST API v4.
package event

import (
	"net/http"

	"usersync/internal/api"
	"usersync/internal/followup"
	"usersync/internal/management"
	"usersync/internal/seal"
	"usersync/internal/tenant"
)

// Handlers answer the calls of the dialect.
type Handlers struct {
	// Management carries out the calls.
	Management *management.Service
	// Keys sign the tokens that authenticate hands out.
	Keys *seal.Keys
}

const authenticatePath = "/v4/authenticate"

// mediaTypes are those of a body.
var mediaTypes = []string{mediaJSON, mediaForm}

// Dialect returns the routes of events.
func (h *Handlers) Dialect() api.Dialect {
	route := func(t followup.EventType, summary string, read func(*sent) error) api.Route {
		return api.Route{Method: http.MethodPost, Path: "/v4/events/" + string(t), Scope: tenant.ScopeEvents, MediaTypes: mediaTypes,
			Handler: h.report(t, read), Summary: summary}
	}
	return api.Dialect{
		Name:     "events",
		Prefixes: []string{"/v4/events/", authenticatePath},
		Doubled:  "/v4//",
		Auth:     h.authenticate,
		Render:   render,
		Routes: []api.Route{
			route(followup.UserUpdate, "Logs that a user has changed, and runs the follow-ups of that.", readUser),
			route(followup.UserRegister, "Logs that a user has registered, and runs the follow-ups of that.", readUser),
			route(followup.UserRemove, "Logs that a user was removed, and runs the follow-ups of that.", readRemovedUser),
			route(followup.WebshopCartAdd, "Logs that something was put into a cart, and runs the follow-ups of that.", needing("id", "sku", "count")),
			route(followup.WebshopCartRemove, "Logs that something was taken out of a cart, and runs the follow-ups of that.", needing("id", "sku")),
			{Method: http.MethodPost, Path: authenticatePath, Scope: tenant.ScopeEvents, MediaTypes: mediaTypes, Handler: h.giveToken,
				Summary: "Exchanges an API key for a token that is valid for a day."},
		},
	}
}

// refusal is an error in the dialect's shape.
type refusal struct {
	Error message `json:"error"`
}

type message struct {
	Message string `json:"message"`
}

// invalidToken is what everybody is told who is not known.
const invalidToken = "Invalid access token"

func render(c *api.Call, f api.Failure) error {
	text := f.Message
	switch f.Status {
	case http.StatusUnauthorized:
		text = invalidToken
	case http.StatusInternalServerError:
		text = c.Quote()
	}
	return c.JSON(f.Status, refusal{message{text}})
}
