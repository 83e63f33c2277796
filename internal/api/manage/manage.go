// Package manage is the management dialect: operators run organizations, keys,
// credits and the queue; tenants look after their own. It is an API of ours.
package manage

import (
	"crypto/sha256"
	"crypto/subtle"
	"net/http"
	"slices"
	"strings"

	"usersync/internal/api"
	"usersync/internal/directory"
	"usersync/internal/management"
	"usersync/internal/queue"
	"usersync/internal/tenant"
	"usersync/internal/usersync"
)

// operator is who the audit log says made a change through the operator's API.
const operator = "operator"

// Options are what the dialect works with.
type Options struct {
	Admin *management.Service
	// Directory receives imports.
	Directory *directory.Service
	// Token is the operator's (ADMIN_TOKEN); without one every call is refused.
	Token usersync.Secret
	// Depths tells how full the queues are.
	Depths func() ([]queue.Depth, error)
	// Pause stops the workers of a queue, Resume has them go on.
	Pause, Resume func(queue string) error
	// Wake has the relay look at the outbox now.
	Wake func()
}

// Dialects returns the operator's and the tenant's side of the dialect. Every
// write takes Idempotency-Key, but for uploads, which are read as a stream.
func Dialects(o Options) []api.Dialect {
	dialects := []api.Dialect{o.operator(), o.tenant()}
	for _, d := range dialects {
		for i, r := range d.Routes {
			if r.Method != http.MethodGet && len(r.MediaTypes) == 0 {
				d.Routes[i].Handler = api.Once(r.Handler)
			}
		}
	}
	return dialects
}

func (o Options) operator() api.Dialect {
	const (
		organization = "/admin/v1/organizations/:id"
		key          = organization + "/api-keys/:keyId"
	)
	return api.Dialect{
		Name: "operator", Prefixes: []string{"/admin/"}, Auth: o.operatorAuth,
		Routes: []api.Route{
			{Method: http.MethodPost, Path: "/admin/v1/organizations", Summary: "Makes an organization.", Handler: o.createOrganization},
			{Method: http.MethodGet, Path: "/admin/v1/organizations", Summary: "Lists the organizations, newest first.", Handler: o.listOrganizations},
			{Method: http.MethodGet, Path: organization, Summary: "Shows an organization.", Handler: o.showOrganization},
			{Method: http.MethodPatch, Path: organization, Summary: "Changes the fields and settings that are sent.", Handler: o.updateOrganization},
			{Method: http.MethodDelete, Path: organization, Summary: "Disables an organization: its calls are refused from now on.", Handler: o.disableOrganization},

			{Method: http.MethodPost, Path: organization + "/api-keys", Summary: "Makes an API key; it is shown this once.", Handler: o.createKey},
			{Method: http.MethodGet, Path: organization + "/api-keys", Summary: "Lists an organization's API keys, newest first.", Handler: o.listKeys},
			{Method: http.MethodGet, Path: key, Summary: "Shows an API key, masked.", Handler: o.showKey},
			{Method: http.MethodDelete, Path: key, Summary: "Revokes an API key now.", Handler: o.revokeKey},
			{Method: http.MethodPost, Path: key + "/rotate", Summary: "Replaces an API key; the old one works on for the overlap.", Handler: o.rotateKey},

			{Method: http.MethodPost, Path: organization + "/credits", Summary: "Adds credits, once for each reference; waiting requests go on.", Handler: o.topUp},
			{Method: http.MethodGet, Path: organization + "/credits", Summary: "Shows an organization's balance.", Handler: o.showBalance},
			{Method: http.MethodGet, Path: organization + "/credits/ledger", Summary: "Lists an organization's ledger, newest first.", Handler: o.listLedger},
			{Method: http.MethodPost, Path: organization + "/credits/verify", Summary: "Proves that the balance is the sum of the ledger.", Handler: o.verifyCredits},

			{Method: http.MethodGet, Path: "/admin/v1/queues", Summary: "Shows how much waits in the queues and in the database.", Handler: o.showQueues},
			{Method: http.MethodPost, Path: "/admin/v1/queues/:name/pause", Summary: "Has the workers take nothing more from a queue.", Handler: o.pauseQueue},
			{Method: http.MethodPost, Path: "/admin/v1/queues/:name/resume", Summary: "Has the workers go on with a queue.", Handler: o.resumeQueue},
			{Method: http.MethodGet, Path: "/admin/v1/stuck", Summary: "Lists unfinished tasks that should be done by now, oldest first.", Handler: o.listStuck},
			{Method: http.MethodPost, Path: "/admin/v1/rebuild", Summary: "Rebuilds the queue from the database.", Handler: o.rebuild},
			{Method: http.MethodGet, Path: "/admin/v1/audit", Summary: "Lists who changed what, newest first.", Handler: o.listAudit},
		},
	}
}

