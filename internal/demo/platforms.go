package demo

import (
	"context"
	"encoding/json"
	"fmt"
	"net/http"
	"net/netip"

	"usersync/internal/connector"
	"usersync/internal/connector/fakeplatform"
	mailchimp "usersync/internal/connector/mailchimp/fake"
	sendgrid "usersync/internal/connector/sendgrid/fake"
	"usersync/internal/connectors"
	"usersync/internal/outbound"
	"usersync/internal/platform"
	"usersync/internal/store"
	"usersync/internal/usersync"
)

// platforms are the fakes that the demo is connected to, with what its
// connections set beside the fake's own.
var platforms = []struct {
	fake     func() fakeplatform.Platform
	settings map[string]any
}{
	{func() fakeplatform.Platform { return mailchimp.New() }, nil},
	{func() fakeplatform.Platform { return sendgrid.New() },
		map[string]any{"tags": []string{"usersync-demo"}, "tagsField": "tags"}},
}

// platformName marks the connections to fakes of this process.
const platformName = "demo: a fake of this process"

// servePlatforms returns a server of fresh fakes.
func servePlatforms() (*fakeplatform.Server, []fakeplatform.Platform) {
	var fakes []fakeplatform.Platform
	for _, p := range platforms {
		fakes = append(fakes, p.fake())
	}
	return fakeplatform.New(fakes...), fakes
}

// connect connects the demo organization to the fakes, once.
func (d *Demo) connect(ctx context.Context, s *store.Store) error {
	org := s.Org(d.Organization)
	old, err := platform.ListConnections(ctx, org, "", 500)
	if err != nil {
		return err
	}
	for _, c := range old {
		if c.Name != platformName {
			continue
		}
		return nil // they are there since the first start
	}
	addr := d.Receiver.Addr()
	client := &outbound.Client{Guard: &outbound.Guard{Allow: []netip.Prefix{netip.PrefixFrom(addr.Addr(), addr.Addr().BitLen())}}}
	defer client.Close()
	for i, fake := range d.Receiver.fakes { //lint:loop a few connections, at the first start of a demo
		if err := d.connectTo(ctx, org, fake, platforms[i].settings, client); err != nil {
			return fmt.Errorf("connect the demo to its %s: %w", fake.Name(), err)
		}
	}
	return nil
}

func (d *Demo) connectTo(ctx context.Context, org *store.Org, fake fakeplatform.Platform, more map[string]any, client *outbound.Client) error {
	cfg := fake.Config()
	settings := map[string]any{}
	if err := json.Unmarshal(cfg.Settings, &settings); err != nil {
		return err
	}
	settings["baseUrl"] = "http://" + d.Receiver.Addr().String() + platformPath + fake.Name()
	for name, value := range more {
		settings[name] = value
	}
	var err error
	if cfg.Settings, err = json.Marshal(settings); err != nil {
		return err
	}
	kind, _ := connectors.Find(fake.Name())
	opened, err := kind.Open(cfg, &connector.Client{HTTP: client})
	if err != nil {
		return err
	}
	facts, err := opened.Check(ctx)
	if err != nil {
		return err
	}
	known, err := json.Marshal(facts)
	if err != nil {
		return err
	}
	_, err = platform.CreateConnection(ctx, org, actor, platform.Connection{
		Platform: fake.Name(), Name: platformName, Settings: cfg.Settings, Credentials: usersync.NewSecret(string(cfg.Credentials)), Facts: known,
	})
	return err
}

// platformPath is where the receiver serves the fakes.
const platformPath = "/platforms/"

func mountPlatforms(mux *http.ServeMux, server *fakeplatform.Server) {
	mux.Handle(platformPath, http.StripPrefix("/platforms", server))
}
