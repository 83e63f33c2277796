package app_test

import (
	"crypto/rand"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/http/httptest"
	"strconv"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/golang-jwt/jwt/v5"

	"usersync/internal/app"
	"usersync/internal/app/apptest"
	"usersync/internal/event"
	"usersync/internal/identity"
	"usersync/internal/intake"
	"usersync/internal/login"
	"usersync/internal/lookup"
	"usersync/internal/password"
	auth0 "usersync/internal/provider/auth0/fake"
	"usersync/internal/provider/fakeprovider"
	gigya "usersync/internal/provider/gigya/fake"
	firefly "usersync/internal/provider/httpjson/fake"
	"usersync/internal/provider/providertest"
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
		o.Settings.JWT.TenantClaims = &tenant.Claims{ClientGroupCode: "g", ClientCode: "c", PaperCode: "p"}
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
	state := login.State{Verified: args[len(args)-1] == "verified"}
	if strings.Contains(strings.Join(args[2:], " "), "password") {
		state.Password = hashed(t)
	}
	must(t, p.app.Store.Tx(t.Context(), func(tx *store.Tx) error {
		return login.Save(t.Context(), tx, p.org.ID, found[0].ID, state)
	}))
}

// hashed returns the hash of the password of users that are given: "correct horse".
func hashed(t *testing.T) usersync.Secret {
	t.Helper()
	hash, err := password.NewHasher().Hash(t.Context(), "test", usersync.NewSecret("correct horse"))
	must(t, err)
	return hash
}

// giveProvider is provider Auth0|Gigya|Firefly|SSOR: the organization's users are kept at a
// fake of it.
func (p *play) giveProvider(t *testing.T, args []string) {
	var fake providertest.Fake
	settings := tenant.Providers{}
	secret := func(text string) usersync.MaskedSecret {
		return usersync.MaskedSecret{Secret: usersync.NewSecret(text)}
	}
	p.identity = nil
	server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) { fake.ServeHTTP(w, r) }))
	t.Cleanup(func() { server.CloseClientConnections(); server.Close() })
	described := tenant.HTTPProvider{URL: server.URL + "/users?email={email}", TokenURL: server.URL + "/token", Auth: "client_credentials", Username: firefly.Username, Secret: secret(firefly.Secret)}
	switch args[0] {
	case "Auth0":
		fake = auth0.New()
		settings.Auth0 = &tenant.Auth0{URL: server.URL, ClientID: auth0.ClientID, ClientSecret: secret(auth0.Secret)}
	case "Gigya":
		fake = gigya.New()
		settings.Gigya = &tenant.Gigya{URL: server.URL, APIKey: gigya.APIKey, UserKey: gigya.UserKey, Secret: secret(gigya.Secret)}
	case "Firefly":
		fake = firefly.New()
		settings.Firefly = &described
	case "SSOR":
		fake = firefly.New()
		described.User, described.Fields = "/data", map[string]string{"id": "/id", "firstName": "/firstName", "lastName": "/lastName", "verified": "/verified", "city": "/city"}
		settings.SSOR = &described
	}
	p.identity = fake
	p.change(t, func(o *tenant.Organization) { o.Settings.Flow.UserProvider, o.Settings.Providers = args[0], settings })
	p.vars["provider"] = server.URL
}

// giveFlow is flow name: what the setting Flow.UserProvider says.
func (p *play) giveFlow(t *testing.T, args []string) {
	p.change(t, func(o *tenant.Organization) { o.Settings.Flow.UserProvider = args[0] })
}

// giveKnown is known ann@a.example.com Ann Lee [{"city":"Bonn"}]: the provider knows a user
// with a verified address.
func (p *play) giveKnown(t *testing.T, args []string) {
	u := fakeprovider.User{ID: "remote-1", Email: args[0], FirstName: args[1], LastName: args[2], Verified: true}
	if len(args) > 3 {
		must(t, json.Unmarshal([]byte(args[3]), &u.More))
	}
	p.identity.Put(u)
}

// giveAway is away 503|hang|no: how the provider fails from now on.
func (p *play) giveAway(t *testing.T, args []string) {
	p.identity.Mend()
	if status, err := strconv.Atoi(args[0]); err == nil {
		p.identity.Break(fakeprovider.Fault{Status: status, Header: map[string]string{"Retry-After": "30"}})
	} else if args[0] == "hang" {
		p.identity.Break(fakeprovider.Fault{Hang: true})
	}
}

