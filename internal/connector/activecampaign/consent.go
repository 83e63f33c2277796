package activecampaign

import (
	"context"
	"fmt"
	"net/http"

	"usersync/internal/connector"
	"usersync/internal/connector/ability"
)

var _ ability.Unsubscriber = (*activeCampaign)(nil)

// unsubscribedStatus is the status of a contact on a list that they left.
const unsubscribedStatus = "2"

// Unsubscribe unsubscribes contacts from the connection's list: ActiveCampaign knows
// consent by list alone. A connection without a list subscribes nobody, so there is
// nothing to tell. Who is no contact is not made one.
func (a *activeCampaign) Unsubscribe(ctx context.Context, people []connector.Profile) ([]connector.Result, error) {
	if a.settings.List == "" {
		return connector.Everybody(people, connector.Result{Status: connector.Updated}), nil
	}
	return a.client.Each(ctx, people, func(ctx context.Context, p connector.Profile) (connector.Result, error) {
		one, err := a.lookUp(ctx, p)
		if err != nil {
			return connector.Result{}, fmt.Errorf("find the contact: %w", err)
		}
		if one.contact == "" {
			return connector.Unsubscribed(p.Remote, "User does not want e-mail and was not made a contact"), nil
		}
		body := map[string]any{"contactList": map[string]string{"list": a.settings.List, "contact": string(one.contact), "status": unsubscribedStatus}}
		if _, err := a.call(ctx, http.MethodPost, "/contactLists", body, nil); err != nil {
			return connector.Result{}, fmt.Errorf("unsubscribe the contact: %w", err)
		}
		return connector.Result{Status: connector.Updated, Remote: string(one.contact)}, nil
	})
}
