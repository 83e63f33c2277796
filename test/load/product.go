//go:build unix

package main

import (
	"context"
	"database/sql"
	"errors"
	"fmt"
	"path/filepath"
	"slices"
	"strconv"
	"sync/atomic"
	"time"

	"usersync/internal/config"
	"usersync/internal/delivery"
	"usersync/test/services"
	"usersync/test/system"
)

// product is a running installation of the service with one organization, and
// the receiver of its webhooks.
type product struct {
	name   string // embedded or deployed
	addr   string
	tenant *benchTenant

	bench     *bench
	env       []string // of its programs
	operator  *system.Client
	database  *database // nil when embedded
	dataDir   string    // of an embedded one
	file      *sql.DB   // the database there, once it was asked for
	processes []*services.Process
	parts     []part
	complains int
}

// benchTenant is an organization that sends, and the receiver of its webhooks.
type benchTenant struct {
	id       string
	key      string
	next     atomic.Int64 // number of the last user sent
	accepted int64        // requests
	// introduced is the number of the last user whose colleagues are known.
	introduced int64
	receiver   *receiver
}

// The two ways to run the service.
const (
	embedded = "embedded"
	deployed = "deployed"
)

var ways = []string{embedded, deployed}

// redisDatabases are those of the measurements, by their names.
var redisDatabases = map[string]int{"accept": 10, "deliver": 11, "curve": 12, "fair": 13, "harm": 14, "lookup": 15}

// launch starts a fresh installation and warms it up. purpose tells apart what
// several installations keep on the same servers.
func (b *bench) launch(ctx context.Context, way, purpose string) (p *product, err error) {
	p = &product{name: way, bench: b}
	defer func() {
		if err != nil {
			err = errors.Join(err, p.stop())
		}
	}()
	r, err := b.receive(ctx)
	if err != nil {
		return p, err
	}
	p.tenant = &benchTenant{receiver: r}
	if p.addr, err = services.FreeAddr(); err != nil {
		return p, err
	}
	start := p.startEmbedded
	if way == deployed {
		start = p.startDeployed
	}
	if err := start(ctx, purpose); err != nil {
		return p, err
	}
	if err := p.prepareTenant(ctx, p.tenant); err != nil {
		return p, err
	}
	return p, p.warmUp(ctx)
}

func (p *product) startEmbedded(ctx context.Context, purpose string) error {
	p.dataDir = filepath.Join(p.bench.dir, "data-"+purpose)
	if err := p.prepare(ctx, "DATA_DIR="+p.dataDir); err != nil {
		return err
	}
	return p.serve(ctx, "usersync", p.env, p.addr, "serve")
}

func (p *product) startDeployed(ctx context.Context, purpose string) (err error) {
	if p.database, err = p.bench.admin.create(ctx, purpose); err != nil {
		return err
	}
	redisURL, err := emptyRedis(ctx, p.bench.redis, redisDatabases[purpose])
	if err != nil {
		return err
	}
	ops, err := services.FreeAddr()
	if err != nil {
		return err
	}
	err = p.prepare(ctx, "DATABASE_URL="+p.database.url, "REDIS_URL="+redisURL, "SEALING_KEYS="+config.NewSealingKeys().Reveal())
	if err != nil {
		return err
	}
	if err := p.serve(ctx, "api", p.env, p.addr); err != nil {
		return err
	}
	if err := p.serve(ctx, "worker", append(p.env, "OPS_ADDR="+ops), ops); err != nil {
		return err
	}
	return p.addServers(ctx)
}

// prepare sets the environment of the programs and makes, before they start, the
// schema and the organization: an embedded service that finds none makes those of
// the demonstration.
func (p *product) prepare(ctx context.Context, settings ...string) (err error) {
	token := config.NewAdminToken().Reveal()
	p.operator = system.NewOperator(token, "http://"+p.addr)
	p.env = append([]string{"ADDR=" + p.addr, "ADMIN_TOKEN=" + token, "EGRESS_ALLOW=127.0.0.0/8", "LOG_LEVEL=warn", "SHUTDOWN_TIMEOUT=5s"}, settings...)
	if _, err := p.bench.programs.Output(ctx, p.env, "migrate", "--create"); err != nil {
		return err
	}
	p.tenant, err = p.makeTenant(ctx, p.tenant.receiver)
	return err
}

// plenty is how many credits an organization has.
const plenty = 1_000_000_000

// makeTenant makes an organization with plenty of credits. prepareTenant does the
// rest, for which the service must run.
func (p *product) makeTenant(ctx context.Context, r *receiver) (*benchTenant, error) {
	account, err := p.bench.programs.NewAccount(ctx, p.env, "Load")
	if err != nil {
		return &benchTenant{receiver: r}, err
	}
	t := &benchTenant{id: account.Organization, key: account.Key, receiver: r}
	return t, p.bench.programs.TopUp(ctx, p.env, t.id, plenty)
}

// prepareTenant moves the limits of an organization out of the way, and makes the
// endpoint that wants to know how every request ended.
func (p *product) prepareTenant(ctx context.Context, t *benchTenant) error {
	limit := map[string]any{"rate": 1e6, "burst": 1e6}
	if err := p.operator.Configure(ctx, t.id, map[string]any{"rateLimit": limit}); err != nil {
		return err
	}
	_, err := system.NewClient(t.key, "http://"+p.addr).AddEndpoint(ctx, "http://"+t.receiver.addr+"/hooks",
		string(delivery.MessageCompleted), string(delivery.MessageFailed))
	return err
}

