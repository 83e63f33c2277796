package connectortest

import (
	"encoding/json"
	"net/http"
	"net/http/httptest"
	"testing"

	"usersync/internal/connector"
	"usersync/internal/connector/fakeplatform"
	"usersync/internal/person"
	"usersync/internal/usersync"
)

// Open serves a fake and opens a checked connection to it, for tests of what is
// particular about a platform. The settings stand in the place of the fake's own.
func Open(t testing.TB, kind connector.Kind, fake fakeplatform.Platform, settings map[string]any) (connector.Connector, *fakeplatform.Server) {
	t.Helper()
	server := fakeplatform.New(fake)
	cfg := Served(t, server, fake, settings)
	c := Opened(t, kind, cfg)
	facts, err := c.Check(t.Context())
	if err != nil {
		t.Fatalf("check: %v", err)
	}
	cfg.Facts = facts
	return Opened(t, kind, cfg), server
}

// Served serves a handler and returns the fake's configuration for it, unchecked.
func Served(t testing.TB, handler http.Handler, fake fakeplatform.Platform, settings map[string]any) connector.Config {
	t.Helper()
	server := httptest.NewServer(handler)
	t.Cleanup(server.Close)
	cfg := fake.Config()
	for name, value := range settings {
		cfg.Settings = withSetting(t, cfg.Settings, name, value)
	}
	cfg.Settings = withSetting(t, cfg.Settings, "baseUrl", server.URL+"/"+fake.Name())
	return cfg
}

// Opened opens a connection by a configuration.
func Opened(t testing.TB, kind connector.Kind, cfg connector.Config) connector.Connector {
	t.Helper()
	c, err := kind.Open(cfg, &connector.Client{HTTP: newClient(t), Connection: "conn_1"})
	if err != nil {
		t.Fatalf("open: %v %+v", err, usersync.AsError(err).Fields)
	}
	return c
}

// ProfileAt returns a profile with an address.
func ProfileAt(t testing.TB, address string) connector.Profile {
	t.Helper()
	email, err := person.ParseEmail(address)
	if err != nil {
		t.Fatal(err)
	}
	return connector.Profile{
		UserID: "user_1", Email: email, FirstName: "Ada", LastName: "Lovelace", Name: "Ada Lovelace", Country: "GB",
		JobTitle: "Analyst", InviteLink: "https://example.com/invite/1",
	}
}

// JSON returns what a value is as JSON.
func JSON(t testing.TB, value any) string {
	t.Helper()
	text, err := json.Marshal(value)
	if err != nil {
		t.Fatal(err)
	}
	return string(text)
}
