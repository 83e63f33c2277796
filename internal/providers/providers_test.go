package providers_test

import (
	"context"
	"fmt"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"net/netip"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"go.uber.org/goleak"

	"usersync/internal/identity"
	"usersync/internal/outbound"
	"usersync/internal/provider/auth0/fake"
	"usersync/internal/provider/fakeprovider"
	"usersync/internal/providers"
	"usersync/internal/queue"
	"usersync/internal/queue/embedded"
	"usersync/internal/tenant"
	"usersync/internal/usersync"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

func hidden(text string) usersync.MaskedSecret {
	return usersync.MaskedSecret{Secret: usersync.NewSecret(text)}
}

// stand is a Hub and a fake that an organization keeps its users at.
type stand struct {
	*providers.Hub
	limiter *queue.Limiter
	fake    *fake.Server
	o       tenant.Organization
}

func open(t *testing.T) *stand {
	t.Helper()
	f := fake.New()
	f.Put(fakeprovider.User{ID: "1", Email: "ann@acme.example", FirstName: "Ann"})
	s := httptest.NewServer(f)
	client := &outbound.Client{Guard: &outbound.Guard{Allow: []netip.Prefix{netip.MustParsePrefix("127.0.0.0/8")}}}
	t.Cleanup(func() { client.Close(); s.CloseClientConnections(); s.Close() })
	redis, err := embedded.Start()
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(redis.Close)
	q, err := queue.Connect(queue.Options{URL: redis.URL(), Log: slog.New(slog.DiscardHandler)})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = q.Close() })
	return &stand{providers.New(client, q.Limiter()), q.Limiter(), f, tenant.Organization{ID: "org_1", Settings: tenant.Settings{
		Flow:      tenant.Flow{UserProvider: "auth0"},
		Providers: tenant.Providers{Auth0: &tenant.Auth0{URL: s.URL, ClientID: fake.ClientID, ClientSecret: hidden(fake.Secret)}},
	}}}
}

func (s *stand) find(t *testing.T, ctx context.Context, address string) (string, error) { //nolint:revive // the test comes first in every helper
	t.Helper()
	email, err := identity.ParseEmail(address)
	if err != nil {
		t.Fatal(err)
	}
	p, _, err := s.Find(ctx, s.o, email)
	return p.FirstName, err
}

func TestOneCallServesManyLookUpsAndItsAnswerIsRemembered(t *testing.T) {
	t.Parallel()
	s := open(t)
	var all sync.WaitGroup
	for range 100 {
		all.Go(func() {
			if name, err := s.find(t, t.Context(), "ann@acme.example"); name != "Ann" || err != nil {
				t.Error(name, err)
			}
		})
	}
	all.Wait()
	if n := s.fake.Calls("users-by-email"); n != 1 {
		t.Errorf("%d calls", n)
	}
}

func TestAFailureIsTriedOnceMoreAndNotRemembered(t *testing.T) {
	t.Parallel()
	s := open(t)
	s.fake.Break(fakeprovider.Fault{Status: http.StatusBadGateway, Path: "users-by-email", Times: 1})
	if name, err := s.find(t, t.Context(), "ann@acme.example"); name != "Ann" || err != nil {
		t.Error(name, err)
	}
	s.fake.Break(fakeprovider.Fault{Status: http.StatusBadGateway})
	if _, err := s.find(t, t.Context(), "bob@acme.example"); usersync.CodeOf(err) != usersync.CodeUnavailable {
		t.Error(err)
	}
	s.fake.Mend()
	if _, err := s.find(t, t.Context(), "bob@acme.example"); err != nil {
		t.Error(err)
	}
}

// TestALookUpThatLeavesDoesNotTakeTheOthersAlong has one caller with no time.
func TestALookUpThatLeavesDoesNotTakeTheOthersAlong(t *testing.T) {
	t.Parallel()
	s := open(t)
	if _, err := s.find(t, t.Context(), "warm@acme.example"); err != nil {
		t.Fatal(err)
	}
	s.fake.Break(fakeprovider.Fault{Hang: true})
	ctx, cancel := context.WithTimeout(t.Context(), 100*time.Millisecond)
	defer cancel()
	began := time.Now()
	if _, err := s.find(t, ctx, "ann@acme.example"); usersync.CodeOf(err) != usersync.CodeUnavailable || time.Since(began) > 2*time.Second {
		t.Error(err, time.Since(began))
	}
}

// Many addresses that nobody remembers are more look-ups than a provider takes.
func TestLookUpsKeepTheLimitOfTheProvider(t *testing.T) {
	t.Parallel()
	s := open(t)
	var all sync.WaitGroup
	var limited atomic.Int64
	for i := range 100 {
		all.Go(func() {
			switch _, err := s.find(t, t.Context(), fmt.Sprintf("user%d@acme.example", i)); usersync.CodeOf(err) {
			case "":
			case usersync.CodeRateLimited:
				limited.Add(1)
			default:
				t.Error(err)
			}
		})
	}
	all.Wait()
	// 40 at once, and 8 a second for as long as the look-ups wait and the test takes.
	if n := s.fake.Calls("users-by-email"); n < 40 || n+int(limited.Load()) != 100 || limited.Load() == 0 {
		t.Errorf("%d calls, %d look-ups held back", n, limited.Load())
	}
}

