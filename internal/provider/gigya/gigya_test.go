package gigya_test

import (
	"net/http/httptest"
	"net/netip"
	"testing"
	"time"

	"go.uber.org/goleak"

	"usersync/internal/identity"
	"usersync/internal/outbound"
	"usersync/internal/provider"
	"usersync/internal/provider/fakeprovider"
	"usersync/internal/provider/gigya"
	"usersync/internal/provider/gigya/fake"
	"usersync/internal/provider/providertest"
	"usersync/internal/tenant"
	"usersync/internal/usersync"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

func open(client *outbound.Client, base, secret string) provider.Provider {
	return gigya.New(tenant.Gigya{URL: base, APIKey: fake.APIKey, UserKey: fake.UserKey, Secret: usersync.MaskedSecret{Secret: usersync.NewSecret(secret)}}, client)
}

func TestConformance(t *testing.T) {
	t.Parallel()
	providertest.Run(t, providertest.Subject{
		New: open, Fake: func() providertest.Fake { return fake.New() }, Secret: fake.Secret, Search: "accounts.search",
		Throttled: fakeprovider.Fault{Body: `{"errorCode":403048,"errorMessage":"Api rate limit exceeded","statusCode":403}`}, Wait: 5 * time.Second,
		Failing: fakeprovider.Fault{Body: `{"errorCode":500001,"errorMessage":"General server error"}`},
	})
}

func TestErrorsInA200HaveTheirMeaning(t *testing.T) {
	t.Parallel()
	f := fake.New()
	s := httptest.NewServer(f)
	client := &outbound.Client{Guard: &outbound.Guard{Allow: []netip.Prefix{netip.MustParsePrefix("127.0.0.0/8")}}}
	t.Cleanup(func() { client.Close(); s.Close() })
	email, _ := identity.ParseEmail(`a\"b@acme.example`)
	for body, want := range map[string]usersync.Code{
		`{"errorCode":0,"results":[]}`: "", `{"errorCode":301001,"apiDomain":"eu1.gigya.com"}`: usersync.CodeDisconnected, `{"errorCode":403005}`: usersync.CodeDisconnected,
		`{"errorCode":400006}`: usersync.CodeDisconnected, `{"errorCode":403002}`: usersync.CodeUnavailable, `{"errorCode":500028}`: usersync.CodeUnavailable,
		`{"errorCode":504001}`: usersync.CodeUnavailable, `{"results":[]}`: usersync.CodeUnavailable,
	} {
		f.Break(fakeprovider.Fault{Body: body})
		if _, _, err := open(client, s.URL, fake.Secret).Find(t.Context(), email); usersync.CodeOf(err) != want {
			t.Errorf("%s: %v", body, err)
		}
	}
}

func TestAProfileIsReadWhole(t *testing.T) {
	t.Parallel()
	f := fake.New()
	s := httptest.NewServer(f)
	client := &outbound.Client{Guard: &outbound.Guard{Allow: []netip.Prefix{netip.MustParsePrefix("127.0.0.0/8")}}}
	t.Cleanup(func() { client.Close(); s.Close() })
	f.Put(fakeprovider.User{ID: "uid", Email: "a@acme.example", FirstName: "Ann", More: map[string]any{
		"photoURL": "p", "nickname": "Annie", "age": 42, "zip": "53111", "birthYear": 1984, "birthMonth": 5, "birthDay": 6, "phones": []any{map[string]any{"number": "+49"}},
		"data": map[string]any{"promo_flag": "Y", "own": "x"},
	}})
	email, _ := identity.ParseEmail("a@acme.example")
	p, ok, err := open(client, s.URL, fake.Secret).Find(t.Context(), email)
	if !ok || err != nil {
		t.Fatal(ok, err)
	}
	for key, want := range map[string]string{"photo": "p", "displayName": "Annie", "age": "42", "postalCode": "53111", "dob": "1984-05-06", "dobYYYY": "1984", "phoneNumber": "+49", "promo_flag": "Y", "own": ""} {
		if p.Metadata[key] != want {
			t.Errorf("%s is %q, want %q", key, p.Metadata[key], want)
		}
	}
}
