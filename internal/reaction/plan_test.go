package reaction_test

import (
	"database/sql"
	"testing"

	"usersync/internal/reaction"
	"usersync/internal/roomtest"
	"usersync/internal/store"
)

// What an event or a run asks for reads an index, however many others there are.
func TestRunsAreFoundByTheirIndexes(t *testing.T) {
	t.Parallel()
	roomtest.Engines(t, func(t *testing.T, s *store.Store, db *sql.DB) {
		n := roomtest.New(t, s, 1)
		roomtest.Execute(t, db, `
INSERT INTO follow_up_runs (id, organization_id, follow_up_id, version, event_id, user_id, root_id, task_id, status, created_at, updated_at)
WITH RECURSIVE made(i) AS (SELECT 100000 UNION ALL SELECT i + 1 FROM made WHERE i < 119999)
SELECT 'fur_' || i, $1, 'fup_1', 1, 'evt_' || i, 'user_' || i, 'evt_' || i, 'tsk_' || i, 'waiting', 1, 1 FROM made`, n.Organization.ID)
		o := n.Org(n.Organization.ID)
		roomtest.CheckPlans(t, db, map[string]func() ([]string, error){
			"follow_up_runs_event":    func() ([]string, error) { return reaction.ExplainStory(t.Context(), o, "evt_100007") },
			"follow_up_runs_open":     func() ([]string, error) { return reaction.ExplainOpen(t.Context(), o, "fup_1", "user_100007") },
			"follow_up_runs_(pkey|1)": func() ([]string, error) { return reaction.ExplainRun(t.Context(), o, "fur_100007") },
		})
	})
}
