//go:build unix

package chaos

import (
	"encoding/json"
	"net/http"
	"net/http/httptest"
	"slices"
	"testing"

	"usersync/internal/connector/fakeplatform"
	"usersync/internal/connectors/fakes"
	"usersync/test/system"
)

// platformName is that of the platform in use; its fake is told by it.
const platformName = "http"

// platform is a fake one that users are pushed to. It lives in the test, so that
// it survives what happens to the service.
type platform struct {
	*fakeplatform.Server
	fake fakeplatform.Platform
	url  string
	// hangUp closes the connections that the platform has.
	hangUp func()
}

func newPlatform(t *testing.T) *platform {
	t.Helper()
	all := fakes.New()
	p := &platform{Server: fakeplatform.New(all...), fake: find(all, platformName)}
	server := httptest.NewServer(p.Server)
	t.Cleanup(server.Close)
	p.url, p.hangUp = server.URL+"/"+platformName, server.CloseClientConnections
	return p
}

func find(all []fakeplatform.Platform, name string) fakeplatform.Platform {
	return all[slices.IndexFunc(all, func(f fakeplatform.Platform) bool { return f.Name() == name })]
}

// connect connects a tenant to the platform; the service asks it first.
func (p *platform) connect(t *testing.T, n *tenant) {
	t.Helper()
	settings, credentials := map[string]any{}, map[string]any{}
	system.Must(t, json.Unmarshal(p.fake.Config().Settings, &settings))
	system.Must(t, json.Unmarshal(p.fake.Config().Credentials, &credentials))
	settings["baseUrl"] = p.url
	asked := p.State(platformName).Calls
	var made struct {
		ID string `json:"id"`
	}
	n.Call(t, http.MethodPost, "/v1/connections",
		map[string]any{"platform": platformName, "name": n.name, "settings": settings, "credentials": credentials}, &made)
	if p.State(platformName).Calls == asked {
		t.Error("a connection was kept of which the platform was not asked")
	}
	n.connection = made.ID
}
