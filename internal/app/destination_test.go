package app_test

import (
	"encoding/json"
	"maps"
	"net/http"
	"net/http/httptest"
	"reflect"
	"slices"
	"strings"
	"sync/atomic"
	"testing"

	"usersync/internal/app"
	"usersync/internal/app/apptest"
	"usersync/internal/connectors"
	"usersync/internal/tenant"
	"usersync/internal/usersync"
)

// trap is a server that a tenant might have stored secrets sent to.
type trap struct {
	URL  string
	hits atomic.Int64
}

func newTrap(t *testing.T) *trap {
	t.Helper()
	p := &trap{}
	server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
		p.hits.Add(1)
		w.WriteHeader(http.StatusBadRequest)
	}))
	t.Cleanup(server.Close)
	p.URL = server.URL
	return p
}

// owner calls as the owner of an organization.
type owner struct {
	client *apptest.Client
	key    string
}

func newOwner(t *testing.T, a *apptest.Running, n customer) owner {
	t.Helper()
	_, secret, err := tenant.CreateKey(t.Context(), a.Store, "test", n.org.ID, tenant.Key{Name: "owner"})
	must(t, err)
	return owner{a.Client(t), secret.Reveal()}
}

// patch changes something. It returns the status and the fields that are refused.
func (o owner) patch(t *testing.T, path string, body any) (status int, refused []string) {
	t.Helper()
	text, err := json.Marshal(body)
	must(t, err)
	a := o.client.Do(t, apptest.Call{Method: http.MethodPatch, Path: path, Body: text,
		Header: http.Header{"X-Api-Key": {o.key}, "Content-Type": {"application/json"}}})
	var problem struct{ Errors []usersync.FieldError }
	_ = json.Unmarshal(a.Body, &problem) // only a refusal has fields
	for _, f := range problem.Errors {
		refused = append(refused, f.Field)
	}
	return a.Status, refused
}

// TestNoSettingOfAConnectionHasItsStoredSecretsSentElsewhere changes each text among the
// settings of each platform to an address of a server of the tenant's own.
func TestNoSettingOfAConnectionHasItsStoredSecretsSentElsewhere(t *testing.T) {
	t.Parallel()
	apptest.Each(t, func(t *testing.T, e *apptest.Environment) {
		a := e.Start(t, app.API)
		n := newTenant(t, a, 10)
		o := newOwner(t, a, n)
		for _, kind := range connectors.Platforms {
			path := "/v1/connections/" + n.connect(t, kind.Name).connection.ID
			elsewhere := newTrap(t)
			for _, f := range kind.Settings {
				if f.Type != "string" {
					continue
				}
				for _, text := range []string{elsewhere.URL, strings.TrimPrefix(elsewhere.URL, "http://"), elsewhere.URL + "/x"} {
					status, refused := o.patch(t, path, map[string]any{"settings": map[string]string{f.Name: text}})
					if f.IsAddress() && (status != http.StatusBadRequest || !slices.Contains(refused, "settings."+f.Name)) {
						t.Errorf("%s: %s may lead elsewhere: %d %v", kind.Name, f.Name, status, refused)
					}
				}
			}
			if status, refused := o.patch(t, path, map[string]any{"settings": map[string]any{"baseUrl": nil}}); status != http.StatusBadRequest ||
				!slices.Equal(refused, []string{"settings.baseUrl"}) {
				t.Errorf("%s: baseUrl may be left out: %d %v", kind.Name, status, refused)
			}
			if n := elsewhere.hits.Load(); n > 0 {
				t.Errorf("%s: the stored secrets went elsewhere %d times: a setting lacks the role address", kind.Name, n)
			}
			o.wantCalled(t, path, kind.Name, elsewhere)
		}
	})
}

