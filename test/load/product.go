//go:build unix

package main

import (
	"context"
	"errors"
	"fmt"
	"os/exec"
	"path/filepath"
	"strconv"
	"sync/atomic"
	"time"

	"usersync/internal/admin"
	"usersync/internal/app"
	"usersync/internal/config"
	"usersync/internal/usersync"
)

// product is a running installation of the service with one organization, and
// the receiver of its webhooks.
type product struct {
	name     string // embedded or deployed
	addr     string
	tenant   *tenant
	accepted int64

	bench     *bench
	env       []string // of its programs
	receiver  *process
	hooks     string    // host and port of the receiver
	database  *database // nil when embedded
	processes []*process
	parts     []part
	complains int
}

// tenant is an organization that sends.
type tenant struct {
	id   string
	key  string
	next atomic.Int64 // number of the last user sent
}

// The two ways to run the service.
const (
	embedded = "embedded"
	deployed = "deployed"
)

var ways = []string{embedded, deployed}

// redisDatabases are those of the measurements, by their names.
var redisDatabases = map[string]int{"accept": 10, "deliver": 11, "curve": 12, "fair": 13}

// actor is who the audit log says made the organization.
const actor = "load"

// launch starts a fresh installation and warms it up. purpose tells apart what
// several installations keep on the same servers.
func (b *bench) launch(ctx context.Context, way, purpose string) (p *product, err error) {
	p = &product{name: way, bench: b}
	defer func() {
		if err != nil {
			err = errors.Join(err, p.stop())
		}
	}()
	if p.receiver, p.hooks, err = b.serveRole(ctx, roleReceiver); err != nil {
		return p, err
	}
	if p.addr, err = freeAddr(); err != nil {
		return p, err
	}
	start := p.startEmbedded
	if way == deployed {
		start = p.startDeployed
	}
	if err := start(ctx, purpose); err != nil {
		return p, err
	}
	return p, p.warmUp(ctx)
}

func (p *product) startEmbedded(ctx context.Context, purpose string) error {
	env := append(commonEnv(), "DATA_DIR="+filepath.Join(p.bench.dir, "data-"+purpose), "ADDR="+p.addr)
	if err := p.prepare(ctx, env); err != nil {
		return err
	}
	return p.serve(ctx, "usersync", env, "http://"+p.addr, "serve")
}

func (p *product) startDeployed(ctx context.Context, purpose string) (err error) {
	if p.database, err = p.bench.admin.create(ctx, purpose); err != nil {
		return err
	}
	redisURL, err := emptyRedis(ctx, p.bench.redis, redisDatabases[purpose])
	if err != nil {
		return err
	}
	ops, err := freeAddr()
	if err != nil {
		return err
	}
	env := append(commonEnv(), "DATABASE_URL="+p.database.url, "REDIS_URL="+redisURL, "ADDR="+p.addr,
		"ADMIN_TOKEN="+config.NewAdminToken().Reveal(), "SEALING_KEYS="+config.NewSealingKeys().Reveal())
	if err := p.prepare(ctx, env); err != nil {
		return err
	}
	if err := p.serve(ctx, "api", env, "http://"+p.addr); err != nil {
		return err
	}
	if err := p.serve(ctx, "worker", append(env, "OPS_ADDR="+ops), "http://"+ops); err != nil {
		return err
	}
	return p.addServers(ctx)
}

func commonEnv() []string {
	return []string{"EGRESS_ALLOW=127.0.0.0/8", "LOG_LEVEL=warn", "SHUTDOWN_TIMEOUT=5s"}
}

// prepare makes the schema and the organization.
func (p *product) prepare(ctx context.Context, env []string) error {
	migrate := exec.CommandContext(ctx, p.bench.binary("usersync"), "migrate") //nolint:gosec // a program that this run built
	migrate.Env = env
	if out, err := migrate.CombinedOutput(); err != nil {
		return fmt.Errorf("migrate: %w\n%s", err, out)
	}
	operator, closeStore, err := app.OpenAdmin(ctx, env)
	if err != nil {
		return err
	}
	defer closeStore()
	p.env = env
	p.tenant, err = makeTenant(ctx, operator, p.hooks)
	return err
}

// another makes a second organization in a running installation, whose webhooks
// go to a receiver at hooks.
func (p *product) another(ctx context.Context, hooks string) (*tenant, error) {
	operator, closeStore, err := app.OpenAdmin(ctx, p.env)
	if err != nil {
		return nil, err
	}
	defer closeStore()
	return makeTenant(ctx, operator, hooks)
}

