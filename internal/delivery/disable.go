package delivery

import (
	"context"
	"errors"
	"time"

	"usersync/internal/credit"
	"usersync/internal/outbox"
	"usersync/internal/queue"
	"usersync/internal/store"
	"usersync/internal/usersync"
)

// Disabled is what a webhook.endpoint_disabled message tells.
type Disabled struct {
	EndpointID   string        `json:"endpointId"`
	URL          string        `json:"url"`
	Reason       string        `json:"reason"`
	FailingSince usersync.Time `json:"failingSince"`
	DisabledAt   usersync.Time `json:"disabledAt"`
}

// disable disables a locked endpoint, tells the organization's other endpoints
// and has the deliveries that wait for it end now.
func disable(ctx context.Context, tx *store.Tx, organization string, e EndpointState, reason string) error {
	if err := DisableEndpoint(ctx, tx, organization, e.ID, reason); err != nil {
		return err
	}
	told := Disabled{EndpointID: e.ID, URL: e.URL, Reason: reason, FailingSince: usersync.Time{Time: e.FailingSince}, DisabledAt: usersync.Time{Time: e.Now}}
	if e.FailingSince.IsZero() {
		told.FailingSince = told.DisabledAt
	}
	if err := tell(ctx, tx, organization, told); err != nil {
		return err
	}
	return outbox.Enqueue(ctx, tx, AbandonTask(organization, e.ID))
}

func tell(ctx context.Context, tx *store.Tx, organization string, d Disabled) error {
	subscribed, err := Subscriptions(ctx, tx, organization)
	if err != nil {
		return err
	}
	var endpoints []string
	for _, e := range subscribed {
		if e.ID != d.EndpointID && e.Wants(MessageEndpointDisabled) {
			endpoints = append(endpoints, e.ID)
		}
	}
	if len(endpoints) == 0 {
		return nil
	}
	_, err = send(ctx, tx, organization, MessageEndpointDisabled, d, "", endpoints...)
	return err
}

// send enqueues a message of no request, numbered under the lock of the
// organization's account, and returns its id.
func send(ctx context.Context, tx *store.Tx, organization string, t MessageType, data any, traceparent string, endpoints ...string) (id string, err error) {
	account, err := credit.Lock(ctx, tx, organization)
	if err != nil {
		return "", err
	}
	account.Sequence++
	body, err := Body(t, account.Now, account.Sequence, data)
	if err != nil {
		return "", err
	}
	id = usersync.NewID(usersync.PrefixMessage)
	m := NewMessage{
		Message:     Message{ID: id, Type: t, Sequence: account.Sequence, Body: body},
		Traceparent: traceparent, Endpoints: endpoints,
	}
	if err := Enqueue(ctx, tx, organization, []NewMessage{m}); err != nil {
		return "", err
	}
	return id, credit.Save(ctx, tx, account)
}

// Abandon has the tasks that wait for an endpoint come at once: it is disabled
// or deleted, and they end what they carry.
var Abandon = queue.Kind[AbandonArgs]{Name: "webhook.abandon", Queue: queue.Deliver, Timeout: time.Minute}

// AbandonArgs of Abandon.
type AbandonArgs struct {
	EndpointID string `json:"endpoint"`
}

// AbandonTask returns the task that ends what waits for an endpoint. Its lane
// is the organization: the endpoint's own may be full of what hangs.
func AbandonTask(organization, endpoint string) usersync.Task {
	return Abandon.Task(usersync.NewID(usersync.PrefixTask), organization, organization, AbandonArgs{endpoint})
}

// abandonAtOnce bounds the tasks that one run moves.
const abandonAtOnce = 1000

func (s *Service) abandon(ctx context.Context, c usersync.Claim, args AbandonArgs) error {
	return s.Store.Tx(ctx, func(tx *store.Tx) error {
		state, err := LockEndpoint(ctx, tx, c.Organization, args.EndpointID)
		if err == nil && state.Status == EndpointEnabled {
			return outbox.Finish(ctx, tx, c) // enabled again meanwhile
		}
		if err != nil && !errors.Is(err, ErrNoEndpoint) {
			return err
		}
		moved, err := Hasten(ctx, tx, queue.Deliver, args.EndpointID, abandonAtOnce)
		if err != nil {
			return err
		}
		if moved < abandonAtOnce {
			return outbox.Finish(ctx, tx, c)
		}
		return outbox.Rearm(ctx, tx, c, c.Args, time.Time{})
	})
}
