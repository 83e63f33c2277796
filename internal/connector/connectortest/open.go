package connectortest

import (
	"encoding/json"
	"net/http/httptest"
	"testing"

	"usersync/internal/connector"
	"usersync/internal/connector/fakeplatform"
	"usersync/internal/person"
	"usersync/internal/usersync"
)

// Account is a fake that is served, for a connector's own tests.
type Account struct {
	testing.TB
	Kind   connector.Kind
	Fake   fakeplatform.Platform
	Server *fakeplatform.Server
	url    string
}

// Serve serves a fake until the test ends.
func Serve(t *testing.T, kind connector.Kind, fake fakeplatform.Platform) *Account {
	t.Helper()
	a := &Account{TB: t, Kind: kind, Fake: fake, Server: fakeplatform.New(fake)}
	server := httptest.NewServer(a.Server)
	t.Cleanup(server.Close)
	a.url = server.URL + "/" + fake.Name()
	return a
}

// Dial opens a connection with these settings, or the fake's own when there are
// none, and with what a check has told.
func (a *Account) Dial(settings string, facts connector.Facts) connector.Connector {
	a.Helper()
	cfg := a.Fake.Config()
	if settings != "" {
		cfg.Settings = json.RawMessage(settings)
	}
	cfg.Settings, cfg.Facts = withSetting(a, cfg.Settings, "baseUrl", a.url), facts
	return Opened(a, a.Kind, cfg)
}

// Open opens a connection, has it checked and opens it with what the check told.
func (a *Account) Open(settings string) connector.Connector {
	a.Helper()
	facts, err := a.Dial(settings, connector.Facts{}).Check(a.Context())
	if err != nil {
		a.Fatalf("check: %v", err)
	}
	return a.Dial(settings, facts)
}

// Push pushes people and fails the test on an error.
func (a *Account) Push(c connector.Connector, people ...connector.Profile) []connector.Result {
	a.Helper()
	results, err := c.Push(a.Context(), people)
	if err != nil {
		a.Fatalf("push: %v", err)
	}
	return results
}

// Held returns the person whom the fake holds.
func (a *Account) Held(p connector.Profile) fakeplatform.Person {
	a.Helper()
	one, ok := a.Fake.People().Get(p.Email.Display())
	if !ok {
		a.Fatalf("the platform does not have the person, only %v", a.Fake.People().Emails())
	}
	return one
}

// Person returns a profile with an address of this name.
func Person(t testing.TB, local, first, last string) connector.Profile {
	t.Helper()
	email, err := person.ParseEmail(local + "@" + domain)
	if err != nil {
		t.Fatal(err)
	}
	return connector.Profile{UserID: usersync.NewID(usersync.PrefixUser), Email: email, FirstName: first, LastName: last, Name: first + " " + last}
}
