// Package pusher makes the calls to platforms (docs/adr/0011): one turn at a time at each
// connection, of what package platform says is due there.
package pusher

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"log/slog"
	"sync"
	"time"

	"usersync/internal/connector"
	"usersync/internal/outbox"
	"usersync/internal/platform"
	"usersync/internal/queue"
	"usersync/internal/store"
	"usersync/internal/telemetry"
	"usersync/internal/usersync"
)

// Pusher pushes users to platforms.
type Pusher struct {
	Store *store.Store
	Queue *queue.Client
	// FindPlatform finds a platform by name.
	FindPlatform func(name string) (connector.Platform, bool)
	// Hub makes the calls.
	Hub     *connector.Hub
	Metrics *telemetry.Metrics
	Log     *slog.Logger

	seen sync.Map // by connection: when it was changed last
}

// changed reports whether a connection was changed since this process last saw it.
func (s *Pusher) changed(c platform.Connection) bool {
	before, known := s.seen.Swap(c.ID, c.UpdatedAt)
	return known && before != c.UpdatedAt
}

// Handler returns the handler of Push.
func (s *Pusher) Handler() queue.Handler { return platform.Push.Work(s.push, s.again) }

// again does not give up: what the rows say is still to be done.
func (s *Pusher) again(ctx context.Context, c usersync.Claim, _ platform.PushArgs, _ error) error {
	return s.Store.Tx(ctx, func(tx *store.Tx) error { return outbox.Rearm(ctx, tx, c, c.Args, outbox.In(10*time.Minute)) })
}

const (
	// pushTurn is how long a task goes on before it lets others have its slot.
	pushTurn = 3 * time.Second
	// callWithin bounds one push of a batch, waiting for the account's limits
	// included.
	callWithin = 90 * time.Second
	// orphanWait is how long the calls of a worker that lost its claim may still
	// be under way before they are made again. One that lives pushes once more
	// when it sees that it has lost it.
	orphanWait = 5 * time.Second
	// recordWithin is how long what a platform answered may take to be written
	// after the worker was told to stop.
	recordWithin = 4 * time.Second
	// unknownPlatform is how long a connection waits whose platform only a newer
	// release knows.
	unknownPlatform = time.Minute
	// atRest bounds the rows of one transaction that ends what waits at a
	// connection which is not active.
	atRest = 500
)

func (s *Pusher) push(ctx context.Context, c usersync.Claim, args platform.PushArgs) error {
	p := &turn{Pusher: s, claim: c, org: s.Store.Org(c.Organization), id: args.ConnectionID, done: map[connector.Status]int{}}
	err := p.run(ctx)
	telemetry.Add(ctx, slog.String("connection", p.id), slog.String("platform", p.connection.Platform), slog.Any("pushed", p.done))
	return err
}

// turn is one turn at one connection.
type turn struct {
	*Pusher
	claim      usersync.Claim
	org        *store.Org
	id         string
	connection platform.Connection
	platform   connector.Platform
	// opened are the connectors of this turn, by what overrides the settings.
	opened map[string]connector.Connector
	// clock tells the database's time. It is told with all that is due.
	clock clock
	// notBefore is when the platform may be asked again, by the database's clock.
	// restUntil is when it wants to be asked again, which is told.
	notBefore, restUntil time.Time
	done                 map[connector.Status]int
	// orphans are calls of a claim that was lost, which a later turn makes again.
	orphans int
	// asks is when a platform is to be asked next how a job went that was seen in this turn.
	asks time.Time
}

func (p *turn) run(ctx context.Context) error {
	if given, err := p.takeOver(ctx); given || err != nil {
		return err
	}
	began := time.Now()                //lint:clock it measures the turn
	for time.Since(began) < pushTurn { //lint:loop each turn takes and pushes what is due then
		active, err := p.look(ctx)
		if err != nil {
			return err
		}
		if !active {
			return p.rest(ctx)
		}
		more, err := p.work(ctx)
		if err != nil {
			return err
		}
		if !p.notBefore.IsZero() || !more && !p.awaitJob(ctx) {
			break
		}
	}
	return p.end(ctx)
}

const (
	// jobsWithin is how soon a job must be asked for that a turn waits for. It takes longer
	// until a task that was handed back comes again.
	jobsWithin = 1500 * time.Millisecond
	// lookEvery is how often such a turn looks for other work.
	lookEvery = 250 * time.Millisecond
)

// awaitJob waits for a platform that works on a job which was just made. It reports false
// where there is none.
func (p *turn) awaitJob(ctx context.Context) bool {
	left := p.asks.Sub(p.clock.now())
	if p.asks.IsZero() || left > jobsWithin {
		return false
	}
	if left < 0 {
		p.asks = time.Time{} // the next look finds it
	}
	timer := time.NewTimer(min(max(left, 10*time.Millisecond), lookEvery))
	defer timer.Stop()
	select {
	case <-ctx.Done():
		return false
	case <-timer.C:
		return true
	}
}

// takeOver puts off the calls of a worker that has lost the claim. What ends workers is
// somebody who was called about each time: workers that died in calls about different
// people, as in one restart after the other, are nobody's fault. given says that the task
// was handed back, as one that ends its workers: whoever claims it next gives it up.
func (p *turn) takeOver(ctx context.Context) (given bool, err error) {
	orphans, err := platform.TakeOver(ctx, p.Store, p.id, orphanWait, p.claim.Deaths > 0)
	if err != nil {
		return false, fmt.Errorf("take over the calls of a lost claim: %w", err)
	}
	p.orphans = orphans.Calls
	died := p.claim.Deaths
	if orphans.Deaths == 0 || orphans.Deaths == died {
		return false, nil
	}
	p.claim.Deaths = orphans.Deaths
	if orphans.Deaths >= outbox.MaxDeaths && died < outbox.MaxDeaths {
		return true, p.Store.Tx(ctx, func(tx *store.Tx) error { return outbox.Await(ctx, tx, p.claim, outbox.When{}) })
	}
	return false, outbox.Blame(ctx, p.Store, p.claim, orphans.Deaths)
}

