package delivery

import (
	"context"
	"fmt"
	"slices"

	"usersync/internal/outbox"
	"usersync/internal/queue"
	"usersync/internal/store"
	"usersync/internal/usersync"
)

// tasksOf bounds the deliveries of one task.
const tasksOf = 64

// Enqueue stores messages, in the transaction of what they tell, with one
// pending delivery for each endpoint, and the tasks that deliver them.
func Enqueue(ctx context.Context, tx *store.Tx, organization string, messages []NewMessage) error {
	tasks, err := save(ctx, tx, organization, messages)
	if err != nil {
		return err
	}
	return outbox.Enqueue(ctx, tx, tasks...)
}

func save(ctx context.Context, tx *store.Tx, organization string, messages []NewMessage) ([]usersync.Task, error) {
	tasks := assign(organization, messages)
	return tasks, saveMessages(ctx, tx, organization, messages)
}

// EnqueueLocal is Messages.Enqueue for a worker, without saving the account: the tasks
// that find a slot in the reservation are written under claims of its own and returned,
// for it to work after the commit. The others go over the queue, and so do those of
// endpoints where others wait.
func (m *Messages) EnqueueLocal(ctx context.Context, tx *store.Tx, slots *queue.Reservation) ([]queue.LocalTask, error) {
	tasks, err := save(ctx, tx, m.account.Organization, m.list)
	if err != nil {
		return nil, err
	}
	var own []usersync.Task
	tasks = slices.DeleteFunc(tasks, func(t usersync.Task) bool {
		taken := !m.busy(t.FairnessKey) && slots.Take(t)
		if taken {
			own = append(own, t)
		}
		return taken
	})
	claims, err := outbox.EnqueueClaimed(ctx, tx, own...)
	if err != nil {
		return nil, fmt.Errorf("enqueue the claimed tasks: %w", err)
	}
	open := openOf(m.list)
	local := make([]queue.LocalTask, len(claims))
	for i, c := range claims {
		c.Known = known{open[c.TaskID], versionOf(m.endpoints, c.FairnessKey)}
		local[i] = queue.LocalTask{Kind: Deliver.Name, Claim: c}
	}
	return local, outbox.Enqueue(ctx, tx, tasks...)
}

// busy reports whether deliveries to an endpoint wait for their turn.
func (m *Messages) busy(endpoint string) bool {
	return slices.ContainsFunc(m.endpoints, func(e Endpoint) bool { return e.ID == endpoint && e.busy })
}

// openOf returns, by task, the deliveries of messages as they were just stored.
func openOf(messages []NewMessage) map[string][]OpenDelivery {
	open := map[string][]OpenDelivery{}
	for _, m := range messages {
		for i, endpoint := range m.Endpoints {
			open[m.Tasks[i]] = append(open[m.Tasks[i]], OpenDelivery{Traceparent: m.Traceparent, Delivery: Delivery{
				ID: IDOf(m.ID, endpoint), MessageID: m.ID, EndpointID: endpoint, Type: m.Type,
				Status: Pending, Body: m.Body,
			}})
		}
	}
	return open
}

// assign makes tasks of one endpoint each, for up to tasksOf deliveries, and
// notes them in the messages. Their ids derive from their first delivery.
func assign(organization string, messages []NewMessage) []usersync.Task {
	b := batches{organization: organization, id: derivedID, open: map[string]*batch{}}
	for i := range messages {
		m := &messages[i]
		m.Tasks = make([]string, 0, len(m.Endpoints))
		for _, endpoint := range m.Endpoints {
			m.Tasks = append(m.Tasks, b.add(endpoint, IDOf(m.ID, endpoint), m.Traceparent))
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
	args            DeliverArgs
}

// add puts a delivery into a task and returns the task's id.
func (b *batches) add(endpoint, delivery, traceparent string) string {
	one := b.open[endpoint]
	if one == nil || len(one.args.DeliveryIDs) == tasksOf {
		one = &batch{id: b.id(delivery), traceparent: traceparent, args: DeliverArgs{EndpointID: endpoint}}
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
