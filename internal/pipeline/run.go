// Package pipeline works accepted requests: it stores the users, finds their
// colleagues, bills the credit and has the webhooks sent. A batch of one
// organization's requests is worked as a set.
package pipeline

import (
	"context"
	"errors"
	"log/slog"
	"slices"
	"time"

	"usersync/internal/colleague"
	"usersync/internal/connector"
	"usersync/internal/destination"
	"usersync/internal/event"
	"usersync/internal/fairness"
	"usersync/internal/platform"
	"usersync/internal/queue"
	"usersync/internal/reaction"
	"usersync/internal/request"
	"usersync/internal/store"
	"usersync/internal/telemetry"
	"usersync/internal/tenant"
	"usersync/internal/user"
	"usersync/internal/usersync"
)

// Run works requests of one organization from where they are to their end.
var Run = queue.Kind[RunArgs]{Name: "pipeline.run", Queue: queue.Run, Timeout: time.Minute, Coalesce: runCoalesced}

// runCoalesced is how many bytes of arguments a run also takes: the ids of some 120
// requests.
const runCoalesced = 4096

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
	// Open opens a connection of an organization, for what is done before its
	// pushes.
	Open func(ctx context.Context, organization, connection string) (connector.Connector, error)
	// Local are the slots of the deliveries that this worker makes itself; nil
	// where there are none.
	Local *queue.LocalSlots
	// Turns keep an organization's events beside its runs of follow-ups.
	Turns *fairness.Turns
	// BulkTurn is how long a bulk has its slot before it stands in line again.
	// 0: 3 s.
	BulkTurn time.Duration

	organizations destination.Known
	followUps     reaction.Known
}

// Handlers returns the handlers of the requests' tasks, one for each kind.
func (s *Service) Handlers() []queue.Handler {
	run := Run.WorkLocal(s.run, s.giveUp)
	run.Claim = s.claimRun
	return []queue.Handler{
		run,
		PlatformSync.Work(s.syncPlatforms, s.giveUpPlatforms),
		PlatformBulk.Work(s.bulk, s.giveUpBulk),
		EventRun.Work(s.runEvents, s.giveUpEvents),
	}
}

// maxStale bounds how often a batch is loaded again because a user changed
// between reading and writing.
const maxStale = 10

func (s *Service) run(ctx context.Context, c usersync.Claim, _ RunArgs) ([]queue.LocalTask, error) {
	args, err := argsOf(c)
	if err != nil {
		return nil, err
	}
	var erased []string
	for try := 0; ; try++ { //lint:loop loads again what another has changed meanwhile
		local, err := s.once(ctx, c, args, erased)
		gone, found := errors.AsType[*colleague.ErasedError](err)
		if found {
			erased = append(erased, gone.Keys...)
		}
		if !found && !errors.Is(err, store.ErrStale) || try == maxStale {
			return local, err
		}
		c.Known = nil // what the claim brought along has been worked and is not true any more
	}
}

// argsOf joins the arguments of all tasks of a claim.
func argsOf(c usersync.Claim) (joined RunArgs, err error) {
	all, err := Run.ArgsOf(c)
	for _, args := range all {
		joined.RequestIDs = append(joined.RequestIDs, args.RequestIDs...)
	}
	return joined, err
}

// once works the batch from what is stored now. erased are the e-mail keys of
// people who must not count as colleagues though a source knows them.
func (s *Service) once(ctx context.Context, c usersync.Claim, args RunArgs, erased []string) ([]queue.LocalTask, error) {
	b, err := s.load(ctx, c, args)
	if err != nil {
		return nil, err
	}
	if len(b.works) == 0 {
		return s.settle(ctx, b, s.Local, nil)
	}
	s.Metrics.RunBatch.Observe(float64(len(b.works)))
	results, err := s.Search.Run(ctx, s.Store.Org(c.Organization), b.organization.Settings, b.searched())
	if err != nil {
		return nil, err
	}
	leaveOut(results, erased)
	s.reportUnanswered(ctx, results)
	return s.settle(ctx, b, s.Local, func(i int) verdict { return found(b.works[i], results[i]) })
}

