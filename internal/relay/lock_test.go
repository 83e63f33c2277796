package relay_test

import (
	"context"
	"fmt"
	"strings"
	"testing"
	"time"

	"usersync/internal/delivery"
	"usersync/internal/outbox"
	"usersync/internal/queue"
	"usersync/internal/roomtest"
	"usersync/internal/store"
	"usersync/internal/tenant"
	"usersync/internal/usersync"
)

// removed are the tables that housekeeping removes rows from, with the column that names
// a row, and what makes one: $1 is its name, $2 the organization and $3 an endpoint.
var removed = []struct{ table, key, insert string }{
	{"idempotency_keys", "key", `(organization_id, scope, key, body_hash, acceptance, created_at) VALUES ($2, 's', $1, 'h' || $3, '{}', 1)`},
	{"source_answers", "company", `(organization_id, source, company, answer, expires_at) VALUES ($2, 's' || $3, $1, '{}', 1)`},
	{"imports", "id", `(id, organization_id, status, format, actor, created_at, updated_at) VALUES ($1, $2, 'receiving', 'csv', $3, 1, 1)`},
	{"import_chunks", "import_id", `(import_id, number, body) VALUES ($1, 1, $2 || $3)`},
	{"import_errors", "import_id", `(import_id, line, position, field, message) VALUES ($1, 1, 1, $2, $3)`},
	{"requests", "id", `(organization_id, id, kind, status, user_id, email, sequence, input, task_id, created_at) VALUES ($2, $1, 'user-sync', 'succeeded', '', $3, 1, '', '', 1)`},
	{"steps", "request_id", `(request_id, position, organization_id, name, status, details, updated_at) VALUES ($1, 0, $2, 'colleagues', 'succeeded', $3, 1)`},
	{"bulks", "request_id", `(request_id, organization_id, connection_id, created_at, updated_at) VALUES ($1, $2, $3, 1, 1)`},
	{"bulk_errors", "request_id", `(request_id, organization_id, user_id, status, code, message, created_at) VALUES ($1, $2, 'u', 'failed', 'c', $3, 1)`},
	{"events", "id", `(id, organization_id, type, source, created_at) VALUES ($1, $2, 'x', $3, 1)`},
	{"messages", "id", `(id, organization_id, type, sequence, body, created_at) VALUES ($1, $2, 'x', CAST(length($1) AS bigint), $3, 1)`},
	{"deliveries", "replace(message_id, 'msg', 'del')", `(id, organization_id, message_id, endpoint_id, type, status, created_at, updated_at) VALUES ($1 || substr($3, 23), $2, replace($1, 'del', 'msg'), $3, 'x', 'delivered', 1, 1)`},
}

// names are the names of the rows that are locked, and of the others, in a table.
func names(table string) (locked, free string) {
	prefix := map[string]usersync.Prefix{"events": usersync.PrefixEvent, "messages": usersync.PrefixMessage, "deliveries": usersync.PrefixDelivery}[table]
	if prefix == "" {
		prefix = usersync.PrefixRequest // other names may be anything
	}
	return string(prefix) + "_00locked", string(prefix) + "_00free"
}

// One row of every table that housekeeping touches is locked by somebody who does not
// let go. The tasks go out all the same, those that are due and those that can be paid
// too, and what is not locked is removed. On SQLite nobody can lock a row.
func TestALockOnAnyRowOfHousekeepingStopsNoWork(t *testing.T) {
	t.Parallel()
	engines(t, func(t *testing.T, s *station) {
		n := roomtest.New(t, s.Store, 5)
		h := &household{station: s, tenant: n}
		h.fill(t)
		locks := h.lock(t)
		t.Cleanup(func() {
			if t.Failed() {
				t.Log(s.log.text.String())
			}
		})
		s.start(t)
		s.arrives(t, h.parked["free"], 1)
		s.arrives(t, s.commit(t, "work"), 1)
		due := usersync.Task{ID: usersync.NewID(usersync.PrefixTask), Organization: "org_due", Kind: "test.job", Queue: queue.Run, FairnessKey: "due", Args: []byte(`{}`), DueAt: time.Now().Add(time.Second)}
		h.enqueue(t, outbox.Enqueue, due)
		s.arrives(t, due, 1)
		for _, r := range removed {
			locked, free := names(r.table)
			count := func(name string) int {
				return roomtest.Count(t, s.db, fmt.Sprintf(`SELECT count(*) FROM %s WHERE %s = '%s'`, r.table, r.key, name))
			}
			roomtest.Eventually(t, "the free row of "+r.table+" is removed", func() bool { return count(free) == 0 })
			if locks && count(locked) != 1 {
				t.Errorf("the locked row of %s is gone", r.table)
			}
		}
		roomtest.Eventually(t, "the free endpoint is disabled", func() bool { return h.disabled(t, "free") })
		if locks && (h.disabled(t, "locked") || s.log.count("could not") > 0) {
			t.Errorf("the log says %s", s.log.text.String())
		}
	})
}

