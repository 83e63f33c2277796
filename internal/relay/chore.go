package relay

import (
	"context"
	"fmt"
	"time"

	"usersync/internal/colleague"
	"usersync/internal/credit"
	"usersync/internal/delivery"
	"usersync/internal/directory"
	"usersync/internal/intake"
	"usersync/internal/login"
	"usersync/internal/outbox"
	"usersync/internal/retention"
)

// chore is housekeeping that the leader has done now and then. It runs in a loop of its
// own: what moves work waits for none of it, and no chore for another.
type chore struct {
	every time.Duration
	do    func(ctx context.Context)
	turn  chan struct{}
	begun time.Time
}

func newChore(every time.Duration, do func(ctx context.Context)) *chore {
	return &chore{every: every, do: do, turn: make(chan struct{})}
}

// begin has the chore done when it is time for it and it is not under way.
func (c *chore) begin() {
	if time.Since(c.begun) < c.every {
		return
	}
	select {
	case c.turn <- struct{}{}:
		c.begun = time.Now() //lint:clock it measures how long ago the chore was begun
	default:
	}
}

// run does the chore whenever it is begun, until ctx ends.
func (c *chore) run(ctx context.Context) {
	for {
		select {
		case <-ctx.Done():
			return
		case <-c.turn:
			c.do(ctx)
		}
	}
}

// How often chores are done, and how long a turn of one may take. What is not done by
// then is done in its next turn.
const (
	resumeEvery   = 10 * time.Second // wake what waits for credits that are there, or for its organization to be enabled
	resumeWithin  = 15 * time.Second
	disableEvery  = time.Minute // disable endpoints for which too much waits
	disableWithin = time.Minute
	tidyEvery     = time.Minute // remove what has served its time
	tidyWithin    = time.Minute // for each sort of rows
)

func (r *Relay) resume(ctx context.Context) {
	within, cancel := context.WithTimeout(ctx, resumeWithin)
	defer cancel()
	if err := credit.ResumePayable(within, r.Store, sweepLimit); err != nil {
		r.report(ctx, "could not look for work that waits for credits", err)
	}
	if err := outbox.ResumeEnabled(within, r.Store, sweepLimit); err != nil {
		r.report(ctx, "could not look for work of organizations that were enabled", err)
	}
}

// disable locks the balances of organizations whose webhooks it disables, and so may
// wait for them.
func (r *Relay) disable(ctx context.Context) {
	within, cancel := context.WithTimeout(ctx, disableWithin)
	defer cancel()
	if err := delivery.DisableOverfull(within, r.Store); err != nil {
		r.report(ctx, "could not disable the endpoints for which too much waits", err)
	}
}

func (r *Relay) tidy(ctx context.Context) {
	for _, sort := range []struct {
		what string
		drop func(ctx context.Context) (more bool, err error)
	}{
		{"old idempotency keys", atMost(func(ctx context.Context, limit int) (int64, error) {
			return intake.DropIdempotencyKeys(ctx, r.Store, limit)
		})},
		{"codes of logins", atMost(func(ctx context.Context, limit int) (int64, error) {
			return login.DropExpired(ctx, r.Store, limit)
		})},
		{"old answers of directory services", atMost(func(ctx context.Context, limit int) (int64, error) {
			return colleague.DropSourceAnswers(ctx, r.Store, limit)
		})},
		{"imports that were never complete", func(ctx context.Context) (bool, error) {
			n, err := directory.DropAbandonedImports(ctx, r.Store, fewImports)
			return n == fewImports, err
		}},
		{"what need not be kept", r.retire},
	} {
		if err := whole(ctx, sort.drop); err != nil {
			r.report(ctx, "could not remove "+sort.what, err)
		}
	}
}

// whole removes bite after bite until nothing is left or tidyWithin is over.
func whole(ctx context.Context, drop func(ctx context.Context) (more bool, err error)) error {
	ctx, cancel := context.WithTimeout(ctx, tidyWithin)
	defer cancel()
	for more := true; more; {
		var err error
		if more, err = drop(ctx); err != nil {
			return err
		}
	}
	return nil
}

// retire removes what the organizations need not keep. The database's clock tells how
// old it is: one of a process that is ahead would remove what is new.
func (r *Relay) retire(ctx context.Context) (more bool, err error) {
	now, err := r.Store.Now(ctx)
	if err != nil {
		return false, fmt.Errorf("ask for the time: %w", err)
	}
	return retention.Run(ctx, r.Store, now, sweepLimit)
}

// fewImports bounds the imports removed at once: each has many rows.
const fewImports = 10

// atMost has a removal work in bites of sweepLimit.
func atMost(drop func(ctx context.Context, limit int) (int64, error)) func(context.Context) (bool, error) {
	return func(ctx context.Context) (bool, error) {
		n, err := drop(ctx, sweepLimit)
		return n == sweepLimit, err
	}
}
