// Package retention removes what is older than an organization wants to keep.
package retention

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"time"

	"usersync/internal/delivery"
	"usersync/internal/store"
	"usersync/internal/tenant"
	"usersync/internal/usersync"
)

// keepsStatement finds the organizations that do not keep everything.
var keepsStatement = store.Define("retention.keeps", `SELECT id, settings FROM organizations WHERE settings LIKE '%"retentionDays"%' ORDER BY id`)

// Run removes, for each organization that sets retentionDays, what was made
// longer before now, the database's time, and is finished, up to limit rows of each
// sort. more says that there is more to do. Ledger and audit stay. Rows that somebody
// has locked are left to a later run, and an organization that fails does not keep the
// others from their turn.
func Run(ctx context.Context, s *store.Store, now time.Time, limit int) (more bool, err error) {
	type keeper struct{ id, settings string }
	list, err := store.Collect(ctx, s.Reader(), keepsStatement, nil, func(scan func(...any) error) (k keeper, err error) {
		return k, scan(&k.id, &k.settings)
	})
	if err != nil {
		return false, fmt.Errorf("find the organizations with retention days: %w", err)
	}
	if len(list) == 0 {
		return false, nil
	}
	endpoints, err := deliveredTo(ctx, s)
	if err != nil {
		return false, err
	}
	var failed []error
	//lint:loop each organization keeps for days of its own, and removes in transactions of its own
	for _, k := range list {
		var settings tenant.Settings
		if err := json.Unmarshal([]byte(k.settings), &settings); err != nil {
			failed = append(failed, fmt.Errorf("decode the settings of organization %s: %w", k.id, err))
			continue
		}
		left, err := retire(ctx, s.Org(k.id), settings.RetentionDays, endpoints[k.id], now, limit)
		if err != nil {
			failed = append(failed, fmt.Errorf("remove what is old of organization %s: %w", k.id, err))
		}
		more = more || left
	}
	return more, errors.Join(failed...)
}

// age is how old rows must be. The order of ids finds them, but an id tells the clock of
// the process that made it: at, in the database's microseconds, decides.
type age struct {
	id string
	at int64
}

// retire removes what is old of one organization, one sort of rows after the other.
// endpoints are those that deliveries of the organization went to.
func retire(ctx context.Context, o *store.Org, days tenant.RetentionDays, endpoints []string, now time.Time, limit int) (more bool, err error) {
	for _, sort := range []struct {
		days   int
		prefix usersync.Prefix
		drop   func(ctx context.Context, o *store.Org, before age, limit int) (int, error)
	}{
		{days.Requests, usersync.PrefixRequest, retireRequests},
		{days.Deliveries, usersync.PrefixDelivery, func(ctx context.Context, o *store.Org, before age, limit int) (int, error) {
			return retireDeliveries(ctx, o, endpoints, before, limit)
		}},
		{days.Events, usersync.PrefixEvent, retireEvents},
	} {
		if sort.days <= 0 {
			continue
		}
		until := now.AddDate(0, 0, -sort.days)
		n, err := sort.drop(ctx, o, age{usersync.IDBound(sort.prefix, until), store.Micros(until)}, limit)
		if err != nil {
			return false, fmt.Errorf("remove rows with the prefix %s: %w", sort.prefix, err)
		}
		more = more || n == limit
	}
	return more, nil
}

var oldRequestsStatement = store.Define("retention.oldRequests", `
SELECT id, run FROM requests WHERE organization_id = $1 AND id < $2 AND created_at < $3 AND status IN ('succeeded', 'partially_succeeded', 'failed')
ORDER BY id LIMIT $4`)

// dropPartsText removes what belongs to requests from a table. What somebody has locked
// stays, and with it the request, until a later run.
const dropPartsText = `
DELETE FROM %[1]s WHERE {row} {any}SELECT x.{row} FROM {rows} JOIN %[1]s x ON x.request_id = r.id {skip locked}{/any}`

