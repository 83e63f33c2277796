//go:build unix

package chaos

import (
	"context"
	"database/sql"
	"testing"
	"time"

	"usersync/test/system"
)

// Faults that the servers are asked for: nothing breaks, and yet they do not do what they
// should.

// forgetHalf deletes any half of the keys of Asynq: lists without their tasks, tasks on no
// list, leases that nobody has.
func (w *world) forgetHalf(t *testing.T) {
	t.Helper()
	const script = `math.randomseed(redis.call('time')[2]); for _, k in ipairs(redis.call('keys', 'asynq:*')) do if math.random(2) == 1 then redis.call('del', k) end end return redis.status_reply('OK')`
	_, err := w.Redis.Do(t.Context(), `EVAL "`+script+`" 0`)
	system.Must(t, err)
}

// evict has Redis remove keys, whichever, at a limit that it is above already.
func (w *world) evict(t *testing.T) (end func()) {
	t.Helper()
	set := func(policy, most string) {
		for _, one := range []string{"maxmemory-policy " + policy, "maxmemory " + most} {
			_, err := w.Redis.Do(context.WithoutCancel(t.Context()), "CONFIG SET "+one)
			system.Must(t, err)
		}
	}
	set("allkeys-random", "2mb")
	return func() { set("noeviction", "0") }
}

// ownStatements are those that the service runs at this moment.
const ownStatements = `FROM pg_stat_activity WHERE application_name = 'usersync' AND state = 'active' AND pid <> pg_backend_pid()`

// cancelling cancels what runs, again and again.
func (w *world) cancelling(t *testing.T) (end func()) {
	t.Helper()
	db := open(t, w.Postgres.URL())
	ctx, cancel := context.WithCancel(t.Context())
	met := make(chan int)
	go func() {
		all := 0
		for ctx.Err() == nil {
			var n int
			_ = db.QueryRowContext(ctx, `SELECT count(pg_cancel_backend(pid)) `+ownStatements).Scan(&n) // ends with ctx
			all += n
		}
		met <- all
	}()
	return func() {
		cancel()
		happened(t, "postgres statements cancelled", <-met)
	}
}

// readOnly has PostgreSQL refuse to write, as a standby does that was not promoted.
func (w *world) readOnly(t *testing.T) (end func()) {
	t.Helper()
	set := func(how string) {
		db := open(t, w.Postgres.URL())
		_, err := db.ExecContext(t.Context(), `ALTER SYSTEM `+how)
		system.Must(t, err)
		_, err = db.ExecContext(t.Context(), `SELECT pg_reload_conf()`)
		system.Must(t, err)
	}
	set("SET default_transaction_read_only = on")
	return func() { set("RESET default_transaction_read_only") }
}

// lockedTables are those of which a session locks some rows and does not let go.
var lockedTables = []string{"idempotency_keys", "outbox", "balances", "webhook_endpoints", "connections", "deliveries", "users", "requests"}

// lockRows locks rows of tables that work and housekeeping write.
func (w *world) lockRows(t *testing.T) (end func()) {
	t.Helper()
	db := open(t, w.Postgres.URL())
	tx, err := db.BeginTx(context.WithoutCancel(t.Context()), nil)
	system.Must(t, err)
	for _, table := range lockedTables {
		lock(t, tx, table)
	}
	return func() { system.Must(t, tx.Rollback()) }
}

// lock locks up to fifty rows that nobody else has locked.
func lock(t *testing.T, tx *sql.Tx, table string) {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), 10*time.Second)
	defer cancel()
	_, err := tx.ExecContext(ctx, `SELECT 1 FROM `+table+` LIMIT 50 FOR UPDATE SKIP LOCKED`)
	system.Must(t, err)
}
