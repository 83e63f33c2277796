package pusher

import (
	"context"
	"errors"
	"fmt"

	"usersync/internal/outbox"
	"usersync/internal/platform"
	"usersync/internal/receipt"
	"usersync/internal/request"
	"usersync/internal/store"
)

// rest ends what waits at a connection that is not active: skipped, with why.
// What is wanted there stays wanted; of one that was deleted nothing stays.
func (p *turn) rest(ctx context.Context) error {
	reason := platform.SkipReason(p.connection.Status)
	for { //lint:loop works slice after slice, each in a transaction
		done := false
		b := &outcomes{turn: p}
		err := p.Store.Tx(ctx, func(tx *store.Tx) error {
			b.reset(tx)
			done = false
			same, err := p.lock(ctx, tx)
			if err != nil {
				return fmt.Errorf("lock the connection: %w", err)
			}
			if !same { // resumed meanwhile: what is due stays due
				done = true
				return outbox.Rearm(ctx, tx, p.claim, p.claim.Args, outbox.When{})
			}
			if err := outbox.Hold(ctx, tx, p.claim); err != nil {
				return fmt.Errorf("hold the claim: %w", err)
			}
			waits, err := platform.Waits(ctx, tx, p.id, atRest)
			if err != nil {
				return fmt.Errorf("read who waits at the connection: %w", err)
			}
			for _, w := range waits {
				b.end(w, ending{status: request.StepSkipped, reason: reason, details: platform.SkipSentence(reason, w.Mode)})
			}
			if err := b.save(ctx); err != nil {
				return err
			}
			if len(waits) == atRest {
				return nil
			}
			if p.connection.Status == platform.ConnectionDeleted {
				done, err = p.clear(ctx, tx)
				return err
			}
			if err := platform.RestPushes(ctx, tx, p.id); err != nil {
				return fmt.Errorf("end what is due at the connection: %w", err)
			}
			done = true
			return outbox.Rearm(ctx, tx, p.claim, p.claim.Args, outbox.At(platform.NeverDue))
		})
		if err != nil {
			return err
		}
		b.Queue.PublishFinished(ctx, b.finished)
		if done {
			return nil
		}
	}
}

// lock locks the connection, as those do who change it before they wake its task,
// and reports whether it is as it was when the turn began.
func (p *turn) lock(ctx context.Context, tx *store.Tx) (same bool, err error) {
	c, err := platform.LockConnection(ctx, tx, p.org.ID(), p.id)
	if errors.Is(err, platform.ErrNoConnection) {
		return p.connection.Status == platform.ConnectionDeleted, nil
	}
	return c.Status == p.connection.Status, err
}

// clear removes rows of a deleted connection, in the end its task.
func (p *turn) clear(ctx context.Context, tx *store.Tx) (done bool, err error) {
	n, erasures, err := platform.ClearPushes(ctx, tx, p.id, atRest)
	if err != nil {
		return false, fmt.Errorf("clear the pushes of the deleted connection: %w", err)
	}
	receipts := map[string]string{}
	for _, erasure := range erasures {
		receipts[erasure] = receipt.Skipped
	}
	if err := receipt.Note(ctx, tx, p.id, receipts); err != nil {
		return false, fmt.Errorf("note the receipts: %w", err)
	}
	if n == atRest {
		return false, nil
	}
	if err := platform.DropConnection(ctx, tx, p.org.ID(), p.id); err != nil {
		return false, fmt.Errorf("drop the connection: %w", err)
	}
	return true, outbox.Finish(ctx, tx, p.claim)
}
