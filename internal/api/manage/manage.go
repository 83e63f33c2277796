// Package manage is the management dialect. Operators manage organizations, keys,
// credits and the queue; tenants manage what is their own.
package manage

import (
	"context"
	"crypto/sha256"
	"crypto/subtle"
	"fmt"
	"net/http"
	"slices"
	"strings"

	"usersync/internal/api"
	"usersync/internal/management"
	"usersync/internal/management/fields"
	"usersync/internal/management/followups"
	"usersync/internal/store"
	"usersync/internal/tenant"
	"usersync/internal/usersync"
)

// operator is who the audit log says made a change through the operator's API.
const operator = "operator"

// Handlers answer the calls of the dialect.
type Handlers struct {
	// Management carries out the calls.
	Management *management.Service
	// FollowUps carries out those on follow-ups.
	FollowUps *followups.Service
	// Fields carries out those on the fields of platforms.
	Fields *fields.Service
	// AdminToken is the operator's (ADMIN_TOKEN). When it is empty, every call of
	// an operator is refused.
	AdminToken usersync.Secret
}

// Dialects returns the operator's and the tenant's side of the dialect. Every
// write takes Idempotency-Key, but for uploads, which are read as a stream. Every route
// refuses parameters that it does not know.
func (h *Handlers) Dialects() []api.Dialect {
	dialects := []api.Dialect{h.operator(), h.tenant()}
	for _, d := range dialects {
		for i, r := range d.Routes {
			if r.Method != http.MethodGet && len(r.MediaTypes) == 0 {
				d.Routes[i].Handler = api.Once(r.Handler)
			}
			if r.Query == nil {
				d.Routes[i].Query = []string{}
			}
		}
	}
	return append(dialects, h.inbound())
}

func (h *Handlers) operator() api.Dialect {
	const (
		organization = "/admin/v1/organizations/:id"
		key          = organization + "/api-keys/:keyId"
	)
	return api.Dialect{
		Name: "operator", Prefixes: []string{"/admin/"}, Auth: h.authenticateOperator,
		Routes: []api.Route{
			{Method: http.MethodPost, Path: "/admin/v1/organizations", Summary: "Makes an organization.", Handler: h.createOrganization},
			{Method: http.MethodGet, Path: "/admin/v1/organizations", Summary: "Lists the organizations, newest first.", Handler: h.listOrganizations, Query: api.PageQuery()},
			{Method: http.MethodGet, Path: organization, Summary: "Shows an organization.", Handler: h.getOrganization},
			{Method: http.MethodPatch, Path: organization, Summary: "Changes the fields and settings that are sent.", Handler: h.updateOrganization},
			{Method: http.MethodDelete, Path: organization, Summary: "Disables an organization: its calls are refused and its work stops from now on.", Handler: h.disableOrganization},
			{Method: http.MethodPost, Path: organization + "/enable", Summary: "Enables an organization: its calls are taken and its work goes on.", Handler: bodiless(h.enableOrganization)},

			{Method: http.MethodPost, Path: organization + "/api-keys", Summary: "Makes an API key; it is shown this once.", Handler: h.createKey},
			{Method: http.MethodGet, Path: organization + "/api-keys", Summary: "Lists an organization's API keys, newest first.", Handler: h.listKeys, Query: api.PageQuery()},
			{Method: http.MethodGet, Path: key, Summary: "Shows an API key, masked.", Handler: h.getKey},
			{Method: http.MethodDelete, Path: key, Summary: "Revokes an API key now.", Handler: h.revokeKey},
			{Method: http.MethodPost, Path: key + "/rotate", Summary: "Replaces an API key; the old one works on for the overlap.", Handler: h.rotateKey},

			{Method: http.MethodPost, Path: organization + "/credits", Summary: "Adds credits, once for each reference; waiting requests go on.", Handler: h.topUpCredits},
			{Method: http.MethodGet, Path: organization + "/credits", Summary: "Shows an organization's balance.", Handler: h.getBalance},
			{Method: http.MethodGet, Path: organization + "/credits/ledger", Summary: "Lists an organization's ledger, newest first.", Handler: h.listLedger, Query: api.PageQuery()},
			{Method: http.MethodPost, Path: organization + "/credits/verify", Summary: "Proves that the balance is the sum of the ledger.", Handler: bodiless(h.verifyCredits)},

			{Method: http.MethodGet, Path: "/admin/v1/queues", Summary: "Shows how much waits in the queues and in the database.", Handler: h.getQueues},
			{Method: http.MethodPost, Path: "/admin/v1/queues/:name/pause", Summary: "Has the workers take nothing more from a queue.", Handler: bodiless(h.pauseQueue)},
			{Method: http.MethodPost, Path: "/admin/v1/queues/:name/resume", Summary: "Has the workers go on with a queue.", Handler: bodiless(h.resumeQueue)},
			{Method: http.MethodGet, Path: "/admin/v1/stuck", Summary: "Lists unfinished tasks that should be done by now, oldest first.", Handler: h.listStuckTasks, Query: api.PageQuery("olderThan")},
			{Method: http.MethodPost, Path: "/admin/v1/stuck/:id/retry", Summary: "Has a poisoned task worked again.", Handler: bodiless(h.retryTask)},
			{Method: http.MethodPost, Path: "/admin/v1/rebuild", Summary: "Rebuilds the queue from the database.", Handler: bodiless(h.rebuildQueue)},
			{Method: http.MethodGet, Path: "/admin/v1/audit", Summary: "Lists who changed what, newest first.", Handler: h.listAuditEntries, Query: api.PageQuery("organizationId")},
		},
	}
}

