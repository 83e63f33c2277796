package action

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"log/slog"
	"math/rand/v2"
	"slices"
	"strings"
	"time"

	"usersync/internal/consent"
	"usersync/internal/fairness"
	"usersync/internal/followup"
	"usersync/internal/followup/catalog"
	"usersync/internal/outbox"
	"usersync/internal/queue"
	"usersync/internal/reaction"
	"usersync/internal/store"
	"usersync/internal/user"
	"usersync/internal/usersync"
)

// Service works runs of follow-ups.
type Service struct {
	Store *store.Store
	Log   *slog.Logger
	// Doers do the actions, by their types: see Doers.
	Doers map[followup.ActionType]Doer
	// Turns keep the events and runs of one organization to one that asks the database, as
	// its requests are kept to one run (ADR 0004). Calls to others go on beside each other.
	Turns *fairness.Turns

	programs catalog.Programs
}

// Handler returns the handler of the runs' tasks.
func (s *Service) Handler() queue.Handler { return reaction.Task.Work(s.work, s.giveUp) }

const (
	// maxAttempts is after how many failed tries of an action its run fails: with the
	// waits of backoff that is about an hour.
	maxAttempts = 10
	// maxStale bounds how often a step is begun again because the run or its user has
	// changed meanwhile.
	maxStale = 10
)

// backoff returns the wait before the next try of an action: 2 s, doubled each time, at
// most 15 min, ±20 % so that what failed together does not come back together.
func backoff(attempts int) time.Duration {
	wait := min(2*time.Second<<min(attempts, 20), 15*time.Minute)
	return wait*8/10 + rand.N(wait*4/10)
}

// work does step after step until the run ends or waits.
func (s *Service) work(ctx context.Context, c usersync.Claim, args reaction.Args) error {
	stale := 0
	for { //lint:loop a transaction for each action, so that none is repeated
		over, err := s.step(ctx, c, args.RunID)
		if errors.Is(err, store.ErrStale) && stale < maxStale {
			stale++
			continue
		}
		if err != nil || over {
			return err
		}
		stale = 0
	}
}

// giveUp ends a run that could not be worked: it fails by our fault.
func (s *Service) giveUp(ctx context.Context, c usersync.Claim, args reaction.Args, _ error) error {
	r, err := reaction.Load(ctx, s.Store.Org(c.Organization), args.RunID)
	if err != nil {
		return err
	}
	if r == nil || r.Over() {
		return s.finish(ctx, c)
	}
	_, err = s.end(ctx, c, r, reaction.Failed, "The run could not be worked.")
	return err
}

// finish ends the task of a run that is over, or gone.
func (s *Service) finish(ctx context.Context, c usersync.Claim) error {
	return s.Store.Tx(ctx, func(tx *store.Tx) error { return outbox.Finish(ctx, tx, c) })
}

// turn is one step of a run, with what it knows.
type turn struct {
	*Service
	claim   usersync.Claim
	leave   func() // ends the organization's turn; nil while others are called
	run     *reaction.Run
	user    *user.Stored
	program *followup.Program
	data    map[string]any
}

// enter waits for the turn of the run's organization.
func (t *turn) enter(ctx context.Context) (err error) {
	t.leave, err = t.Turns.Enter(ctx, t.claim.Organization)
	return err
}

// step does one step, in its organization's turn. over says that the task has ended, or
// waits.
func (s *Service) step(ctx context.Context, c usersync.Claim, runID string) (over bool, err error) {
	t := &turn{Service: s, claim: c}
	if err := t.enter(ctx); err != nil {
		return false, err
	}
	defer func() {
		if t.leave != nil {
			t.leave()
		}
	}()
	return t.step(ctx, runID)
}

func (t *turn) step(ctx context.Context, runID string) (over bool, err error) {
	s, c := t.Service, t.claim
	org := s.Store.Org(c.Organization)
	r, err := reaction.Load(ctx, org, runID)
	if err != nil {
		return false, err
	}
	if r == nil || r.Over() {
		return true, s.finish(ctx, c)
	}
	if r.Event.ID == "" {
		return s.end(ctx, c, r, reaction.Failed, "The event is not kept any more.")
	}
	t.run = r
	t.program, err = s.programs.Get(ctx, s.Store.Reader(), c.Organization, r.FollowUpID, r.Version)
	if !r.Defined || errors.Is(err, catalog.ErrNoVersion) {
		return s.end(ctx, c, r, reaction.Failed, "The follow-up was deleted.")
	}
	if err != nil {
		return false, fmt.Errorf("read the follow-up: %w", err)
	}
	gone, err := t.readUser(ctx, org)
	if err != nil {
		return false, err
	}
	if gone {
		return s.end(ctx, c, r, reaction.Failed, "The user was erased.")
	}
	if r.Status == reaction.Waiting {
		return t.resume(ctx)
	}
	return t.next(ctx)
}

