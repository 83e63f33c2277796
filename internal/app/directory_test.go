package app_test

import (
	"crypto/rand"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net"
	"strings"
	"testing"
	"time"

	"github.com/golang-jwt/jwt/v5"

	"usersync/internal/app"
	"usersync/internal/app/apptest"
	"usersync/internal/identity"
	"usersync/internal/intake"
	"usersync/internal/login"
	"usersync/internal/request"
	"usersync/internal/store"
	"usersync/internal/tenant"
	"usersync/internal/user"
	"usersync/internal/usersync"
)

// The issuer and the audience of the tokens of scenarios.
const (
	tokenIssuer   = "https://issuer.example.com"
	tokenAudience = "users"
)

// giveLookups gives the organization the codes {{group}}, {{client}} and {{paper}}, and an
// issuer whose token {{token}} is. With elsewhere it goes on in another organization.
func (p *play) giveLookups(t *testing.T, args []string) {
	if len(args) > 0 {
		p.org = p.organization(t)
	}
	p.secret = rand.Text() + rand.Text()
	codes := tenant.Codes{ClientGroupCode: "Group-" + p.org.ID[4:], ClientCode: "Client", PaperCode: "Paper"}
	p.change(t, func(o *tenant.Organization) {
		o.Tenant = codes
		o.Settings.JWT = tenant.JWT{Algorithms: []string{"HS256"}, Issuer: tokenIssuer, Audience: tokenAudience,
			Secret: usersync.MaskedSecret{Secret: usersync.NewSecret(p.secret)}}
	})
	p.vars["group"], p.vars["client"], p.vars["paper"] = codes.ClientGroupCode, codes.ClientCode, codes.PaperCode
	p.vars["token"] = p.token(t, nil)
}

// giveToken is token name claims: a token with other claims, as JSON without spaces.
func (p *play) giveToken(t *testing.T, args []string) {
	var claims map[string]any
	must(t, json.Unmarshal([]byte(args[1]), &claims))
	p.vars[args[0]] = p.token(t, claims)
}

// giveClaims has tokens name the organization by the claims g, c and p.
func (p *play) giveClaims(t *testing.T, _ []string) {
	p.change(t, func(o *tenant.Organization) {
		o.Settings.JWT.TenantClaims = &tenant.TenantClaims{ClientGroupCode: "g", ClientCode: "c", PaperCode: "p"}
	})
}

// token signs the claims of a good token with others laid over them. null takes one away.
func (p *play) token(t *testing.T, other map[string]any) string {
	t.Helper()
	claims := jwt.MapClaims{"iss": tokenIssuer, "aud": tokenAudience, "exp": time.Now().Add(time.Hour).Unix()}
	for name, value := range other {
		claims[name] = value
		if value == nil {
			delete(claims, name)
		}
	}
	text, err := jwt.NewWithClaims(jwt.SigningMethodHS256, claims).SignedString([]byte(p.secret))
	must(t, err)
	return text
}

// giveUser is user email {"firstName":…} [password] [verified]: the organization has a
// user {{user}}, with a login.
func (p *play) giveUser(t *testing.T, args []string) {
	email, err := identity.ParseEmail(args[0])
	must(t, err)
	in := usersync.UserInput{}
	must(t, json.Unmarshal([]byte(args[1]), &in))
	in.Email = email
	a := intake.Acceptance{RequestID: usersync.NewID(usersync.PrefixRequest), Kind: request.KindEvent, Salt: p.org.Salt,
		User: intake.NewUser{UserInput: in, Identity: user.IdentityOf(in)}, Event: &intake.NewEvent{Type: "user/update"}}
	org := p.app.Store.Org(p.org.ID)
	must(t, p.app.Store.Tx(t.Context(), func(tx *store.Tx) error {
		once := a
		return intake.AcceptOwn(t.Context(), tx, p.org.ID, &once)
	}))
	must(t, until(func() error {
		r, err := request.Get(t.Context(), org, a.RequestID)
		if err == nil && !r.Status.Final() {
			err = fmt.Errorf("the request is %s", r.Status)
		}
		return err
	}))
	found, err := user.ByEmail(t.Context(), org, email)
	must(t, err)
	p.vars["user"] = found[0].ID
	if len(args) == 2 {
		return
	}
	hash, verified := "$argon2id$", 0
	if !strings.Contains(strings.Join(args[2:], " "), "password") {
		hash = ""
	}
	if args[len(args)-1] == "verified" {
		verified = 1
	}
	must(t, p.app.Store.Tx(t.Context(), func(tx *store.Tx) error {
		return login.Save(t.Context(), tx, p.org.ID, found[0].ID, usersync.NewSecret(hash), verified)
	}))
}

// TestNamesOfParametersAndHeadersMatchInAnyCase calls as no HTTP library would.
func TestNamesOfParametersAndHeadersMatchInAnyCase(t *testing.T) {
	t.Parallel()
	e := apptest.New(t, "embedded")
	s := &stage{env: e, app: e.Start(t, app.All)}
	s.client = s.app.Client(t)
	p := s.begin(t, "case")
	p.giveLookups(t, nil)
	p.giveUser(t, []string{"ann@acme.example.com", `{"firstName":"Ann"}`})
	for _, path := range []string{"/v4/Users?EMAIL=ann@acme.example.com", "/v4/Users?Email=ann@acme.example.com&IGNOREPROVIDER=True&Type=2", "/v4/Users/" + p.vars["user"] + "/?IgnoreProvider=false"} {
		conn, err := net.Dial("tcp", strings.TrimPrefix(p.app.Addr(), "http://"))
		must(t, err)
		_, err = fmt.Fprintf(conn, "GET %s HTTP/1.1\r\nhost: x\r\nAUTHORIZATION: BEARER %s\r\nx-sourcesystem: CRM\r\nX-CLIENTCODE: %s\r\nx-papercode: %s\r\nX-clientGroupCode: %s\r\nconnection: close\r\n\r\n",
			path, p.vars["token"], p.vars["client"], p.vars["paper"], p.vars["group"])
		must(t, err)
		answer, err := io.ReadAll(conn)
		must(t, errors.Join(err, conn.Close()))
		if !strings.HasPrefix(string(answer), "HTTP/1.1 200") || !strings.Contains(string(answer), `"firstName":"Ann"`) {
			t.Errorf("%s: %s", path, answer)
		}
	}
}
