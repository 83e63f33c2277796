// Package console is the console at /: pages for people who look, mend and ask. They are
// made on the server and work without a script. Each noun has a file of handlers and one of
// templates, from which templ makes a third. The pages call the same services as the API;
// what they allow is what the scopes of the viewer's key allow there.
package console

import (
	"log/slog"
	"net/http"

	"github.com/alexedwards/scs/v2"

	"usersync/internal/api"
	"usersync/internal/console/live"
	"usersync/internal/console/session"
	"usersync/internal/management"
	"usersync/internal/management/fields"
	"usersync/internal/management/followups"
	"usersync/internal/management/pulse"
	"usersync/internal/tenant"
	"usersync/internal/usersync"
)

//go:generate go run github.com/a-h/templ/cmd/templ@v0.3.1118 generate -path .

// Options are what the console is made of.
type Options struct {
	// Management carries out what the pages ask for.
	Management *management.Service
	// FollowUps carries out what they ask for about follow-ups.
	FollowUps *followups.Service
	// Fields asks platforms for their fields.
	Fields *fields.Service
	// Pulse tells how the newest requests fare.
	Pulse *pulse.Service
	// Sessions say who is signed in.
	Sessions *scs.SessionManager
	// AdminToken is what the operator signs in with. Nobody can when it is empty.
	AdminToken usersync.Secret
}

// Handlers answer with the pages.
type Handlers struct {
	Options
	origin  *http.CrossOriginProtection
	tries   *session.Tries
	streams *live.Streams
}

// New returns the handlers of the console.
func New(o Options) *Handlers {
	return &Handlers{Options: o, origin: http.NewCrossOriginProtection(), tries: session.NewTries(), streams: live.NewStreams()}
}

// EndStreams ends the streams that keep pages current. Browsers connect again.
func (h *Handlers) EndStreams() { h.streams.End() }

// forms are the media types of what pages send.
var forms = []string{"application/x-www-form-urlencoded"}

// prefixes are the beginnings of paths whose errors are pages. The pages share their root
// with the API, whose prefixes are longer or others.
var prefixes = []string{
	"/static/", "/sign-", "/search", "/requests", "/failures", "/users", "/erasures", "/connections", "/webhooks", "/deliveries",
	"/follow-ups", "/imports", "/credits", "/organization", "/operator",
}

// Dialects returns the files, the pages that everybody may see, those of an organization, and
// those of the operator.
func (h *Handlers) Dialects() []api.Dialect {
	return []api.Dialect{
		{Name: "console", Auth: h.secure, Render: h.fail, Level: slog.LevelDebug, Routes: []api.Route{
			{Method: http.MethodGet, Path: "/static/*", Handler: h.serveFile},
		}},
		{Name: "console", Prefixes: prefixes, Auth: h.secure, Render: h.fail, Routes: []api.Route{
			{Method: http.MethodGet, Path: "/sign-in", Handler: h.signInPage},
			{Method: http.MethodPost, Path: "/sign-in", MediaTypes: forms, Handler: h.signIn},
			{Method: http.MethodPost, Path: "/sign-out", MediaTypes: forms, Handler: h.signOut},
		}},
		{Name: "console", Auth: h.authenticate, Render: h.fail, Routes: h.pages()},
		{Name: "console", Auth: h.authenticateOperator, Render: h.fail, Routes: h.operatorPages()},
	}
}

// The scopes that pages need are those of the calls of the API that do the same.
const (
	read      = tenant.ScopeRead
	manage    = tenant.ScopeManage
	syncing   = tenant.ScopeSync
	marketing = tenant.ScopeMarketing
	erase     = tenant.ScopeErase
)

func (h *Handlers) pages() []api.Route {
	var out []api.Route
	for _, list := range [][]api.Route{
		h.overviewPages(), h.searchPages(), h.requestPages(), h.failurePages(), h.userPages(),
		h.connectionPages(), h.webhookPages(), h.creditPages(), h.followUpPages(), h.importPages(), h.organizationPages(),
	} {
		out = append(out, list...)
	}
	return out
}

// page is a route that shows something to whoever has one of the scopes, and keeps it
// current for a viewer who asks for events.
func (h *Handlers) page(path string, load loader, scopes ...tenant.Scope) api.Route {
	return api.Route{Method: http.MethodGet, Path: path, Handler: oneOf(h.show(load), scopes)}
}

// act is a route that does something, for which a key needs the scope.
func (h *Handlers) act(path string, scope tenant.Scope, do func(*api.Call) (done, error)) api.Route {
	return api.Route{Method: http.MethodPost, Path: path, Scope: scope, MediaTypes: forms, Handler: h.do(do)}
}