func leaveOut(results []colleague.Result, keys []string) {
	if len(keys) == 0 {
		return
	}
	for i := range results {
		results[i].Found = slices.DeleteFunc(results[i].Found, func(m colleague.Match) bool { return slices.Contains(keys, m.Email.Key()) })
	}
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
	c.Known = nil // the run has changed what the claim brought along
	b, err := s.load(ctx, c, args)
	if err != nil {
		return err
	}
	// A task that is given up hands nothing back: its webhooks go over the queue.
	_, err = s.settle(ctx, b, nil, func(i int) verdict {
		return verdict{step: failedStep(b.works[i], usersync.CodeInternal, "The request could not be worked.")}
	})
	return err
}

// batch is what one run works: requests of one organization in the order of
// their acceptance, and their users with everything merged that they say.
type batch struct {
	claim        usersync.Claim
	asked        []string // the ids of the requests that the task names
	organization tenant.Organization
	targets      []platform.Connection
	works        []request.Work
	users        map[string]*usersync.User
	altered      map[string]bool // by user id
	changed      []user.Update
	events       []event.Event
}

// fresh reports whether no request of the batch was worked before.
func (b *batch) fresh() bool {
	return !slices.ContainsFunc(b.works, func(w request.Work) bool { return !w.Fresh() })
}

// startedAt is when the task of a request was first claimed.
func (b *batch) startedAt(w request.Work) time.Time {
	for _, c := range b.claim.Coalesced {
		if c.TaskID == w.TaskID {
			return c.StartedAt
		}
	}
	return b.claim.StartedAt
}

// load takes what the claim brought along, and loads the rest.
func (s *Service) load(ctx context.Context, c usersync.Claim, args RunArgs) (*batch, error) {
	all, known := c.Known.(loaded)
	if !known {
		var err error
		if all.works, err = request.Load(ctx, s.Store, c, args.RequestIDs); err != nil {
			return nil, err
		}
	}
	works, err := s.readdress(ctx, c, args, all.works)
	if err != nil {
		return nil, err
	}
	organization, targets, err := s.organizations.Get(ctx, s.Store, c.Organization, all.version)
	if err != nil {
		return nil, err
	}
	b := &batch{claim: c, asked: args.RequestIDs, organization: organization, targets: targets, works: works, users: map[string]*usersync.User{}}
	b.merge()
	return b, nil
}

// merge applies what each request says of its user, oldest first.
func (b *batch) merge() {
	b.altered = map[string]bool{}
	for i := range b.works {
		w := &b.works[i]
		if w.User.ID == "" {
			continue // an event that is about nobody
		}
		u := b.users[w.User.ID]
		if u == nil {
			u = &w.User
			b.users[u.ID] = u
		}
		var left []string
		w.Input, left = u.Fitting(w.Input, w.Sequence)
		b.note(w, u, left)
		if u.Apply(w.Input, w.Sequence) {
			b.altered[u.ID] = true
		}
	}
	for id := range b.altered {
		u := b.users[id]
		b.changed = append(b.changed, user.Update{User: *u, Identity: user.IdentityOf(u.UserInput)})
	}
}

// note writes down what a request changes of its user, before it does: the
// names of the fields, and of the attributes that are left out. Its id derives from the request, so that a request tells
// each event once.
func (b *batch) note(w *request.Work, u *usersync.User, left []string) {
	t, fields := event.UserUpdated, u.Changes(w.Input, w.Sequence)
	if u.MadeBy(w.Sequence) {
		t, fields = event.UserCreated, new(usersync.User).Changes(w.Input, w.Sequence)
	} else if len(fields)+len(left) == 0 {
		return
	}
	attributes := map[string]any{"fields": append([]usersync.Field{}, fields...)}
	if len(left) > 0 {
		attributes["leftOut"] = left
	}
	b.events = append(b.events, event.Event{
		ID: usersync.DeriveID(usersync.PrefixEvent, w.ID, string(t)), Type: t, Source: string(w.Kind), UserID: u.ID, Cause: w.ID,
		Attributes: attributes,
	})
}

// searched returns whose colleagues are looked for.
func (b *batch) searched() []colleague.Target {
	targets := make([]colleague.Target, len(b.works))
	for i, w := range b.works {
		u := b.users[w.User.ID]
		targets[i] = colleague.Target{Email: u.Email, Name: u.FullName(), Country: u.Country, JobTitle: u.JobTitle}
	}
	return targets
}
