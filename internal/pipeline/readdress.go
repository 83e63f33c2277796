package pipeline

import (
	"context"
	"errors"
	"fmt"

	"usersync/internal/event"
	"usersync/internal/outbox"
	"usersync/internal/readdress"
	"usersync/internal/request"
	"usersync/internal/store"
	"usersync/internal/user"
	"usersync/internal/usersync"
)

// addressTaken is the remark on a request whose user keeps the former address.
const addressTaken = "the user keeps the former address, as another user has the one that was sent"

// readdress gives users the addresses that requests name beside their ids, before anything
// else is made of them: the search for colleagues goes by the new one. It returns the works
// as they are then. Who cannot have the address keeps the former one, and the request's step
// says so, see remarkOf.
func (s *Service) readdress(ctx context.Context, c usersync.Claim, args RunArgs, works []request.Work) ([]request.Work, error) {
	var moves []readdress.Move
	for _, w := range works {
		if w.Readdresses() {
			moves = append(moves, readdress.Move{UserID: w.User.ID, To: w.Input.Email, Sequence: w.Sequence,
				EventID: usersync.DeriveID(usersync.PrefixEvent, w.ID, string(event.UserMoved)), Source: string(w.Kind)})
		}
	}
	if len(moves) == 0 {
		return works, nil
	}
	err := s.Store.Tx(ctx, func(tx *store.Tx) error {
		if err := outbox.Hold(ctx, tx, c); err != nil {
			return fmt.Errorf("hold the claim: %w", err)
		}
		for _, m := range moves { //lint:loop in the order of the requests: one may take the address that another gives up
			_, err := readdress.Apply(ctx, tx, c.Organization, m)
			if err != nil && !errors.Is(err, user.ErrTaken) && !errors.Is(err, user.ErrNotFound) {
				return fmt.Errorf("give a user another address: %w", err)
			}
		}
		return nil
	})
	if err != nil {
		return nil, err
	}
	return request.Load(ctx, s.Store, c, args.RequestIDs)
}

// remarkOf is what the step of a request says of the address that it could not give its
// user; "" where it could.
func remarkOf(w request.Work) string {
	if w.Readdresses() {
		return addressTaken
	}
	return ""
}
