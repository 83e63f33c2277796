// Package pipeline works accepted requests: it stores the users, finds their
// colleagues, bills the credit and has the webhooks sent. A batch of one
// organization's requests is worked as a set.
package pipeline

import (
	"context"
	"errors"
	"log/slog"
	"time"

	"usersync/internal/colleague"
	"usersync/internal/queue"
	"usersync/internal/store"
	"usersync/internal/telemetry"
	"usersync/internal/usersync"
)

// Run works requests of one organization from where they are to their end.
var Run = queue.Kind[RunArgs]{Name: "pipeline.run", Queue: queue.Run, Timeout: time.Minute}

// RunArgs are the arguments of Run.
type RunArgs struct {
	RequestIDs []string `json:"requests"`
}

// Items returns the ids of the requests.
func (a RunArgs) Items() []string { return a.RequestIDs }

// Only returns the arguments for one of the requests.
func (RunArgs) Only(id string) RunArgs { return RunArgs{[]string{id}} }

// Service works requests.
type Service struct {
	Store   *store.Store
	Queue   *queue.Client
	Search  *colleague.Search
	Metrics *telemetry.Metrics
	Log     *slog.Logger
}

// Handler returns the handler of Run.
func (s *Service) Handler() queue.Handler { return Run.Work(s.run, s.giveUp) }

// maxStale bounds how often a batch is loaded again because a user changed
// between reading and writing.
const maxStale = 10

func (s *Service) run(ctx context.Context, c usersync.Claim, args RunArgs) error {
	for try := 0; ; try++ {
		err := s.once(ctx, c, args)
		if !errors.Is(err, store.ErrStale) || try == maxStale {
			return err
		}
	}
}

func (s *Service) once(ctx context.Context, c usersync.Claim, args RunArgs) error {
	b, err := s.load(ctx, c, args)
	if err != nil {
		return err
	}
	if len(b.works) == 0 {
		return s.Store.Tx(ctx, func(tx *store.Tx) error { return tx.Finish(ctx, c) })
	}
	s.Metrics.RunBatch.Observe(float64(len(b.works)))
	results, err := s.Search.Run(ctx, s.Store.Org(c.Organization), b.organization.Settings, b.targets())
	if err != nil {
		return err
	}
	s.reportUnanswered(ctx, results)
	return s.settle(ctx, b, func(i int) verdict { return found(b.works[i], results[i]) })
}

// reportUnanswered logs once for each service that did not answer: the run goes
// on without it, and the steps name it.
func (s *Service) reportUnanswered(ctx context.Context, results []colleague.Result) {
	seen := map[string]bool{}
	for _, r := range results {
		for _, u := range r.Unanswered {
			if !seen[u.Source] {
				seen[u.Source] = true
				s.Log.WarnContext(ctx, "a colleague source did not answer", "source", u.Source, "code", u.Err.Code, "error", u.Err)
			}
		}
	}
}

// giveUp ends requests that could not be worked: they fail by our fault.
func (s *Service) giveUp(ctx context.Context, c usersync.Claim, args RunArgs, _ error) error {
	b, err := s.load(ctx, c, args)
	if err != nil {
		return err
	}
	return s.settle(ctx, b, func(i int) verdict {
		return verdict{step: failedStep(b.works[i], usersync.CodeInternal, "The request could not be worked.")}
	})
}

// batch is what one run works: requests of one organization in the order of
// their acceptance, and their users with everything merged that they say.
type batch struct {
	claim        usersync.Claim
	organization usersync.Organization
	works        []store.Work
	users        map[string]*usersync.User
	changed      []store.UserUpdate
}

func (s *Service) load(ctx context.Context, c usersync.Claim, args RunArgs) (*batch, error) {
	works, err := s.Store.Work(ctx, c, args.RequestIDs)
	if err != nil {
		return nil, err
	}
	organization, err := s.Store.Organization(ctx, c.Organization)
	if err != nil {
		return nil, err
	}
	b := &batch{claim: c, organization: organization, works: works, users: map[string]*usersync.User{}}
	b.merge()
	return b, nil
}

// merge applies what each request says of its user, oldest first.
func (b *batch) merge() {
	changed := map[string]bool{}
	for i := range b.works {
		w := &b.works[i]
		u := b.users[w.User.ID]
		if u == nil {
			u = &w.User
			b.users[u.ID] = u
		}
		if u.Apply(w.Input, w.Sequence) {
			changed[u.ID] = true
		}
	}
	for id := range changed {
		u := b.users[id]
		b.changed = append(b.changed, store.UserUpdate{User: *u, Person: PersonOf(u.UserInput)})
	}
}

func (b *batch) targets() []colleague.Target {
	targets := make([]colleague.Target, len(b.works))
	for i, w := range b.works {
		u := b.users[w.User.ID]
		targets[i] = colleague.Target{Email: u.Email, Name: u.FullName(), Country: u.Country, JobTitle: u.JobTitle}
	}
	return targets
}

// publish tells waiting callers which requests are finished.
func (s *Service) publish(ctx context.Context, outcomes []store.Outcome) {
	var ids []string
	for _, o := range outcomes {
		if o.Status.Final() {
			ids = append(ids, o.RequestID)
		}
	}
	if err := s.Queue.PublishFinished(ctx, ids); err != nil {
		s.Log.DebugContext(ctx, "could not publish finished requests; waiters will poll", "error", err)
	}
}
