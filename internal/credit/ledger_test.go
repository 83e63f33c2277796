package credit_test

import (
	"database/sql"
	"testing"

	"usersync/internal/credit"
	"usersync/internal/roomtest"
	"usersync/internal/store"
)

// A page of the ledger reads the index of the organization's entries and little else.
func TestAPageOfTheLedgerReadsItsIndex(t *testing.T) {
	t.Parallel()
	roomtest.Engines(t, func(t *testing.T, s *store.Store, db *sql.DB) {
		n := roomtest.New(t, s, 1)
		roomtest.Execute(t, db, `
INSERT INTO ledger (id, organization_id, kind, amount, reference, balance_after, created_at)
WITH RECURSIVE made(i) AS (SELECT 100000 UNION ALL SELECT i + 1 FROM made WHERE i < 119999)
SELECT 'led_01z' || i, $1, 'top_up', 1, 'r' || i, i, 4000000000000000 FROM made`, n.Organization.ID)
		roomtest.CheckPlans(t, db, map[string]func() ([]string, error){
			"ledger_(pkey|1)": func() ([]string, error) {
				return credit.ExplainLedger(t.Context(), n.Org(n.Organization.ID), "led_~", 50)
			},
		})
	})
}
