// Package directory is the dialect of publishers' front ends that look users up. It has the
// paths and shapes of Naviga Subscribe's Users Orchestrator API.
package directory

import (
	"errors"
	"net/http"
	"strconv"
	"strings"

	"usersync/internal/api"
	"usersync/internal/issuer"
	"usersync/internal/lookup"
	"usersync/internal/record"
	"usersync/internal/registration"
	"usersync/internal/tenant"
	"usersync/internal/usersync"
)

// Handlers answer the calls of the dialect.
type Handlers struct {
	// Lookup looks users up, Registration changes them.
	Lookup       *lookup.Service
	Registration *registration.Service
	// Tokens checks the tokens of callers.
	Tokens *issuer.Checker
}

// The paths of the dialect. An id may stand with or without a slash behind it.
const (
	usersPath = "/v4/Users"
	idName    = "id"
	userPath  = usersPath + "/:" + idName
	forgot    = usersPath + "/ForgotPassword"
)

// Dialect returns the routes.
func (h *Handlers) Dialect() api.Dialect {
	return api.Dialect{
		Name: "directory", Prefixes: []string{usersPath}, Auth: h.authenticate, Render: render,
		Routes: []api.Route{
			{Method: http.MethodGet, Path: usersPath, Handler: h.findUser,
				Summary: "Looks a user up by address, encrypted address or encrypted id, in our store and at the identity provider."},
			{Method: http.MethodGet, Path: userPath, Handler: h.findUserByID, Summary: "Looks a user up by id."},
			{Method: http.MethodGet, Path: userPath + "/", Handler: h.findUserByID, Summary: "Looks a user up by id."},
			{Method: http.MethodPost, Path: usersPath, Handler: writing(h.createUser), Summary: "Registers a user."},
			{Method: http.MethodPut, Path: userPath, Handler: writing(h.updateUser), Summary: "Changes a user."},
			{Method: http.MethodPut, Path: userPath + "/", Handler: writing(h.updateUser), Summary: "Changes a user."},
			{Method: http.MethodPatch, Path: userPath + "/Email", Handler: writing(h.changeEmail), Summary: "Gives a user another address."},
			{Method: http.MethodPatch, Path: userPath + "/Password", Handler: writing(h.changePassword), Summary: "Gives a user another password."},
			{Method: http.MethodPost, Path: usersPath + "/Authentication", Handler: writing(h.authenticateUser), Summary: "Compares a password with that of a user."},
			{Method: http.MethodPost, Path: usersPath + "/VerificationCode", Handler: writing(h.sendCode), Summary: "Sends a user a code that verifies the address."},
			{Method: http.MethodPost, Path: usersPath + "/Verification", Handler: writing(h.verifyUser), Summary: "Verifies the address of a user by such a code."},
			{Method: http.MethodPost, Path: forgot, Handler: writing(h.beginPassword), Summary: "Sends a code that replaces a forgotten password."},
			{Method: http.MethodPut, Path: forgot, Handler: writing(h.endPassword), Summary: "Replaces a forgotten password by such a code."},
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
	Data []shownUser `json:"data"`
	Meta meta        `json:"meta"`
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

// shownUser is a record in the words of the seed's page.
type shownUser struct {
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
	case f.Status == http.StatusInternalServerError && code == "E500":
		text = "Internal Server Error. " + c.Quote()
	case code == "E400_00":
		text = "Invalid InputModel - " + text + "."
	case code == "E400_02":
		text = "Invalid InputModel: " + text + "."
	}
	return c.JSON(f.Status, envelope{Message: message{prefix + code, text, "Error"}})
}

// refusals are the codes of what registration refuses. E400_90 and E400_91 are ours.
var refusals = map[*usersync.Error]string{
	registration.ErrUnverified: "E400_07", registration.ErrTaken: "E400_08", registration.ErrUnregistered: "E400_14",
	registration.ErrCode: "E400_15", registration.ErrVerified: "E400_16", registration.ErrNotUpdated: "E400_22", registration.ErrTooMuch: "E400_22",
	registration.ErrCredentials: "E400_90", registration.ErrNoWay: "E400_91",
}

// codeOf returns the code of an error.
func codeOf(f api.Failure) string {
	if code, ok := refusals[f.Error]; ok {
		return code
	}
	switch {
	case f.Status == http.StatusBadRequest && errors.Is(f.Error, errInput):
		return "E400_00"
	case f.Status == http.StatusBadRequest && len(f.Fields) > 0:
		return "E400_02"
	case f.Status == http.StatusInternalServerError && errors.Is(f.Error, lookup.ErrWorkflow):
		return "E500_02"
	case f.Status == http.StatusInternalServerError && errors.Is(f.Error, errWorkflow):
		return "E500_01"
	case f.Status >= http.StatusInternalServerError:
		return "E500"
	}
	return "E" + strconv.Itoa(f.Status)
}
