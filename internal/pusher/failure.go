package pusher

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"time"

	"usersync/internal/connector"
	"usersync/internal/outbox"
	"usersync/internal/platform"
	"usersync/internal/store"
	"usersync/internal/usersync"
)

// delay returns how long to wait after a failure, and notes when the platform
// wants to be left alone.
func (p *turn) delay(e *usersync.Error, attempts int) time.Duration {
	wait := max(e.RetryAfter, time.Second)
	if !throttled(e) {
		wait = max(jitter(pushWait(attempts)), e.RetryAfter)
	}
	if e.RetryAfter > 0 || throttled(e) {
		until := p.clock.now().Add(max(e.RetryAfter, time.Second))
		p.notBefore = later(p.notBefore, until)
		if !heldBack(e) {
			p.restUntil = later(p.restUntil, until)
		}
	}
	return wait
}

func later(a, b time.Time) time.Time {
	if b.After(a) {
		return b
	}
	return a
}

// heldBack reports whether our own limit for the account let no call begin. The platform
// has no part in it.
func heldBack(e *usersync.Error) bool { return errors.Is(e, connector.ErrHeldBack) }

// throttled reports whether a failure is none: too many calls, or a breaker that
// is open, so that no call was made.
func throttled(e *usersync.Error) bool { return e.Code == usersync.CodeRateLimited }

// disconnects reports whether an error concerns the connection and not the user:
// it will not work before somebody changes it.
func disconnects(e *usersync.Error) bool {
	if e == nil {
		return false
	}
	switch e.Code {
	case usersync.CodeRateLimited, usersync.CodeUnavailable, usersync.CodeInternal, usersync.CodeRejected:
		return false
	}
	return true
}

// disconnect notes that the platform refuses the connection, tells its owner,
// and lets the next turn have what waits rest.
func (p *turn) disconnect(ctx context.Context, why *usersync.Error) error {
	reason := why.Message
	for _, f := range why.Fields {
		reason += " " + f.Field + " " + f.Message + "."
	}
	return p.Store.Tx(ctx, func(tx *store.Tx) error {
		changed, err := platform.Disconnect(ctx, tx, p.connection, strings.TrimSpace(reason))
		if err != nil || !changed {
			return err
		}
		if err := outbox.Hold(ctx, tx, p.claim); err != nil {
			return fmt.Errorf("hold the claim: %w", err)
		}
		return tellDisconnected(ctx, tx, p.connection, reason)
	})
}