// makeTenant makes an organization whose limits are out of the way, with a key
// and an endpoint that wants to know how every request ended.
func makeTenant(ctx context.Context, operator *admin.Service, receiver string) (*tenant, error) {
	hooks := "http://" + receiver + "/hooks"
	types := []string{string(usersync.MessageCompleted), string(usersync.MessageFailed)}
	o, err := operator.Store.CreateOrganization(ctx, actor, usersync.Organization{
		Name: "Load", Settings: usersync.Settings{RateLimit: usersync.RateLimit{Rate: 1e6, Burst: 1e6}},
	})
	if err != nil {
		return nil, err
	}
	if _, err := operator.TopUp(ctx, actor, o.ID, admin.TopUpInput{Amount: 1e9, Reference: "load"}); err != nil {
		return nil, err
	}
	_, key, err := operator.CreateKey(ctx, actor, o.ID, admin.KeyInput{Name: "load"})
	if err != nil {
		return nil, err
	}
	_, _, err = operator.CreateEndpoint(ctx, actor, operator.Store.Org(o.ID), admin.EndpointInput{URL: &hooks, EventTypes: &types})
	return &tenant{id: o.ID, key: key.Reveal()}, err
}

// serve starts one of our programs and waits until it is ready.
func (p *product) serve(ctx context.Context, name string, env []string, operations string, args ...string) error {
	started, err := p.bench.start(name, env, p.bench.binary(name), args...)
	if err != nil {
		return err
	}
	p.processes = append(p.processes, started)
	p.parts = append(p.parts, part{name: name, root: started.pid()})
	return started.await(ctx, operations+"/readyz")
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
	p.parts = append(p.parts, part{"PostgreSQL", postmaster, true}, part{"Redis", redisPID, true})
	return nil
}

// warmUpRequests open the connections and prepare the statements.
const warmUpRequests = 500

func (p *product) warmUp(ctx context.Context) error {
	o, err := p.send(ctx, load{clients: 16, length: 10 * time.Second, most: warmUpRequests})
	if err != nil {
		return fmt.Errorf("warm up %s: %w", p.name, err)
	}
	arrived, err := p.awaitWebhooks(ctx)
	if err != nil {
		return err
	}
	if missing := account(o.samples, arrived).missing; missing > 0 {
		return fmt.Errorf("warm up %s: no webhook came of %d of %d requests; the end of the worker's log:\n%s",
			p.name, missing, o.users(), p.processes[len(p.processes)-1].lastWords())
	}
	return nil
}

// send sends a load to this installation.
func (p *product) send(ctx context.Context, l load) (*outcome, error) {
	o, err := p.sendAs(ctx, p.tenant, l)
	p.accepted += int64(o.users())
	return o, err
}

// sendAs sends a load of one organization.
func (p *product) sendAs(ctx context.Context, t *tenant, l load) (*outcome, error) {
	l.addr, l.key, l.next, l.batch = p.addr, t.key, &t.next, max(l.batch, 1)
	o, err := l.run(ctx)
	if err != nil {
		return o, errors.Join(err, p.firstEnd())
	}
	return o, nil
}

// firstEnd tells of a process that ended while it should serve.
func (p *product) firstEnd() error {
	for _, one := range p.processes {
		select {
		case <-one.done:
			return fmt.Errorf("%s ended; the end of its log:\n%s", one.name, one.lastWords())
		default:
		}
	}
	return nil
}

// stop ends everything that launch started, in the order of the work's way.
func (p *product) stop() error {
	for _, one := range p.processes {
		one.stop()
		p.complains += one.complaints()
	}
	if p.complains > 0 {
		progress("%s: %d warnings logged, the last: %s", p.name, p.complains, p.lastWarning())
	}
	if p.receiver != nil {
		p.receiver.stop()
	}
	if p.database == nil {
		return nil
	}
	return p.bench.admin.drop(p.database)
}

func (p *product) lastWarning() string {
	for _, one := range p.processes {
		if line := one.lastLine(); line != "" {
			return line
		}
	}
	return ""
}

// accepting measures the way to the 202, while everything behind it works too.
func (b *bench) accepting(ctx context.Context) error {
	for _, way := range ways {
		if err := b.acceptingOne(ctx, way); err != nil {
			return err
		}
	}
	return nil
}

func (b *bench) acceptingOne(ctx context.Context, way string) (err error) {
	progress("%s: starting", way)
	p, err := b.launch(ctx, way, "accept")
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, p.stop()) }()
	if err := p.acceptForm(ctx, 1); err != nil {
		return err
	}
	half := b.report.accepts[way].at(1, fullSpeedClients) / 2
	if _, err := p.awaitWebhooks(ctx); err != nil {
		return err
	}
	progress("%s: accepting at %.0f/s", way, half)
	o, err := p.send(ctx, load{clients: fullSpeedClients, due: evenly(half), length: b.measure, most: unlimited})
	if err != nil {
		return err
	}
	b.report.acceptedAtHalf(way, fullSpeedClients, o)
	return p.acceptForm(ctx, batchSize)
}

// acceptForm measures accepting by calls of form users. What one load leaves to do
// is done before the next begins.
func (p *product) acceptForm(ctx context.Context, form int) error {
	for _, clients := range p.bench.clients {
		if _, err := p.awaitWebhooks(ctx); err != nil {
			return err
		}
		progress("%s: accepting, %d clients%s", p.name, clients, many(form))
		o, err := p.send(ctx, load{clients: clients, batch: form, length: p.bench.measure, most: unlimited})
		if err != nil {
			return err
		}
		p.bench.report.accepted(p.name, form, clients, o)
	}
	return nil
}
