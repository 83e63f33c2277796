package request

import (
	"context"
	"fmt"

	"usersync/internal/delivery"
	"usersync/internal/store"
	"usersync/internal/usersync"
)

// ViewsForMessages returns stored requests as webhook messages carry them: as the
// transaction sees them, without the balance and without deliveries.
func ViewsForMessages(ctx context.Context, tx *store.Tx, organization string, ids []string) ([]*View, error) {
	list, err := views(ctx, tx.Org(organization), tx.Conn, ids, fillColleagues)
	for _, v := range list {
		v.Webhooks = nil
	}
	return list, err
}

// fillWebhooks adds the deliveries of each request's messages. The ids of the
// messages derive from the request, its run and their type.
func fillWebhooks(ctx context.Context, o *store.Org, db store.Conn, byID map[string]*stored) error {
	set := delivery.RequestDeliveriesStatement.Rows(len(byID))
	owner := map[string]*stored{}
	for _, q := range byID {
		for run := 1; run <= q.run; run++ {
			for _, t := range delivery.RequestMessageTypes {
				id := delivery.RequestMessageID(q.view.RequestID, run, t)
				owner[id] = q
				low := string(usersync.PrefixDelivery) + id[len(usersync.PrefixMessage):]
				set.Add(low, low+"~")
			}
		}
	}
	type row struct {
		message string
		webhook WebhookView
	}
	list, err := store.Collect(ctx, db, delivery.RequestDeliveriesStatement, set, func(scan func(...any) error) (r row, err error) {
		w := &r.webhook
		err = scan(&w.ID, &w.EndpointID, &w.Type, &w.Status, &w.Attempts)
		return row{w.ID, *w}, err
	}, o.ID())
	if err != nil {
		return fmt.Errorf("read the deliveries of messages: %w", err)
	}
	for _, r := range list {
		q := owner[r.message]
		q.view.Webhooks = append(q.view.Webhooks, r.webhook)
	}
	return nil
}
