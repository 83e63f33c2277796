// Package app is the composition root. It builds everything once and runs it as the
// API, as a worker, or as both in one process.
package app

import (
	"context"
	"crypto/x509"
	"database/sql/driver"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"net"
	"net/netip"
	"os"
	"slices"
	"sync"
	"time"

	"usersync/internal/action"
	"usersync/internal/api"
	"usersync/internal/colleague"
	"usersync/internal/colleague/hunter"
	"usersync/internal/config"
	"usersync/internal/connector"
	"usersync/internal/connectors"
	"usersync/internal/console"
	"usersync/internal/delivery"
	"usersync/internal/demo"
	"usersync/internal/directory"
	"usersync/internal/erasure"
	"usersync/internal/fairness"
	"usersync/internal/inbound"
	"usersync/internal/intake"
	"usersync/internal/lookup"
	"usersync/internal/outbound"
	"usersync/internal/pipeline"
	"usersync/internal/pusher"
	"usersync/internal/queue"
	"usersync/internal/queue/embedded"
	"usersync/internal/registration"
	"usersync/internal/relay"
	"usersync/internal/seal"
	"usersync/internal/store"
	"usersync/internal/telemetry"
	"usersync/internal/worker"
)

// Role says which part of the service a process is.
type Role string

// The roles.
const (
	API    Role = "api"    // accepts requests
	Worker Role = "worker" // works them
	All    Role = "all"    // both
)

// Options say how to build an App beyond the configuration.
type Options struct {
	Role Role
	Log  *slog.Logger
	// Stdout gets the text for the person at the terminal.
	Stdout io.Writer
	// Schema and Namespace keep installations that share servers apart.
	Schema    string
	Namespace string
	// MailRoots are the authorities that are trusted for mail servers. nil means
	// those of the system.
	MailRoots *x509.CertPool
	// Demo makes the demo organization. It is for the embedded mode.
	Demo bool
	// WrapDatabase is store.Options.Wrap. Only tests set it.
	WrapDatabase func(driver.Connector) driver.Connector
}

// App is a built process. Run it once.
type App struct {
	Store   *store.Store
	Queue   *queue.Client
	Keys    *seal.Keys
	Relay   *relay.Relay
	Batcher *intake.Batcher
	Demo    *demo.Demo

	cfg     *config.Config
	o       Options
	metrics *telemetry.Metrics
	redis   *embedded.Redis
	unlock  func()

	waiters  *intake.Waiters
	edge     *api.Edge
	dialects []api.Dialect
	console  *console.Handlers
	pool     *worker.Pool
	client   *outbound.Client // of deliveries
	services *outbound.Client // of directory services
	issuers  *outbound.Client // of the keys of tokens
	// identities makes the calls to identity providers.
	identities *outbound.Client
	hub        *connector.Hub // of calls to platforms
	recorder   *lookup.Recorder
	api        *listener
	ops        *listener
}

// New opens the database and the queue, listens, and builds what the role
// needs. Nothing is accepted or worked before Run.
func New(ctx context.Context, cfg *config.Config, o Options) (_ *App, err error) {
	a := &App{cfg: cfg, o: o, metrics: telemetry.NewMetrics(), unlock: func() {}}
	defer func() {
		if err != nil {
			a.close()
		}
	}()
	a.metrics.SetVersion(cfg.Version)
	if cfg.Embedded() {
		if err := os.MkdirAll(cfg.DataDir, 0o700); err != nil {
			return nil, fmt.Errorf("make DATA_DIR: %w", err)
		}
		unlock, err := lockDir(cfg.DataDir)
		if err != nil {
			return nil, err
		}
		a.unlock = unlock
		if err := cfg.EnsureSecrets(); err != nil {
			return nil, err
		}
	}
	if a.Keys, err = seal.ParseKeys(cfg.SealingKeys); err != nil {
		return nil, fmt.Errorf("SEALING_KEYS: %w", err)
	}
	if err := a.openStore(ctx); err != nil {
		return nil, err
	}
	if err := a.openQueue(); err != nil {
		return nil, err
	}
	if err := a.listen(); err != nil {
		return nil, err
	}
	if o.Demo {
		if a.Demo, err = demo.Start(ctx, a.Store, cfg.DataDir, a.demoAddr()); err != nil {
			return nil, err
		}
	}
	a.build()
	return a, nil
}

// openStore opens the database. It migrates an embedded database. A deployed one is
// migrated by `usersync migrate`, and the process waits for that.
func (a *App) openStore(ctx context.Context) (err error) {
	a.Store, err = store.Open(ctx, store.Options{URL: a.cfg.DatabaseURL, Dir: a.cfg.DataDir, MaxConns: a.cfg.DatabaseMaxConns, Schema: a.o.Schema, Seal: a.Keys, Wrap: a.o.WrapDatabase, Log: a.o.Log})
	if err != nil && a.Store == nil {
		return err
	}
	if !a.cfg.Embedded() {
		return a.awaitDatabase(ctx)
	}
	_, err = a.Store.Migrate(ctx)
	return err
}

