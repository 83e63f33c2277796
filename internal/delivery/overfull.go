package delivery

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"

	"usersync/internal/store"
	"usersync/internal/tenant"
)

// suspicious is from how many unfinished deliveries on an endpoint is counted to its
// limit. Below, no more than these are read of any endpoint.
const suspicious = 1000

// unfinishedText counts the unfinished deliveries of the endpoint e, up to $1: those
// that failed and come again, and the tasks that wait for their turn, of which each
// makes one delivery or several.
const unfinishedText = `(
    SELECT count(*) FROM (SELECT 1 FROM deliveries d WHERE d.endpoint_id = e.id AND d.next_attempt_at > 0 LIMIT $1) AS again) + (
    SELECT count(*) FROM (SELECT 1 FROM outbox o WHERE o.state = 'ready' AND o.queue = 'deliver' AND o.organization_id = e.organization_id
        AND o.fairness_key = e.id LIMIT $1) AS waiting)`

var (
	suspiciousStatement = store.Define("delivery.suspiciousEndpoints", `
SELECT e.id, e.organization_id, org.settings FROM webhook_endpoints e JOIN organizations org ON org.id = e.organization_id
WHERE e.status = 'enabled' AND `+unfinishedText+` >= $1`)
	unfinishedStatement = store.Define("delivery.unfinished", `
SELECT `+unfinishedText+` FROM webhook_endpoints e WHERE e.id = $2 AND e.organization_id = $3`)
)

// lockSuspectStatement finds an endpoint whose row nobody has locked.
var lockSuspectStatement = store.Define("delivery.lockSuspect", `
SELECT id FROM webhook_endpoints WHERE id = $1 AND organization_id = $2 {skip locked}`)

// suspect is an endpoint that may have more unfinished deliveries than it may have.
type suspect struct {
	id, organization string
	limit            int64
}

// DisableOverfull disables the endpoints for which more deliveries wait than their
// organization's limit says. Their deliveries fail and can be recovered. One whose row
// somebody has locked is left to a later call.
func DisableOverfull(ctx context.Context, s *store.Store) error {
	suspects, err := store.Collect(ctx, s.Reader(), suspiciousStatement, nil, scanSuspect, suspicious)
	if err != nil {
		return fmt.Errorf("find endpoints with many unfinished deliveries: %w", err)
	}
	var failed []error
	for _, one := range suspects { //lint:loop each is counted to a limit of its own, and few are
		if err := disableIfOverfull(ctx, s, one); err != nil {
			failed = append(failed, fmt.Errorf("count what waits for the endpoint %s: %w", one.id, err))
		}
	}
	return errors.Join(failed...)
}

func scanSuspect(scan func(...any) error) (one suspect, err error) {
	var text string
	if err := scan(&one.id, &one.organization, &text); err != nil {
		return one, err
	}
	var settings struct {
		Limits tenant.Limits `json:"limits"`
	}
	err = json.Unmarshal([]byte(text), &settings)
	one.limit = int64(settings.Limits.OrDefault().UnfinishedDeliveries)
	return one, err
}

func disableIfOverfull(ctx context.Context, s *store.Store, one suspect) error {
	var n int64
	if err := s.Reader().QueryRow(ctx, unfinishedStatement, one.limit+1, one.id, one.organization).Scan(&n); err != nil {
		return store.Classify(err)
	}
	if n <= one.limit {
		return nil
	}
	return s.Tx(ctx, func(tx *store.Tx) error {
		var id string
		err := tx.QueryRow(ctx, lockSuspectStatement, one.id, one.organization).Scan(&id)
		if store.NotFound(err) {
			return nil
		}
		if err != nil {
			return fmt.Errorf("lock the endpoint: %w", err)
		}
		e, err := lockEndpoint(ctx, tx, one.organization, one.id)
		if err != nil || e.Status != EndpointEnabled {
			return err
		}
		return disable(ctx, tx, one.organization, e, fmt.Sprintf("More than %d deliveries wait for it, which is the limit unfinishedDeliveries.", one.limit))
	})
}
