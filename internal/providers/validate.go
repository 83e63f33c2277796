package providers

import (
	"fmt"
	"net/http"
	"slices"
	"strings"

	"usersync/internal/outbound"
	"usersync/internal/provider/httpjson"
	"usersync/internal/record"
	"usersync/internal/tenant"
	"usersync/internal/usersync"
)

// Validate returns what is wrong with what an organization says of its provider.
func Validate(flow tenant.Flow, p tenant.Providers, guard *outbound.Guard) []usersync.FieldError {
	v := &validation{guard: guard}
	if len(flow.UserProvider) > maxText {
		v.add("flow.userProvider", "must have at most %d bytes", maxText)
	}
	for _, k := range kinds {
		switch {
		case k.has(p):
			k.validate(p, v)
		case strings.EqualFold(k.name, flow.UserProvider):
			v.add("flow.userProvider", "needs the account settings.providers.%s", strings.ToLower(k.name))
		}
	}
	return v.faults
}

// Bounds of the settings, in bytes.
const (
	maxText   = 200
	maxSecret = 4096
	maxFields = 60
)

// validation collects what is wrong.
type validation struct {
	guard  *outbound.Guard
	faults []usersync.FieldError
}

func (v *validation) add(field, format string, args ...any) {
	v.faults = append(v.faults, usersync.FieldError{Field: "settings." + field, Message: fmt.Sprintf(format, args...)})
}

func (v *validation) url(field, address string) {
	if _, err := v.guard.CheckURL(address); err != nil {
		v.add(field, "%s", strings.TrimPrefix(usersync.AsError(err).Message, "The URL "))
	}
}

func (v *validation) text(field, text string) {
	if text == "" || len(text) > maxText {
		v.add(field, "must have 1 to %d bytes", maxText)
	}
}

func (v *validation) secret(field string, secret usersync.MaskedSecret) {
	if n := len(secret.Reveal()); n == 0 || n > maxSecret || strings.ContainsFunc(secret.Reveal(), func(r rune) bool { return r < ' ' || r > '~' }) {
		v.add(field, "must have 1 to %d characters of ASCII", maxSecret)
	}
}

func (v *validation) auth0(a tenant.Auth0) {
	v.url("providers.auth0.url", a.URL)
	v.text("providers.auth0.clientId", a.ClientID)
	v.secret("providers.auth0.clientSecret", a.ClientSecret)
	if len(a.Audience) > maxText {
		v.add("providers.auth0.audience", "must have at most %d bytes", maxText)
	}
}

func (v *validation) gigya(g tenant.Gigya) {
	v.url("providers.gigya.url", g.URL)
	v.text("providers.gigya.apiKey", g.APIKey)
	v.text("providers.gigya.userKey", g.UserKey)
	v.secret("providers.gigya.secret", g.Secret)
}

func (v *validation) described(name string, h tenant.HTTPProvider) {
	at := "providers." + name + "."
	host, _, _ := strings.Cut(strings.TrimPrefix(strings.TrimPrefix(h.URL, "https://"), "http://"), "/")
	if !strings.Contains(h.URL, httpjson.Placeholder) || strings.ContainsAny(host, "{}") {
		v.add(at+"url", "must hold %s, behind its host", httpjson.Placeholder)
	}
	v.url(at+"url", httpjson.Address(h.URL, "a@example.com"))
	if !slices.Contains(httpjson.Auths, h.Auth) {
		v.add(at+"auth", "must be one of %v", httpjson.Auths)
	}
	if h.Auth != httpjson.AuthNone {
		v.secret(at+"secret", h.Secret)
	}
	if h.Auth == httpjson.AuthHeader && !validHeader(h.Header) {
		v.add(at+"header", "must be the name of a header, and not of one that HTTP itself uses")
	}
	if h.Auth == httpjson.AuthBasic || h.Auth == httpjson.AuthClient {
		v.text(at+"username", h.Username)
	}
	if h.Auth == httpjson.AuthClient {
		v.url(at+"tokenUrl", h.TokenURL)
	}
	for field, pointer := range map[string]string{"user": h.User, "error": h.Error} {
		v.pointer(at+field, pointer)
	}
	if len(h.Fields) == 0 || len(h.Fields) > maxFields {
		v.add(at+"fields", "must name 1 to %d fields", maxFields)
	}
	own := []string{httpjson.FieldID, httpjson.FieldEmail, httpjson.FieldFirstName, httpjson.FieldLastName, httpjson.FieldVerified}
	for field, pointer := range h.Fields {
		if !slices.Contains(own, field) && !slices.Contains(record.Keys, field) {
			v.add(at+"fields", "must name fields of a record: id, email, firstName, lastName, verified, or metadata")
			return
		}
		v.pointer(at+"fields."+field, pointer)
	}
}

func (v *validation) pointer(field, pointer string) {
	if pointer != "" && !strings.HasPrefix(pointer, "/") || len(pointer) > maxText {
		v.add(field, "must be a JSON pointer like /user/firstName")
	}
}

// validHeader reports whether a secret may be sent in a header of this name.
func validHeader(name string) bool {
	const allowed = "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789-_"
	own := []string{"Host", "Content-Length", "Transfer-Encoding", "Connection", "Te", "Trailer", "Upgrade", "User-Agent", "Accept", "Cookie"}
	return name != "" && len(name) <= maxText && strings.Trim(name, allowed) == "" && !slices.Contains(own, http.CanonicalHeaderKey(name))
}
