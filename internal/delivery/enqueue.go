package delivery

import (
	"context"
	"encoding/json"
	"time"

	"usersync/internal/store"
	"usersync/internal/usersync"
)

// tasksOf bounds the deliveries of one task.
const tasksOf = 64

// envelope is the body of a webhook, after Standard Webhooks.
type envelope struct {
	Type      usersync.MessageType `json:"type"`
	Timestamp usersync.Time        `json:"timestamp"`
	Sequence  int64                `json:"sequence"`
	Data      any                  `json:"data"`
}

// Body renders the body of a message: once, every attempt sends these bytes.
func Body(t usersync.MessageType, at time.Time, sequence int64, data any) ([]byte, error) {
	return json.Marshal(envelope{t, usersync.Time{Time: at}, sequence, data})
}

// Enqueue stores messages, in the transaction of what they tell, with one
// pending delivery for each endpoint, and the tasks that deliver them.
func Enqueue(ctx context.Context, tx *store.Tx, organization string, messages []store.NewMessage) error {
	if err := tx.SaveMessages(ctx, organization, messages); err != nil {
		return err
	}
	return tx.Enqueue(ctx, tasks(organization, messages)...)
}

// tasks makes tasks of one endpoint each, for up to tasksOf deliveries. Their
// ids derive from their first delivery.
func tasks(organization string, messages []store.NewMessage) []usersync.Task {
	var order []string
	open := map[string]*Args{}
	traces := map[string]string{}
	var out []usersync.Task
	flush := func(endpoint string) {
		args := open[endpoint]
		id := usersync.DeriveID(usersync.PrefixTask, args.DeliveryIDs[0], "deliver")
		task := Deliver.Task(id, organization, endpoint, *args)
		task.Traceparent = traces[endpoint]
		out = append(out, task)
		delete(open, endpoint)
	}
	for _, m := range messages {
		for _, endpoint := range m.Endpoints {
			if open[endpoint] == nil {
				open[endpoint] = &Args{EndpointID: endpoint}
				traces[endpoint] = m.Traceparent
				order = append(order, endpoint)
			}
			args := open[endpoint]
			args.DeliveryIDs = append(args.DeliveryIDs, usersync.DeliveryID(m.ID, endpoint))
			if len(args.DeliveryIDs) == tasksOf {
				flush(endpoint)
			}
		}
	}
	for _, endpoint := range order {
		if open[endpoint] != nil {
			flush(endpoint)
		}
	}
	return out
}
