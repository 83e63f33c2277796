// Package directory is the dialect of publishers' front ends that look users up. It has the
// paths and shapes of Naviga Subscribe's Users Orchestrator API.
package directory

import (
	"errors"
	"net/http"
	"strings"

	"usersync/internal/api"
	"usersync/internal/issuer"
	"usersync/internal/lookup"
	"usersync/internal/record"
	"usersync/internal/tenant"
	"usersync/internal/usersync"
)

// Handlers answer the calls of the dialect.
type Handlers struct {
	// Lookup looks users up.
	Lookup *lookup.Service
	// Tokens checks the tokens of callers.
	Tokens *issuer.Checker
}

// The paths of the dialect. An id may stand with or without a slash behind it.
const (
	usersPath = "/v4/Users"
	idName    = "id"
	userPath  = usersPath + "/:" + idName
)

// Dialect returns the routes of look-ups.
func (h *Handlers) Dialect() api.Dialect {
	return api.Dialect{
		Name: "directory", Prefixes: []string{usersPath}, Auth: h.authenticate, Render: render,
		Routes: []api.Route{
			{Method: http.MethodGet, Path: usersPath, Handler: h.findUser,
				Summary: "Looks a user up by address, encrypted address or encrypted id, in our store and at the identity provider."},
			{Method: http.MethodGet, Path: userPath, Handler: h.findUserByID, Summary: "Looks a user up by id."},
			{Method: http.MethodGet, Path: userPath + "/", Handler: h.findUserByID, Summary: "Looks a user up by id."},
		},
	}
}

// The headers of every call. What stands in them names the organization, and the
// application that calls.
const (
	headerSource = "X-SourceSystem"
	headerClient = "X-ClientCode"
	headerPaper  = "X-PaperCode"
	headerGroup  = "X-ClientGroupCode"
)

// maxHeader bounds what stands in one of them, in bytes.
const maxHeader = 200

// authenticate lets in whoever has a token of the issuer of the organization that the
// headers name. The order of refusals: token missing, header missing, unknown organization
// or bad token (which nobody can tell apart), another tenant's token, too many calls.
func (h *Handlers) authenticate(c *api.Call) error {
	header := c.Request().Header
	token := api.BearerToken(header)
	if token == "" {
		return issuer.ErrToken
	}
	for _, name := range []string{headerSource, headerClient, headerPaper, headerGroup} {
		values := header.Values(name)
		switch {
		case len(values) == 0 || strings.TrimSpace(values[0]) == "":
			return invalid(name, "is required")
		case len(values) > 1:
			return invalid(name, "must be there once")
		case len(values[0]) > maxHeader || strings.ContainsFunc(values[0], func(r rune) bool { return r < ' ' || r > '~' }):
			return invalid(name, "must have at most 200 characters of ASCII")
		}
	}
	value := func(name string) string { return strings.TrimSpace(header.Get(name)) }
	caller, ok, err := c.FindTenant(tenant.Codes{ClientGroupCode: value(headerGroup), ClientCode: value(headerClient), PaperCode: value(headerPaper)})
	if err != nil {
		return err
	}
	if !ok {
		return issuer.ErrToken
	}
	if err := h.Tokens.Check(c.Context(), caller.Organization, token, caller.At); err != nil {
		return err
	}
	return c.AdmitTenant(caller, "directory:"+value(headerSource))
}

// invalid is the refusal of a field: E400_02, whose text names it.
func invalid(field, fault string) error { return api.Invalid(field, fault) }

// envelope is the form of every answer.
type envelope struct {
	Message message `json:"message"`
	// Data is null in an error.
	Data []user `json:"data"`
	Meta meta   `json:"meta"`
}

type message struct {
	Code string `json:"code"`
	Text string `json:"text"`
	Type string `json:"type"`
}

type meta struct {
	TotalRecords int  `json:"totalRecords"`
	Degraded     bool `json:"degraded,omitempty"`
}

// user is a record in the words of the seed's page.
type user struct {
	ID          string          `json:"customerRegistrationId"`
	EncryptedID string          `json:"encryptedCustomerRegistrationId"`
	Email       usersync.Email  `json:"email"`
	FirstName   string          `json:"firstName"`
	LastName    string          `json:"lastName"`
	State       record.State    `json:"state"`
	Metadata    record.Metadata `json:"metadata"`
	Verified    bool            `json:"verified"`
}

// prefix begins every code of the dialect.
const prefix = "UsersOrchestrator_"

func render(c *api.Call, f api.Failure) error {
	code, text := codeOf(f), f.Message
	switch {
	case f.Status >= http.StatusInternalServerError && code == "E500":
		text = "Internal Server Error. " + c.Quote()
	case code == "E400_02":
		text = "Invalid InputModel: " + text + "."
	}
	return c.JSON(f.Status, envelope{Message: message{prefix + code, text, "Error"}})
}

// codeOf returns the code of an error.
func codeOf(f api.Failure) string {
	switch {
	case f.Status == http.StatusBadRequest && len(f.Fields) > 0:
		return "E400_02"
	case f.Status == http.StatusServiceUnavailable, f.Status == http.StatusInternalServerError && !errors.Is(f.Error, lookup.ErrWorkflow):
		return "E500"
	case f.Status == http.StatusInternalServerError:
		return "E500_02"
	}
	return map[int]string{
		http.StatusBadRequest: "E400", http.StatusUnauthorized: "E401", http.StatusForbidden: "E403", http.StatusNotFound: "E404",
		http.StatusMethodNotAllowed: "E405", http.StatusTooManyRequests: "E429",
	}[f.Status]
}
