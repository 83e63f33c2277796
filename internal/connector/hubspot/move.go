package hubspot

import (
	"context"
	"fmt"
	"net/http"
	"net/url"

	"usersync/internal/connector"
	"usersync/internal/connector/ability"
	"usersync/internal/usersync"
)

var _ ability.Mover = (*hubspot)(nil)

// Move gives the contact with the former address the new one.
func (h *hubspot) Move(ctx context.Context, p connector.Profile, from usersync.Email) (connector.Result, error) {
	found, err := h.find(ctx, from.Display(), byEmail)
	if err != nil {
		return connector.Result{}, fmt.Errorf("find the contact: %w", err)
	}
	id := string(found.ID)
	if id == "" {
		return ability.NoContact(), nil
	}
	body := map[string]any{"properties": map[string]string{byEmail: p.Email.Display()}}
	r, err := h.call(ctx, http.MethodPatch, h.path("objects", "/contacts/"+url.PathEscape(id)), body, nil)
	if r != nil && r.Status == http.StatusConflict {
		return ability.Taken(), nil
	}
	if err != nil {
		return connector.Result{}, fmt.Errorf("change the contact's address: %w", err)
	}
	return ability.Moved(id), nil
}