// awaitDatabase waits until the database answers and has this release's schema.
func (a *App) awaitDatabase(ctx context.Context) error {
	for told := false; ; told = true { //lint:loop asks each second until the database answers
		err := a.Store.CheckMigrated(ctx)
		if err == nil {
			return nil
		}
		if !told {
			a.o.Log.WarnContext(ctx, "waiting for the database", "error", err)
		}
		select {
		case <-ctx.Done():
			return err
		case <-time.After(time.Second):
		}
	}
}

func (a *App) openQueue() (err error) {
	url := a.cfg.RedisURL
	if a.cfg.Embedded() {
		if a.redis, err = embedded.Start(); err != nil {
			return err
		}
		url = a.redis.URL()
	}
	a.Queue, err = queue.Connect(queue.Options{URL: url, Namespace: a.o.Namespace, Log: a.o.Log})
	return err
}

// listen opens the ports. A port that is in use ends the start.
func (a *App) listen() (err error) {
	opsAddr := a.cfg.OpsAddr
	if a.o.Role == Worker {
		opsAddr = a.cfg.WorkerOpsAddr()
	} else if a.api, err = listen("ADDR", a.cfg.Addr, a.o.Log); err != nil {
		return err
	}
	if opsAddr == "" {
		return nil
	}
	a.ops, err = listen("OPS_ADDR", opsAddr, a.o.Log)
	return err
}

// demoAddr is the port above that of the API.
func (a *App) demoAddr() string {
	port := a.api.addr().Port() + 1
	return net.JoinHostPort("127.0.0.1", fmt.Sprint(port))
}

// attemptWithin is how long an endpoint has to answer a webhook.
const attemptWithin = 15 * time.Second

// leastPush is the least number of slots for pushes. A connection that hangs holds
// one slot.
const leastPush = 32

// leastDeliver is the least number of slots for deliveries. An endpoint may hold an
// eighth of the slots, and at least one.
const leastDeliver = 8

func (a *App) build() {
	a.Relay = relay.New(relay.Options{Store: a.Store, Queue: a.Queue, Metrics: a.metrics, Log: a.o.Log, Alone: a.cfg.Embedded()})
	guard := &outbound.Guard{Allow: a.cfg.EgressAllow, Own: a.own()}
	if a.Demo != nil {
		guard.Exempt = a.Demo.Receiver.Addrs()
	}
	a.hub = a.newHub(guard)
	if a.o.Role != API {
		a.buildWorker(guard)
	}
	if a.o.Role != Worker {
		a.buildAPI(guard)
	}
	a.buildOperations()
	a.observe()
}

// own lists the ports of this process, which no outgoing call may reach.
func (a *App) own() []netip.AddrPort {
	var own []netip.AddrPort
	for _, l := range []*listener{a.api, a.ops} {
		if l != nil {
			own = append(own, l.addr())
		}
	}
	if a.redis != nil {
		if addr, err := netip.ParseAddrPort(a.redis.Addr()); err == nil {
			own = append(own, addr)
		}
	}
	return own
}

func (a *App) buildWorker(guard *outbound.Guard) {
	a.client = &outbound.Client{Guard: guard, Timeout: attemptWithin, MaxResponse: 64 << 10, UserAgent: "usersync/" + a.version()}
	push := &pusher.Pusher{Store: a.Store, Queue: a.Queue, FindPlatform: connectors.Find, Hub: a.hub, Metrics: a.metrics, Log: a.o.Log}
	deliverSlots := max(a.cfg.WorkerConcurrency, leastDeliver)
	local := queue.NewLocalSlots(deliverSlots)
	presence := &fairness.Presence{}
	turns := fairness.NewTurns(presence)
	run := &pipeline.Service{
		Local: local, Turns: turns, Store: a.Store, Queue: a.Queue, Metrics: a.metrics, Log: a.o.Log,
		Search: a.search(guard), Open: push.Open,
	}
	deliver := &delivery.Service{Store: a.Store, Client: a.client, Metrics: a.metrics, Log: a.o.Log}
	actions := &action.Service{Store: a.Store, Log: a.o.Log, Turns: turns, Doers: action.Doers(action.Means{
		Store: a.Store, Client: a.client, Mail: a.mail(guard),
	})}
	erase := &erasure.Service{Store: a.Store}
	imports := &directory.Service{Store: a.Store}
	taken := &inbound.Service{Store: a.Store, Open: push.Open}
	codes := &registration.Letters{Store: a.Store, Keys: a.Keys, Mail: a.mail(guard), Log: a.o.Log}
	a.pool = &worker.Pool{
		Local: local, Presence: presence, Store: a.Store, Queue: a.Queue, Metrics: a.metrics, Log: a.o.Log,
		Handlers: slices.Concat(deliver.Handlers(), run.Handlers(),
			[]queue.Handler{push.Handler(), erase.Handler(), imports.Handler(), taken.Handler(), actions.Handler(), codes.Handler()}),
		// The help text of WORKER_CONCURRENCY in internal/config says what these
		// numbers mean.
		Slots: map[string]int{
			// Runs keep the database busy and need few slots. Deliveries wait for the
			// servers of others and need many slots. They need at least so many that
			// an endpoint that hangs with its whole share leaves slots for the
			// others. An organization has half of them at most.
			queue.Run:     max(a.cfg.WorkerConcurrency/4, 1),
			queue.Deliver: 2 * deliverSlots,
			// A push waits for a platform, and a connection has one push at a time.
			queue.Push: max(2*a.cfg.WorkerConcurrency, leastPush),
			// Bulk work may keep the database busy too, but it must not slow the
			// runs.
			queue.Bulk: max(a.cfg.WorkerConcurrency/8, 1),
		},
		Grace: a.cfg.ShutdownTimeout,
	}
}