// tenant returns the routes of tenants. Those that only read need the scope read
// or manage; most others need manage.
func (h *Handlers) tenant() api.Dialect {
	const (
		endpoints   = "/v1/webhook-endpoints"
		endpoint    = endpoints + "/:id"
		connections = "/v1/connections"
		conn        = connections + "/:id"
		platforms   = "/v1/platforms"
		delivery    = "/v1/deliveries/:id"
		imported    = importsPath + "/:id"
		users       = "/v1/users"
		aliases     = "/v1/organization/alias-suggestions"
		erasures    = "/v1/erasures"
		events      = "/v1/events"
		erase       = tenant.ScopeErase
		manage      = tenant.ScopeManage
	)
	return api.Dialect{
		Name: "manage", Auth: api.KeyAuth,
		Prefixes: []string{"/v1/organization", "/v1/credits", endpoints, "/v1/webhook-keys", "/v1/deliveries", importsPath, users, erasures, events, followUpsPath, connections, platforms},
		Routes: append(h.followUps(), []api.Route{
			{Method: http.MethodGet, Path: "/v1/organization", Summary: "Shows the organization. Scope: read or manage.", Handler: reading(h.getOwnOrganization)},
			{Method: http.MethodPatch, Path: "/v1/organization", Scope: manage, Summary: "Changes the fields and settings that are sent.", Handler: h.updateOwnOrganization},
			{Method: http.MethodGet, Path: aliases, Summary: "Suggests domains that may be one company's, with the evidence. Scope: read or manage.", Handler: reading(h.suggestAliases)},
			{Method: http.MethodPost, Path: aliases, Scope: manage, Summary: "Accepts or dismisses a suggestion.", Handler: h.decideAliases},
			{Method: http.MethodGet, Path: "/v1/credits", Summary: "Shows the balance. Scope: read or manage.", Handler: reading(h.getOwnBalance)},
			{Method: http.MethodGet, Path: "/v1/credits/ledger", Summary: "Lists the ledger, newest first. Scope: read or manage.", Handler: reading(h.listOwnLedger), Query: api.PageQuery()},

			{Method: http.MethodPost, Path: endpoints, Scope: manage, Summary: "Makes a webhook endpoint; its secret is shown this once.", Handler: h.createEndpoint},
			{Method: http.MethodGet, Path: endpoints, Summary: "Lists the webhook endpoints, newest first. Scope: read or manage.", Handler: reading(h.listEndpoints), Query: api.PageQuery()},
			{Method: http.MethodGet, Path: endpoint, Summary: "Shows a webhook endpoint, its secret masked. Scope: read or manage.", Handler: reading(h.getEndpoint)},
			{Method: http.MethodPatch, Path: endpoint, Scope: manage, Summary: "Changes the fields that are sent.", Handler: h.updateEndpoint},
			{Method: http.MethodDelete, Path: endpoint, Scope: manage, Summary: "Deletes a webhook endpoint; what waits for it fails.", Handler: h.deleteEndpoint},
			{Method: http.MethodPost, Path: endpoint + "/rotate-secret", Scope: manage, Summary: "Replaces the secret; the old one signs beside it for 24 h.", Handler: bodiless(h.rotateEndpointSecret)},
			{Method: http.MethodPost, Path: endpoint + "/test", Scope: manage, Summary: "Sends a test message to the endpoint.", Handler: bodiless(h.testEndpoint)},
			{Method: http.MethodPost, Path: endpoint + "/enable", Scope: manage, Summary: "Enables an endpoint that was disabled.", Handler: bodiless(h.enableEndpoint)},
			{Method: http.MethodPost, Path: endpoint + "/recover", Scope: manage, Summary: "Sends every failed delivery of a window again.", Handler: h.recoverDeliveries},
			{Method: http.MethodGet, Path: "/v1/webhook-keys", Summary: "Lists the public keys of the endpoints that sign with v1a. Scope: read or manage.", Handler: reading(h.listWebhookKeys), Query: api.PageQuery()},

			{Method: http.MethodGet, Path: endpoint + "/deliveries", Summary: "Lists an endpoint's deliveries with their attempts, newest first. Scope: read or manage.", Handler: reading(h.listDeliveries), Query: api.PageQuery("status")},
			{Method: http.MethodGet, Path: delivery, Summary: "Shows a delivery with its attempts. Scope: read or manage.", Handler: reading(h.getDelivery)},
			{Method: http.MethodPost, Path: delivery + "/redeliver", Scope: manage, Summary: "Sends the message of a delivery again, now.", Handler: bodiless(h.redeliverMessage)},

			{Method: http.MethodPost, Path: connections, Scope: manage, Summary: "Makes a connection; the platform is asked first.", Handler: h.createConnection, Query: []string{"check"}},
			{Method: http.MethodGet, Path: connections, Summary: "Lists the connections, newest first. Scope: read or manage.", Handler: reading(h.listConnections), Query: api.PageQuery()},
			{Method: http.MethodGet, Path: conn, Summary: "Shows a connection, its secrets masked. Scope: read or manage.", Handler: reading(h.getConnection)},
			{Method: http.MethodPatch, Path: conn, Scope: manage, Summary: "Changes the fields that are sent; the platform is asked first.", Handler: h.updateConnection, Query: []string{"check"}},
			{Method: http.MethodDelete, Path: conn, Scope: manage, Summary: "Deletes a connection; what waits for it is skipped.", Handler: h.deleteConnection},
			{Method: http.MethodPost, Path: conn + "/check", Scope: manage, Summary: "Asks the platform whether it takes the credentials.", Handler: bodiless(h.checkConnection)},
			{Method: http.MethodPost, Path: conn + "/pause", Scope: manage, Summary: "Has nothing more pushed.", Handler: bodiless(h.pauseConnection)},
			{Method: http.MethodPost, Path: conn + "/resume", Scope: manage, Summary: "Has users pushed again.", Handler: bodiless(h.resumeConnection)},
			{Method: http.MethodGet, Path: conn + "/fields", Summary: "Asks the platform what fields its contacts have. Scope: read or manage.", Handler: reading(h.listFields)},
			{Method: http.MethodPost, Path: conn + "/fields", Scope: manage, Summary: "Has the platform make a field of its contacts.", Handler: h.createField},
			{Method: http.MethodPost, Path: conn + "/inbound", Scope: manage, Summary: "Makes the secret address at which the platform may call; it is shown this once.", Handler: bodiless(h.openInbound)},
			{Method: http.MethodDelete, Path: conn + "/inbound", Scope: manage, Summary: "Takes the platform's secret address away.", Handler: h.closeInbound},
			{Method: http.MethodGet, Path: platforms, Summary: "Shows the platforms and what a connection to each needs. Scope: read or manage.", Handler: reading(h.listPlatforms)},

			{Method: http.MethodGet, Path: users, Summary: "Lists the users, or shows the one with an address. Scope: read or manage.", Handler: reading(h.listUsers), Query: api.PageQuery("email")},
			{Method: http.MethodGet, Path: users + "/:id", Summary: "Shows a user. Scope: read or manage.", Handler: reading(h.getUser)},
			{Method: http.MethodPatch, Path: users + "/:id", Scope: manage, Summary: "Changes what is sent of a user: address, consent.", Handler: h.updateUser},
			{Method: http.MethodGet, Path: users + "/:id/export", Summary: "Exports everything held about a user. Scope: read or manage.", Handler: reading(h.exportUser)},
			{Method: http.MethodDelete, Path: users + "/:id", Scope: erase, Summary: "Erases a user.", Handler: h.eraseUser},
			{Method: http.MethodPost, Path: erasures, Scope: erase, Summary: "Erases whoever has an address.", Handler: h.createErasure},
			{Method: http.MethodGet, Path: erasures, Summary: "Lists the erasures, newest first. Scope: erase or manage.", Handler: oneOf(h.listErasures, erase, manage), Query: api.PageQuery()},
			{Method: http.MethodGet, Path: erasures + "/:id", Summary: "Shows how far an erasure is. Scope: erase or manage.", Handler: oneOf(h.getErasure, erase, manage)},
			{Method: http.MethodGet, Path: events, Summary: "Lists what happened to users, newest first. Scope: read, manage or events.", Handler: oneOf(h.listEvents, tenant.ScopeRead, manage, tenant.ScopeEvents), Query: api.PageQuery("userId", "type")},
			{Method: http.MethodGet, Path: events + "/:id", Summary: "Shows an event. Scope: read, manage or events.", Handler: oneOf(h.getEvent, tenant.ScopeRead, manage, tenant.ScopeEvents)},

			{Method: http.MethodPost, Path: importsPath, Scope: manage, Summary: "Takes a CSV or NDJSON file of people for the colleague search, up to 64 MiB.", MediaTypes: importTypes, BodyLimit: importLimit, Handler: h.createImport},
			{Method: http.MethodGet, Path: importsPath, Summary: "Lists the imports, newest first. Scope: read or manage.", Handler: reading(h.listImports), Query: api.PageQuery()},
			{Method: http.MethodGet, Path: imported, Summary: "Shows an import: progress and the first wrong lines. Scope: read or manage.", Handler: reading(h.getImport)},
			{Method: http.MethodGet, Path: imported + "/errors", Summary: "Gives all wrong lines of an import as CSV. Scope: read or manage.", Handler: reading(h.listImportErrors)},
		}...),
	}
}

