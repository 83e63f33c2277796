package pipeline

import (
	"context"
	"errors"
	"slices"
	"time"

	"usersync/internal/destination"
	"usersync/internal/erasure"
	"usersync/internal/outbox"
	"usersync/internal/platform"
	"usersync/internal/queue"
	"usersync/internal/request"
	"usersync/internal/store"
	"usersync/internal/usersync"
)

// PlatformSync plans the pushes of one user to all connections, or to those that the request
// names, or that the user is taken off there.
var PlatformSync = queue.Kind[PlatformArgs]{Name: "platform.sync", Queue: queue.Run, Timeout: time.Minute}

// PlatformArgs are the arguments of PlatformSync and PlatformBulk.
type PlatformArgs struct {
	RequestID string `json:"request"`
}

// syncPlatforms plans what is to be pushed: the pusher of each connection does it.
func (s *Service) syncPlatforms(ctx context.Context, c usersync.Claim, args PlatformArgs) error {
	for try := 0; ; try++ { //lint:loop loads again what another has changed meanwhile
		err := s.planPlatforms(ctx, c, args)
		if !errors.Is(err, store.ErrStale) || try == maxStale {
			return err
		}
	}
}

func (s *Service) planPlatforms(ctx context.Context, c usersync.Claim, args PlatformArgs) error {
	works, err := request.Load(ctx, s.Store, c, []string{args.RequestID})
	if err != nil {
		return err
	}
	if len(works) == 0 {
		return s.savePlatforms(ctx, c, args, nil, wishes{})
	}
	w := works[0]
	steps, connections, err := s.platformSteps(ctx, c.Organization, w)
	if err != nil {
		return err
	}
	outcome := w.Outcome()
	outcome.StartedAt, outcome.Steps, outcome.Status = c.StartedAt, steps, request.StatusOf(steps)
	if outcome.Status.Final() {
		if outcome.FinishedAt, err = s.Store.Now(ctx); err != nil {
			return err
		}
	}
	var all wishes
	all.add(steps, connections, platform.Want{UserID: w.User.ID, RequestID: w.ID,
		Mode: w.Platforms.Mode(), Version: w.User.Version, Rank: platform.RankOnDemand})
	return s.savePlatforms(ctx, c, args, &outcome, all)
}

// platformSteps returns the steps of a platform-sync as this run leaves them, and the
// connections that it has looked at.
func (s *Service) platformSteps(ctx context.Context, organization string, w request.Work) (steps []request.Step, connections []platform.Connection, err error) {
	org := s.Store.Org(organization)
	if connections, err = destination.List(ctx, org); err != nil {
		return nil, nil, err
	}
	if only := w.Platforms.Platform; only != "" {
		connections = slices.DeleteFunc(slices.Clone(connections), func(one platform.Connection) bool { return one.Platform != only })
	}
	var earlier []request.Step
	if w.Run > 1 {
		if earlier, err = request.Steps(ctx, org, w.ID); err != nil {
			return nil, nil, err
		}
	}
	connections = chosen(connections, w.Platforms.Connections)
	return planSteps(earlier, connections, 0, w.Platforms.Mode()).platforms(), connections, nil
}

// chosen returns the connections of some ids, all where there is none. One that is gone
// meanwhile is a deleted one.
func chosen(connections []platform.Connection, ids []string) []platform.Connection {
	if len(ids) == 0 {
		return connections
	}
	out := make([]platform.Connection, len(ids))
	for i, id := range ids {
		out[i] = connectionOf(connections, request.Step{ConnectionID: id})
	}
	return out
}

// savePlatforms writes an outcome under the claim; nil ends a request whose
// user is gone, and one that has moved on. Who waits for the request is told also where
// nothing can be pushed now.
func (s *Service) savePlatforms(ctx context.Context, c usersync.Claim, args PlatformArgs, o *request.Outcome, all wishes) error {
	var finished []string
	err := s.Store.Tx(ctx, func(tx *store.Tx) (err error) {
		finished = nil
		if err := outbox.Finish(ctx, tx, c); err != nil {
			return err
		}
		if o == nil {
			finished, err = erasure.EndOrphans(ctx, tx, c, []string{args.RequestID})
			return err
		}
		if finished, err = request.SaveOutcomes(ctx, tx, c.Organization, []request.Outcome{*o}); err != nil {
			return err
		}
		return all.save(ctx, tx, c.Organization)
	})
	if err != nil {
		return err
	}
	if len(all.later) > 0 && len(all.now) == 0 {
		finished = []string{args.RequestID}
	}
	s.Queue.PublishFinished(ctx, finished)
	return nil
}

// giveUpPlatforms ends a request that could not be planned: it fails by our
// fault.
func (s *Service) giveUpPlatforms(ctx context.Context, c usersync.Claim, args PlatformArgs, _ error) error {
	works, err := request.Load(ctx, s.Store, c, []string{args.RequestID})
	if err != nil {
		return err
	}
	if len(works) == 0 {
		return s.savePlatforms(ctx, c, args, nil, wishes{})
	}
	now, err := s.Store.Now(ctx)
	if err != nil {
		return err
	}
	step := failedStep(works[0], usersync.CodeInternal, "The request could not be worked.")
	step.Name = request.StepPlatform
	outcome := works[0].Outcome()
	outcome.StartedAt, outcome.FinishedAt, outcome.Steps, outcome.Status = c.StartedAt, now, []request.Step{step}, request.Failed
	return s.savePlatforms(ctx, c, args, &outcome, wishes{})
}