// readUser reads the user as they are now. gone says that they were erased.
func (t *turn) readUser(ctx context.Context, org *store.Org) (gone bool, err error) {
	profile := followup.Profile("", usersync.UserInput{}, nil, false)
	if id := t.run.UserID; id != "" {
		users, err := user.ByID(ctx, org, []string{id})
		if err != nil {
			return false, fmt.Errorf("read the user: %w", err)
		}
		u, known := users[id]
		if !known {
			return true, nil
		}
		consents, err := consent.Of(ctx, org, id)
		if err != nil {
			return false, fmt.Errorf("read the user's wishes: %w", err)
		}
		in := u.Input()
		in.Consent = consents[id]
		t.user, profile = &u, followup.Profile(id, in, u.Tags, u.Removed)
	}
	t.data = reaction.Data(t.run.Event, profile, t.run.Responses)
	return false, nil
}

// resume goes on behind a wait, if the condition still holds.
func (t *turn) resume(ctx context.Context) (over bool, err error) {
	r := t.run
	if yes, why := t.program.Matches(followup.NewSubject(t.data)); !yes {
		return t.end(ctx, t.claim, r, reaction.Skipped, "The condition does not hold any more: "+why)
	}
	step := t.program.Steps[r.Position]
	r.Note(reaction.Deed{Place: step.Place, Type: step.Type(), Status: reaction.DeedDone, Attempts: 1})
	r.Status, r.DueAt, r.Position = reaction.Running, time.Time{}, step.Next
	return t.advance(ctx, nil, false)
}

// next does the step that is next, or ends the run behind the last.
func (t *turn) next(ctx context.Context) (over bool, err error) {
	r := t.run
	if r.Position >= len(t.program.Steps) {
		return t.end(ctx, t.claim, r, reaction.Succeeded, "")
	}
	step := t.program.Steps[r.Position]
	deed := reaction.Deed{Place: step.Place, Type: step.Type(), Status: reaction.DeedDone, Attempts: r.Attempts + 1}
	if step.Type() == followup.Branch {
		next, why := step.Takes(followup.NewSubject(t.data))
		deed.Details = "The condition holds"
		if why != "" {
			deed.Details = "The condition does not hold: " + why
		}
		r.Note(deed)
		r.Position = next
		return t.advance(ctx, nil, false)
	}
	step, err = t.withHeaders(ctx, step)
	if err != nil {
		return t.fail(ctx, deed, err)
	}
	filled, err := step.Fill(t.data)
	if err != nil {
		return t.fail(ctx, deed, err)
	}
	if step.Type() == followup.Wait {
		return t.wait(ctx, step, filled, deed)
	}
	do, known := t.Doers[step.Type()]
	if !known {
		return t.fail(ctx, deed, usersync.Errorf(usersync.CodeInvalid, "This version of the service cannot do the action."))
	}
	done, err := t.outside(ctx, do, Doing{Org: t.Store.Org(t.claim.Organization), Run: r, Event: r.Event, User: t.user, Action: filled, Place: step.Place,
		At: r.ReadAt, Traceparent: t.claim.Traceparent})
	if err != nil {
		if ctx.Err() != nil {
			return false, err // the process ends: the action is no failure
		}
		return t.fail(ctx, deed, err)
	}
	return t.done(ctx, step, filled, deed, done)
}

// outside does an action without its organization's turn: others may take as long as they
// like to answer.
func (t *turn) outside(ctx context.Context, do Doer, d Doing) (Done, error) {
	t.leave()
	t.leave = nil
	done, err := do(ctx, d)
	return done, cmp.Or(t.enter(ctx), err)
}

// withHeaders returns a step with the headers that its definition does not show.
func (t *turn) withHeaders(ctx context.Context, step followup.Step) (followup.Step, error) {
	address, hidden := step.Address()
	if !hidden {
		return step, nil
	}
	values, err := catalog.HeadersOf(ctx, t.Store.Org(t.claim.Organization), t.run.FollowUpID, t.run.Version, step.Place, address)
	if err != nil {
		return step, fmt.Errorf("read the headers: %w", err)
	}
	return step.WithHeaders(values)
}