// The refusals of the operator's token.
var (
	errNoToken    = usersync.Errorf(usersync.CodeUnauthorized, "Send the operator's token: Authorization: Bearer <ADMIN_TOKEN>.")
	errWrongToken = usersync.Errorf(usersync.CodeUnauthorized, "The operator's token is wrong.")
)

func (h *Handlers) authenticateOperator(c *api.Call) error {
	token := api.BearerToken(c.Request().Header)
	if token == "" {
		return errNoToken
	}
	if !same(token, h.AdminToken.Reveal()) {
		return errWrongToken
	}
	c.Actor = operator
	return nil
}

// same compares in a time that depends on neither text. The hashes make the
// lengths equal.
func same(a, b string) bool {
	x, y := sha256.Sum256([]byte(a)), sha256.Sum256([]byte(b))
	return subtle.ConstantTimeCompare(x[:], y[:]) == 1
}

// reading refuses keys that have neither the scope read nor manage.
func reading(handler func(*api.Call) error) func(*api.Call) error {
	return oneOf(handler, tenant.ScopeRead, tenant.ScopeManage)
}

// oneOf refuses keys that have none of the scopes.
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

// nothing is the body of a call that takes none: every field is unknown.
type nothing struct{}

// bodiless refuses a body that says anything.
func bodiless(handler func(*api.Call) error) func(*api.Call) error {
	return func(c *api.Call) error {
		if _, err := decode[nothing](c); err != nil {
			return err
		}
		return handler(c)
	}
}

