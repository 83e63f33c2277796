package delivery

import (
	"cmp"
	"context"
	"database/sql"
	"encoding/json"
	"errors"
	"slices"

	"usersync/internal/credit"
	"usersync/internal/store"
	"usersync/internal/tenant"
)

var lockAccountStatement = store.Define("delivery.lockAccount", `
SELECT b.balance, b.message_sequence, {now}, coalesce((SELECT string_agg('{"id":"' || e.id || '","version":' || e.version || ',"eventTypes":' || e.event_types
    || ',"busy":' || CASE WHEN (SELECT 1 FROM outbox o WHERE o.state = 'ready' AND o.queue = 'deliver' AND o.organization_id = e.organization_id AND o.fairness_key = e.id LIMIT 1) IS NULL
        AND (SELECT g.status FROM organizations g WHERE g.id = $1) = 'active' THEN 'false' ELSE 'true' END || '}', ',')
    FROM webhook_endpoints e WHERE e.organization_id = $1 AND e.status = 'enabled'), '')
FROM balances b WHERE b.organization_id = $1 {for update}`)

// LockAccountWithEndpoints does what credit.Lock and EnabledEndpoints do, in one
// statement: it locks the organization's account and reads the enabled endpoints, each
// with its version. It also tells which of them have deliveries that wait for their
// turn, as all new ones do while the organization is disabled. Whoever makes new ones holds this lock.
func LockAccountWithEndpoints(ctx context.Context, tx *store.Tx, organization string) (a credit.Account, endpoints []Endpoint, err error) {
	a.Organization = organization
	var now int64
	var list string
	err = tx.QueryRow(ctx, lockAccountStatement, organization).Scan(&a.Balance, &a.Sequence, &now, &list)
	a.Now = store.At(now)
	if errors.Is(err, sql.ErrNoRows) {
		return a, nil, tenant.ErrNotFound
	}
	var enabled []struct {
		ID         string
		Version    int64
		EventTypes []string
		Busy       bool
	}
	if err == nil {
		err = json.Unmarshal([]byte("["+list+"]"), &enabled)
	}
	for _, e := range enabled {
		endpoints = append(endpoints, Endpoint{ID: e.ID, EventTypes: e.EventTypes, Status: EndpointEnabled, busy: e.Busy, version: e.Version})
	}
	slices.SortFunc(endpoints, func(a, b Endpoint) int { return cmp.Compare(a.ID, b.ID) })
	return a, endpoints, store.Classify(err)
}
