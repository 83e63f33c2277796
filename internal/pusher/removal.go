package pusher

import (
	"context"
	"fmt"
	"slices"
	"strings"

	"golang.org/x/sync/errgroup"

	"usersync/internal/connector"
	"usersync/internal/outbox"
	"usersync/internal/platform"
	"usersync/internal/receipt"
	"usersync/internal/store"
	"usersync/internal/usersync"
)

// removeAtOnce bounds the people that are removed at once.
const removeAtOnce = 8

// remove removes people who were erased.
func (p *turn) remove(ctx context.Context, c connector.Connector, due []platform.PushRow) error {
	if len(due) == 0 {
		return nil
	}
	errs := make([]*usersync.Error, len(due))
	var group errgroup.Group
	group.SetLimit(removeAtOnce)
	for i, d := range due {
		group.Go(func() error {
			result, err := guarded(p, func() (connector.Result, error) { return removeBoth(ctx, c, d) })
			if errs[i] = usersync.AsError(err); errs[i] == nil {
				errs[i] = result.Err
			}
			return nil
		})
	}
	_ = group.Wait() // Each call's error is in errs.
	if ctx.Err() != nil {
		return ctx.Err()
	}
	if i := slices.IndexFunc(errs, disconnects); i >= 0 {
		return p.disconnect(ctx, errs[i])
	}
	if err := p.Store.Tx(ctx, func(tx *store.Tx) error { return p.noteRemovals(ctx, tx, due, errs) }); err != nil {
		return err
	}
	for _, err := range errs {
		if err == nil {
			p.done[connector.Removed]++
		}
	}
	return nil
}

// removeBoth removes a person by the address that they have, and by the former one that
// the platform may know them by.
func removeBoth(ctx context.Context, c connector.Connector, d platform.PushRow) (connector.Result, error) {
	result, err := c.Remove(ctx, connector.Profile{UserID: d.UserID, Email: d.Removal, Remote: d.Remote})
	if err != nil || result.Err != nil || d.Former == "" {
		return result, err
	}
	return c.Remove(ctx, connector.Profile{UserID: d.UserID, Email: usersync.NewEmail(d.Former, strings.ToLower(d.Former))})
}

// noteRemovals writes who was removed, and when the others are tried again:
// without end, for an erasure promises it.
func (p *turn) noteRemovals(ctx context.Context, tx *store.Tx, due []platform.PushRow, errs []*usersync.Error) error {
	if err := outbox.Hold(ctx, tx, p.claim); err != nil {
		return fmt.Errorf("hold the claim: %w", err)
	}
	var dropped []string
	var removed []usersync.Email
	var later []platform.DelayedRemoval
	receipts := map[string]string{}
	for i, d := range due {
		switch {
		case errs[i] == nil:
			receipts[d.ErasureID] = receipt.Removed
			removed = append(removed, d.Removal)
			dropped = append(dropped, d.UserID)
		case errs[i].Code == usersync.CodeRejected:
			receipts[d.ErasureID] = receipt.Failed
			dropped = append(dropped, d.UserID)
		default:
			wait := p.delay(errs[i], d.Attempts+1)
			later = append(later, platform.DelayedRemoval{UserID: d.UserID, DueAt: p.clock.now().Add(wait), Attempts: d.Attempts + 1})
		}
	}
	if err := receipt.Note(ctx, tx, p.id, receipts); err != nil {
		return fmt.Errorf("note the receipts: %w", err)
	}
	// The organization may have sent the same person again meanwhile.
	if err := platform.PushAddressesAgain(ctx, tx, p.org.ID(), p.id, removed); err != nil {
		return fmt.Errorf("push users of the removed addresses again: %w", err)
	}
	if err := platform.DropPushes(ctx, tx, p.id, dropped); err != nil {
		return fmt.Errorf("drop the pushes: %w", err)
	}
	return platform.DelayRemovals(ctx, tx, p.id, later)
}
