package platform

import (
	"context"
	"fmt"
	"strings"
	"time"

	"usersync/internal/outbox"
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
		if until := p.clock.now().Add(max(e.RetryAfter, time.Second)); until.After(p.notBefore) {
			p.notBefore = until
		}
	}
	return wait
}

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
// and lets the next turn end what waits.
func (p *turn) disconnect(ctx context.Context, why *usersync.Error) error {
	reason := why.Message
	for _, f := range why.Fields {
		reason += " " + f.Field + " " + f.Message + "."
	}
	return p.Store.Tx(ctx, func(tx *store.Tx) error {
		changed, err := Disconnect(ctx, tx, p.connection, strings.TrimSpace(reason))
		if err != nil || !changed {
			return err
		}
		if err := outbox.Hold(ctx, tx, p.claim); err != nil {
			return fmt.Errorf("hold the claim: %w", err)
		}
		return tellDisconnected(ctx, tx, p.connection, reason)
	})
}
