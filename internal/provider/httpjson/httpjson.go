// Package httpjson finds users at a provider whose API settings describe: an address with
// a place for the e-mail address, a way to authenticate, and where in the JSON of an answer
// the fields of a user stand. It serves SSOR and Firefly, whose APIs are private: their
// presets are guesses that nobody has tried on the real ones.
package httpjson

import (
	"cmp"
	"context"
	"encoding/base64"
	"fmt"
	"maps"
	"net/http"
	"net/url"
	"strconv"
	"strings"
	"time"

	"usersync/internal/identity"
	"usersync/internal/outbound"
	"usersync/internal/provider"
	"usersync/internal/record"
	"usersync/internal/tenant"
	"usersync/internal/usersync"
)

// Ways to authenticate.
const (
	AuthNone   = "none"
	AuthHeader = "header"
	AuthBasic  = "basic"
	AuthClient = "client_credentials"
)

// Auths lists them.
var Auths = []string{AuthNone, AuthHeader, AuthBasic, AuthClient}

// Placeholder is where the address stands in the template of a URL.
const Placeholder = "{email}"

// Names of the fields of a user beside the metadata.
const (
	FieldID        = "id"
	FieldEmail     = record.FieldEmail
	FieldFirstName = record.FieldFirstName
	FieldLastName  = record.FieldLastName
	FieldVerified  = record.FieldVerified
)

// Presets are settings that hold where an organization sets none. They are unverified.
var Presets = map[string]tenant.HTTPProvider{
	"SSOR": {Auth: AuthHeader, Header: "Authorization", Error: "/errMsg", User: "/user", Fields: map[string]string{
		FieldID: "/masterId", FieldEmail: "/userName", FieldFirstName: "/firstName", FieldLastName: "/lastName",
		"displayName": "/displayName", "postalCode": "/zipCode", "dob": "/birthDate", "gender": "/gender",
	}},
	"Firefly": {Auth: AuthClient, User: "/data", Fields: map[string]string{
		FieldID: "/id", FieldEmail: "/email", FieldFirstName: "/firstName", FieldLastName: "/lastName", FieldVerified: "/verified",
		"displayName": "/displayName", "phoneNumber": "/phone", "photo": "/photo", "address": "/address", "city": "/city", "country": "/country", "postalCode": "/postalCode",
	}},
}

// WithPreset returns settings with those of a preset where they say nothing.
func WithPreset(name string, s tenant.HTTPProvider) tenant.HTTPProvider {
	p := Presets[name]
	s.Auth, s.Header, s.User, s.Error = cmp.Or(s.Auth, p.Auth, AuthNone), cmp.Or(s.Header, p.Header), cmp.Or(s.User, p.User), cmp.Or(s.Error, p.Error)
	if len(s.Fields) == 0 {
		s.Fields = maps.Clone(p.Fields)
	}
	return s
}

// HTTP is an account at such a provider.
type HTTP struct {
	settings tenant.HTTPProvider
	caller   *provider.Caller
	tokens   *provider.Tokens
}

// New returns the account that settings describe. client makes the calls.
func New(settings tenant.HTTPProvider, client *outbound.Client) *HTTP {
	h := &HTTP{settings: settings, caller: provider.NewCaller(client)}
	h.tokens = &provider.Tokens{Fetch: h.fetch}
	return h
}

// fetch gets a token by the client's credentials (RFC 6749, section 4.4).
func (h *HTTP) fetch(ctx context.Context) (token usersync.Secret, valid time.Duration, err error) {
	form := url.Values{"grant_type": {"client_credentials"}}
	request, err := http.NewRequestWithContext(ctx, http.MethodPost, h.settings.TokenURL, strings.NewReader(form.Encode()))
	if err != nil {
		return token, 0, fmt.Errorf("make the request: %w", err)
	}
	request.Header.Set("Content-Type", "application/x-www-form-urlencoded")
	request.SetBasicAuth(url.QueryEscape(h.settings.Username), url.QueryEscape(h.settings.Secret.Reveal()))
	return h.caller.ReadToken(ctx, request)
}

// Address returns the URL of a look-up: the address is escaped as its place wants it.
func Address(template, email string) string {
	path, query, asked := strings.Cut(template, "?")
	path = strings.ReplaceAll(path, Placeholder, url.PathEscape(email))
	if asked {
		path += "?" + strings.ReplaceAll(query, Placeholder, url.QueryEscape(email))
	}
	return path
}

