package app_test

import (
	"net/http"
	"strings"
	"testing"
	"time"

	"usersync/internal/app"
	"usersync/internal/app/apptest"
	"usersync/internal/delivery"
	"usersync/internal/roomtest"
	"usersync/internal/tenant"
)

// Within the schema of a test the clock of PostgreSQL is set, so that those of the
// processes are wrong. SQLite has the clock of its process.
func TestWorkGoesOnWhateverTheClockOfAProcessSays(t *testing.T) {
	t.Parallel()
	for name, ahead := range map[string]string{"10 minutes behind": "-10 minutes", "a day ahead": "1 day", "40 days ahead": "40 days", "40 days behind": "-40 days"} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			e := apptest.New(t, "deployed")
			db := database(t, e)
			roomtest.Execute(t, db, `CREATE FUNCTION `+e.Schema+`.clock_timestamp() RETURNS timestamptz LANGUAGE sql VOLATILE
				AS $$ SELECT pg_catalog.clock_timestamp() - interval '`+ahead+`' $$`)
			e.Schema += ", pg_catalog" // which comes first unless it is named
			n := newTenant(t, e.Start(t, app.All), 10)
			n.keepFor(t, 30)
			r := apptest.NewReceiver(t)
			n.endpoint(t, r)
			n.people(t, "ann@acme.example.com", "bob@acme.example.com")
			// The second attempt is due 5 s after the first.
			r.Next(http.StatusInternalServerError, http.StatusNoContent)
			began := time.Now()
			id, err := n.submit(t.Context(), "john@acme.example.com")
			must(t, err)
			apptest.Eventually(t, "delivered at the second attempt", func() bool {
				hooks := n.report(t, id).Webhooks
				return len(hooks) == 1 && hooks[0].Status == delivery.Delivered
			})
			if took := time.Since(began); took < 4*time.Second || took > 40*time.Second {
				t.Errorf("the delivery took %s, want about 5 s", took)
			}
			_, metrics := page(t, n.app, "/metrics")
			if off := offset(metrics); strings.HasPrefix(off, "-") != strings.HasPrefix(ahead, "-") || len(off) < 3 {
				t.Errorf("the clock is said to be %s s ahead, want %s", off, ahead)
			}
			// Another process tidies as soon as it leads: what is old goes, and what was
			// made just now is kept.
			n.app.Stop(t)
			roomtest.Execute(t, db, `INSERT INTO events (id, organization_id, type, source, created_at) VALUES ('evt_00', $1, 'x', 'x', 1)`, n.org.ID)
			n.app = e.Start(t, app.Worker)
			apptest.Eventually(t, "the old event is removed", func() bool { return roomtest.Count(t, db, `SELECT count(*) FROM events WHERE id = 'evt_00'`) == 0 })
			if got := n.report(t, id).Webhooks; len(got) != 1 {
				t.Errorf("%d webhooks are left", len(got))
			}
			n.verify(t, 9)
		})
	}
}

// offset returns what the metrics of a process say of its clock, in seconds.
func offset(metrics string) string {
	_, behind, _ := strings.Cut(metrics, "\nusersync_clock_offset_seconds ")
	value, _, _ := strings.Cut(behind, "\n")
	return value
}

// keepFor has the organization keep what is finished for some days.
func (n customer) keepFor(t *testing.T, days int) {
	t.Helper()
	_, err := tenant.Update(t.Context(), n.app.Store.Org(n.org.ID), "test", func(o *tenant.Organization) ([]string, error) {
		o.Settings.RetentionDays = tenant.RetentionDays{Requests: days, Deliveries: days, Events: days}
		return []string{"settings"}, nil
	})
	must(t, err)
}
