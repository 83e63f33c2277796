package destination_test

import (
	"database/sql"
	"reflect"
	"testing"
	"time"

	"usersync/internal/destination"
	"usersync/internal/platform"
	"usersync/internal/roomtest"
	"usersync/internal/store"
	"usersync/internal/tenant"
	"usersync/internal/usersync"
)

// change is one change of an organization or of a connection.
type change struct {
	name string
	make func() error
}

// changes are those that a run must see.
func changes(t *testing.T, n roomtest.Tenant) []change {
	org, id := n.Org(n.Organization.ID), ""
	organization := func(name string, with func(*tenant.Organization)) change {
		return change{name, func() error {
			_, err := tenant.Update(t.Context(), n.Org(n.Organization.ID), "test", func(o *tenant.Organization) ([]string, error) {
				with(o)
				return []string{name}, nil
			})
			return err
		}}
	}
	password := func(text string) func(*tenant.Organization) {
		return func(o *tenant.Organization) {
			o.Settings.SMTP = &usersync.SMTP{Host: "mail.example.com", Password: usersync.MaskedSecret{Secret: usersync.NewSecret(text)}}
		}
	}
	connection := func(name string, with func(*platform.Connection)) change {
		return change{name, func() error {
			_, err := platform.UpdateConnection(t.Context(), org, "test", id, func(c *platform.Connection) ([]string, error) {
				with(c)
				return []string{name}, nil
			})
			return err
		}}
	}
	return []change{
		organization("name", func(o *tenant.Organization) { o.Name = "Umbrella" }),
		organization("link", func(o *tenant.Organization) { o.DefaultRedirectionLink = "https://example.com/" }),
		organization("settings", func(o *tenant.Organization) { o.Settings.ContactEmail = "ann@acme.example" }),
		organization("a secret", password("one")),
		organization("another secret", password("two")),
		organization("disabled", func(o *tenant.Organization) { o.Status = tenant.Disabled }),
		organization("active", func(o *tenant.Organization) { o.Status = tenant.Active }),
		{"connection", func() error {
			id = n.Connect(t).ID
			return nil
		}},
		connection("connection's name", func(c *platform.Connection) { c.Name = "News" }),
		connection("connection's settings", func(c *platform.Connection) { c.Settings = []byte(`{"list":"9e"}`) }),
		{"paused", func() error { _, err := platform.PauseConnection(t.Context(), org, "test", id); return err }},
		{"resumed", func() error { _, err := platform.ResumeConnection(t.Context(), org, "test", id); return err }},
		{"disconnected", func() error {
			c, err := platform.GetConnection(t.Context(), org, id)
			if err != nil {
				return err
			}
			return n.Tx(t.Context(), func(tx *store.Tx) error {
				_, err := platform.Disconnect(t.Context(), tx, c, "refused")
				return err
			})
		}},
		connection("connected", func(c *platform.Connection) { c.Status, c.Reason = platform.ConnectionActive, "" }),
		{"another connection", func() error {
			n.Connect(t)
			return nil
		}},
		{"deleted", func() error { return platform.DeleteConnection(t.Context(), org, "test", id) }},
	}
}

func TestEveryChangeOfAnOrganizationIsAnotherVersion(t *testing.T) {
	t.Parallel()
	roomtest.Engines(t, func(t *testing.T, s *store.Store, db *sql.DB) {
		n := roomtest.New(t, s, 1)
		id := n.Organization.ID
		var known destination.Known
		seen := map[string]string{}
		look := func(name string) {
			t.Helper()
			version, err := destination.Version(t.Context(), s, id)
			if err != nil || version == "" {
				t.Fatal(version, err)
			}
			if before, ok := seen[version]; ok {
				t.Errorf("%s has the version of %s: %s", name, before, version)
			}
			seen[version] = name
			o, connections, err := known.Get(t.Context(), s, id, version)
			if err != nil {
				t.Fatal(err)
			}
			wantO, wantConnections, wantVersion, err := destination.Load(t.Context(), s, id)
			if err != nil || wantVersion != version || !reflect.DeepEqual(o, wantO) || !reflect.DeepEqual(connections, wantConnections) {
				t.Errorf("%s: known are %+v %+v, stored %+v %+v %s, %v", name, o, connections, wantO, wantConnections, wantVersion, err)
			}
		}
		look("the beginning")
		for _, c := range changes(t, n) {
			if err := c.make(); err != nil {
				t.Fatal(c.name, err)
			}
			look(c.name)
			// The next change falls into the same microsecond, or its clock lags behind.
			soon, later := time.Now().Add(30*time.Minute).UnixMicro(), time.Now().Add(time.Hour).UnixMicro()
			roomtest.Execute(t, db, `UPDATE organizations SET updated_at = $1 WHERE updated_at < $2`, later, soon)
			roomtest.Execute(t, db, `UPDATE connections SET updated_at = $1 WHERE updated_at < $2`, later, soon)
			version, err := destination.Version(t.Context(), s, id)
			if err != nil {
				t.Fatal(err)
			}
			seen[version] = c.name + ", later"
		}
	})
}

func TestAnOrganizationThatIsKnownIsNotLoaded(t *testing.T) {
	t.Parallel()
	roomtest.Engines(t, func(t *testing.T, s *store.Store, db *sql.DB) {
		n, other := roomtest.New(t, s, 1), roomtest.New(t, s, 1)
		var known destination.Known
		version, err := destination.Version(t.Context(), s, n.Organization.ID)
		if err != nil {
			t.Fatal(err)
		}
		name := func(id, version string) string {
			t.Helper()
			o, _, err := known.Get(t.Context(), s, id, version)
			if err != nil || o.ID != id {
				t.Fatal(o.ID, err)
			}
			return o.Name
		}
		name(n.Organization.ID, version)
		roomtest.Execute(t, db, `UPDATE organizations SET name = 'Beside'`) // changes no version
		if got := name(n.Organization.ID, version); got != "Acme" {
			t.Errorf("what is known was loaded: %s", got)
		}
		if got := name(other.Organization.ID, version); got != "Beside" {
			t.Errorf("another organization is %s", got)
		}
		if got := name(n.Organization.ID, ""); got != "Beside" {
			t.Errorf("without a version it is %s", got)
		}
		if v, err := destination.Version(t.Context(), s, "org_none"); v != "" || err != nil {
			t.Errorf("no organization has version %q, %v", v, err)
		}
	})
}