// Find asks for the address in lower case, and then as it was given. 404 says that there
// is nobody.
func (h *HTTP) Find(ctx context.Context, email usersync.Email) (p record.Profile, found bool, err error) {
	for _, spelling := range provider.Spellings(email) {
		document, err := h.ask(ctx, Address(h.settings.URL, spelling))
		if err != nil {
			return p, false, err
		}
		if p, found, err = h.read(document, email); found || err != nil {
			return p, found, err
		}
	}
	return p, false, nil
}

// ask returns the answer, nil for 404.
func (h *HTTP) ask(ctx context.Context, address string) (document any, err error) {
	request := func() (*http.Request, error) {
		r, err := http.NewRequestWithContext(ctx, http.MethodGet, address, nil)
		if err != nil {
			return nil, usersync.Errorf(usersync.CodeDisconnected, "The provider's address is not valid.")
		}
		r.Header.Set("Accept", "application/json")
		return r, nil
	}
	response, err := h.call(ctx, request)
	if response != nil && response.Status == http.StatusNotFound {
		return nil, nil
	}
	if err != nil {
		return nil, fmt.Errorf("ask for the address: %w", err)
	}
	return document, provider.Decode(response, &document)
}

// call makes a request, authenticated as the settings say.
func (h *HTTP) call(ctx context.Context, request func() (*http.Request, error)) (*outbound.Response, error) {
	if h.settings.Auth == AuthClient {
		return h.caller.DoWithToken(ctx, h.tokens, request)
	}
	r, err := request()
	if err != nil {
		return nil, err
	}
	switch h.settings.Auth {
	case AuthHeader:
		r.Header.Set(h.settings.Header, h.settings.Secret.Reveal())
	case AuthBasic:
		r.Header.Set("Authorization", "Basic "+base64.StdEncoding.EncodeToString([]byte(h.settings.Username+":"+h.settings.Secret.Reveal())))
	}
	return h.caller.Do(ctx, r)
}

// read returns the user of an answer.
func (h *HTTP) read(document any, email usersync.Email) (p record.Profile, found bool, err error) {
	if h.settings.Error != "" {
		if fault := At(document, h.settings.Error); fault != nil && fault != false && provider.Text(fault) != "" {
			return p, false, usersync.Errorf(usersync.CodeUnavailable, "The provider answered with an error in a 200.")
		}
	}
	user := At(document, h.settings.User)
	if list, ok := user.([]any); ok {
		user = nil
		if len(list) > 0 {
			user = list[0]
		}
	}
	if fields, ok := user.(map[string]any); !ok || len(fields) == 0 {
		return p, false, nil
	}
	text := func(field string) string {
		if pointer := h.settings.Fields[field]; pointer != "" {
			return provider.Text(At(user, pointer))
		}
		return ""
	}
	p = record.Profile{ID: text(FieldID), Email: email, FirstName: text(FieldFirstName), LastName: text(FieldLastName), Metadata: record.Metadata{}}
	if said := text(FieldEmail); said != "" {
		if p.Email, err = identity.ParseEmail(said); err != nil || p.Email.Key() != email.Key() {
			return record.Profile{}, false, nil // that is somebody else
		}
	}
	if verified, err := strconv.ParseBool(strings.ToLower(text(FieldVerified))); err == nil {
		p.Verified = &verified
	}
	for _, key := range record.Keys {
		p.Metadata[key] = text(key)
	}
	return p, true, nil
}

// At returns the value that a JSON pointer (RFC 6901) leads to, nil for none.
func At(value any, pointer string) any {
	if pointer == "" {
		return value
	}
	unescape := strings.NewReplacer("~1", "/", "~0", "~")
	for token := range strings.SplitSeq(strings.TrimPrefix(pointer, "/"), "/") {
		token = unescape.Replace(token)
		switch v := value.(type) {
		case map[string]any:
			value = v[token]
		case []any:
			i, err := strconv.Atoi(token)
			if err != nil || i < 0 || i >= len(v) {
				return nil
			}
			value = v[i]
		default:
			return nil
		}
	}
	return value
}