// household is what housekeeping has to do, twice: once with rows that are to be locked.
type household struct {
	*station
	tenant    roomtest.Tenant
	parked    map[string]usersync.Task
	endpoints map[string]string
}

func (h *household) enqueue(t *testing.T, by func(context.Context, *store.Tx, ...usersync.Task) error, task usersync.Task) {
	t.Helper()
	if err := h.Store.Tx(t.Context(), func(tx *store.Tx) error { return by(t.Context(), tx, task) }); err != nil {
		t.Fatal(err)
	}
}

func (h *household) fill(t *testing.T) {
	t.Helper()
	org := h.tenant.Organization.ID
	_, err := tenant.Update(t.Context(), h.Store.Org(org), "test", func(o *tenant.Organization) ([]string, error) {
		o.Settings.RetentionDays = tenant.RetentionDays{Requests: 1, Deliveries: 1, Events: 1}
		o.Settings.Limits.UnfinishedDeliveries = 1200
		return []string{"settings"}, nil
	})
	if err != nil {
		t.Fatal(err)
	}
	h.parked, h.endpoints = map[string]usersync.Task{}, map[string]string{}
	for _, which := range []string{"locked", "free"} {
		task := usersync.Task{ID: usersync.NewID(usersync.PrefixTask), Organization: org, Kind: "test.job", Queue: queue.Run, FairnessKey: which, Args: []byte(`{}`), DueAt: time.Now().Add(time.Hour)}
		h.enqueue(t, outbox.Park, task)
		e, err := delivery.CreateEndpoint(t.Context(), h.Store.Org(org), "test", delivery.Endpoint{URL: "https://x.example/", EventTypes: []string{"*"}}, usersync.NewSecret("whsec_x"))
		if err != nil {
			t.Fatal(err)
		}
		h.parked[which], h.endpoints[which] = task, e.ID
		roomtest.Execute(t, h.db, `
INSERT INTO deliveries (id, organization_id, message_id, endpoint_id, type, status, next_attempt_at, created_at, updated_at)
WITH RECURSIVE made(i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM made WHERE i < 1201)
SELECT 'del_' || i || substr($2, 23), $1, 'msg_' || i, $2, 'x', 'retrying', 1, 1, 1 FROM made`, org, e.ID)
	}
	for _, r := range removed {
		locked, free := names(r.table)
		for _, name := range []string{locked, free} {
			roomtest.Execute(t, h.db, `INSERT INTO `+r.table+` `+r.insert, name, org, h.endpoints["free"])
		}
	}
}

// lock locks the rows for the time of the test, and reports whether the engine can.
func (h *household) lock(t *testing.T) bool {
	t.Helper()
	if h.Store.Embedded() {
		return false
	}
	c, err := h.db.Conn(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = c.Close() })
	statements := []string{
		`BEGIN`,
		`SELECT 1 FROM outbox WHERE id = '` + h.parked["locked"].ID + `' FOR UPDATE`,
		`SELECT 1 FROM webhook_endpoints WHERE id = '` + h.endpoints["locked"] + `' FOR UPDATE`,
		`SELECT 1 FROM organizations FOR UPDATE`,
		`SELECT 1 FROM balances WHERE organization_id <> '` + h.tenant.Organization.ID + `' FOR UPDATE`,
	}
	for _, r := range removed {
		locked, _ := names(r.table)
		statements = append(statements, fmt.Sprintf(`SELECT 1 FROM %s WHERE %s = '%s' FOR UPDATE`, r.table, r.key, locked))
	}
	if _, err := c.ExecContext(t.Context(), strings.Join(statements, "; ")); err != nil {
		t.Fatal(err)
	}
	return true
}

func (h *household) disabled(t *testing.T, which string) bool {
	t.Helper()
	e, err := delivery.GetEndpoint(t.Context(), h.Store.Org(h.tenant.Organization.ID), h.endpoints[which])
	if err != nil {
		t.Fatal(err)
	}
	return e.Status == delivery.EndpointDisabled
}
