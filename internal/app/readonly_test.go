package app_test

import (
	"testing"

	"usersync/internal/app"
	"usersync/internal/app/apptest"
	"usersync/internal/usersync"
)

// refuseWrites has a table refuse what is written, in the words of a standby.
func refuseWrites(t *testing.T, e *apptest.Environment, table string) (allow func()) {
	t.Helper()
	admin(t, e, `CREATE FUNCTION refuse() RETURNS trigger LANGUAGE plpgsql AS
		$$ BEGIN RAISE 'cannot execute INSERT in a read-only transaction' USING ERRCODE = '25006'; END $$`)
	admin(t, e, `CREATE TRIGGER refuse BEFORE INSERT ON `+table+` FOR EACH ROW EXECUTE FUNCTION refuse()`)
	return func() { admin(t, e, `DROP FUNCTION refuse CASCADE`) }
}

// TestAReadOnlyDatabaseFailsNoRequest checks that a request that has failed nine times is
// not given up for a database that takes nothing for a while.
func TestAReadOnlyDatabaseFailsNoRequest(t *testing.T) {
	t.Parallel()
	e := apptest.New(t, "deployed")
	n := newTenant(t, e.Start(t, app.API), 100)
	ids := n.send(t, 3)
	allow := refuseWrites(t, e, "steps")
	admin(t, e, `UPDATE outbox SET failures = 9`)
	e.Start(t, app.Worker)
	db := database(t, e)
	apptest.Eventually(t, "the work is put off", func() bool {
		var n int
		err := db.QueryRowContext(t.Context(), `SELECT count(*) FROM outbox WHERE generation > 2 AND state IN ('scheduled', 'ready', 'sent') AND failures = 9`).Scan(&n)
		return err == nil && n > 0
	})
	for status := range n.statuses(t, ids) {
		if status.Final() {
			t.Errorf("a request is %s", status)
		}
	}
	allow()
	n.succeed(t, ids)
}

// TestAReadOnlyDatabaseIsUnavailable checks what a caller is told: the code stands for 503.
func TestAReadOnlyDatabaseIsUnavailable(t *testing.T) {
	t.Parallel()
	e := apptest.New(t, "deployed")
	a := e.Start(t, app.API)
	n := newTenant(t, a, 100)
	allow := refuseWrites(t, e, "requests")
	if _, err := n.submit(t.Context(), "ann@example.com"); usersync.CodeOf(err) != usersync.CodeUnavailable {
		t.Errorf("%v", err)
	}
	allow()
	n.send(t, 1)
}
