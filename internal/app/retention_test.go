package app_test

import (
	"errors"
	"testing"
	"time"

	"usersync/internal/app"
	"usersync/internal/app/apptest"
	"usersync/internal/delivery"
	"usersync/internal/request"
	"usersync/internal/retention"
	"usersync/internal/tenant"
)

func TestWhatIsFinishedGoesAfterItsTime(t *testing.T) {
	t.Parallel()
	apptest.Each(t, func(t *testing.T, e *apptest.Environment) {
		e.Breaks = []string{"every charge of the last day is for a request that is there"} // its month is over at once
		keeps := newTenant(t, e.Start(t, app.All), 10)
		a := keeps.app
		retires := newTenant(t, a, 10)
		ids := map[string]string{}
		for name, n := range map[string]customer{"keeps": keeps, "retires": retires} {
			r := apptest.NewReceiver(t)
			n.endpoint(t, r)
			n.people(t, "ann@acme.example.com", "bob@acme.example.com")
			id, err := n.submit(t.Context(), "john@acme.example.com")
			must(t, err)
			apptest.Eventually(t, "delivered", func() bool {
				report := n.report(t, id)
				return len(report.Webhooks) == 1 && report.Webhooks[0].Status == delivery.Delivered
			})
			ids[name] = id
		}
		_, err := tenant.Update(t.Context(), a.Store.Org(retires.org.ID), "test", func(o *tenant.Organization) ([]string, error) {
			o.Settings.RetentionDays = tenant.RetentionDays{Requests: 30, Deliveries: 10, Events: 30}
			return []string{"settings"}, nil
		})
		must(t, err)

		retire := func(days int) {
			t.Helper()
			for more := true; more; {
				more, err = retention.Run(t.Context(), a.Store, time.Now().AddDate(0, 0, days), 100)
				must(t, err)
			}
		}
		retire(9)
		if got := len(retires.report(t, ids["retires"]).Webhooks); got != 1 {
			t.Errorf("%d webhooks are shown before their time, want 1", got)
		}
		retire(11)
		if got := len(retires.report(t, ids["retires"]).Webhooks); got != 0 {
			t.Errorf("%d webhooks are left after their time", got)
		}
		retire(31)
		if _, err := request.Get(t.Context(), a.Store.Org(retires.org.ID), ids["retires"]); !errors.Is(err, request.ErrNotFound) {
			t.Errorf("the request is still there: %v", err)
		}
		retires.verify(t, 9)
		if got := len(keeps.report(t, ids["keeps"]).Webhooks); got != 1 {
			t.Errorf("who keeps everything has %d webhooks, want 1", got)
		}
	})
}
