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

// rest has what waits at a connection that is not active wait on. What is wanted there
// stays wanted; of a connection that was deleted nothing stays.
func (p *turn) rest(ctx context.Context) error {
	slice := p.restSlice
	if p.connection.Status == platform.ConnectionDeleted {
		slice = p.endSlice
	}
	for { //lint:loop works slice after slice, each in a transaction
		done := false
		b := &outcomes{turn: p}
		err := p.Store.Tx(ctx, func(tx *store.Tx) error {
			b.reset(tx)
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
			done, err = slice(ctx, b)
			return err
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

// restSlice ends previews, which nobody wants later, and has nothing else be due. Calls
// that wait for a push are told that it does not come now.
func (p *turn) restSlice(ctx context.Context, b *outcomes) (done bool, err error) {
	asked, err := platform.AskedPushes(ctx, b.tx, p.id, atRest)
	if err != nil {
		return false, fmt.Errorf("read who waits for an answer: %w", err)
	}
	previews, err := platform.DuePreviews(ctx, b.tx, p.id, atRest)
	if err != nil {
		return false, fmt.Errorf("read the previews: %w", err)
	}
	if err := b.skip(ctx, previews); err != nil || len(previews) == atRest {
		return false, err
	}
	b.finished = append(b.finished, asked...)
	if err := platform.RestPushes(ctx, b.tx, p.id); err != nil {
		return false, err
	}
	return true, outbox.Rearm(ctx, b.tx, p.claim, p.claim.Args, outbox.At(platform.NeverDue))
}

// endSlice ends what waits at a deleted connection and removes its rows.
func (p *turn) endSlice(ctx context.Context, b *outcomes) (done bool, err error) {
	waits, err := platform.Waits(ctx, b.tx, p.id, atRest)
	if err != nil {
		return false, fmt.Errorf("read who waits at the connection: %w", err)
	}
	if err := b.skip(ctx, waits); err != nil || len(waits) == atRest {
		return false, err
	}
	return p.clear(ctx, b.tx)
}

// skip ends waits because their connection is not active.
func (b *outcomes) skip(ctx context.Context, waits []platform.Wait) error {
	reason := platform.SkipReason(b.connection.Status)
	for _, w := range waits {
		b.end(w, ending{status: request.StepSkipped, reason: reason, details: platform.SkipSentence(reason)})
	}
	return b.save(ctx)
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
