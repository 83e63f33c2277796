package management_test

import (
	"context"
	"encoding/json"
	"maps"
	"slices"
	"testing"

	"usersync/internal/connector"
	"usersync/internal/connectors"
	"usersync/internal/management"
	"usersync/internal/platform"
	"usersync/internal/store"
	"usersync/internal/store/storetest"
	"usersync/internal/tenant"
	"usersync/internal/usersync"
)

// place is a platform whose checks do what a test says.
type place struct{ check func() error }

type placeCredentials struct {
	Key   usersync.Secret `json:"key" help:"A secret."`
	User  string          `json:"user,omitempty" help:"No secret."`
	Notes []string        `json:"notes,omitempty" help:"Anything."`
}

type placeSettings struct {
	List string `json:"list,omitempty" help:"A list."`
}

func (p *place) kind() connector.Platform {
	open := func(placeCredentials, placeSettings, connector.Facts, *connector.Client) (connector.Connector, error) {
		return p, nil
	}
	return connector.Define(connector.Platform{Name: "place", Title: "A place", Batch: 1}, open)
}

func (p *place) Check(context.Context) (connector.Facts, error) {
	return connector.Facts{Account: "a"}, p.check()
}
func (p *place) Content(connector.Profile) any { return nil }
func (p *place) Push(context.Context, []connector.Profile) ([]connector.Result, error) {
	return nil, nil
}
func (p *place) Preview(context.Context, connector.Profile) (r connector.Result, err error) { return }
func (p *place) Remove(context.Context, connector.Profile) (r connector.Result, err error)  { return }

// connected is a service with a connection to a place.
type connected struct {
	*management.Service
	place *place
	org   *store.Org
	id    string
}

func fields(pairs ...string) map[string]json.RawMessage {
	out := map[string]json.RawMessage{}
	for i := 0; i < len(pairs); i += 2 {
		out[pairs[i]] = json.RawMessage(pairs[i+1])
	}
	return out
}

func connect(t *testing.T) connected {
	t.Helper()
	s := storetest.Open(t, storetest.Options(t, "sqlite"))
	o, err := tenant.Create(t.Context(), s, "test", tenant.Organization{Name: "Acme"})
	if err != nil {
		t.Fatal(err)
	}
	p := &place{check: func() error { return nil }}
	c := connected{place: p, org: s.Org(o.ID), Service: &management.Service{
		Store: s, Platforms: []connector.Platform{p.kind()}, Hub: &connector.Hub{},
	}}
	name := "place"
	made, err := c.CreateConnection(t.Context(), "key_1", c.org, management.ConnectionInput{
		Platform: &name, Credentials: fields("key", `"0123456789abcdef"`, "user", `"Ann"`, "notes", `["a long enough note","short"]`),
	}, management.AtPlatform)
	if err != nil {
		t.Fatal(err)
	}
	c.id = made.ID
	return c
}

func (c connected) read(t *testing.T) platform.Connection {
	t.Helper()
	got, err := platform.GetConnection(t.Context(), c.org, c.id)
	if err != nil {
		t.Fatal(err)
	}
	return got
}

func (c connected) update(ctx context.Context, in management.ConnectionInput) error {
	_, err := c.UpdateConnection(ctx, "key_1", c.org, c.id, in, management.AtPlatform)
	return err
}

func TestWhatIsNoPlainCredentialIsShownMasked(t *testing.T) {
	t.Parallel()
	c := connect(t)
	shown, err := c.Shown(c.read(t))
	if want := `{"key":"••••cdef","notes":["••••note","••••"],"user":"Ann"}`; err != nil || string(shown) != want {
		t.Errorf("shown %s %v, want %s", shown, err, want)
	}
	c.Platforms = nil
	shown, err = c.Shown(c.read(t))
	if want := `{"key":"••••cdef","notes":["••••note","••••"],"user":"••••"}`; err != nil || string(shown) != want {
		t.Errorf("of a platform that is gone %s %v, want %s", shown, err, want)
	}
}