// giveStale has the time of the organization's codes be over.
func (p *play) giveStale(t *testing.T, _ []string) {
	admin(t, p.env, `UPDATE login_codes SET expires_at = 1 WHERE organization_id = '`+p.org.ID+`'`)
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

// look makes a look-up that must be answered with a status.
func (p *play) look(t *testing.T, query string, status int) string {
	t.Helper()
	c, err := p.prepare(part{head: "GET /v4/Users" + query, headers: [][2]string{
		{"X-API-Key", ""}, {"Authorization", "Bearer {{token}}"}, {"X-SourceSystem", "CRM"}, {"X-ClientCode", "{{client}}"}, {"X-PaperCode", "{{paper}}"}, {"X-ClientGroupCode", "{{group}}"},
	}})
	must(t, err)
	a := p.client.Do(t, c)
	if a.Status != status {
		t.Errorf("%s: %d %s", query, a.Status, a.Body)
	}
	return string(a.Body)
}

// TestManyLookUpsAskTheProviderOnceAndLearnOnce looks one user up a hundred times at once.
func TestManyLookUpsAskTheProviderOnceAndLearnOnce(t *testing.T) {
	t.Parallel()
	apptest.Each(t, func(t *testing.T, e *apptest.Environment) {
		s := &stage{env: e, app: e.Start(t, app.All)}
		s.client = s.app.Client(t)
		p := s.begin(t, "many")
		p.giveLookups(t, nil)
		p.giveProvider(t, []string{"Auth0"})
		p.giveKnown(t, []string{"ann@acme.example.com", "Anna", "Leeds"})
		var all sync.WaitGroup
		for range 100 {
			all.Go(func() {
				if body := p.look(t, "?email=ann@acme.example.com", http.StatusOK); !strings.Contains(body, `"firstName":"Anna"`) {
					t.Error(body)
				}
			})
		}
		all.Wait()
		if n := p.identity.Calls("users-by-email"); n != 1 {
			t.Errorf("the provider was asked %d times", n)
		}
		if n := p.identity.Calls("oauth/token"); n != 1 {
			t.Errorf("%d tokens were fetched", n)
		}
		org := s.app.Store.Org(p.org.ID)
		count := func(typ event.Type) int {
			list, err := event.List(t.Context(), org, event.Filter{Type: typ, Limit: 500})
			must(t, err)
			return len(list)
		}
		must(t, until(func() error {
			if got := [3]int{count(lookup.ProviderGet), count(lookup.StoreGet), count(lookup.StoreUpdate)}; got != [3]int{100, 100, 1} {
				return fmt.Errorf("there are %v events", got)
			}
			return nil
		}))
	})
}

// TestWhoWasErasedIsNotMadeAgainByALookUp has the provider know somebody who was erased.
func TestWhoWasErasedIsNotMadeAgainByALookUp(t *testing.T) {
	t.Parallel()
	apptest.Each(t, func(t *testing.T, e *apptest.Environment) {
		s := &stage{env: e, app: e.Start(t, app.All)}
		s.client = s.app.Client(t)
		p := s.begin(t, "erased")
		p.giveLookups(t, nil)
		p.giveUser(t, []string{"ann@acme.example.com", `{"firstName":"Ann"}`, "password"})
		p.run(t, `
== erased
> POST /v1/erasures
>
> {"email":"ann@acme.example.com"}
< 202
`)
		p.giveProvider(t, []string{"Auth0"})
		p.giveKnown(t, []string{"ann@acme.example.com", "Anna", "Leeds"})
		p.giveKnown(t, []string{"bob@acme.example.com", "Bob", "Jones"})
		p.look(t, "?email=ann@acme.example.com", http.StatusOK)
		p.look(t, "?email=bob@acme.example.com", http.StatusOK)
		org := s.app.Store.Org(p.org.ID)
		find := func(text string) []user.Stored {
			email, err := identity.ParseEmail(text)
			must(t, err)
			list, err := user.ByEmail(t.Context(), org, email)
			must(t, err)
			return list
		}
		must(t, until(func() error { // what is learnt is taken over in turn: Ann's was first
			if len(find("bob@acme.example.com")) == 0 {
				return errors.New("nothing was learnt")
			}
			return nil
		}))
		if len(find("ann@acme.example.com")) > 0 {
			t.Error("who was erased is there again")
		}
	})
}

// TestALookUpIsAnsweredInTimeWhateverTheProviderDoes has a provider that hangs: each
// look-up ends within the contract's 3 s, and when the circuit is open at once.
func TestALookUpIsAnsweredInTimeWhateverTheProviderDoes(t *testing.T) {
	t.Parallel()
	e := apptest.New(t, "embedded")
	s := &stage{env: e, app: e.Start(t, app.All)}
	s.client = s.app.Client(t)
	p := s.begin(t, "slow")
	p.giveLookups(t, nil)
	p.giveProvider(t, []string{"Gigya"})
	p.giveUser(t, []string{"ann@acme.example.com", `{"firstName":"Ann"}`})
	p.giveAway(t, []string{"hang"})
	began := time.Now()
	var all sync.WaitGroup
	for range 20 {
		all.Go(func() {
			if body := p.look(t, "?email=ann@acme.example.com", http.StatusOK); !strings.Contains(body, `"degraded":true`) {
				t.Error(body)
			}
		})
	}
	all.Wait()
	if took := time.Since(began); took > lookup.Within+time.Second { // the machine may be busy
		t.Errorf("20 look-ups at once took %v", took)
	}
	p.giveAway(t, []string{"502"})
	for range 5 {
		p.look(t, "?email=ann@acme.example.com", http.StatusOK)
	}
	calls := p.identity.Calls("accounts.search")
	p.look(t, "?email=ann@acme.example.com", http.StatusOK)
	if n := p.identity.Calls("accounts.search"); n != calls {
		t.Error("a provider is asked whose circuit is open")
	}
}
