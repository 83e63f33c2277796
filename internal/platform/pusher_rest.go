package platform

import (
	"context"
	"errors"
	"fmt"

	"usersync/internal/outbox"
	"usersync/internal/receipt"
	"usersync/internal/request"
	"usersync/internal/store"
)

// rest ends what waits at a connection that is not active: skipped, with why.
// What is wanted there stays wanted; of one that was deleted nothing stays.
func (p *turn) rest(ctx context.Context) error {
	reason := SkipReason(p.connection.Status)
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
			waits, err := Waits(ctx, tx, p.id, atRest)
			if err != nil {
				return fmt.Errorf("read who waits at the connection: %w", err)
			}
			for _, w := range waits {
				b.end(w, ending{status: request.StepSkipped, reason: reason, details: SkipSentence(reason)})
			}
			if err := b.save(ctx); err != nil {
				return err
			}
			if len(waits) == atRest {
				return nil
			}
			if p.connection.Status == ConnectionDeleted {
				done, err = p.clear(ctx, tx)
				return err
			}
			if err := restPushes(ctx, tx, p.id); err != nil {
				return fmt.Errorf("end what is due at the connection: %w", err)
			}
			done = true
			return outbox.Rearm(ctx, tx, p.claim, p.claim.Args, outbox.At(neverDue))
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
	c, err := LockConnection(ctx, tx, p.org.ID(), p.id)
	if errors.Is(err, ErrNoConnection) {
		return p.connection.Status == ConnectionDeleted, nil
	}
	return c.Status == p.connection.Status, err
}

// clear removes rows of a deleted connection, in the end its task.
func (p *turn) clear(ctx context.Context, tx *store.Tx) (done bool, err error) {
	n, erasures, err := clearPushes(ctx, tx, p.id, atRest)
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
	if err := dropConnection(ctx, tx, p.org.ID(), p.id); err != nil {
		return false, fmt.Errorf("drop the connection: %w", err)
	}
	return true, outbox.Finish(ctx, tx, p.claim)
}

var (
	restStatement = store.Define("platform.rest", `
UPDATE pushes SET status = 'idle', due_at = 0, job = '' WHERE connection_id = $1 AND due_at > 0`)
	clearPushesStatement = store.Define("platform.clearPushes", `
DELETE FROM pushes WHERE {row} {any}SELECT p.{row} FROM pushes p WHERE p.connection_id = $1 LIMIT $2{/any} RETURNING user_id, erasure_id`)
)

// restPushes has nothing be due at a connection that is not active.
func restPushes(ctx context.Context, tx *store.Tx, connection string) error {
	return tx.Later(ctx, restStatement, nil, nil, connection)
}

// clearPushes forgets up to limit users at a connection that was deleted, and
// returns how many, and the erasures that waited for it.
func clearPushes(ctx context.Context, tx *store.Tx, connection string, limit int) (n int, erasures []string, err error) {
	list, err := store.Collect(ctx, tx.Conn, clearPushesStatement, nil, func(scan func(...any) error) (erasure string, err error) {
		var user string
		return erasure, scan(&user, &erasure)
	}, connection, limit)
	for _, erasure := range list {
		if erasure != "" {
			erasures = append(erasures, erasure)
		}
	}
	return len(list), erasures, err
}
