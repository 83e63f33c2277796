package brevo

import (
	"context"
	"encoding/json"
	"fmt"
	"net/http"

	"usersync/internal/connector"
	"usersync/internal/connector/ability"
	"usersync/internal/usersync"
)

var _ ability.Mover = (*brevo)(nil)

// Move gives the contact with the former address the new one. Another address would take
// a contact off the blocklist, so the call says where it is.
func (b *brevo) Move(ctx context.Context, p connector.Profile, from usersync.Email) (connector.Result, error) {
	k, err := b.find(ctx, connector.Profile{Email: from})
	if err != nil {
		return connector.Result{}, fmt.Errorf("find the contact: %w", err)
	}
	if k.ID == 0 {
		return ability.NoContact(), nil
	}
	body := map[string]any{"attributes": map[string]string{"EMAIL": p.Email.Display()}, "emailBlacklisted": k.Blacklisted}
	r, err := b.call(ctx, http.MethodPut, contactPath(k.remote(), byID), body, nil)
	if isDuplicate(r) {
		return ability.Taken(), nil
	}
	if err != nil {
		return connector.Result{}, fmt.Errorf("change the contact's address: %w", err)
	}
	return ability.Moved(k.remote()), nil
}

// isDuplicate recognizes the refusal of what another contact has.
func isDuplicate(r *connector.Response) bool {
	var said struct {
		Code string `json:"code"`
	}
	return r != nil && r.Status == http.StatusBadRequest && json.Unmarshal(r.Body, &said) == nil && said.Code == "duplicate_parameter"
}
