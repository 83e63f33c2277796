package httpjson_test

import (
	"net/http"
	"testing"
	"time"

	"go.uber.org/goleak"

	"usersync/internal/outbound"
	"usersync/internal/provider"
	"usersync/internal/provider/fakeprovider"
	"usersync/internal/provider/httpjson"
	"usersync/internal/provider/httpjson/fake"
	"usersync/internal/provider/providertest"
	"usersync/internal/tenant"
	"usersync/internal/usersync"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

func TestConformance(t *testing.T) {
	t.Parallel()
	for _, auth := range []string{httpjson.AuthHeader, httpjson.AuthBasic, httpjson.AuthClient} {
		t.Run(auth, func(t *testing.T) {
			t.Parallel()
			token := ""
			if auth == httpjson.AuthClient {
				token = "/token"
			}
			providertest.Run(t, providertest.Subject{
				New: func(client *outbound.Client, base, secret string) provider.Provider {
					return httpjson.New(httpjson.WithPreset("Firefly", tenant.HTTPProvider{
						URL: base + "/users?email={email}", TokenURL: base + "/token", Auth: auth, Header: fake.Header, Username: fake.Username,
						Secret: usersync.MaskedSecret{Secret: usersync.NewSecret(secret)}, Error: "/fault",
					}), client)
				},
				Fake: func() providertest.Fake { return fake.New() }, Secret: fake.Secret, Search: "/users", Token: token,
				Throttled: fakeprovider.Fault{Status: http.StatusTooManyRequests, Header: map[string]string{"Retry-After": "7"}}, Wait: 7 * time.Second,
				Failing: fakeprovider.Fault{Body: `{"fault":"database"}`},
			})
		})
	}
}

func TestAnAddressIsEscapedForItsPlace(t *testing.T) {
	t.Parallel()
	for template, want := range map[string]string{
		"https://x.example/u?q={email}": "https://x.example/u?q=a%2Bb%2Fc%3F%40x.example", "https://x.example/u/{email}/p": "https://x.example/u/a+b%2Fc%3F@x.example/p",
	} {
		if got := httpjson.Address(template, "a+b/c?@x.example"); got != want {
			t.Errorf("%s: %s", template, got)
		}
	}
}

func TestPointersFollowTheRFC(t *testing.T) {
	t.Parallel()
	document := map[string]any{"a/b": map[string]any{"m~n": []any{"x", "y"}}, "": 1}
	for pointer, want := range map[string]any{"/a~1b/m~0n/1": "y", "/": 1, "/a~1b/m~0n/2": nil, "/a~1b/m~0n/-1": nil, "/none": nil, "/a~1b/m~0n/x": nil} {
		if got := httpjson.At(document, pointer); got != want {
			t.Errorf("%s: %v, want %v", pointer, got, want)
		}
	}
}
