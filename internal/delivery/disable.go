package delivery

import (
	"context"
	"fmt"
	"slices"

	"usersync/internal/credit"
	"usersync/internal/outbox"
	"usersync/internal/store"
	"usersync/internal/usersync"
)

// EndpointDisabledData is the data of a webhook.endpoint_disabled message.
type EndpointDisabledData struct {
	EndpointID   string        `json:"endpointId"`
	URL          string        `json:"url"`
	Reason       string        `json:"reason"`
	FailingSince usersync.Time `json:"failingSince"`
	DisabledAt   usersync.Time `json:"disabledAt"`
}

// disable disables a locked endpoint, enqueues the message about it to the
// organization's other endpoints, and the task that ends the deliveries that wait
// for it.
func disable(ctx context.Context, tx *store.Tx, organization string, e lockedEndpoint, reason string) error {
	if err := disableEndpoint(ctx, tx, organization, e.ID, reason); err != nil {
		return fmt.Errorf("disable the endpoint: %w", err)
	}
	told := EndpointDisabledData{EndpointID: e.ID, URL: e.URL, Reason: reason, FailingSince: usersync.Time{Time: e.FailingSince}, DisabledAt: usersync.Time{Time: e.Now}}
	if e.FailingSince.IsZero() {
		told.FailingSince = told.DisabledAt
	}
	if err := tellOthers(ctx, tx, organization, told); err != nil {
		return fmt.Errorf("tell the other endpoints: %w", err)
	}
	return outbox.Enqueue(ctx, tx, EndDeliveriesTask(organization, e.ID))
}

// tellOthers enqueues the message about a disabled endpoint to the organization's
// other endpoints.
func tellOthers(ctx context.Context, tx *store.Tx, organization string, d EndpointDisabledData) error {
	endpoints, err := EnabledEndpoints(ctx, tx, organization)
	if err != nil {
		return fmt.Errorf("read the enabled endpoints: %w", err)
	}
	endpoints = slices.DeleteFunc(endpoints, func(e Endpoint) bool { return e.ID == d.EndpointID })
	var account credit.Account
	messages := NewMessages(&account, endpoints)
	if !messages.Wanted(MessageEndpointDisabled) {
		return nil
	}
	if account, err = credit.Lock(ctx, tx, organization); err != nil {
		return fmt.Errorf("lock the account: %w", err)
	}
	if err := messages.Add(AboutOrganization(MessageEndpointDisabled), d); err != nil {
		return fmt.Errorf("make the message: %w", err)
	}
	return messages.Enqueue(ctx, tx)
}
