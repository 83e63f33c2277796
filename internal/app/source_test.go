package app_test

import (
	"testing"

	"usersync/internal/app"
	"usersync/internal/app/apptest"
	"usersync/internal/colleague/hunter/huntertest"
	"usersync/internal/usersync"
)

func TestColleaguesAreFoundAtADirectoryServiceAndWithoutIt(t *testing.T) {
	t.Parallel()
	apptest.Each(t, func(t *testing.T, e *apptest.Environment) {
		fake := huntertest.Start(t)
		fake.Add("acme.example", "ann@acme.example", "Ann", "Example", "Engineer", "2026-03-01")
		fake.Add("acme.example", "info@acme.example", "", "", "", "")
		n := newTenant(t, e.Start(t, app.All), 10)
		n.people(t, "bob@acme.example", "cat@broken.example", "dan@broken.example")
		_, err := n.app.Store.UpdateOrganization(t.Context(), "test", n.org.ID, func(o *usersync.Organization) ([]string, error) {
			o.Settings.ColleagueSources = []usersync.ColleagueSource{
				{Name: usersync.SourceDirectory},
				{Name: usersync.SourceHunter, APIKey: usersync.MaskedSecret{Secret: usersync.NewSecret(huntertest.Key)}, URL: fake.URL()},
			}
			return []string{"settings"}, nil
		})
		must(t, err)
		report := n.finished(t, "john@acme.example")
		if report.Colleagues.Found != 2 || report.Credits.Charged != 1 {
			t.Errorf("%+v", report.Colleagues)
		}
		fake.Break(huntertest.Fault{Status: 500})
		report = n.finished(t, "john@broken.example")
		if step := report.Steps[0]; report.Status != usersync.RequestSucceeded || report.Colleagues.Found != 2 || step.Details != "2 colleagues found; hunter did not answer (unavailable)" {
			t.Errorf("%+v %+v", step, report.Colleagues)
		}
	})
}

// finished sends a user and returns the request when it is done.
func (n tenant) finished(t *testing.T, address string) *usersync.Report {
	t.Helper()
	id, err := n.submit(t.Context(), address)
	must(t, err)
	apptest.Eventually(t, "done", func() bool { return n.report(t, id).Status.Final() })
	return n.report(t, id)
}
