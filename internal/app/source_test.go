package app_test

import (
	"testing"

	"usersync/internal/app/apptest"
	"usersync/internal/colleague/hunter/huntertest"
	"usersync/internal/request"
	"usersync/internal/tenant"
	"usersync/internal/usersync"
)

func TestColleaguesAreFoundAtADirectoryServiceAndWithoutIt(t *testing.T) {
	t.Parallel()
	each(t, 10, func(t *testing.T, n customer) {
		fake := huntertest.Start(t)
		fake.Add("acme.example", "ann@acme.example", "Ann", "Example", "Engineer", "2026-03-01")
		fake.Add("acme.example", "info@acme.example", "", "", "", "")
		n.people(t, "bob@acme.example", "cat@broken.example", "dan@broken.example")
		_, err := tenant.Update(t.Context(), n.app.Store.Org(n.org.ID), "test", func(o *tenant.Organization) ([]string, error) {
			o.Settings.ColleagueSources = []tenant.ColleagueSource{
				{Name: tenant.SourceDirectory},
				{Name: tenant.SourceHunter, APIKey: usersync.MaskedSecret{Secret: usersync.NewSecret(huntertest.Key)}, URL: fake.URL()},
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
		if step := report.Steps[0]; report.Status != request.Succeeded || report.Colleagues.Found != 2 || step.Details != "2 colleagues found; hunter did not answer (unavailable)" {
			t.Errorf("%+v %+v", step, report.Colleagues)
		}
	})
}

// finished sends a user and returns the request when it is done.
func (n customer) finished(t *testing.T, address string) *request.View {
	t.Helper()
	id, err := n.submit(t.Context(), address)
	must(t, err)
	apptest.Eventually(t, "done", func() bool { return n.report(t, id).Status.Final() })
	return n.report(t, id)
}
