package delivery

import (
	"context"
	"errors"
	"time"

	"usersync/internal/outbox"
	"usersync/internal/queue"
	"usersync/internal/store"
	"usersync/internal/usersync"
)

// errDeleted is the refusal to send again to an endpoint that is no more.
var errDeleted = usersync.Errorf(usersync.CodeConflict, "The webhook endpoint was deleted.")

// errErased is the refusal to send again what is not there any more.
var errErased = usersync.Errorf(usersync.CodeConflict, "The message was erased.")

// Test sends a test message to one endpoint, whatever types it wants.
func Test(ctx context.Context, org *store.Org, actor, endpoint, traceparent string) (d Delivery, err error) {
	err = UseEndpoint(ctx, org, endpoint, actor, "webhook_endpoint.test", endpoint, nil, func(tx *store.Tx) error {
		data := map[string]string{"endpointId": endpoint}
		message, err := send(ctx, tx, org.ID(), MessageTest, data, traceparent, endpoint)
		if err != nil {
			return err
		}
		d, err = GetIn(ctx, tx, org.ID(), DeliveryID(message, endpoint))
		return err
	})
	return d, err
}

// Redeliver sends the message of a delivery once more, now: the same bytes
// under the same id. One that waits is tried now; one that has come to its end
// begins the schedule anew.
func Redeliver(ctx context.Context, org *store.Org, actor, id string) (d Delivery, err error) {
	known, err := Get(ctx, org, id)
	if err != nil {
		return known, err
	}
	err = UseEndpoint(ctx, org, known.EndpointID, actor, "delivery.redeliver", id, nil, func(tx *store.Tx) error {
		sent, err := resend(ctx, tx, org.ID(), known.EndpointID, []string{id})
		if err != nil {
			return err
		}
		if sent == 0 {
			return errErased
		}
		d, err = GetIn(ctx, tx, org.ID(), id)
		return err
	})
	if errors.Is(err, ErrNoEndpoint) {
		return d, errDeleted
	}
	return d, err
}

// resend gives deliveries of one endpoint to new tasks that make them now.
// Those whose messages were erased are left out; it returns how many were not.
func resend(ctx context.Context, tx *store.Tx, organization, endpoint string, deliveries []string) (int64, error) {
	b := batches{organization: organization, id: newID, open: map[string]*batch{}}
	list := make([]Assignment, len(deliveries))
	for i, id := range deliveries {
		list[i] = Assignment{DeliveryID: id, TaskID: b.add(endpoint, id, "")}
	}
	sent, err := Resend(ctx, tx, organization, list)
	if err != nil || sent == 0 {
		return 0, err
	}
	return sent, outbox.Enqueue(ctx, tx, b.tasks()...)
}

// RecoverWindow has every failed delivery of the window sent again, and
// returns how many those are. A task does it, piece by piece.
func RecoverWindow(ctx context.Context, org *store.Org, actor, endpoint string, w Window) (n int64, err error) {
	err = UseEndpoint(ctx, org, endpoint, actor, "webhook_endpoint.recover", endpoint, []string{"since", "until"}, func(tx *store.Tx) error {
		n, err = CountFailed(ctx, tx, org.ID(), endpoint, w)
		if err != nil || n == 0 {
			return err
		}
		args := RecoverArgs{EndpointID: endpoint, Since: w.Since.UnixMicro(), Until: w.Until.UnixMicro()}
		return outbox.Enqueue(ctx, tx, Recover.Task(usersync.NewID(usersync.PrefixTask), org.ID(), org.ID(), args))
	})
	return n, err
}

// Recover sends the failed deliveries of a window again, some thousand at a
// time, oldest first.
var Recover = queue.Kind[RecoverArgs]{Name: "webhook.recover", Queue: queue.Deliver, Timeout: time.Minute}

// RecoverArgs of Recover: the part of the window that is left, in microseconds.
type RecoverArgs struct {
	EndpointID string `json:"endpoint"`
	Since      int64  `json:"since"`
	After      string `json:"after,omitempty"` // the last delivery made at Since that is done
	Until      int64  `json:"until"`
}

// recoverAtOnce bounds the deliveries that one run sends again: 16 tasks.
const recoverAtOnce = 16 * tasksOf

func (s *Service) recover(ctx context.Context, c usersync.Claim, args RecoverArgs) error {
	return s.Store.Tx(ctx, func(tx *store.Tx) error {
		state, err := LockEndpoint(ctx, tx, c.Organization, args.EndpointID)
		if errors.Is(err, ErrNoEndpoint) || err == nil && state.Status != EndpointEnabled {
			return outbox.Finish(ctx, tx, c) // disabled or deleted meanwhile: what failed stays failed
		}
		if err != nil {
			return err
		}
		w := Window{Since: time.UnixMicro(args.Since), Until: time.UnixMicro(args.Until)}
		failed, err := LockFailed(ctx, tx, c.Organization, args.EndpointID, w, args.After, recoverAtOnce)
		if err != nil {
			return err
		}
		if err := goOn(ctx, tx, c, args, failed); err != nil || len(failed) == 0 {
			return err
		}
		ids := make([]string, len(failed))
		for i, d := range failed {
			ids[i] = d.ID
		}
		_, err = resend(ctx, tx, c.Organization, args.EndpointID, ids)
		return err
	})
}

// goOn has the task come again behind what it found, or ends it.
func goOn(ctx context.Context, tx *store.Tx, c usersync.Claim, args RecoverArgs, found []FailedDelivery) error {
	if len(found) < recoverAtOnce {
		return outbox.Finish(ctx, tx, c)
	}
	last := found[len(found)-1]
	args.Since, args.After = last.CreatedAt.UnixMicro(), last.ID
	return outbox.Rearm(ctx, tx, c, Recover.Task(c.TaskID, c.Organization, c.FairnessKey, args).Args, time.Time{})
}
