package mailchimp

import (
	"context"
	"fmt"
	"net/http"

	"usersync/internal/connector"
	"usersync/internal/connector/ability"
	"usersync/internal/usersync"
)

var _ ability.Mover = (*client)(nil)

// Move gives the member with the former address the new one. Status and tags stay.
func (c *client) Move(ctx context.Context, p connector.Profile, from usersync.Email) (connector.Result, error) {
	there, err := c.look(ctx, memberID(from))
	if err != nil {
		return connector.Result{}, fmt.Errorf("look the member up: %w", err)
	}
	if there == nil {
		return ability.NoContact(), nil
	}
	body := wish{Email: p.Email.Display(), StatusIfNew: c.settings.StatusIfNew}
	answer, err := c.one(ctx, http.MethodPut, c.settings.ListID, "/members/"+memberID(from), lenient, body, nil)
	if exists(answer) {
		return ability.Taken(), nil
	}
	if err != nil {
		return connector.Result{}, fmt.Errorf("change the member's address: %w", err)
	}
	return ability.Moved(remoteOf(p.Remote).with(c.settings.ListID, memberID(p.Email)).String()), nil
}