// tenant's routes that only read take a key with the scope read or manage, the
// rest one with manage.
func (o Options) tenant() api.Dialect {
	const (
		endpoints   = "/v1/webhook-endpoints"
		endpoint    = endpoints + "/:id"
		connections = "/v1/connections"
		conn        = connections + "/:id"
		platforms   = "/v1/platforms"
		delivery    = "/v1/deliveries/:id"
		imported    = importsPath + "/:id"
		users       = "/v1/users"
		erasures    = "/v1/erasures"
		events      = "/v1/events"
		erase       = tenant.ScopeErase
		manage      = tenant.ScopeManage
	)
	return api.Dialect{
		Name: "manage", Auth: tenantAuth,
		Prefixes: []string{"/v1/organization", "/v1/credits", endpoints, "/v1/webhook-keys", "/v1/deliveries", importsPath, users, erasures, events, connections, platforms},
		Routes: []api.Route{
			{Method: http.MethodGet, Path: "/v1/organization", Summary: "Shows the organization. Scope: read or manage.", Handler: reading(o.showOwn)},
			{Method: http.MethodPatch, Path: "/v1/organization", Scope: manage, Summary: "Changes the fields and settings that are sent.", Handler: o.updateOwn},
			{Method: http.MethodGet, Path: "/v1/credits", Summary: "Shows the balance. Scope: read or manage.", Handler: reading(showOwnBalance)},
			{Method: http.MethodGet, Path: "/v1/credits/ledger", Summary: "Lists the ledger, newest first. Scope: read or manage.", Handler: reading(listOwnLedger)},

			{Method: http.MethodPost, Path: endpoints, Scope: manage, Summary: "Makes a webhook endpoint; its secret is shown this once.", Handler: o.createEndpoint},
			{Method: http.MethodGet, Path: endpoints, Summary: "Lists the webhook endpoints, newest first. Scope: read or manage.", Handler: reading(o.listEndpoints)},
			{Method: http.MethodGet, Path: endpoint, Summary: "Shows a webhook endpoint, its secret masked. Scope: read or manage.", Handler: reading(o.showEndpoint)},
			{Method: http.MethodPatch, Path: endpoint, Scope: manage, Summary: "Changes the fields that are sent.", Handler: o.updateEndpoint},
			{Method: http.MethodDelete, Path: endpoint, Scope: manage, Summary: "Deletes a webhook endpoint; what waits for it fails.", Handler: o.deleteEndpoint},
			{Method: http.MethodPost, Path: endpoint + "/rotate-secret", Scope: manage, Summary: "Replaces the secret; the old one signs beside it for 24 h.", Handler: o.rotateSecret},
			{Method: http.MethodPost, Path: endpoint + "/test", Scope: manage, Summary: "Sends a test message to the endpoint.", Handler: o.testEndpoint},
			{Method: http.MethodPost, Path: endpoint + "/enable", Scope: manage, Summary: "Enables an endpoint that was disabled.", Handler: enableEndpoint},
			{Method: http.MethodPost, Path: endpoint + "/recover", Scope: manage, Summary: "Sends every failed delivery of a window again.", Handler: o.recoverDeliveries},
			{Method: http.MethodGet, Path: "/v1/webhook-keys", Summary: "Lists the public keys of the endpoints that sign with v1a. Scope: read or manage.", Handler: reading(listWebhookKeys)},

			{Method: http.MethodGet, Path: endpoint + "/deliveries", Summary: "Lists an endpoint's deliveries with their attempts, newest first. Scope: read or manage.", Handler: reading(listDeliveries)},
			{Method: http.MethodGet, Path: delivery, Summary: "Shows a delivery with its attempts. Scope: read or manage.", Handler: reading(getDelivery)},
			{Method: http.MethodPost, Path: delivery + "/redeliver", Scope: manage, Summary: "Sends the message of a delivery again, now.", Handler: o.redeliver},

			{Method: http.MethodPost, Path: connections, Scope: manage, Summary: "Makes a connection; the platform is asked first.", Handler: o.createConnection},
			{Method: http.MethodGet, Path: connections, Summary: "Lists the connections, newest first. Scope: read or manage.", Handler: reading(o.listConnections)},
			{Method: http.MethodGet, Path: conn, Summary: "Shows a connection, its secrets masked. Scope: read or manage.", Handler: reading(o.showConnection)},
			{Method: http.MethodPatch, Path: conn, Scope: manage, Summary: "Changes the fields that are sent; the platform is asked first.", Handler: o.updateConnection},
			{Method: http.MethodDelete, Path: conn, Scope: manage, Summary: "Deletes a connection; what waits for it is skipped.", Handler: o.deleteConnection},
			{Method: http.MethodPost, Path: conn + "/check", Scope: manage, Summary: "Asks the platform whether it takes the credentials.", Handler: o.checkConnection},
			{Method: http.MethodPost, Path: conn + "/pause", Scope: manage, Summary: "Has nothing more pushed.", Handler: o.pauseConnection},
			{Method: http.MethodPost, Path: conn + "/resume", Scope: manage, Summary: "Has users pushed again.", Handler: o.resumeConnection},
			{Method: http.MethodGet, Path: platforms, Summary: "Shows the platforms and what a connection to each needs. Scope: read or manage.", Handler: reading(o.listPlatforms)},

			{Method: http.MethodGet, Path: users, Summary: "Lists the users, or shows the one with an address. Scope: read or manage.", Handler: reading(listUsers)},
			{Method: http.MethodGet, Path: users + "/:id", Summary: "Shows a user. Scope: read or manage.", Handler: reading(showUser)},
			{Method: http.MethodGet, Path: users + "/:id/export", Summary: "Exports everything held about a user. Scope: read or manage.", Handler: reading(o.exportUser)},
			{Method: http.MethodDelete, Path: users + "/:id", Scope: erase, Summary: "Erases a user.", Handler: o.eraseUser},
			{Method: http.MethodPost, Path: erasures, Scope: erase, Summary: "Erases whoever has an address.", Handler: o.createErasure},
			{Method: http.MethodGet, Path: erasures, Summary: "Lists the erasures, newest first. Scope: erase or manage.", Handler: oneOf(listErasures, erase, manage)},
			{Method: http.MethodGet, Path: erasures + "/:id", Summary: "Shows how far an erasure is. Scope: erase or manage.", Handler: oneOf(showErasure, erase, manage)},
			{Method: http.MethodGet, Path: events, Summary: "Lists what happened to users, newest first. Scope: read, manage or events.", Handler: oneOf(listEvents, tenant.ScopeRead, manage, tenant.ScopeEvents)},
			{Method: http.MethodGet, Path: events + "/:id", Summary: "Shows an event. Scope: read, manage or events.", Handler: oneOf(showEvent, tenant.ScopeRead, manage, tenant.ScopeEvents)},

			{Method: http.MethodPost, Path: importsPath, Scope: manage, Summary: "Takes a CSV or NDJSON file of people for the colleague search, up to 64 MiB.", MediaTypes: importTypes, BodyLimit: importLimit, Handler: o.createImport},
			{Method: http.MethodGet, Path: importsPath, Summary: "Lists the imports, newest first. Scope: read or manage.", Handler: reading(listImports)},
			{Method: http.MethodGet, Path: imported, Summary: "Shows an import: progress and the first wrong lines. Scope: read or manage.", Handler: reading(showImport)},
			{Method: http.MethodGet, Path: imported + "/errors", Summary: "Gives all wrong lines of an import as CSV. Scope: read or manage.", Handler: reading(showImportErrors)},
		},
	}
}