var (
	dropStepsStatement    = store.Define("retention.dropSteps", fmt.Sprintf(dropPartsText, "steps"), store.Col("id", store.Text))
	dropBulksStatement    = store.Define("retention.dropBulks", fmt.Sprintf(dropPartsText, "bulks"), store.Col("id", store.Text))
	dropBulkErrsStatement = store.Define("retention.dropBulkErrs", fmt.Sprintf(dropPartsText, "bulk_errors"), store.Col("id", store.Text))
	dropRequestsStatement = store.Define("retention.dropRequests", `
DELETE FROM requests WHERE {row} {any}SELECT q.{row} FROM {rows} JOIN requests q ON q.organization_id = $1 AND q.id = r.id
    WHERE NOT EXISTS (SELECT 1 FROM steps s WHERE s.request_id = q.id) AND NOT EXISTS (SELECT 1 FROM bulks b WHERE b.request_id = q.id)
    AND NOT EXISTS (SELECT 1 FROM bulk_errors e WHERE e.request_id = q.id) {skip locked}{/any}`, store.Col("id", store.Text))
)

// retireRequests removes finished requests with their steps and messages, and returns
// how many.
func retireRequests(ctx context.Context, o *store.Org, before age, limit int) (int, error) {
	type request struct {
		id  string
		run int
	}
	old, err := store.Collect(ctx, o.Reader(), oldRequestsStatement, nil, func(scan func(...any) error) (r request, err error) {
		return r, scan(&r.id, &r.run)
	}, o.ID(), before.id, before.at, limit)
	if err != nil {
		return 0, fmt.Errorf("find old requests: %w", err)
	}
	if len(old) == 0 {
		return 0, nil
	}
	var ids, messages []string
	for _, r := range old {
		ids = append(ids, r.id)
		messages = append(messages, delivery.RequestMessageIDs(r.id, r.run)...)
	}
	var n int64
	err = o.Tx(ctx, func(tx *store.Tx) (err error) {
		//lint:loop one statement for each table
		for _, st := range []*store.Statement{dropStepsStatement, dropBulksStatement, dropBulkErrsStatement} {
			if _, err := tx.Exec(ctx, st, store.IDRows(st, ids)); err != nil {
				return fmt.Errorf("remove what belongs to old requests: %w", err)
			}
		}
		if n, err = tx.Exec(ctx, dropRequestsStatement, store.IDRows(dropRequestsStatement, ids), o.ID()); err != nil {
			return fmt.Errorf("remove old requests: %w", err)
		}
		_, err = dropMessages(ctx, tx, o.ID(), messages)
		return err
	})
	return int(n), err
}

var (
	// The organization is not said plainly, as in delivery.saveDelivered.
	dropDeliveriesOfStatement = store.Define("retention.dropDeliveriesOf", `
DELETE FROM deliveries WHERE id {any}
    SELECT d.id FROM {rows} JOIN deliveries d ON d.id >= r.low AND d.id < r.high
    WHERE d.organization_id || '' = $1 AND d.status IN ('delivered', 'failed') {skip locked}{/any}`, store.Col("low", store.Text), store.Col("high", store.Text))

	// A message that an endpoint still waits for stays.
	dropMessagesStatement = store.Define("retention.dropMessages", `
DELETE FROM messages WHERE organization_id = $1 AND id {any}
    SELECT m.id FROM {rows} JOIN messages m ON m.id = r.id
    WHERE NOT EXISTS (SELECT 1 FROM deliveries d WHERE d.id >= r.low AND d.id < r.high) {skip locked}{/any}`,
		store.Col("id", store.Text), store.Col("low", store.Text), store.Col("high", store.Text))
)

// dropMessages removes messages with their deliveries, except for those that an endpoint
// still waits for. It returns how many deliveries it removed.
func dropMessages(ctx context.Context, tx *store.Tx, organization string, ids []string) (int64, error) {
	if len(ids) == 0 {
		return 0, nil
	}
	deliveries, messages := dropDeliveriesOfStatement.Rows(len(ids)), dropMessagesStatement.Rows(len(ids))
	for _, id := range ids {
		low, high := delivery.IDRange(id)
		deliveries.Add(low, high)
		messages.Add(id, low, high)
	}
	n, err := tx.Exec(ctx, dropDeliveriesOfStatement, deliveries, organization)
	if err != nil {
		return 0, fmt.Errorf("remove the deliveries of old messages: %w", err)
	}
	return n, tx.Later(ctx, dropMessagesStatement, messages, nil, organization)
}