// look reads the connection as it is now and reports whether it is active.
func (p *turn) look(ctx context.Context) (active bool, err error) {
	c, err := platform.GetConnection(ctx, p.org, p.id)
	if errors.Is(err, platform.ErrNoConnection) {
		c, err = platform.Connection{ID: p.id, Organization: p.org.ID(), Status: platform.ConnectionDeleted}, nil
	}
	if err != nil {
		return false, err
	}
	if c.UpdatedAt != p.connection.UpdatedAt || c.Status != p.connection.Status {
		p.opened = map[string]connector.Connector{}
	}
	if p.connection = c; p.changed(c) {
		p.Hub.Forget(p.id) // its breaker knows the one that was
	}
	if c.Status != platform.ConnectionActive {
		return false, nil
	}
	kind, known := p.FindPlatform(c.Platform)
	if !known {
		return false, &usersync.Error{Code: usersync.CodeRateLimited, Message: "No such platform in this release.", RetryAfter: unknownPlatform}
	}
	p.platform = kind
	return true, nil
}

// open returns the connector of the connection with what a request overrides.
func (p *turn) open(patch usersync.PlatformSync) (connector.Connector, error) {
	key := encodePatch(patch)
	if c := p.opened[key]; c != nil {
		return c, nil
	}
	c, err := open(p.platform, p.connection, patch, p.Hub.Client(p.org.ID(), p.id))
	if err == nil {
		p.opened[key] = c
	}
	return c, err
}

func encodePatch(patch usersync.PlatformSync) string {
	text, _ := json.Marshal(usersync.PlatformSync{List: patch.List, Tags: patch.Tags, Absent: patch.Absent}) // strings can always be written
	return string(text)
}

// Open opens a connection of an organization.
func (s *Pusher) Open(ctx context.Context, organization, connection string) (connector.Connector, error) {
	return s.OpenWith(ctx, organization, connection, usersync.PlatformSync{})
}

// OpenWith opens a connection with what a request overrides of its settings.
func (s *Pusher) OpenWith(ctx context.Context, organization, connection string, patch usersync.PlatformSync) (connector.Connector, error) {
	c, err := platform.GetConnection(ctx, s.Store.Org(organization), connection)
	if err != nil {
		return nil, err
	}
	kind, known := s.FindPlatform(c.Platform)
	if !known {
		return nil, &usersync.Error{Code: usersync.CodeRateLimited, Message: "No such platform in this release.", RetryAfter: unknownPlatform}
	}
	return open(kind, c, patch, s.Hub.Client(organization, connection))
}

// open opens a connection with what a request overrides of its settings.
func open(kind connector.Platform, c platform.Connection, patch usersync.PlatformSync, client *connector.Client) (connector.Connector, error) {
	settings, err := kind.Patch(c.Settings, patch)
	if err != nil {
		return nil, fmt.Errorf("apply what the request overrides: %w", err)
	}
	c.Settings = settings
	cfg, err := c.Config()
	if err != nil {
		return nil, err
	}
	return kind.Open(cfg, client)
}

// work does what is due next and reports whether there was anything: what
// somebody waits for, then states, then what nobody waits for.
func (p *turn) work(ctx context.Context) (more bool, err error) {
	if worked, err := p.singles(ctx, platform.RankOnDemand); err != nil || worked {
		return worked, err
	}
	if worked, err := p.states(ctx); err != nil || worked {
		return worked, err
	}
	//lint:loop looks in the order of ranks until one has something
	for _, rank := range []int{platform.RankOrdinary, platform.RankBulk} {
		if worked, err := p.singles(ctx, rank); err != nil || worked {
			return worked, err
		}
	}
	return false, nil
}

// end hands the task back until something is due. The fence locks the task's
// row: who makes something due or changes the connection meanwhile waits for it and wakes
// the task after. Who did so before could not wake a task that was running.
func (p *turn) end(ctx context.Context) error {
	return p.Store.Tx(ctx, func(tx *store.Tx) error {
		waits, err := p.noteThrottle(ctx, tx)
		if err != nil {
			return fmt.Errorf("note until when the platform wants no calls: %w", err)
		}
		if err := outbox.Hold(ctx, tx, p.claim); err != nil {
			return fmt.Errorf("hold the claim: %w", err)
		}
		due, err := platform.NextPush(ctx, tx, p.connection)
		if err != nil {
			return fmt.Errorf("find when a push is due next: %w", err)
		}
		switch {
		case due.IsZero():
			due = platform.NeverDue
		case waits && due.Before(p.notBefore):
			due = p.notBefore
		}
		if p.orphans > 0 {
			return outbox.Await(ctx, tx, p.claim, outbox.At(due))
		}
		return outbox.Rearm(ctx, tx, p.claim, p.claim.Args, outbox.At(due))
	})
}

// toldFrom is from how long on a platform's pause is told. A shorter one is over before
// anybody has read of it.
const toldFrom = 5 * time.Second

// noteThrottle notes in the connection until when its platform wants no calls. It
// returns false when the connection was changed meanwhile, because who changes it may
// have lifted the pause. It comes before the fence, since those who change a
// connection lock it before they wake its task.
func (p *turn) noteThrottle(ctx context.Context, tx *store.Tx) (waits bool, err error) {
	if p.restUntil.IsZero() || p.restUntil.Sub(p.clock.now()) < toldFrom {
		return true, nil
	}
	return platform.Throttle(ctx, tx, p.connection, p.restUntil)
}