func TestMasksAtAnyDepthKeepWhatIsStored(t *testing.T) {
	t.Parallel()
	c := connect(t)
	before := c.read(t)
	if err := c.update(t.Context(), management.ConnectionInput{Credentials: fields("key", `"••••cdef"`, "notes", `["••••note", "••••"]`)}); err != nil {
		t.Fatal(err)
	}
	if got := c.read(t); got.Credentials.Reveal() != before.Credentials.Reveal() || got.CheckedAt != before.CheckedAt {
		t.Error("masks that were sent back changed something")
	}
	if err := c.update(t.Context(), management.ConnectionInput{Credentials: fields("notes", `["another long note","••••"]`)}); err != nil {
		t.Fatal(err)
	}
	if got, want := c.read(t).Credentials.Reveal(), `{"key":"0123456789abcdef","notes":["another long note","short"],"user":"Ann"}`; got != want {
		t.Errorf("stored are %s, want %s", got, want)
	}
}

func TestCheckCountsOnlyForWhatItChecked(t *testing.T) {
	t.Parallel()
	c := connect(t)
	ctx := context.WithoutCancel(t.Context())
	var during error
	c.place.check = func() error {
		c.place.check = func() error { return nil }
		during = c.update(ctx, management.ConnectionInput{Settings: fields("list", `"other"`)})
		return nil
	}
	if err := c.update(ctx, management.ConnectionInput{Settings: fields("list", `"one"`)}); usersync.CodeOf(err) != usersync.CodeConflict {
		t.Errorf("a change that rests on what is no longer so: %v", err)
	}
	if got := c.read(t); during != nil || string(got.Settings) != `{"list":"other"}` {
		t.Errorf("the change between is %s %v", got.Settings, during)
	}
}

func TestRenameDuringACheckIsKept(t *testing.T) {
	t.Parallel()
	c := connect(t)
	name := "Renamed"
	c.place.check = func() error { return c.update(t.Context(), management.ConnectionInput{Name: &name}) }
	if err := c.update(t.Context(), management.ConnectionInput{Settings: fields("list", `"one"`)}); err != nil {
		t.Fatal(err)
	}
	if got := c.read(t); got.Name != name || string(got.Settings) != `{"list":"one"}` {
		t.Errorf("it is %q with %s", got.Name, got.Settings)
	}
}

func TestRefusalNamesWhatTheConnectorSaysIsWrong(t *testing.T) {
	t.Parallel()
	list := []usersync.FieldError{{Field: "settings.list", Message: "is not there"}}
	for name, tc := range map[string]struct {
		found error
		code  usersync.Code
		field string
	}{
		"refused credentials": {usersync.Errorf(usersync.CodeDisconnected, "No."), usersync.CodeInvalid, "credentials"},
		"a refused call":      {usersync.Errorf(usersync.CodeRejected, "No."), usersync.CodeInvalid, "credentials"},
		"a named field":       {&usersync.Error{Code: usersync.CodeDisconnected, Message: "No.", Fields: list}, usersync.CodeInvalid, "settings.list"},
		"a forbidden address": {usersync.Errorf(usersync.CodeInvalid, "No."), usersync.CodeInvalid, "settings"},
		"no answer":           {usersync.Errorf(usersync.CodeUnavailable, "No."), usersync.CodeUnavailable, ""},
		"too many calls":      {usersync.Errorf(usersync.CodeRateLimited, "No."), usersync.CodeUnavailable, ""},
		"a fault of ours":     {context.DeadlineExceeded, usersync.CodeInternal, ""},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			c := connect(t)
			c.place.check = func() error { return tc.found }
			before := c.read(t)
			e := usersync.AsError(c.update(t.Context(), management.ConnectionInput{Credentials: fields("key", `"fedcba9876543210"`)}))
			if e == nil || e.Code != tc.code || (tc.field != "") != (len(e.Fields) == 1) || tc.field != "" && e.Fields[0].Field != tc.field {
				t.Errorf("the refusal is %+v", e)
			}
			if got := c.read(t); got.Credentials.Reveal() != before.Credentials.Reveal() {
				t.Error("what was refused is kept")
			}
		})
	}
}

// TestNoSettingIsASecret: settings are stored as they are, credentials sealed.
func TestNoSettingIsASecret(t *testing.T) {
	t.Parallel()
	for _, k := range connectors.Platforms {
		if got := secrets(k.Settings); len(got) > 0 {
			t.Errorf("%s has the secret settings %v: they belong to its credentials", k.Name, got)
		}
	}
	if got := secrets((&place{}).kind().Credentials); !slices.Equal(got, []string{"key"}) {
		t.Errorf("secrets are found wrongly: %v", got)
	}
}

func secrets(list []connector.Field) []string {
	found := map[string]bool{}
	for _, f := range list {
		if f.Secret {
			found[f.Name] = true
		}
	}
	return slices.Sorted(maps.Keys(found))
}