// sourceWithin is how long a directory service may take for one answer.
const sourceWithin = 5 * time.Second

// search lists the sources of the colleague search: THE LIST.
func (a *App) search(guard *outbound.Guard) *colleague.Search {
	a.services = &outbound.Client{Guard: guard, Timeout: sourceWithin, UserAgent: "usersync/" + a.version()}
	return &colleague.Search{
		Own:      []colleague.Source{colleague.Users{}, colleague.Directory{}},
		Services: []colleague.Source{&hunter.Source{Client: a.services}},
	}
}

// platformWithin bounds one call to a platform. The connectors set shorter timeouts.
const platformWithin = 60 * time.Second

// newHub returns what makes the calls to platforms.
func (a *App) newHub(guard *outbound.Guard) *connector.Hub {
	return &connector.Hub{
		HTTP:    &outbound.Client{Guard: guard, Timeout: platformWithin, MaxResponse: connector.MaxResponse, UserAgent: "usersync/" + a.version()},
		Limiter: a.Queue.Limiter(), Metrics: a.metrics,
	}
}

func (a *App) version() string {
	if a.cfg.Version == "" {
		return "dev"
	}
	return a.cfg.Version
}

// Addr returns the base URL of the API.
func (a *App) Addr() string { return "http://" + a.api.addr().String() }

// OpsAddr returns the base URL of the operations routes.
func (a *App) OpsAddr() string {
	if a.ops == nil {
		return a.Addr()
	}
	return "http://" + a.ops.addr().String()
}

// Run serves until ctx ends, then shuts down softly. It takes no new calls, answers
// the waiting ones, commits what was submitted, and finishes or hands back running
// tasks.
func (a *App) Run(ctx context.Context) error {
	defer a.close()
	var relaying, working, admitting sync.WaitGroup
	background, stop := context.WithCancel(context.WithoutCancel(ctx))
	defer stop()
	relaying.Go(func() { a.Store.Attend(background) })
	relaying.Go(func() { a.Relay.Run(background) })
	relaying.Go(func() { a.watchClock(background) })
	defer relaying.Wait()
	defer stop()
	failed := make(chan error, 3)
	if a.pool != nil {
		working.Go(func() { a.pool.Run(ctx) })
	}
	if a.ops != nil {
		a.ops.serve(failed)
	}
	if a.api == nil {
		err := wait(ctx, failed)
		working.Wait()
		return errors.Join(err, a.ops.shutdown(a.cfg.ShutdownTimeout))
	}
	admission, closeAdmission := context.WithCancel(background)
	defer closeAdmission()
	admitting.Go(func() { a.Batcher.Run(admission) })
	admitting.Go(func() { a.waiters.Run(ctx) })
	admitting.Go(func() { a.edge.Run(admission) })
	admitting.Go(func() { a.recorder.Run(admission) })
	a.api.serve(failed)
	if a.Demo != nil {
		a.Demo.Welcome(a.o.Stdout, a.Addr())
	}
	err := wait(ctx, failed)
	err = errors.Join(err, a.api.shutdown(a.cfg.ShutdownTimeout))
	closeAdmission()
	admitting.Wait()
	working.Wait()
	if a.ops != nil {
		err = errors.Join(err, a.ops.shutdown(time.Second))
	}
	return err
}

// wait returns when ctx ends or a part of the process fails.
func wait(ctx context.Context, failed <-chan error) error {
	select {
	case <-ctx.Done():
		return nil
	case err := <-failed:
		return err
	}
}

func (a *App) close() {
	ctx, cancel := context.WithTimeout(context.Background(), 5*time.Second)
	defer cancel()
	if a.Demo != nil && a.Demo.Receiver != nil {
		_ = a.Demo.Receiver.Close(ctx)
	}
	for _, c := range []*outbound.Client{a.client, a.services, a.issuers, a.identities} {
		if c != nil {
			c.Close()
		}
	}
	if a.hub != nil {
		a.hub.HTTP.Close()
	}
	for _, l := range []*listener{a.api, a.ops} {
		if l != nil {
			l.close()
		}
	}
	if a.Queue != nil {
		_ = a.Queue.Close()
	}
	if a.redis != nil {
		a.redis.Close()
	}
	if a.Store != nil {
		_ = a.Store.Close()
	}
	a.unlock()
}
