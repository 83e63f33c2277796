package delivery_test

import (
	"database/sql"
	"testing"

	"usersync/internal/delivery"
	"usersync/internal/roomtest"
	"usersync/internal/store"
	"usersync/internal/tenant"
	"usersync/internal/usersync"
)

func TestAnEndpointForWhichTooMuchWaitsIsDisabled(t *testing.T) {
	t.Parallel()
	roomtest.Engines(t, func(t *testing.T, s *store.Store, db *sql.DB) {
		n := roomtest.New(t, s, 1)
		o := n.Org(n.Organization.ID)
		endpoint := func() string {
			t.Helper()
			e, err := delivery.CreateEndpoint(t.Context(), o, "test", delivery.Endpoint{URL: "https://x.example/", EventTypes: []string{"*"}}, usersync.NewSecret("whsec_x"))
			if err != nil {
				t.Fatal(err)
			}
			return e.ID
		}
		full, busy, quiet := endpoint(), endpoint(), endpoint()
		fill := func(endpoint string, waiting int) {
			t.Helper()
			roomtest.Execute(t, db, `
INSERT INTO deliveries (id, organization_id, message_id, endpoint_id, type, status, next_attempt_at, created_at, updated_at)
WITH RECURSIVE made(i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM made WHERE i < $3)
SELECT 'del_' || i || substr($2, 23), $1, 'msg_' || i, $2, 'x', 'retrying', 1, 1, 1 FROM made`, n.Organization.ID, endpoint, waiting)
		}
		fill(full, 1201)
		fill(busy, 1190) // and it is told of the other's end
		fill(quiet, 10)
		roomtest.Execute(t, db, `UPDATE organizations SET settings = '{"limits":{"unfinishedDeliveries":1200}}'`)
		if err := delivery.DisableOverfull(t.Context(), s); err != nil {
			t.Fatal(err)
		}
		for id, want := range map[string]string{full: "disabled", busy: "enabled", quiet: "enabled"} {
			e, err := delivery.GetEndpoint(t.Context(), o, id)
			if err != nil || e.Status != want || (e.DisabledReason != "") != (want == "disabled") {
				t.Errorf("an endpoint is %s (%q), %v; want %s", e.Status, e.DisabledReason, err, want)
			}
		}
	})
}

func TestNoMoreEndpointsAreMadeThanTheLimitSays(t *testing.T) {
	t.Parallel()
	roomtest.Engines(t, func(t *testing.T, s *store.Store, _ *sql.DB) {
		n := roomtest.New(t, s, 1)
		o := n.Org(n.Organization.ID)
		for i := range tenant.DefaultLimits.WebhookEndpoints + 1 {
			_, err := delivery.CreateEndpoint(t.Context(), o, "test", delivery.Endpoint{URL: "https://x.example/", EventTypes: []string{"*"}}, usersync.NewSecret("whsec_x"))
			if refused := usersync.CodeOf(err) == usersync.CodeConflict; refused != (i == tenant.DefaultLimits.WebhookEndpoints) || err != nil && !refused {
				t.Fatalf("endpoint %d: %v", i+1, err)
			}
		}
	})
}
