package request

import (
	"context"

	"usersync/internal/delivery"
	"usersync/internal/store"
	"usersync/internal/usersync"
)

// ToldOf returns stored requests as webhooks tell of them.
func ToldOf(ctx context.Context, tx *store.Tx, organization string, ids []string) ([]*View, error) {
	list, err := ListIn(ctx, tx, organization, ids)
	for _, r := range list {
		r.Webhooks = nil
	}
	return list, err
}

// MessageTypes says which messages an outcome leads to.
func MessageTypes(status Status, found int) []delivery.MessageType {
	var types []delivery.MessageType
	if found > 0 {
		types = append(types, delivery.MessageColleaguesFound)
	}
	switch status {
	case Succeeded, PartiallySucceeded:
		types = append(types, delivery.MessageCompleted)
	case Failed:
		types = append(types, delivery.MessageFailed)
	}
	return types
}

// fillWebhooks adds the deliveries of each request's messages. The ids of the
// messages derive from the request, its run and their type.
func fillWebhooks(ctx context.Context, o *store.Org, db store.Conn, byID map[string]*stored) error {
	set := delivery.RequestDeliveriesStatement.Rows(len(byID))
	owner := map[string]*stored{}
	for _, q := range byID {
		for run := 1; run <= q.run; run++ {
			for _, t := range delivery.RequestMessageTypes {
				id := delivery.RequestMessageID(q.report.RequestID, run, t)
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
	for _, r := range list {
		q := owner[r.message]
		q.report.Webhooks = append(q.report.Webhooks, r.webhook)
	}
	return err
}
