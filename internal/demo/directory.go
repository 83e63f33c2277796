package demo

import (
	"context"
	"crypto/rand"
	"fmt"
	"net/http"
	"slices"
	"strings"
	"time"

	"github.com/golang-jwt/jwt/v5"

	"usersync/internal/provider/auth0/fake"
	"usersync/internal/provider/fakeprovider"
	"usersync/internal/store"
	"usersync/internal/tenant"
	"usersync/internal/usersync"
)

// The demo organization in the words of the directory dialect, and who signs the tokens of
// those who look its users up.
const (
	code     = "DEMO"
	issuer   = "https://issuer.demo.example.com"
	audience = "usersync"
)

// tokenFor is how long the printed token is good.
const tokenFor = 30 * 24 * time.Hour

// providerPath is where the receiver serves a fake of Auth0, in which the demo
// organization keeps its users.
const providerPath = "/provider/auth0"

// known are the users of that fake.
var known = []fakeprovider.User{
	{ID: "auth0|demo-1", Email: "john.doe@acme.example.com", FirstName: "John", LastName: "Doe", Verified: true, More: map[string]any{
		"name": "John F. Doe", "phone_number": "+15555550100", "picture": "https://img.example.com/john.png", "user_metadata": map[string]any{"city": "Springfield", "promo_flag": "N"},
	}},
	{ID: "auth0|demo-2", Email: "jane.roe@acme.example.com", FirstName: "Jane", LastName: "Roe", Verified: true},
}

func mountProvider(mux *http.ServeMux) {
	provider := fake.New()
	provider.Put(known...)
	mux.Handle(providerPath+"/", http.StripPrefix(providerPath, provider))
}

// offerLookups gives the demo organization codes, an issuer and a provider, where it has
// none, points the provider to this process and makes the token that is printed.
func (d *Demo) offerLookups(ctx context.Context, s *store.Store) error {
	base := "http://" + d.Receiver.Addr().String() + providerPath
	o, err := tenant.Update(ctx, s.Org(d.Organization), actor, func(o *tenant.Organization) ([]string, error) {
		var changed []string
		if o.Tenant.Key() == "" {
			o.Tenant, changed = tenant.Codes{ClientGroupCode: code, ClientCode: code, PaperCode: code}, append(changed, "tenant")
		}
		if o.Settings.JWT.IsZero() {
			o.Settings.JWT = tenant.JWT{Algorithms: []string{jwt.SigningMethodHS256.Alg()}, Issuer: issuer, Audience: audience, Secret: hidden(rand.Text() + rand.Text())}
			changed = append(changed, "settings.jwt")
		}
		if o.Settings.Flow.UserProvider == "" {
			o.Settings.Flow.UserProvider, changed = "Auth0", append(changed, "settings.flow.userProvider")
		}
		if a := o.Settings.Providers.Auth0; a == nil || a.URL != base && a.ClientID == fake.ClientID {
			o.Settings.Providers.Auth0 = &tenant.Auth0{URL: base, ClientID: fake.ClientID, ClientSecret: hidden(fake.Secret)}
			changed = append(changed, "settings.providers")
		}
		return changed, nil
	})
	if err != nil {
		return err
	}
	d.Codes = o.Tenant
	settings := o.Settings.JWT
	if settings.Secret.IsZero() || !slices.Contains(settings.Algorithms, jwt.SigningMethodHS256.Alg()) {
		return nil // somebody has set up an issuer of their own
	}
	token, err := jwt.NewWithClaims(jwt.SigningMethodHS256, jwt.RegisteredClaims{
		Issuer: settings.Issuer, Audience: jwt.ClaimStrings{settings.Audience}, ExpiresAt: jwt.NewNumericDate(time.Now().Add(tokenFor)),
	}).SignedString([]byte(settings.Secret.Reveal()))
	d.Token = usersync.NewSecret(token)
	return err
}

func hidden(text string) usersync.MaskedSecret {
	return usersync.MaskedSecret{Secret: usersync.NewSecret(text)}
}

// lookups is what is printed of look-ups.
func (d *Demo) lookups(base string) string {
	if d.Token.IsZero() {
		return ""
	}
	line := func(query string) string {
		return strings.Join([]string{
			fmt.Sprintf("  curl -s '%s/v4/Users?email=john.doe@acme.example.com%s'", base, query), "-H 'X-SourceSystem: demo'",
			"-H 'X-ClientGroupCode: " + d.Codes.ClientGroupCode + "'", "-H 'X-ClientCode: " + d.Codes.ClientCode + "'", "-H 'X-PaperCode: " + d.Codes.PaperCode + "'",
			"-H 'Authorization: Bearer " + d.Token.Reveal() + "'",
		}, " ")
	}
	return fmt.Sprintf(`Look the user up in the demo's identity provider (a fake of Auth0 in this process) and in our store, combined; and in
our store alone. The events of both, by their ids, are in the third:

%s
%s
  curl -s %s/v1/events -H 'X-API-Key: %s'

`, line(""), line("&ignoreProvider=true"), base, d.Key.Reveal())
}
