package delivery

import (
	"context"
	"errors"
	"fmt"
	"time"

	"usersync/internal/outbox"
	"usersync/internal/queue"
	"usersync/internal/store"
	"usersync/internal/usersync"
)

// EndDeliveries makes the tasks that wait for a disabled or deleted endpoint ready
// at once. Each then ends its deliveries as failed.
var EndDeliveries = queue.Kind[EndDeliveriesArgs]{Name: "webhook.abandon", Queue: queue.Deliver, Timeout: time.Minute}

// EndDeliveriesArgs are the arguments of EndDeliveries.
type EndDeliveriesArgs struct {
	EndpointID string `json:"endpoint"`
}

// EndDeliveriesTask returns the task that ends the deliveries to an endpoint. Its
// fairness key is the organization: calls that hang may fill the endpoint's own.
func EndDeliveriesTask(organization, endpoint string) usersync.Task {
	return EndDeliveries.Task(usersync.NewID(usersync.PrefixTask), organization, organization, EndDeliveriesArgs{endpoint})
}

// wokenAtOnce bounds the tasks that one run makes ready.
const wokenAtOnce = 1000

func (s *Service) endDeliveries(ctx context.Context, c usersync.Claim, args EndDeliveriesArgs) error {
	return s.Store.Tx(ctx, func(tx *store.Tx) error {
		state, err := lockEndpoint(ctx, tx, c.Organization, args.EndpointID)
		if err == nil && state.Status == EndpointEnabled {
			return outbox.Finish(ctx, tx, c) // enabled again meanwhile
		}
		if err != nil && !errors.Is(err, ErrNoEndpoint) {
			return err
		}
		moved, err := makeReady(ctx, tx, queue.Deliver, args.EndpointID, wokenAtOnce)
		if err != nil {
			return fmt.Errorf("make the endpoint's tasks ready: %w", err)
		}
		if moved < wokenAtOnce {
			return outbox.Finish(ctx, tx, c)
		}
		return outbox.Rearm(ctx, tx, c, c.Args, outbox.When{})
	})
}

var makeReadyStatement = store.Define("delivery.makeReady", `
UPDATE outbox SET state = 'ready' WHERE id {any}
    SELECT id FROM outbox WHERE state = 'scheduled' AND queue = $1 AND fairness_key = $2 ORDER BY id LIMIT $3 {skip locked}{/any}`)

// makeReady makes up to limit scheduled tasks of a fairness key ready before their time
// and returns how many.
func makeReady(ctx context.Context, tx *store.Tx, queue, fairnessKey string, limit int) (int64, error) {
	tx.Readied(queue)
	return tx.Exec(ctx, makeReadyStatement, nil, queue, fairnessKey, limit)
}
