package klaviyo

import (
	"context"
	"fmt"
	"net/http"
	"net/url"

	"usersync/internal/connector"
	"usersync/internal/connector/ability"
	"usersync/internal/usersync"
)

var _ ability.Mover = (*klaviyo)(nil)

// Move gives the profile with the former address the new one.
func (k *klaviyo) Move(ctx context.Context, p connector.Profile, from usersync.Email) (connector.Result, error) {
	known, err := k.agreements(ctx, []connector.Profile{{Email: from}})
	if err != nil {
		return connector.Result{}, err
	}
	one, there := known[from.Key()]
	if !there {
		return ability.NoContact(), nil
	}
	body := document{Data: map[string]any{"type": "profile", "id": one.ID, "attributes": map[string]any{"email": p.Email.Display()}}}
	r, err := k.call(ctx, http.MethodPatch, "/api/profiles/"+url.PathEscape(one.ID), body, nil)
	if r != nil && r.Status == http.StatusConflict {
		return ability.Taken(), nil
	}
	if err != nil {
		return connector.Result{}, fmt.Errorf("change the profile's address: %w", err)
	}
	return ability.Moved(one.ID), nil
}