// serve starts one of our programs and waits until it is ready.
func (p *product) serve(ctx context.Context, name string, env []string, operations string, args ...string) error {
	started, err := p.bench.start(ctx, name, env, operations, p.bench.programs.Path(name), args...)
	if err != nil {
		return err
	}
	p.processes = append(p.processes, started)
	p.parts = append(p.parts, part{name: name, root: started.PID(), operations: operations})
	return nil
}

// operationsOf returns where one of our programs serves its metrics.
func (p *product) operationsOf(name string) string {
	i := slices.IndexFunc(p.parts, func(one part) bool { return one.name == name })
	return p.parts[i].operations
}

// addServers counts PostgreSQL and Redis among the parts.
func (p *product) addServers(ctx context.Context) error {
	postmaster, err := p.database.postmaster(ctx)
	if err != nil {
		return err
	}
	facts, err := askRedis(ctx, p.bench.redis)
	if err != nil {
		return err
	}
	redisPID, err := strconv.Atoi(facts["process_id"])
	if err != nil {
		return err
	}
	p.parts = append(p.parts, part{name: "PostgreSQL", root: postmaster, older: true}, part{name: "Redis", root: redisPID, older: true})
	return nil
}

// warmUpRequests open the connections and prepare the statements.
const warmUpRequests = 500

func (p *product) warmUp(ctx context.Context) error {
	d, err := p.deliver(ctx, p.tenant, load{clients: 16, length: 10 * time.Second, most: warmUpRequests})
	if err != nil {
		return fmt.Errorf("warm up %s: %w", p.name, err)
	}
	if d.missing > 0 {
		return fmt.Errorf("warm up %s: no webhook came of %d of %d requests; the end of the worker's log:\n%s",
			p.name, d.missing, d.users(), p.processes[len(p.processes)-1].Tail(shownLines))
	}
	return nil
}

// send sends a load of one organization, whose users have colleagues.
func (p *product) send(ctx context.Context, t *benchTenant, l load) (*outcome, error) {
	l.addr, l.key, l.next, l.batch = p.addr, t.key, &t.next, max(l.batch, 1)
	users := l.users()
	if err := p.introduce(ctx, t, users); err != nil {
		return &outcome{}, err
	}
	l.most = min(l.most, users/int64(l.batch))
	o, err := l.run(ctx)
	t.accepted += int64(o.users())
	if err != nil {
		return o, errors.Join(err, p.firstEnd())
	}
	return o, nil
}

// firstEnd tells of a process that ended while it should serve.
func (p *product) firstEnd() error {
	for _, one := range p.processes {
		if one.Ended() {
			return fmt.Errorf("%s ended; the end of its log:\n%s", one.Name, one.Tail(shownLines))
		}
	}
	return nil
}

// stop ends everything that launch started, in the order of the work's way.
func (p *product) stop() error {
	for _, one := range p.processes {
		stop(one)
		p.complains += complaints(one)
	}
	if p.complains > 0 {
		progress("%s: %d warnings logged, the last: %s", p.name, p.complains, p.lastWarning())
	}
	if p.tenant != nil {
		stop(p.tenant.receiver.Process)
	}
	if p.file != nil {
		return p.file.Close()
	}
	if p.database == nil {
		return nil
	}
	return p.bench.admin.drop(p.database)
}

func (p *product) lastWarning() string {
	for _, one := range p.processes {
		if line := one.Tail(1); line != "" {
			return line
		}
	}
	return ""
}

// eachWay measures with a fresh installation of each way to run the service.
func (b *bench) eachWay(ctx context.Context, purpose string, measure func(context.Context, *product) error) error {
	for _, way := range ways {
		progress("%s: starting afresh", way)
		p, err := b.launch(ctx, way, purpose)
		if err != nil {
			return err
		}
		if err := errors.Join(measure(ctx, p), p.stop()); err != nil {
			return err
		}
	}
	return nil
}

// accepting measures the way to the 202, while everything behind it works too.
func (b *bench) accepting(ctx context.Context) error { return b.eachWay(ctx, "accept", b.acceptingOne) }

func (b *bench) acceptingOne(ctx context.Context, p *product) error {
	if err := p.acceptForm(ctx, 1); err != nil {
		return err
	}
	half := b.report.accepts[p.name].at(1, fullSpeedClients) / 2
	if _, err := p.tenant.awaitWebhooks(ctx); err != nil {
		return err
	}
	progress("%s: accepting at %.0f/s", p.name, half)
	o, err := p.send(ctx, p.tenant, load{clients: fullSpeedClients, due: evenly(half), length: b.measure, most: unlimited})
	if err != nil {
		return err
	}
	b.report.acceptedAtHalf(p.name, fullSpeedClients, o)
	if err := p.acceptForm(ctx, batchSize); err != nil {
		return err
	}
	if _, err := p.tenant.awaitWebhooks(ctx); err != nil {
		return err
	}
	return p.check(ctx)
}

// acceptForm measures accepting by calls of form users. What one load leaves to do
// is done before the next begins.
func (p *product) acceptForm(ctx context.Context, form int) error {
	for _, clients := range p.bench.clients {
		if _, err := p.tenant.awaitWebhooks(ctx); err != nil {
			return err
		}
		progress("%s: accepting, %d clients%s", p.name, clients, many(form))
		o, err := p.send(ctx, p.tenant, load{clients: clients, batch: form, length: p.bench.measure, most: unlimited})
		if err != nil {
			return err
		}
		p.bench.report.accepted(p.name, form, clients, o)
	}
	return nil
}
