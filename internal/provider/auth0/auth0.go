// Package auth0 finds users in a tenant of Auth0, by its Management API.
package auth0

import (
	"bytes"
	"cmp"
	"context"
	"encoding/json"
	"fmt"
	"net/http"
	"net/url"
	"slices"
	"strings"
	"time"

	"usersync/internal/identity"
	"usersync/internal/outbound"
	"usersync/internal/provider"
	"usersync/internal/record"
	"usersync/internal/tenant"
	"usersync/internal/usersync"
)

// Auth0 is a tenant of Auth0.
type Auth0 struct {
	settings tenant.Auth0
	base     string
	caller   *provider.Caller
	tokens   *provider.Tokens
}

// New returns the tenant that settings name. client makes the calls.
func New(settings tenant.Auth0, client *outbound.Client) *Auth0 {
	a := &Auth0{settings: settings, base: strings.TrimRight(settings.URL, "/"), caller: provider.NewCaller(client)}
	a.tokens = &provider.Tokens{Fetch: a.fetch}
	return a
}

// fetch gets a token by the client's credentials.
// https://auth0.com/docs/secure/tokens/access-tokens/management-api-access-tokens
func (a *Auth0) fetch(ctx context.Context) (token usersync.Secret, valid time.Duration, err error) {
	body, err := json.Marshal(map[string]string{
		"grant_type": "client_credentials", "client_id": a.settings.ClientID, "client_secret": a.settings.ClientSecret.Reveal(),
		"audience": cmp.Or(a.settings.Audience, a.base+"/api/v2/"),
	})
	if err != nil {
		return token, 0, fmt.Errorf("encode the credentials: %w", err)
	}
	request, err := http.NewRequestWithContext(ctx, http.MethodPost, a.base+"/oauth/token", bytes.NewReader(body))
	if err != nil {
		return token, 0, fmt.Errorf("make the request: %w", err)
	}
	request.Header.Set("Content-Type", "application/json")
	return a.caller.ReadToken(ctx, request)
}

// fields are what is asked for of a user.
const fields = "user_id,email,email_verified,name,given_name,family_name,picture,phone_number,user_metadata,last_login,blocked"

// account is a user as the Management API shows one.
type account struct {
	UserID        string         `json:"user_id"`
	Email         string         `json:"email"`
	EmailVerified *bool          `json:"email_verified"`
	Name          string         `json:"name"`
	GivenName     string         `json:"given_name"`
	FamilyName    string         `json:"family_name"`
	Picture       string         `json:"picture"`
	PhoneNumber   string         `json:"phone_number"`
	UserMetadata  map[string]any `json:"user_metadata"`
	LastLogin     string         `json:"last_login"`
	Blocked       bool           `json:"blocked"`
}

// Find asks for the address in lower case, as Auth0's own databases keep it, and then as it
// was given: the search tells upper from lower case, and other connections keep what they
// were told. Of several accounts one counts: see better.
func (a *Auth0) Find(ctx context.Context, email usersync.Email) (p record.Profile, found bool, err error) {
	for _, spelling := range provider.Spellings(email) {
		list, err := a.search(ctx, spelling)
		if err != nil {
			return p, false, err
		}
		list = slices.DeleteFunc(list, func(one account) bool { return !strings.EqualFold(one.Email, email.Key()) })
		if len(list) > 0 {
			return slices.MaxFunc(list, better).profile(), true, nil
		}
	}
	return p, false, nil
}

func (a *Auth0) search(ctx context.Context, address string) (list []account, err error) {
	query := url.Values{"email": {address}, "fields": {fields}, "include_fields": {"true"}}
	response, err := a.caller.DoWithToken(ctx, a.tokens, func() (*http.Request, error) {
		return http.NewRequestWithContext(ctx, http.MethodGet, a.base+"/api/v2/users-by-email?"+query.Encode(), nil)
	})
	if err != nil {
		return nil, fmt.Errorf("search by address: %w", err)
	}
	return list, provider.Decode(response, &list)
}

// better compares two accounts with one address: one that is not blocked counts more, then
// a verified one, then the one that signed in last, then the first by id.
func better(a, b account) int {
	truth := func(yes bool) int {
		if yes {
			return 1
		}
		return 0
	}
	return cmp.Or(
		cmp.Compare(truth(!a.Blocked), truth(!b.Blocked)), cmp.Compare(truth(a.isVerified()), truth(b.isVerified())),
		cmp.Compare(a.LastLogin, b.LastLogin), cmp.Compare(b.UserID, a.UserID))
}

func (a account) isVerified() bool { return a.EmailVerified != nil && *a.EmailVerified }

func (a account) profile() record.Profile {
	p := record.Profile{ID: a.UserID, FirstName: a.GivenName, LastName: a.FamilyName, Verified: a.EmailVerified, Metadata: record.Metadata{}}
	p.Email, _ = identity.ParseEmail(a.Email) // it is the address that was asked for
	for _, key := range record.Keys {
		p.Metadata[key] = provider.Text(a.UserMetadata[key])
	}
	p.Metadata["photo"], p.Metadata["phoneNumber"] = a.Picture, cmp.Or(a.PhoneNumber, p.Metadata["phoneNumber"])
	if !strings.EqualFold(a.Name, a.Email) { // what Auth0 takes for a name where it knows none
		p.Metadata["displayName"] = cmp.Or(a.Name, p.Metadata["displayName"])
	}
	return p
}