// The recursion hops over the index from one endpoint to the next. It asks the
// deliveries and not the endpoints: an endpoint may be gone before what went to it.
var deliveredToStatement = store.Define("retention.deliveredTo", `
WITH RECURSIVE hop(endpoint_id) AS (
    SELECT (SELECT min(d.endpoint_id) FROM deliveries d)
    UNION ALL
    SELECT (SELECT min(d.endpoint_id) FROM deliveries d WHERE d.endpoint_id > hop.endpoint_id) FROM hop WHERE hop.endpoint_id IS NOT NULL
)
SELECT (SELECT d.organization_id FROM deliveries d WHERE d.endpoint_id >= hop.endpoint_id ORDER BY d.endpoint_id, d.id LIMIT 1), hop.endpoint_id
FROM hop WHERE hop.endpoint_id IS NOT NULL`)

// deliveredTo returns the endpoints, also those that were deleted, that there are
// deliveries to, by organization.
func deliveredTo(ctx context.Context, s *store.Store) (map[string][]string, error) {
	list, err := store.Collect(ctx, s.Reader(), deliveredToStatement, nil, func(scan func(...any) error) (pair [2]string, err error) {
		return pair, scan(&pair[0], &pair[1])
	})
	if err != nil {
		return nil, fmt.Errorf("find the endpoints that something was delivered to: %w", err)
	}
	out := map[string][]string{}
	for _, pair := range list {
		out[pair[0]] = append(out[pair[0]], pair[1])
	}
	return out, nil
}

var oldMessagesStatement = store.Define("retention.oldMessages", `
SELECT DISTINCT each.value FROM {rows} {each}SELECT x.message_id AS one FROM deliveries x
    WHERE (x.endpoint_id, x.id) < (r.endpoint_id, $1) AND x.endpoint_id >= r.endpoint_id AND x.status IN ('delivered', 'failed') AND x.created_at < $2
    ORDER BY x.endpoint_id, x.id LIMIT $3{/each}
ORDER BY each.value LIMIT $3`, store.Col("endpoint_id", store.Text))

// retireDeliveries removes messages whose deliveries, to these endpoints, are finished. It
// returns how many it found, 0 where all that it found is locked.
func retireDeliveries(ctx context.Context, o *store.Org, endpoints []string, before age, limit int) (int, error) {
	if len(endpoints) == 0 {
		return 0, nil
	}
	old, err := store.Collect(ctx, o.Reader(), oldMessagesStatement, store.IDRows(oldMessagesStatement, endpoints), store.ScanString, before.id, before.at, limit)
	if err != nil {
		return 0, fmt.Errorf("find old messages: %w", err)
	}
	if len(old) == 0 {
		return 0, nil
	}
	var n int64
	err = o.Tx(ctx, func(tx *store.Tx) (err error) {
		n, err = dropMessages(ctx, tx, o.ID(), old)
		return err
	})
	if n == 0 {
		return 0, err
	}
	return len(old), err
}

var retireEventsStatement = store.Define("retention.retireEvents", `
DELETE FROM events WHERE organization_id = $1 AND id {any}SELECT id FROM events
    WHERE (organization_id, id) < ($1, $2) AND organization_id >= $1 AND created_at < $3 AND NOT EXISTS (SELECT 1 FROM follow_up_runs r WHERE r.event_id = events.id)
    AND NOT EXISTS (SELECT 1 FROM follow_up_runs r WHERE r.root_id = events.id AND r.finished_at = 0) ORDER BY organization_id, id LIMIT $4 {skip locked}{/any}`)

var retireRunsStatement = store.Define("retention.retireRuns", `
DELETE FROM follow_up_runs WHERE id {any}SELECT r.id FROM (SELECT id FROM events
    WHERE (organization_id, id) < ($1, $2) AND organization_id >= $1 AND created_at < $3 ORDER BY organization_id, id LIMIT $4) AS e
    JOIN follow_up_runs r ON r.event_id = e.id WHERE r.organization_id = $1 AND r.finished_at > 0 {skip locked}{/any}`)

// retireEvents removes events with the runs of follow-ups that they set off. An event
// stays while a run goes on that it set off, or that began with it.
func retireEvents(ctx context.Context, o *store.Org, before age, limit int) (int, error) {
	var n int64
	err := o.Tx(ctx, func(tx *store.Tx) (err error) {
		if err := tx.Later(ctx, retireRunsStatement, nil, nil, o.ID(), before.id, before.at, limit); err != nil {
			return fmt.Errorf("remove old runs: %w", err)
		}
		n, err = tx.Exec(ctx, retireEventsStatement, nil, o.ID(), before.id, before.at, limit)
		return err
	})
	return int(n), err
}