// wantCalled changes the address with secrets that are sent with it, which shows that
// the server would have noticed.
func (o owner) wantCalled(t *testing.T, path, platform string, elsewhere *trap) {
	t.Helper()
	address := "baseUrl"
	if platform == "http" {
		address = "url" // which baseUrl does not replace
	}
	var credentials map[string]any
	must(t, json.Unmarshal([]byte(ownCredentials(t, fakeOf(t, platform)).Reveal()), &credentials))
	_, refused := o.patch(t, path, map[string]any{"credentials": credentials, "settings": map[string]string{address: elsewhere.URL}})
	if elsewhere.hits.Load() == 0 && slices.Contains(refused, "settings."+address) {
		t.Errorf("%s: the address cannot be changed with new secrets either: %v", platform, refused)
	}
}

// settingsMove is a change of settings that leads elsewhere, and the secret that goes
// along.
type settingsMove struct {
	field  string // that is refused
	change map[string]any
	secret map[string]any
}

// settingsMoves are those of every secret among an organization's settings, by its place.
func settingsMoves() map[string][]settingsMove {
	smtp := func(field string, value any) settingsMove {
		return settingsMove{"settings.smtp." + field, map[string]any{"smtp": map[string]any{field: value}},
			map[string]any{"smtp": map[string]any{field: value, "password": "correct horse battery"}}}
	}
	hunter := func(url string) settingsMove {
		with := func(key string) map[string]any {
			return map[string]any{"colleagueSources": []any{map[string]any{"name": "hunter", "apiKey": key, "url": url}}}
		}
		return settingsMove{"settings.colleagueSources[0].url", with("••••3456"), with("key-of-hunter-123456")}
	}
	account := func(name, field, secret string, account map[string]any, value string) settingsMove {
		with := func(text string) map[string]any {
			moved := maps.Clone(account)
			moved[field], moved[secret] = value, text
			return map[string]any{"providers": map[string]any{name: moved}}
		}
		return settingsMove{"settings.providers." + name + "." + field, with("••••ider"), with("secret-of-a-provider")}
	}
	described := func(name string) []settingsMove {
		return []settingsMove{
			account(name, "url", "secret", describedAccount, "https://elsewhere.example.com/{email}"),
			account(name, "tokenUrl", "secret", describedAccount, "https://elsewhere.example.com/token"),
		}
	}
	return map[string][]settingsMove{
		"providers.auth0.clientSecret": {account("auth0", "url", "clientSecret", auth0Account, "https://elsewhere.example.com")},
		"providers.gigya.secret":       {account("gigya", "url", "secret", gigyaAccount, "https://elsewhere.example.com")},
		"providers.ssor.secret":        described("ssor"),
		"providers.firefly.secret":     described("firefly"),
		"smtp.password":                {smtp("host", "mail.elsewhere.example.com"), smtp("port", 2525)},
		"colleagueSources.hunter.apiKey": {
			hunter("https://elsewhere.example.com/v2"), hunter("https://hunter.example.com:8443/v2"),
			hunter("http://hunter.example.com/v2"), hunter("https://hunter.example.com/v3"), hunter(""),
		},
	}
}

// Accounts at identity providers.
var (
	auth0Account     = map[string]any{"url": "https://auth0.example.com", "clientId": "c", "clientSecret": "secret-of-a-provider"}
	gigyaAccount     = map[string]any{"url": "https://gigya.example.com", "apiKey": "a", "userKey": "u", "secret": "secret-of-a-provider"}
	describedAccount = map[string]any{"url": "https://own.example.com/{email}", "auth": "client_credentials", "tokenUrl": "https://own.example.com/token", "username": "u",
		"secret": "secret-of-a-provider", "fields": map[string]string{"id": "/id"}}
)

// unsent are secrets that are sent nowhere: tokens are checked with them here.
var unsent = []string{"jwt.secret"}

