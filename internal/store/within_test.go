package store_test

import (
	"testing"
	"time"

	"usersync/internal/roomtest"
	"usersync/internal/store"
)

var (
	limitsStatement = store.DefinePerEngine("test.limits",
		`SELECT current_setting('lock_timeout') || ' ' || current_setting('statement_timeout') || ' ' || current_setting('idle_in_transaction_session_timeout')`, "")
	waitStatement = store.DefinePerEngine("test.wait", `UPDATE balances SET balance = balance WHERE organization_id = $1`, "")
)

func TestEveryPoolBoundsHowLongAStatementWaitsAndRuns(t *testing.T) {
	t.Parallel()
	s, _ := roomtest.OpenWithSQL(t, "postgres")
	for pool, want := range map[string]struct {
		conn   store.Conn
		limits string
	}{
		"Reader":      {s.Reader(), "5s 30s 30s"},
		"Writer":      {s.Writer(), "5s 30s 30s"},
		"AsyncCommit": {s.AsyncCommit(), "5s 10s 30s"},
		"GenericPlan": {s.GenericPlan(), "5s 10s 30s"},
	} {
		var got string
		if err := want.conn.QueryRow(t.Context(), limitsStatement).Scan(&got); err != nil || got != want.limits {
			t.Errorf("%s: lock, statement and idle within %q, %v; want %q", pool, got, err, want.limits)
		}
	}
}

func TestAStatementThatMeetsALockEnds(t *testing.T) {
	t.Parallel()
	s, db := roomtest.OpenWithSQL(t, "postgres")
	n := roomtest.New(t, s, 1)
	c, err := db.Conn(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = c.Close() }()
	if _, err := c.ExecContext(t.Context(), `BEGIN; SELECT 1 FROM balances FOR UPDATE`); err != nil {
		t.Fatal(err)
	}
	began := time.Now()
	_, err = s.AsyncCommit().Exec(t.Context(), waitStatement, nil, n.Organization.ID)
	if took := time.Since(began); err == nil || took < 4*time.Second || took > 9*time.Second {
		t.Errorf("it ended after %s with %v, want 5 s and an error", took, err)
	}
}
