package pipeline

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"slices"
	"time"

	"usersync/internal/bulk"
	"usersync/internal/connector"
	"usersync/internal/destination"
	"usersync/internal/outbox"
	"usersync/internal/platform"
	"usersync/internal/queue"
	"usersync/internal/request"
	"usersync/internal/store"
	"usersync/internal/usersync"
)

// PlatformBulk plans the pushes of many users to one connection.
var PlatformBulk = queue.Kind[PlatformArgs]{Name: "platform.bulk", Queue: queue.Bulk, Timeout: 2 * time.Minute}

const (
	// bulkSlice is how many users are planned in one transaction: few enough to
	// keep nobody waiting.
	bulkSlice = 1000
	// defaultBulkTurn is like the turn of an import.
	defaultBulkTurn = 3 * time.Second
	// audienceWithin bounds the making of an audience, the fence ahead of it
	// included. The platform has the rest of the claim's time to end a call that
	// was given up.
	audienceWithin = outbox.ClaimFor - 5*time.Second
)

// bulk plans a bulk slice by slice, so that it goes on where it was. The pusher of
// the connection pushes meanwhile; the bulk is finished by whoever of the two
// comes last.
func (s *Service) bulk(ctx context.Context, c usersync.Claim, args PlatformArgs) error {
	org := s.Store.Org(c.Organization)
	b, ok, err := bulk.Load(ctx, org, args.RequestID)
	if err != nil {
		return err
	}
	if !ok || b.Planned {
		return s.Store.Tx(ctx, func(tx *store.Tx) error { return outbox.Finish(ctx, tx, c) })
	}
	if !b.Began {
		if done, err := s.beginBulk(ctx, c, &b); err != nil || done {
			return err
		}
	}
	slices.Sort(b.Input.UserIDs)
	b.Input.UserIDs = slices.Compact(b.Input.UserIDs)
	//lint:clock it measures the turn
	for ends := time.Now().Add(cmp.Or(s.BulkTurn, defaultBulkTurn)); ; { //lint:loop works slice after slice, each in a transaction
		slice, err := s.bulkUsers(ctx, org, b)
		if err != nil {
			return err
		}
		over := time.Now().After(ends) //lint:clock as above
		if err := s.saveSlice(ctx, c, b, slice, over); err != nil || over || slice.Last {
			return err
		}
		b.Cursor = slice.Cursor
	}
}

// beginBulk makes the audience, when one is asked for, and opens the count. done
// says that the bulk has failed and nothing is left to do.
func (s *Service) beginBulk(ctx context.Context, c usersync.Claim, b *bulk.Bulk) (done bool, err error) {
	step, failure, err := s.bulkStep(ctx, c.Organization, b.Input.Connection)
	if err != nil {
		return false, err
	}
	var audience string
	if failure == nil && b.Input.AudienceName != "" && !b.Input.DryRun {
		audience, failure, err = s.makeAudience(ctx, c, b)
	}
	if err != nil {
		return false, err
	}
	if failure != nil {
		step.Status, step.ErrorCode, step.ErrorMessage, step.Attempts = request.StepFailed, failure.Code, failure.Message, b.Run
		return true, s.failBulk(ctx, c, b.ID, step)
	}
	b.Began = true
	return false, s.Store.Tx(ctx, func(tx *store.Tx) error {
		if err := outbox.Progress(ctx, tx, c); err != nil {
			return err
		}
		return bulk.Begin(ctx, tx, c.Organization, *b, audience, step)
	})
}

// bulkStep is the one step of a bulk; failure says why nothing can be pushed to
// its connection.
func (s *Service) bulkStep(ctx context.Context, organization, connection string) (step request.Step, failure *usersync.Error, err error) {
	connections, err := destination.List(ctx, s.Store.Org(organization))
	if err != nil {
		return step, nil, err
	}
	conn := platform.Connection{ID: connection, Status: platform.ConnectionDeleted}
	for _, c := range connections {
		if c.ID == connection {
			conn = c
		}
	}
	if reason := platform.SkipReason(conn.Status); reason != "" {
		failure = restFailure(reason)
	}
	return bulkStepAt(conn), failure, nil
}

// bulkStepAt is the step of a bulk before anything was pushed.
func bulkStepAt(conn platform.Connection) request.Step {
	return request.Step{Name: request.StepPlatform, Platform: conn.Platform, ConnectionID: conn.ID, Status: request.StepPending}
}

func restFailure(reason string) *usersync.Error {
	switch reason {
	case platform.ReasonConnectionPaused:
		return usersync.Errorf(usersync.CodeConflict, "The connection is paused.")
	case platform.ReasonConnectionDisconnected:
		return usersync.Errorf(usersync.CodeDisconnected, "The platform refuses the connection's credentials.")
	}
	return usersync.Errorf(usersync.CodeConflict, "The connection was deleted.")
}

