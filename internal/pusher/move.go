package pusher

import (
	"cmp"
	"context"
	"fmt"
	"strings"

	"golang.org/x/sync/errgroup"

	"usersync/internal/connector"
	"usersync/internal/connector/ability"
	"usersync/internal/usersync"
)

// movesAtOnce bounds the contacts that are moved at once.
const movesAtOnce = 8

// move gives the contacts of those whose address has changed the new one, ahead of the
// push, which would make a second contact. It returns what is to be said of it.
func (p *turn) move(ctx context.Context, c connector.Connector, items []*item) map[*item]string {
	moving := those(items, func(it *item) bool {
		return it.push.Former != "" && !strings.EqualFold(it.push.Former, it.profile.Email.Display())
	})
	said := map[*item]string{}
	mover, ok := ability.MoverOf(c)
	if !ok {
		for _, it := range moving {
			it.moved, said[it] = it.push.Former, "the contact with the former address stays: "+p.platform.Title+" has no call that moves it"
		}
		return said
	}
	results := make([]connector.Result, len(moving))
	var group errgroup.Group
	group.SetLimit(movesAtOnce)
	for i, it := range moving {
		group.Go(func() error {
			former := usersync.NewEmail(it.push.Former, strings.ToLower(it.push.Former))
			watched, noted := watch(ctx, it)
			result, err := guarded(p, func() (connector.Result, error) { return mover.Move(watched, it.profile, former) })
			noted()
			results[i], it.err, it.called = result, usersync.AsError(err), true
			return nil
		})
	}
	_ = group.Wait() // Each call's error is with its item.
	for i, it := range moving {
		if it.err != nil && it.err.Code == usersync.CodeRejected {
			results[i], it.err = connector.Result{Details: fmt.Sprintf("the contact with the former address stays: %s", it.err.Message)}, nil
		}
		if it.err == nil {
			it.moved, said[it] = it.push.Former, results[i].Details
			it.profile.Remote = cmp.Or(results[i].Remote, it.profile.Remote)
		}
	}
	return said
}
