package customerio

import (
	"context"

	"usersync/internal/connector"
	"usersync/internal/connector/ability"
	"usersync/internal/usersync"
)

// identified is a connection that knows people by our ids. By their addresses nobody can
// be moved.
type identified struct{ *customerio }

var _ ability.Mover = identified{}

// Move does nothing: the push gives the person of the id the new address.
func (identified) Move(context.Context, connector.Profile, usersync.Email) (connector.Result, error) {
	return ability.Moved(""), nil
}
