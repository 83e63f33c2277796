package tenant_test

import (
	"database/sql"
	"errors"
	"strings"
	"testing"

	"usersync/internal/roomtest"
	"usersync/internal/store"
	"usersync/internal/tenant"
	"usersync/internal/usersync"
)

// The secrets among the settings are sealed for one organization: they are not
// readable in the database, and cannot be opened for another.
func TestSecretsOfSettingsAreSealedForTheirOrganization(t *testing.T) {
	t.Parallel()
	const key = "hunter-0123456789abcdef"
	roomtest.Engines(t, func(t *testing.T, s *store.Store, db *sql.DB) {
		n, other := roomtest.New(t, s, 0), roomtest.New(t, s, 0)
		_, err := tenant.Update(t.Context(), s.Org(n.Organization.ID), "test", func(o *tenant.Organization) ([]string, error) {
			o.Settings.ColleagueSources = []tenant.ColleagueSource{{Name: tenant.SourceHunter, APIKey: usersync.MaskedSecret{Secret: usersync.NewSecret(key)}}}
			return []string{"settings"}, nil
		})
		if err != nil {
			t.Fatal(err)
		}
		for column, text := range roomtest.Texts(t, db) {
			if strings.Contains(text, key) {
				t.Errorf("the secret stands in %s", column)
			}
		}
		o, err := tenant.Get(t.Context(), s, n.Organization.ID)
		if source, ok := o.Settings.Source(tenant.SourceHunter); err != nil || !ok || source.APIKey.Reveal() != key {
			t.Errorf("the source is %+v %v %v", source, ok, err)
		}
		roomtest.Execute(t, db, `UPDATE organizations SET secrets = (SELECT o.secrets FROM organizations o WHERE o.id = $1) WHERE id = $2`, n.Organization.ID, other.Organization.ID)
		if _, err := tenant.Get(t.Context(), s, other.Organization.ID); err == nil {
			t.Error("the secrets are opened for another organization")
		}
	})
}

var errRefused = errors.New("refused")

func TestAChangeThatIsRefusedLeavesTheOrganizationAsItWas(t *testing.T) {
	t.Parallel()
	roomtest.Engines(t, func(t *testing.T, s *store.Store, db *sql.DB) {
		n := roomtest.New(t, s, 0)
		_, err := tenant.Update(t.Context(), s.Org(n.Organization.ID), "test", func(o *tenant.Organization) ([]string, error) {
			o.Status = tenant.Disabled
			return []string{"status"}, errRefused
		})
		if !errors.Is(err, errRefused) {
			t.Errorf("the refusal is %v", err)
		}
		if o, err := tenant.Get(t.Context(), s, n.Organization.ID); err != nil || o.Status != tenant.Active {
			t.Errorf("%+v %v", o, err)
		}
		if roomtest.Count(t, db, `SELECT count(*) FROM audit WHERE action = 'organization.update'`) != 0 {
			t.Error("the change is in the audit log")
		}
		if _, err := tenant.Get(t.Context(), s, "org_unknown"); !errors.Is(err, tenant.ErrNotFound) {
			t.Errorf("an unknown id is %v", err)
		}
	})
}