// decode returns what the body of a call says.
func decode[T any](c *api.Call) (in T, err error) {
	if err := c.Decode(&in); err != nil {
		return in, fmt.Errorf("read the body: %w", err)
	}
	return in, nil
}

// queryID returns the id that a query parameter holds, "" when it is not sent;
// wrong says what it must be.
func queryID(c *api.Call, name string, prefix usersync.Prefix, wrong string) (string, error) {
	query, err := c.Query()
	if err != nil {
		return "", fmt.Errorf("read the query: %w", err)
	}
	id := query.Get(name)
	if id != "" && !usersync.HasPrefix(id, prefix) {
		return "", api.Invalid(name, wrong)
	}
	return id, nil
}

// page answers with the part of a list that the call asks for.
func page[T any](c *api.Call, prefix usersync.Prefix, load api.Load[T], id func(T) string) error {
	p, err := c.Page(prefix)
	if err != nil {
		return fmt.Errorf("read which page is asked for: %w", err)
	}
	return api.AnswerList(c, p, load, id)
}

// ownList loads a part of a list of a tenant.
type ownList[T any] func(ctx context.Context, org *store.Org, before string, limit int) ([]T, error)

// ownPage is page for a list of the caller's organization.
func ownPage[T any](c *api.Call, prefix usersync.Prefix, list ownList[T], id func(T) string) error {
	load := func(before string, limit int) ([]T, error) { return list(c.Context(), c.Caller.Org, before, limit) }
	return page(c, prefix, load, id)
}

