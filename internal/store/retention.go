package store

import (
	"context"
	"encoding/json"
	"strings"
	"time"

	"usersync/internal/usersync"
)

// keepsStatement finds the organizations that do not keep everything.
var keepsStatement = define(`SELECT id, settings FROM organizations WHERE settings LIKE '%"retentionDays"%' ORDER BY id`)

// Retire removes, for each organization that sets retentionDays, what was made
// longer before now and is finished, up to limit rows of each sort. more says
// that there is more to do. Ledger and audit stay.
func (s *Store) Retire(ctx context.Context, now time.Time, limit int) (more bool, err error) {
	type keeper struct{ id, settings string }
	list, err := collect(ctx, s.reader(), keepsStatement, nil, func(scan func(...any) error) (k keeper, err error) {
		return k, scan(&k.id, &k.settings)
	})
	if err != nil {
		return false, err
	}
	//lint:loop each organization keeps for days of its own, and removes in transactions of its own
	for _, k := range list {
		var settings usersync.Settings
		if err := json.Unmarshal([]byte(k.settings), &settings); err != nil {
			return false, err
		}
		left, err := s.Org(k.id).retire(ctx, settings.RetentionDays, now, limit)
		if err != nil {
			return false, err
		}
		more = more || left
	}
	return more, nil
}

func (o *Org) retire(ctx context.Context, days usersync.RetentionDays, now time.Time, limit int) (more bool, err error) {
	for _, sort := range []struct {
		days   int
		prefix usersync.Prefix
		drop   func(ctx context.Context, o *Org, before string, limit int) (int, error)
	}{
		{days.Requests, usersync.PrefixRequest, retireRequests},
		{days.Deliveries, usersync.PrefixDelivery, retireDeliveries},
		{days.Events, usersync.PrefixEvent, retireEvents},
	} {
		if sort.days <= 0 {
			continue
		}
		n, err := sort.drop(ctx, o, usersync.IDBound(sort.prefix, now.AddDate(0, 0, -sort.days)), limit)
		if err != nil {
			return false, err
		}
		more = more || n == limit
	}
	return more, nil
}

var oldRequestsStatement = define(`
SELECT id, run FROM requests WHERE organization_id = $1 AND id < $2 AND status IN ('succeeded', 'partially_succeeded', 'failed')
ORDER BY id LIMIT $3`)

var (
	dropStepsStatement    = define(`DELETE FROM steps WHERE request_id IN (SELECT r.id FROM {rows})`, col("id", text))
	dropBulksStatement    = define(`DELETE FROM bulks WHERE request_id IN (SELECT r.id FROM {rows})`, col("id", text))
	dropBulkErrsStatement = define(`DELETE FROM bulk_errors WHERE request_id IN (SELECT r.id FROM {rows})`, col("id", text))
	dropRequestsStatement = define(`DELETE FROM requests WHERE organization_id = $1 AND id IN (SELECT r.id FROM {rows})`, col("id", text))
)

// retireRequests removes finished requests with their steps and messages.
func retireRequests(ctx context.Context, o *Org, before string, limit int) (int, error) {
	type request struct {
		id  string
		run int
	}
	old, err := collect(ctx, o.reader(), oldRequestsStatement, nil, func(scan func(...any) error) (r request, err error) {
		return r, scan(&r.id, &r.run)
	}, o.ID(), before, limit)
	if err != nil || len(old) == 0 {
		return 0, err
	}
	var ids, messages []string
	for _, r := range old {
		ids = append(ids, r.id)
		for run := 1; run <= r.run; run++ {
			for _, t := range RequestMessageTypes {
				messages = append(messages, RequestMessageID(r.id, run, t))
			}
		}
	}
	err = o.Tx(ctx, func(tx *Tx) error {
		//lint:loop one statement for each table
		for _, st := range []*statement{dropStepsStatement, dropBulksStatement, dropBulkErrsStatement} {
			if _, err := tx.exec(ctx, st, idRows(st, ids)); err != nil {
				return err
			}
		}
		if _, err := tx.exec(ctx, dropRequestsStatement, idRows(dropRequestsStatement, ids), o.ID()); err != nil {
			return err
		}
		return tx.dropMessages(ctx, o.ID(), messages)
	})
	return len(old), err
}

var (
	dropDeliveriesOfStatement = define(`
DELETE FROM deliveries WHERE id IN (
    SELECT d.id FROM {rows} JOIN deliveries d ON d.id >= r.low AND d.id < r.high
    WHERE d.organization_id = $1 AND d.status IN ('delivered', 'failed'))`, col("low", text), col("high", text))

	// A message that an endpoint still waits for stays.
	dropMessagesStatement = define(`
DELETE FROM messages WHERE organization_id = $1 AND id IN (
    SELECT r.id FROM {rows} WHERE NOT EXISTS (SELECT 1 FROM deliveries d WHERE d.id >= r.low AND d.id < r.high))`,
		col("id", text), col("low", text), col("high", text))
)

// dropMessages removes messages with their deliveries, but for those that are
// still on their way.
func (tx *Tx) dropMessages(ctx context.Context, organization string, ids []string) error {
	if len(ids) == 0 {
		return nil
	}
	deliveries, messages := dropDeliveriesOfStatement.rows(len(ids)), dropMessagesStatement.rows(len(ids))
	for _, id := range ids {
		low := string(usersync.PrefixDelivery) + strings.TrimPrefix(id, string(usersync.PrefixMessage))
		deliveries.add(low, low+"~")
		messages.add(id, low, low+"~")
	}
	if err := tx.later(ctx, dropDeliveriesOfStatement, deliveries, nil, organization); err != nil {
		return err
	}
	return tx.later(ctx, dropMessagesStatement, messages, nil, organization)
}

var oldMessagesStatement = define(`
SELECT DISTINCT each.value FROM webhook_endpoints e {each}SELECT x.message_id AS one FROM deliveries x
    WHERE (x.endpoint_id, x.id) < (e.id, $2) AND x.endpoint_id >= e.id AND x.status IN ('delivered', 'failed') ORDER BY x.endpoint_id, x.id LIMIT $3{/each}
WHERE e.organization_id = $1 ORDER BY each.value LIMIT $3`)

// retireDeliveries removes messages whose deliveries are finished.
func retireDeliveries(ctx context.Context, o *Org, before string, limit int) (int, error) {
	old, err := collect(ctx, o.reader(), oldMessagesStatement, nil, scanID, o.ID(), before, limit)
	if err != nil || len(old) == 0 {
		return 0, err
	}
	return len(old), o.Tx(ctx, func(tx *Tx) error { return tx.dropMessages(ctx, o.ID(), old) })
}

var retireEventsStatement = define(`
DELETE FROM events WHERE id {any}SELECT id FROM events
    WHERE (organization_id, id) < ($1, $2) AND organization_id >= $1 ORDER BY organization_id, id LIMIT $3{/any}`)

func retireEvents(ctx context.Context, o *Org, before string, limit int) (int, error) {
	n, err := o.writer().exec(ctx, retireEventsStatement, nil, o.ID(), before, limit)
	return int(n), err
}
