package hubspot

import (
	"context"
	"fmt"
	"net/http"

	"usersync/internal/connector"
	"usersync/internal/connector/ability"
)

var _ ability.Unsubscriber = (*hubspot)(nil)

// Unsubscribe opts contacts out of all e-mail. The token needs the scope
// communication_preferences.read_write. The contact itself is pushed as ever: a CRM
// knows people who want no e-mail.
func (h *hubspot) Unsubscribe(ctx context.Context, people []connector.Profile) ([]connector.Result, error) {
	return h.client.Each(ctx, people, func(ctx context.Context, p connector.Profile) (connector.Result, error) {
		path := "/communication-preferences/v4/statuses/" + connector.PathSegment(p.Email.Display()) + "/unsubscribe-all?channel=EMAIL"
		if _, err := h.call(ctx, http.MethodPost, path, nil, nil); err != nil {
			return connector.Result{}, fmt.Errorf("opt the contact out: %w", err)
		}
		return connector.Result{Status: connector.Updated}, nil
	})
}