// views loads a list with every item converted.
func views[T, V any](list ownList[T], viewOf func(T) (V, error)) ownList[V] {
	return func(ctx context.Context, org *store.Org, before string, limit int) ([]V, error) {
		items, err := list(ctx, org, before, limit)
		if err != nil {
			return nil, err
		}
		out := make([]V, len(items))
		for i, item := range items {
			if out[i], err = viewOf(item); err != nil {
				return nil, fmt.Errorf("convert item %d: %w", i, err)
			}
		}
		return out, nil
	}
}

// convert returns what viewOf makes of a thing, unless it could not be loaded.
func convert[T, V any](one T, err error, viewOf func(T) (V, error)) (view V, _ error) {
	if err != nil {
		return view, err
	}
	return viewOf(one)
}

// answerView answers with what viewOf makes of a thing, unless it could not be
// loaded.
func answerView[T, V any](c *api.Call, one T, err error, viewOf func(T) (V, error)) error {
	view, err := convert(one, err, viewOf)
	return c.Answer(http.StatusOK, view, err)
}

// created answers with a new thing that can be read at path.
func created(c *api.Call, path string, v any, err error) error {
	return located(c, http.StatusCreated, path, v, err)
}

// accepted answers with a thing that a task works on, and that can be read at path.
func accepted(c *api.Call, path string, v any, err error) error {
	return located(c, http.StatusAccepted, path, v, err)
}

func located(c *api.Call, status int, path string, v any, err error) error {
	if err == nil {
		c.Header().Set("Location", path)
	}
	return c.Answer(status, v, err)
}

// removed answers a call that took a thing away.
func removed(c *api.Call, err error) error {
	if err != nil {
		return err
	}
	return c.NoContent(http.StatusNoContent)
}
