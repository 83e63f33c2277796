package brevo

import (
	"context"
	"fmt"
	"net/http"

	"usersync/internal/connector"
	"usersync/internal/connector/ability"
)

var _ ability.Unsubscriber = (*brevo)(nil)

// Unsubscribe puts contacts on the blocklist for e-mail. Who is no contact is not made one.
func (b *brevo) Unsubscribe(ctx context.Context, people []connector.Profile) ([]connector.Result, error) {
	return b.client.Each(ctx, people, func(ctx context.Context, p connector.Profile) (connector.Result, error) {
		k, err := b.find(ctx, p)
		if err != nil {
			return connector.Result{}, fmt.Errorf("find the contact: %w", err)
		}
		if k.ID == 0 {
			return connector.Unsubscribed(p.Remote, "User does not want e-mail and was not made a contact"), nil
		}
		if k.Blacklisted {
			return unsubscribed(k, connector.Did), nil
		}
		body := map[string]any{"emailBlacklisted": true}
		if _, err := b.call(ctx, http.MethodPut, contactPath(k.remote(), byID), body, nil); err != nil {
			return connector.Result{}, fmt.Errorf("put the contact on the blocklist: %w", err)
		}
		return connector.Unsubscribed(k.remote(), "User does not want e-mail and was put on Brevo's blocklist"), nil
	})
}
