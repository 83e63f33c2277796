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
	tasks := assign(organization, messages)
	if err := tx.SaveMessages(ctx, organization, messages); err != nil {
		return err
	}
	return tx.Enqueue(ctx, tasks...)
}

// assign makes tasks of one endpoint each, for up to tasksOf deliveries, and
// notes them in the messages. Their ids derive from their first delivery.
func assign(organization string, messages []store.NewMessage) []usersync.Task {
	b := batches{organization: organization, id: derivedID, open: map[string]*batch{}}
	for i := range messages {
		m := &messages[i]
		m.Tasks = make([]string, 0, len(m.Endpoints))
		for _, endpoint := range m.Endpoints {
			m.Tasks = append(m.Tasks, b.add(endpoint, usersync.DeliveryID(m.ID, endpoint), m.Traceparent))
		}
	}
	return b.tasks()
}

// derivedID names a task after its first delivery: doing it twice makes one.
func derivedID(delivery string) string {
	return usersync.DeriveID(usersync.PrefixTask, delivery, "deliver")
}

// newID names a task that sends again: each time is another.
func newID(string) string { return usersync.NewID(usersync.PrefixTask) }

// batches sorts deliveries into tasks.
type batches struct {
	organization string
	id           func(firstDelivery string) string
	open         map[string]*batch // by endpoint
	all          []*batch
}

type batch struct {
	id, traceparent string
	args            Args
}

// add puts a delivery into a task and returns the task's id.
func (b *batches) add(endpoint, delivery, traceparent string) string {
	one := b.open[endpoint]
	if one == nil || len(one.args.DeliveryIDs) == tasksOf {
		one = &batch{id: b.id(delivery), traceparent: traceparent, args: Args{EndpointID: endpoint}}
		b.open[endpoint] = one
		b.all = append(b.all, one)
	}
	one.args.DeliveryIDs = append(one.args.DeliveryIDs, delivery)
	return one.id
}

func (b *batches) tasks() []usersync.Task {
	out := make([]usersync.Task, 0, len(b.all))
	for _, one := range b.all {
		task := Deliver.Task(one.id, b.organization, one.args.EndpointID, one.args)
		task.Traceparent = one.traceparent
		out = append(out, task)
	}
	return out
}