// What a provider says to one process holds for the others.
func TestAProviderThatWantsToBeLeftAloneIsLeftAloneByAllProcesses(t *testing.T) {
	t.Parallel()
	s := open(t)
	s.fake.Break(fakeprovider.Fault{Status: http.StatusTooManyRequests, Header: map[string]string{"Retry-After": "30"}, Path: "users-by-email"})
	if _, err := s.find(t, t.Context(), "ann@acme.example"); usersync.CodeOf(err) != usersync.CodeRateLimited {
		t.Fatal(err)
	}
	s.fake.Mend()
	before := s.fake.Calls("users-by-email")
	client := &outbound.Client{Guard: &outbound.Guard{Allow: []netip.Prefix{netip.MustParsePrefix("127.0.0.0/8")}}}
	defer client.Close()
	other := &stand{Hub: providers.New(client, s.limiter), o: s.o}
	_, err := other.find(t, t.Context(), "bob@acme.example")
	if e := usersync.AsError(err); e == nil || e.Code != usersync.CodeRateLimited || e.RetryAfter < 20*time.Second || s.fake.Calls("users-by-email") != before {
		t.Errorf("another process asks: %v, %d calls", err, s.fake.Calls("users-by-email")-before)
	}
}

func TestOtherSettingsAreAnotherAccount(t *testing.T) {
	t.Parallel()
	s := open(t)
	if _, err := s.find(t, t.Context(), "ann@acme.example"); err != nil {
		t.Fatal(err)
	}
	account := *s.o.Settings.Providers.Auth0
	account.ClientSecret = hidden("wrong")
	s.o.Settings.Providers.Auth0 = &account
	if _, err := s.find(t, t.Context(), "ann@acme.example"); usersync.CodeOf(err) != usersync.CodeDisconnected {
		t.Errorf("an old token or answer serves another secret: %v", err)
	}
}

func TestOnlyANameThatIsKnownWithAnAccountIsValid(t *testing.T) {
	t.Parallel()
	s := open(t)
	for name, want := range map[string]bool{"Auth0": true, "AUTH0": true, "": false, "Okta": false, "Gigya": false, "SSOR": false, "Auth": false} {
		s.o.Settings.Flow.UserProvider = name
		if s.Valid(s.o) != want {
			t.Errorf("%q is valid: %v", name, !want)
		}
	}
}

func TestSettingsAreChecked(t *testing.T) {
	t.Parallel()
	secret := hidden("secret")
	guard := &outbound.Guard{}
	for name, c := range map[string]struct {
		flow   string
		p      tenant.Providers
		fields string
	}{
		"nothing":              {"", tenant.Providers{}, ""},
		"an unknown name":      {"Okta", tenant.Providers{}, ""},
		"no account":           {"Firefly", tenant.Providers{}, "flow.userProvider"},
		"auth0":                {"Auth0", tenant.Providers{Auth0: &tenant.Auth0{URL: "https://x.auth0.com", ClientID: "c", ClientSecret: secret}}, ""},
		"auth0 inside":         {"", tenant.Providers{Auth0: &tenant.Auth0{URL: "https://169.254.169.254", ClientID: "c", ClientSecret: secret}}, "providers.auth0.url"},
		"gigya":                {"Gigya", tenant.Providers{Gigya: &tenant.Gigya{URL: "https://accounts.eu1.gigya.com", APIKey: "a", UserKey: "u", Secret: secret}}, ""},
		"firefly":              {"Firefly", tenant.Providers{Firefly: &tenant.HTTPProvider{URL: "https://x.example/u/{email}", TokenURL: "https://x.example/t", Username: "u", Secret: secret}}, ""},
		"a host by address":    {"", tenant.Providers{SSOR: &tenant.HTTPProvider{URL: "https://{email}.example/", Secret: secret}}, "providers.ssor.url providers.ssor.url"},
		"http's own header":    {"", tenant.Providers{SSOR: &tenant.HTTPProvider{URL: "https://x.example/{email}", Header: "host", Secret: secret}}, "providers.ssor.header"},
		"a header injection":   {"", tenant.Providers{SSOR: &tenant.HTTPProvider{URL: "https://x.example/{email}", Secret: hidden("a\r\nX: y")}}, "providers.ssor.secret"},
		"a field of no name":   {"", tenant.Providers{SSOR: &tenant.HTTPProvider{URL: "https://x.example/{email}", Secret: secret, Fields: map[string]string{"role": "/role"}}}, "providers.ssor.fields"},
		"a pointer that is no": {"", tenant.Providers{SSOR: &tenant.HTTPProvider{URL: "https://x.example/{email}", Secret: secret, Fields: map[string]string{"city": "city"}}}, "providers.ssor.fields.city"},
	} {
		var fields []string
		for _, f := range providers.Validate(tenant.Flow{UserProvider: c.flow}, c.p, guard) {
			fields = append(fields, strings.TrimPrefix(f.Field, "settings."))
		}
		if got := strings.Join(fields, " "); got != c.fields {
			t.Errorf("%s: %q, want %q", name, got, c.fields)
		}
	}
}
