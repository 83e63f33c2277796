package auth0_test

import (
	"net/http"
	"net/http/httptest"
	"net/netip"
	"strconv"
	"testing"
	"time"

	"go.uber.org/goleak"

	"usersync/internal/identity"
	"usersync/internal/outbound"
	"usersync/internal/provider"
	"usersync/internal/provider/auth0"
	"usersync/internal/provider/auth0/fake"
	"usersync/internal/provider/fakeprovider"
	"usersync/internal/provider/providertest"
	"usersync/internal/tenant"
	"usersync/internal/usersync"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

func open(client *outbound.Client, base, secret string) provider.Provider {
	return auth0.New(tenant.Auth0{URL: base, ClientID: fake.ClientID, ClientSecret: usersync.MaskedSecret{Secret: usersync.NewSecret(secret)}}, client)
}

func TestConformance(t *testing.T) {
	t.Parallel()
	reset := strconv.FormatInt(time.Now().Add(20*time.Second).Unix(), 10)
	providertest.Run(t, providertest.Subject{
		New: open, Fake: func() providertest.Fake { return fake.New() }, Secret: fake.Secret, Search: "users-by-email", Token: "oauth/token",
		Throttled: fakeprovider.Fault{Status: http.StatusTooManyRequests, Header: map[string]string{"x-ratelimit-limit": "10", "x-ratelimit-remaining": "0", "x-ratelimit-reset": reset}},
		Wait:      20 * time.Second,
		Failing:   fakeprovider.Fault{Status: http.StatusInternalServerError, Body: `{"statusCode":500}`},
	})
}

// account opens an account at a fake.
func account(t *testing.T) (*fake.Server, provider.Provider) {
	t.Helper()
	f := fake.New()
	s := httptest.NewServer(f)
	client := &outbound.Client{Guard: &outbound.Guard{Allow: []netip.Prefix{netip.MustParsePrefix("127.0.0.0/8")}}}
	t.Cleanup(func() { client.Close(); s.Close() })
	return f, open(client, s.URL, fake.Secret)
}

func find(t *testing.T, p provider.Provider, text string) (id, name string) {
	t.Helper()
	email, err := identity.ParseEmail(text)
	if err != nil {
		t.Fatal(err)
	}
	profile, _, err := p.Find(t.Context(), email)
	if err != nil {
		t.Fatal(err)
	}
	return profile.ID, profile.FirstName
}

func TestOfSeveralAccountsTheSameOneCountsAlways(t *testing.T) {
	t.Parallel()
	users := []fakeprovider.User{
		{ID: "auth0|blocked", Email: "a@acme.example", Verified: true, Blocked: true, LastLogin: "2026-11-29T00:00:00.000Z"},
		{ID: "auth0|new", Email: "a@acme.example", LastLogin: "2026-11-28T00:00:00.000Z"},
		{ID: "auth0|old", Email: "a@acme.example", Verified: true, LastLogin: "2026-01-01T00:00:00.000Z"},
		{ID: "auth0|verified", Email: "a@acme.example", Verified: true, LastLogin: "2026-11-01T00:00:00.000Z"},
	}
	for i := range users {
		f, p := account(t)
		f.Put(append(users[i:len(users):len(users)], users[:i]...)...)
		if id, _ := find(t, p, "a@acme.example"); id != "auth0|verified" {
			t.Errorf("rotated by %d: %s", i, id)
		}
	}
}

func TestAnAddressThatIsKeptInCapitalsIsFoundAsItWasGiven(t *testing.T) {
	t.Parallel()
	f, p := account(t)
	f.Put(fakeprovider.User{ID: "google|1", Email: "Ann.Lee@acme.example", FirstName: "Ann"})
	if _, name := find(t, p, "Ann.Lee@acme.example"); name != "Ann" {
		t.Error("not found as it was given")
	}
	if _, name := find(t, p, "ann.lee@acme.example"); name != "" {
		t.Error("the fake does not tell cases apart")
	}
}

func TestATokenThatEndedIsFetchedAnewOnce(t *testing.T) {
	t.Parallel()
	f, p := account(t)
	f.Put(fakeprovider.User{ID: "1", Email: "a@acme.example", FirstName: "Ann"})
	find(t, p, "a@acme.example")
	f.EndTokens()
	find(t, p, "a@acme.example")
	if n := f.Calls("oauth/token"); n != 2 {
		t.Errorf("%d tokens", n)
	}
	f.EndTokens()
	f.Valid.Store(1)
	find(t, p, "a@acme.example")
	deadline := time.Now().Add(10 * time.Second)
	for f.Calls("oauth/token") < 4 && time.Now().Before(deadline) { // renewed after 0.8 s, while it is good
		find(t, p, "a@acme.example")
		time.Sleep(20 * time.Millisecond)
	}
	if n := f.Calls("oauth/token"); n != 4 {
		t.Errorf("%d tokens, want 4: one that ends is renewed early", n)
	}
}

func TestWhatAuth0TakesForANameIsNone(t *testing.T) {
	t.Parallel()
	f, p := account(t)
	f.Put(fakeprovider.User{ID: "1", Email: "a@acme.example", More: map[string]any{
		"picture": "https://img.example/a.png", "phone_number": "+15551234567", "user_metadata": map[string]any{"promo_flag": true, "age": 42, "city": "Bonn", "secret": "x", "title": []any{"x"}},
	}}, fakeprovider.User{ID: "2", Email: "b@acme.example", More: map[string]any{"name": "Bea"}})
	email, _ := identity.ParseEmail("a@acme.example")
	got, _, err := p.Find(t.Context(), email)
	if err != nil {
		t.Fatal(err)
	}
	for key, want := range map[string]string{"displayName": "", "photo": "https://img.example/a.png", "phoneNumber": "+15551234567", "promo_flag": "true", "age": "42", "city": "Bonn", "title": "", "secret": ""} {
		if got.Metadata[key] != want {
			t.Errorf("%s is %q, want %q", key, got.Metadata[key], want)
		}
	}
	email, _ = identity.ParseEmail("b@acme.example")
	if got, _, _ := p.Find(t.Context(), email); got.Metadata["displayName"] != "Bea" {
		t.Errorf("%+v", got)
	}
}
