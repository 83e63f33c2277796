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
SELECT b.balance, b.message_sequence, {now}, coalesce((SELECT string_agg('{"id":"' || e.id || '","version":' || e.version || ',"eventTypes":' || e.event_types || '}', ',')
    FROM webhook_endpoints e WHERE e.organization_id = $1 AND e.status = 'enabled'), '')
FROM balances b WHERE b.organization_id = $1 {for update}`)

// LockAccountWithEndpoints does what credit.Lock and EnabledEndpoints do, in one
// statement: it locks the organization's account and reads the enabled endpoints, each
// with its version.
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
	}
	if err == nil {
		err = json.Unmarshal([]byte("["+list+"]"), &enabled)
	}
	for _, e := range enabled {
		endpoints = append(endpoints, Endpoint{ID: e.ID, EventTypes: e.EventTypes, Status: EndpointEnabled, version: e.Version})
	}
	slices.SortFunc(endpoints, func(a, b Endpoint) int { return cmp.Compare(a.ID, b.ID) })
	return a, endpoints, store.Classify(err)
}