// The refusals of the operator's token.
var (
	errNoToken    = usersync.Errorf(usersync.CodeUnauthorized, "Send the operator's token: Authorization: Bearer <ADMIN_TOKEN>.")
	errWrongToken = usersync.Errorf(usersync.CodeUnauthorized, "The operator's token is wrong.")
)

func (o Options) operatorAuth(c *api.Call) error {
	unkept(c)
	token := api.BearerToken(c.Request().Header)
	if token == "" {
		return errNoToken
	}
	if !same(token, o.Token.Reveal()) {
		return errWrongToken
	}
	c.Actor = operator
	return nil
}

// same compares in a time that depends on neither text; the hashes make the
// lengths equal.
func same(a, b string) bool {
	x, y := sha256.Sum256([]byte(a)), sha256.Sum256([]byte(b))
	return subtle.ConstantTimeCompare(x[:], y[:]) == 1
}

func tenantAuth(c *api.Call) error {
	unkept(c)
	return api.KeyAuth(c)
}

// unkept keeps the answer, which may hold a new secret, out of all caches.
func unkept(c *api.Call) { c.Header().Set("Cache-Control", "no-store") }

// reading lets keys in that may read or manage.
func reading(handler func(*api.Call) error) func(*api.Call) error {
	return oneOf(handler, tenant.ScopeRead, tenant.ScopeManage)
}

// oneOf lets keys in that have one of the scopes.
func oneOf(handler func(*api.Call) error, scopes ...tenant.Scope) func(*api.Call) error {
	names := make([]string, len(scopes))
	for i, s := range scopes {
		names[i] = string(s)
	}
	refusal := usersync.Errorf(usersync.CodeForbidden, "API Key lacks the scope %s.", strings.Join(names, " or "))
	return func(c *api.Call) error {
		if !slices.ContainsFunc(scopes, c.Caller.Key.Allows) {
			return refusal
		}
		return handler(c)
	}
}

// page answers with the part of a list that the call asks for.
func page[T any](c *api.Call, prefix usersync.Prefix, load func(before string, limit int) ([]T, error), id func(T) string) error {
	p, err := c.Page(prefix)
	if err != nil {
		return err
	}
	items, err := load(p.Before, p.Limit+1)
	if err != nil {
		return err
	}
	return c.JSON(http.StatusOK, api.NewList(p, items, id))
}

// created answers with a new thing that can be read at path.
func created(c *api.Call, path string, v any) error {
	c.Header().Set("Location", path)
	return c.JSON(http.StatusCreated, v)
}