// makeAudience has the platform make the audience and points b's pushes to it.
// A failure is the platform's refusal; trying again is of no use.
//
// The platform finds an audience by its name before it makes one, so two workers
// at once could make two. The fence comes first, and renews the claim for longer
// than the calls may take: meanwhile nobody else has the task. Whoever has it later
// finds what was made.
func (s *Service) makeAudience(ctx context.Context, c usersync.Claim, b *bulk.Bulk) (id string, failure *usersync.Error, err error) {
	ctx, cancel := context.WithTimeout(ctx, audienceWithin)
	defer cancel()
	err = s.Store.Tx(ctx, func(tx *store.Tx) error { return outbox.Hold(ctx, tx, c) })
	if err != nil {
		return "", nil, fmt.Errorf("hold the claim: %w", err)
	}
	opened, err := s.Open(ctx, c.Organization, b.Input.Connection)
	if err == nil {
		maker, ok := opened.(connector.AudienceMaker)
		if !ok {
			return "", usersync.Errorf(usersync.CodeInvalid, "This platform has no audiences to make."), nil
		}
		var patch usersync.PlatformSync
		if id, patch, err = maker.MakeAudience(ctx, b.Input.AudienceName, b.Input.AudienceDescription); err == nil {
			b.Input.List, b.Input.Tags = patch.List, patch.Tags
			return id, nil, nil
		}
	}
	if usersync.CodeOf(err).Retryable() {
		return "", nil, err
	}
	return "", usersync.AsError(err), nil
}

// bulkUsers returns the next users to plan.
func (s *Service) bulkUsers(ctx context.Context, org *store.Org, b bulk.Bulk) (bulk.Slice, error) {
	switch {
	case b.Again:
		return bulk.SliceAgain(ctx, org, b.ID, b.Cursor, bulkSlice)
	case len(b.Input.UserIDs) > 0:
		return bulk.SliceNamed(ctx, org, b.Input.UserIDs, b.Cursor, bulkSlice)
	}
	return bulk.SliceUsers(ctx, org, b.Cursor, b.Input.ActiveSince.Time, bulkSlice)
}

// saveSlice writes a slice's pushes under the claim. At the end of a turn
// another task goes on, as with imports.
func (s *Service) saveSlice(ctx context.Context, c usersync.Claim, b bulk.Bulk, slice bulk.Slice, over bool) error {
	var finished []string
	err := s.Store.Tx(ctx, func(tx *store.Tx) (err error) {
		// Nobody would push to a connection that is deleted meanwhile, and who
		// deletes it now waits for the lock.
		if gone, err := deleted(ctx, tx, c.Organization, b.Input.Connection); gone || err != nil {
			return cmp.Or(err, errDeleted)
		}
		if over || slice.Last {
			err = outbox.Finish(ctx, tx, c)
		} else {
			err = outbox.Progress(ctx, tx, c)
		}
		if err != nil {
			return err
		}
		if err := platform.WantPushes(ctx, tx, c.Organization, bulkWants(b, slice.Users)); err != nil {
			return err
		}
		if err := bulk.Advance(ctx, tx, c.Organization, b, slice); err != nil {
			return err
		}
		if slice.Last {
			finished, err = bulk.Finish(ctx, tx, c.Organization, b.ID)
			return err
		}
		if !over {
			return nil
		}
		id := usersync.DeriveID(usersync.PrefixTask, c.TaskID, slice.Cursor)
		return outbox.Enqueue(ctx, tx, TaskOf(request.KindPlatformBulk, id, c.Organization, c.Traceparent, b.ID))
	})
	if errors.Is(err, errDeleted) {
		step := bulkStepAt(platform.Connection{ID: b.Input.Connection})
		failure := restFailure(platform.ReasonConnectionDeleted)
		step.Status, step.ErrorCode, step.ErrorMessage, step.Attempts = request.StepFailed, failure.Code, failure.Message, b.Run
		return s.failBulk(ctx, c, b.ID, step)
	}
	if err != nil {
		return err
	}
	s.Queue.PublishFinished(ctx, finished)
	return nil
}

// errDeleted ends the planning of a bulk whose connection is gone.
var errDeleted = errors.New("pipeline: the connection was deleted")

// deleted locks a connection and reports whether it is gone.
func deleted(ctx context.Context, tx *store.Tx, organization, connection string) (bool, error) {
	conn, err := platform.LockConnection(ctx, tx, organization, connection)
	if errors.Is(err, platform.ErrNoConnection) {
		return true, nil
	}
	return conn.Status == platform.ConnectionDeleted, err
}

func bulkWants(b bulk.Bulk, users []bulk.UserVersion) []platform.Want {
	wants := make([]platform.Want, len(users))
	for i, u := range users {
		wants[i] = platform.Want{
			ConnectionID: b.Input.Connection, UserID: u.ID, RequestID: b.ID, Position: -1,
			Mode: b.Input.Mode(), Version: u.Version, Rank: platform.RankBulk,
		}
	}
	return wants
}

func (s *Service) failBulk(ctx context.Context, c usersync.Claim, id string, step request.Step) error {
	var finished []string
	err := s.Store.Tx(ctx, func(tx *store.Tx) (err error) {
		if err := outbox.Finish(ctx, tx, c); err != nil {
			return err
		}
		finished, err = bulk.Fail(ctx, tx, c.Organization, id, step)
		return err
	})
	if err != nil {
		return err
	}
	s.Queue.PublishFinished(ctx, finished)
	return nil
}

// giveUpBulk ends a bulk that could not be planned to its end; what is planned
// is pushed all the same.
func (s *Service) giveUpBulk(ctx context.Context, c usersync.Claim, args PlatformArgs, _ error) error {
	return s.failBulk(ctx, c, args.RequestID, request.Step{
		Name: request.StepPlatform, Status: request.StepFailed, Attempts: 1,
		ErrorCode: usersync.CodeInternal, ErrorMessage: "The users could not all be planned.",
	})
}