// done writes what came of an action and moves the run on, in one transaction. What the
// action may not write is its failure.
func (t *turn) done(ctx context.Context, step followup.Step, a followup.Action, deed reaction.Deed, done Done) (over bool, err error) {
	before := *t.run
	before.Story = slices.Clone(before.Story)
	deed.Details = done.Details
	t.run.Note(deed)
	if a.Name != "" && done.Response != nil {
		t.run.Responses[a.Name] = done.Response
	}
	t.run.Position, t.run.Attempts = step.Next, 0
	over, err = t.advance(ctx, done.Write, true)
	refused := usersync.AsError(err)
	if err == nil || errors.Is(err, store.ErrStale) || errors.Is(err, outbox.ErrClaimLost) || refused.Code.Retryable() {
		return over, err
	}
	*t.run = before
	deed.Details = ""
	return t.fail(ctx, deed, err)
}

// wait has the run go on later. A moment that has passed is now.
func (t *turn) wait(ctx context.Context, step followup.Step, a followup.Action, deed reaction.Deed) (over bool, err error) {
	r := t.run
	d, err := a.WaitFor(r.ReadAt)
	if err != nil {
		return t.fail(ctx, deed, err)
	}
	if d <= 0 {
		r.Note(deed)
		r.Position = step.Next
		return t.advance(ctx, nil, false)
	}
	r.Status, r.DueAt = reaction.Waiting, r.ReadAt.Add(d)
	deed.Status, deed.NextAt = reaction.DeedWaiting, usersync.Time{Time: r.DueAt}
	r.Note(deed)
	return true, t.rearm(ctx, outbox.At(r.DueAt))
}

// fail has an action tried again later, where that can help, and otherwise ends the run.
func (t *turn) fail(ctx context.Context, deed reaction.Deed, cause error) (over bool, err error) {
	r, failure := t.run, usersync.AsError(cause)
	deed.Details = failure.Message
	if failure.Code == usersync.CodeInternal {
		t.Log.WarnContext(ctx, "an action of a follow-up failed", "run", r.ID, "place", deed.Place, "error", cause)
	}
	if failure.Code != usersync.CodeRateLimited {
		r.Attempts++
	}
	if !failure.Code.Retryable() || r.Attempts >= maxAttempts {
		deed.Status = reaction.DeedFailed
		r.Note(deed)
		return t.end(ctx, t.claim, r, reaction.Failed, placed(deed.Place, failure.Message))
	}
	wait := max(backoff(r.Attempts-1), failure.RetryAfter)
	deed.Status, deed.NextAt = reaction.DeedRetrying, usersync.Time{Time: r.ReadAt.Add(wait)}
	r.Note(deed)
	return true, t.rearm(ctx, outbox.In(wait))
}

// placed says where a run failed. What is wrong with a template says it by itself.
func placed(place, message string) string {
	if strings.HasPrefix(message, place) {
		return message
	}
	return place + ": " + message
}

// advance writes the run as it is now, with what an action writes, and behind the last
// step that it has succeeded. counted says that it is an action, of which a root event may
// lead to so many.
func (t *turn) advance(ctx context.Context, write func(context.Context, *store.Tx) error, counted bool) (over bool, err error) {
	claimed := outbox.Progress
	if over = t.run.Position >= len(t.program.Steps); over {
		t.run.Status, claimed = reaction.Succeeded, outbox.Finish
	}
	return over, t.Store.Tx(ctx, func(tx *store.Tx) error {
		if err := claimed(ctx, tx, t.claim); err != nil {
			return err
		}
		if counted {
			if err := reaction.Count(ctx, tx, t.claim.Organization, t.run); err != nil {
				return err
			}
		}
		if err := reaction.Save(ctx, tx, t.claim.Organization, t.run); err != nil || write == nil {
			return err
		}
		return write(ctx, tx)
	})
}

// rearm writes the run as it is now, and has its task come again.
func (t *turn) rearm(ctx context.Context, when outbox.When) error {
	return t.Store.Tx(ctx, func(tx *store.Tx) error {
		if err := outbox.Rearm(ctx, tx, t.claim, t.claim.Args, when); err != nil {
			return err
		}
		return reaction.Save(ctx, tx, t.claim.Organization, t.run)
	})
}

// end ends a run and its task.
func (s *Service) end(ctx context.Context, c usersync.Claim, r *reaction.Run, status reaction.Status, why string) (over bool, err error) {
	r.Status, r.Error, r.DueAt = status, why, time.Time{}
	return true, s.Store.Tx(ctx, func(tx *store.Tx) error {
		if err := outbox.Finish(ctx, tx, c); err != nil {
			return err
		}
		return reaction.Save(ctx, tx, c.Organization, r)
	})
}
