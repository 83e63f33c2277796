package pusher

import (
	"context"
	"fmt"
	"slices"
	"time"

	"golang.org/x/sync/errgroup"

	"usersync/internal/connector"
	"usersync/internal/platform"
	"usersync/internal/request"
	"usersync/internal/usersync"
)

// takeOff takes users off the platform who stay users here. Where the platform can archive
// people they are archived, so that a later push brings them back.
func (p *turn) takeOff(ctx context.Context, due []platform.PushRow) error {
	if len(due) == 0 {
		return nil
	}
	c, err := p.open(usersync.PlatformSync{Absent: true})
	if err != nil {
		return p.disconnect(ctx, usersync.AsError(err))
	}
	items, gone, err := p.load(ctx, due)
	if err != nil {
		return fmt.Errorf("load the users to take off: %w", err)
	}
	erased, err := p.begin(ctx, items)
	if err != nil {
		return err
	}
	for it := range erased {
		gone = append(gone, it.push.UserID)
	}
	items = slices.DeleteFunc(items, func(it *item) bool { return erased[it] })
	var group errgroup.Group
	group.SetLimit(removeAtOnce)
	for _, it := range items {
		it.called, it.err = true, errUnsaid
		group.Go(func() error {
			it.result, it.err = p.takeOffOne(ctx, c, it)
			return nil
		})
	}
	_ = group.Wait() // Each call's error is with its item.
	if ctx.Err() != nil {
		return ctx.Err()
	}
	if len(items)+len(gone) == 0 {
		return nil
	}
	return p.record(ctx, items, func(ctx context.Context, b *outcomes, items []*item) error {
		return b.writeDepartures(ctx, items, gone)
	})
}

// errUnsaid is of a removal of which nobody knows how it ended.
var errUnsaid = usersync.Errorf(usersync.CodeUnavailable, "The platform did not say what became of the user.")

func (p *turn) takeOffOne(ctx context.Context, c connector.Connector, it *item) (connector.Result, *usersync.Error) {
	ctx, cancel := context.WithTimeout(ctx, callWithin-5*time.Second)
	defer cancel()
	who := it.push
	who.Removal = it.profile.Email
	watched, noted := watch(ctx, it)
	result, err := guarded(p, func() (connector.Result, error) { return removeBoth(watched, c, who) })
	noted()
	failure := usersync.AsError(err)
	if failure != nil && failure.Code == usersync.CodeRejected {
		return connector.Result{Status: connector.Failed, Err: failure}, nil
	}
	if failure == nil && result.Status == "" && result.Err == nil {
		failure = errUnsaid
	}
	return result, failure
}

// writeDepartures writes who was taken off, and tells those who wait for it. Those who
// waited for a push that was wanted before wait no more.
func (b *outcomes) writeDepartures(ctx context.Context, items []*item, gone []string) error {
	endings, users := make(map[string]ending, len(items)), append([]string(nil), gone...)
	for _, it := range items {
		e := b.ending(it, it.push.Attempts)
		endings[it.push.UserID], users = expired(e, it.push.WantedAt), append(users, it.push.UserID)
	}
	waits, err := platform.StateWaits(ctx, b.tx, b.id, compact(users))
	if err != nil {
		return fmt.Errorf("read who waits for the users: %w", err)
	}
	for _, w := range waits {
		e, known := endings[w.UserID]
		switch {
		case !known:
			b.end(w, ending{status: request.StepSkipped, reason: platform.ReasonErased, details: "The user was erased"})
		case w.Mode == usersync.PushAbsence:
			b.end(w, e)
		default:
			b.overtaken(w, w.Absent)
		}
	}
	departures := make([]platform.Departure, 0, len(items))
	for _, it := range items {
		e := endings[it.push.UserID]
		departures = append(departures, platform.Departure{UserID: it.push.UserID, Gone: e.status == request.StepSynced, DueAt: e.next, Attempts: e.attempts})
	}
	if err := platform.SaveDepartures(ctx, b.tx, b.id, departures); err != nil {
		return err
	}
	if err := platform.DropGone(ctx, b.tx, b.id, gone); err != nil {
		return fmt.Errorf("drop the pushes of users who are gone: %w", err)
	}
	return b.save(ctx)
}

// overtaken ends a wait for what is not wanted any more, if so it is: the other was wanted
// after it.
func (b *outcomes) overtaken(w platform.Wait, so bool) {
	if !so {
		return
	}
	details := "The user was to be taken off the platform after that"
	if w.Mode == usersync.PushAbsence {
		details = "The user was wanted on the platform again after that"
	}
	b.end(w, ending{status: request.StepSkipped, reason: platform.ReasonOvertaken, details: details})
}
