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

// Direct are tasks that are worked where they are written: it spares them the
// way over the relay and the queue. It is made for one transaction at a time.
type Direct struct {
	// Place keeps a place for a task of a kind and lane; see queue.Place. Where it
	// is nil, there is none.
	Place func(kind, lane string) (queue.Place, bool)

	places map[string]queue.Place // by task
	claims []usersync.Claim
}

// Enqueue is Enqueue but for the tasks that find a place.
func (d *Direct) Enqueue(ctx context.Context, tx *store.Tx, organization string, messages []NewMessage) error {
	tasks, err := save(ctx, tx, organization, messages)
	if err != nil {
		return err
	}
	own := make([]usersync.Task, 0, len(tasks))
	tasks = slices.DeleteFunc(tasks, func(t usersync.Task) bool {
		if d.Place == nil {
			return false
		}
		place, ok := d.Place(t.Kind, t.FairnessKey)
		if ok {
			d.places[t.ID] = place
			own = append(own, t)
		}
		return ok
	})
	claims, err := outbox.EnqueueClaimed(ctx, tx, own...)
	if err != nil {
		return fmt.Errorf("enqueue the claimed tasks: %w", err)
	}
	open := openOf(messages)
	for i := range claims {
		claims[i].Known = open[claims[i].TaskID]
	}
	d.claims = append(d.claims, claims...)
	return outbox.Enqueue(ctx, tx, tasks...)
}

// openOf returns, by task, the deliveries of messages as they were just stored.
func openOf(messages []NewMessage) map[string][]OpenDelivery {
	open := map[string][]OpenDelivery{}
	for _, m := range messages {
		for i, endpoint := range m.Endpoints {
			open[m.Tasks[i]] = append(open[m.Tasks[i]], OpenDelivery{Traceparent: m.Traceparent, Delivery: Delivery{
				ID: DeliveryID(m.ID, endpoint), MessageID: m.ID, EndpointID: endpoint, Type: m.Type,
				Status: Pending, Body: m.Body,
			}})
		}
	}
	return open
}

// Begin forgets what an earlier try of the transaction wrote.
func (d *Direct) Begin() {
	d.claims = nil
	d.Free()
	d.places = map[string]queue.Place{}
}

// Free gives back the places that no task was worked at.
func (d *Direct) Free() {
	for _, place := range d.places {
		place.Free()
	}
	d.places = nil
}

// Work begins with the tasks, after the commit.
func (d *Direct) Work() {
	for _, c := range d.claims {
		place := d.places[c.TaskID]
		delete(d.places, c.TaskID)
		place.Work(c)
	}
}

// assign makes tasks of one endpoint each, for up to tasksOf deliveries, and
// notes them in the messages. Their ids derive from their first delivery.
func assign(organization string, messages []NewMessage) []usersync.Task {
	b := batches{organization: organization, id: derivedID, open: map[string]*batch{}}
	for i := range messages {
		m := &messages[i]
		m.Tasks = make([]string, 0, len(m.Endpoints))
		for _, endpoint := range m.Endpoints {
			m.Tasks = append(m.Tasks, b.add(endpoint, DeliveryID(m.ID, endpoint), m.Traceparent))
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
