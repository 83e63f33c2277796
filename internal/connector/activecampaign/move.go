package activecampaign

import (
	"context"
	"fmt"
	"net/http"

	"usersync/internal/connector"
	"usersync/internal/connector/ability"
	"usersync/internal/usersync"
)

var _ ability.Mover = (*activeCampaign)(nil)

// Move gives the contact with the former address the new one. ActiveCampaign answers 422
// where another contact has it.
func (a *activeCampaign) Move(ctx context.Context, p connector.Profile, from usersync.Email) (connector.Result, error) {
	one, err := a.lookUp(ctx, connector.Profile{Email: from})
	if err != nil {
		return connector.Result{}, fmt.Errorf("find the contact: %w", err)
	}
	if one.contact == "" {
		return ability.NoContact(), nil
	}
	body := map[string]any{"contact": map[string]string{"email": p.Email.Display()}}
	r, err := a.call(ctx, http.MethodPut, "/contacts/"+string(one.contact), body, nil)
	if r != nil && r.Status == http.StatusUnprocessableEntity {
		return ability.Taken(), nil
	}
	if err != nil {
		return connector.Result{}, fmt.Errorf("change the contact's address: %w", err)
	}
	return ability.Moved(string(one.contact)), nil
}