// TestAStoredSecretOfTheSettingsIsNotSentElsewhere: a secret that is not in the table
// above fails it.
func TestAStoredSecretOfTheSettingsIsNotSentElsewhere(t *testing.T) {
	t.Parallel()
	moves := settingsMoves()
	apptest.Each(t, func(t *testing.T, e *apptest.Environment) {
		a := e.Start(t, app.API)
		n := newTenant(t, a, 10)
		o := newOwner(t, a, n)
		before := map[string]any{
			"smtp":             map[string]any{"host": "mail.example.com", "port": 587, "username": "me", "password": "correct horse battery", "from": "me@example.com"},
			"colleagueSources": []any{map[string]any{"name": "hunter", "apiKey": "key-of-hunter-123456", "url": "https://hunter.example.com/v2"}},
			"providers":        map[string]any{"auth0": auth0Account, "gigya": gigyaAccount, "ssor": describedAccount, "firefly": describedAccount},
		}
		patch := func(settings map[string]any) (int, []string) {
			return o.patch(t, "/v1/organization", map[string]any{"settings": settings})
		}
		if status, refused := patch(before); status != http.StatusOK {
			t.Fatal(status, refused)
		}
		stored, err := tenant.Get(t.Context(), a.Store, n.org.ID)
		must(t, err)
		for place, field := range stored.Settings.SecretFields() {
			if slices.Contains(unsent, place) {
				continue
			}
			if len(field.SentTo) == 0 || len(moves[place]) == 0 {
				t.Errorf("nobody knows where %s is sent, or nobody tries to have it sent elsewhere", place)
			}
			for _, move := range moves[place] {
				if status, refused := patch(move.change); status != http.StatusBadRequest || !slices.Equal(refused, []string{move.field}) {
					t.Errorf("%s: %v: %d %v", place, move.change, status, refused)
				}
				if status, refused := patch(move.secret); status != http.StatusOK {
					t.Errorf("%s: %v: %d %v", place, move.secret, status, refused)
				}
				if status, _ := patch(before); status != http.StatusOK {
					t.Fatal(status)
				}
			}
		}
		same := map[string]any{
			"smtp":             map[string]any{"host": "MAIL.example.com", "port": 587, "password": "••••tery"},
			"colleagueSources": []any{map[string]any{"name": "hunter", "apiKey": "••••3456", "url": "https://Hunter.example.com:443/v2/"}},
		}
		if status, refused := patch(same); status != http.StatusOK {
			t.Errorf("the same place, written otherwise: %d %v", status, refused)
		}
	})
}

// TestEverySecretAmongTheSettingsIsListed finds the secrets by their type, wherever they
// are nested.
func TestEverySecretAmongTheSettingsIsListed(t *testing.T) {
	t.Parallel()
	s := tenant.Settings{SMTP: &usersync.SMTP{}, ColleagueSources: []tenant.ColleagueSource{{Name: tenant.SourceHunter}},
		Providers: tenant.Providers{Auth0: &tenant.Auth0{}, Gigya: &tenant.Gigya{}, SSOR: &tenant.HTTPProvider{}, Firefly: &tenant.HTTPProvider{}}}
	listed := slices.Sorted(maps.Keys(s.SecretFields()))
	var found []string
	var look func(place string, t reflect.Type)
	look = func(place string, of reflect.Type) {
		switch {
		case of == reflect.TypeFor[usersync.MaskedSecret](), of == reflect.TypeFor[usersync.Secret]():
			found = append(found, strings.TrimPrefix(place, "."))
		case of.Kind() == reflect.Pointer:
			look(place, of.Elem())
		case of.Kind() == reflect.Slice, of.Kind() == reflect.Map:
			if of.Elem() == reflect.TypeFor[tenant.ColleagueSource]() {
				place += "." + tenant.SourceHunter
			}
			look(place, of.Elem())
		case of.Kind() == reflect.Struct:
			for _, f := range reflect.VisibleFields(of) {
				name, _, _ := strings.Cut(f.Tag.Get("json"), ",")
				look(place+"."+name, f.Type)
			}
		}
	}
	look("", reflect.TypeFor[tenant.Settings]())
	slices.Sort(found)
	if !slices.Equal(listed, found) {
		t.Errorf("listed are %v, and the settings hold %v", listed, found)
	}
}
