package pusher_test

import (
	"context"
	"encoding/json"
	"flag"
	"fmt"
	"log/slog"
	"math/rand/v2"
	"runtime"
	"sync"
	"testing"
	"time"

	"usersync/internal/connector"
	"usersync/internal/credit"
	"usersync/internal/identity"
	"usersync/internal/intake"
	"usersync/internal/outbox"
	"usersync/internal/platform"
	"usersync/internal/pusher"
	"usersync/internal/queue"
	"usersync/internal/queue/embedded"
	"usersync/internal/request"
	"usersync/internal/store"
	"usersync/internal/store/storetest"
	"usersync/internal/tenant"
	"usersync/internal/user"
	"usersync/internal/usersync"
)

var orderSeed = flag.Uint64("order-seed", 0, "seed of the interleavings of pushes; 0 takes the time")

const (
	orderUsers = 200
	// orderEpisodes times some rounds of trouble are followed by peace, in which
	// the platform must come to the newest state.
	orderEpisodes = 30
	orderRounds   = 4
	// orderWanted is how many interleavings of a change, a call and its end are
	// tried at least.
	orderWanted = 10_000
)

// model is a platform that keeps one value for each user and misbehaves by
// chance: it loses calls, answers none, and takes some long after their worker
// was given up.
type model struct {
	t       *testing.T
	mu      sync.Mutex
	rng     *rand.Rand
	values  map[string]float64
	tries   int
	sound   bool          // no more faults
	hold    chan struct{} // the next call waits until it is closed
	during  func()        // called while a call is under way
	arrived chan struct{} // closed when a held call is under way
	abort   func()        // ends the worker in the middle of the next call
}

func (*model) Check(context.Context) (connector.Facts, error) { return connector.Facts{}, nil }

func (*model) Content(p connector.Profile) any { return p.Attributes }

func (m *model) Push(ctx context.Context, people []connector.Profile) ([]connector.Result, error) {
	m.mu.Lock()
	hold, during, abort, arrived := m.hold, m.during, m.abort, m.arrived
	m.hold, m.during, m.abort = nil, nil, nil
	m.mu.Unlock()
	if during != nil {
		during()
	}
	if hold != nil {
		close(arrived)
		<-hold // whatever ctx says: the call was sent before
	}
	m.mu.Lock()
	defer m.mu.Unlock()
	results := make([]connector.Result, len(people))
	var err error
	for i, p := range people {
		m.tries++
		fate := 0
		if !m.sound && hold == nil {
			fate = m.rng.IntN(6)
		}
		switch fate {
		case 1: // not taken, and nobody knows
			err = usersync.Errorf(usersync.CodeUnavailable, "lost")
			continue
		case 2: // taken, and nobody knows
			err = usersync.Errorf(usersync.CodeUnavailable, "answer lost")
			m.values[p.UserID] = number(p.Attributes["n"])
			continue
		case 3:
			err = &usersync.Error{Code: usersync.CodeRateLimited, Message: "later", RetryAfter: time.Millisecond}
			continue
		}
		m.values[p.UserID] = number(p.Attributes["n"])
		results[i] = connector.Result{Status: connector.Updated, Details: "User updated"}
	}
	if abort != nil {
		abort()
		return nil, ctx.Err()
	}
	return results, err
}

// number reads an attribute; nothing else than a number is written here.
func number(attribute any) float64 {
	value, err := attribute.(json.Number).Float64()
	if err != nil {
		panic(err)
	}
	return value
}

func (*model) Preview(context.Context, connector.Profile) (connector.Result, error) {
	return connector.Result{Status: connector.Updated}, nil
}

func (m *model) Remove(ctx context.Context, p connector.Profile) (connector.Result, error) {
	m.mu.Lock()
	hold, during, abort, arrived := m.hold, m.during, m.abort, m.arrived
	m.hold, m.during, m.abort = nil, nil, nil
	m.mu.Unlock()
	if during != nil {
		during()
	}
	if hold != nil {
		close(arrived)
		<-hold
	}
	if abort != nil {
		m.mu.Lock()
		delete(m.values, p.UserID)
		m.mu.Unlock()
		abort()
		return connector.Result{}, ctx.Err()
	}
	m.mu.Lock()
	defer m.mu.Unlock()
	m.tries++
	fate := 0
	if !m.sound && hold == nil {
		fate = m.rng.IntN(6)
	}
	switch fate {
	case 1: // not taken, and nobody knows
		return connector.Result{}, usersync.Errorf(usersync.CodeUnavailable, "lost")
	case 2: // taken, and nobody knows
		delete(m.values, p.UserID)
		return connector.Result{}, usersync.Errorf(usersync.CodeUnavailable, "answer lost")
	case 3:
		return connector.Result{}, &usersync.Error{Code: usersync.CodeRateLimited, Message: "later", RetryAfter: time.Millisecond}
	}
	delete(m.values, p.UserID)
	return connector.Result{Status: connector.Removed, Details: "User removed"}, nil
}

// order is an organization with users that change and a pusher that is disturbed.
type order struct {
	t     *testing.T
	rng   *rand.Rand
	store *store.Store
	org   *store.Org
	model *model
	// platform is what the connection opens: the model, or what stands before it.
	platform connector.Connector
	users    []string
	values   map[string]float64
	// off are the users who are not to be on the platform.
	off map[string]bool
	// leaving says that some changes are that a user is to be taken off.
	leaving bool
	conn    string
	key     string // of the organization
	pusher  queue.Handler
	travel  func()
}

func TestPlatformEndsInTheNewestStateHoweverPushesOvertakeEachOther(t *testing.T) {
	t.Parallel()
	for _, engine := range []string{"sqlite", "postgres"} {
		t.Run(engine, func(t *testing.T) {
			t.Parallel()
			seed := *orderSeed
			if seed == 0 {
				seed = uint64(time.Now().UnixNano())
			}
			t.Logf("run again with -order-seed=%d", seed)
			o := newOrder(t, engine, rand.New(rand.NewPCG(seed, 1)))
			o.leaving = true
			for episode := range orderEpisodes {
				for range orderRounds {
					o.round()
				}
				o.drain()
				for _, id := range o.users {
					has, there := o.model.values[id]
					if o.off[id] && there || !o.off[id] && has != o.values[id] {
						t.Fatalf("episode %d: the platform has %v of %s, the newest state is %v, off %v", episode, has, id, o.values[id], o.off[id])
					}
				}
			}
			if left := o.waiting(); left > 0 {
				t.Errorf("%d still wait for what has been done", left)
			}
			if o.model.tries < orderWanted {
				t.Errorf("only %d interleavings", o.model.tries)
			}
		})
	}
}

func newOrder(t *testing.T, engine string, rng *rand.Rand) *order {
	t.Helper()
	options := storetest.Options(t, engine)
	s := storetest.Open(t, options)
	created, err := tenant.Create(t.Context(), s, "test", tenant.Organization{Name: "Order"})
	must(t, err)
	o := &order{t: t, rng: rng, store: s, org: s.Org(created.ID), values: map[string]float64{}, off: map[string]bool{},
		model: &model{t: t, rng: rand.New(rand.NewPCG(rng.Uint64(), 2)), values: map[string]float64{}}}
	type none struct{}
	kind := connector.Define(connector.Platform{Name: "model", Batch: 64}, func(none, none, connector.Facts, *connector.Client) (connector.Connector, error) {
		return o.platform, nil
	})
	o.platform = o.model
	c, err := platform.CreateConnection(t.Context(), o.org, "test", platform.Connection{Platform: "model", Name: "m", Settings: json.RawMessage(`{}`), Credentials: usersync.NewSecret("{}")})
	must(t, err)
	o.conn = c.ID
	redis, err := embedded.Start()
	must(t, err)
	t.Cleanup(redis.Close)
	client, err := queue.Connect(queue.Options{URL: redis.URL(), Log: slog.New(slog.DiscardHandler)})
	must(t, err)
	t.Cleanup(func() { _ = client.Close() })
	pushes := &pusher.Pusher{Store: s, Queue: client, Log: slog.New(slog.DiscardHandler),
		FindPlatform: func(string) (connector.Platform, bool) { return kind, true }, Hub: &connector.Hub{}}
	o.pusher = pushes.Handler()
	o.travel = storetest.Travel(t, options)
	o.makeUsers(created)
	return o
}

func must(t *testing.T, err error) {
	t.Helper()
	if err != nil {
		t.Fatal(err)
	}
}

func (o *order) makeUsers(organization tenant.Organization) {
	o.t.Helper()
	_, err := credit.TopUp(o.t.Context(), o.store, "test", organization.ID, 1, "first")
	must(o.t, err)
	key, _, err := tenant.CreateKey(o.t.Context(), o.store, "test", organization.ID, tenant.Key{Name: "k"})
	must(o.t, err)
	o.key = key.ID
	sub := &intake.Submission{Organization: organization.ID, KeyID: key.ID}
	for i := range orderUsers {
		email, err := identity.ParseEmail(fmt.Sprintf("u%d@acme.example.com", i))
		must(o.t, err)
		in := usersync.UserInput{Email: email, Country: "US"}
		sub.Items = append(sub.Items, &intake.Acceptance{RequestID: usersync.NewID(usersync.PrefixRequest), Kind: request.KindUserSync,
			Salt: organization.Salt, User: intake.NewUser{UserInput: in, Identity: user.IdentityOf(in)}})
	}
	must(o.t, intake.AcceptPlanned(o.t.Context(), o.store, []*intake.Submission{sub}, func([]*intake.Acceptance) []usersync.Task { return nil }))
	for _, a := range sub.Items {
		o.users = append(o.users, a.UserID)
	}
}

// change gives some users a new value and wants it pushed, or wants them off the platform,
// in one transaction.
func (o *order) change(n int) {
	var ids []string
	for _, i := range o.rng.Perm(len(o.users))[:n] {
		ids = append(ids, o.users[i])
	}
	o.changeThese(ids)
}

func (o *order) changeThese(ids []string) {
	found, err := user.ByID(o.t.Context(), o.org, ids)
	must(o.t, err)
	off, rank := map[string]bool{}, map[string]int{}
	for _, id := range ids {
		off[id], rank[id] = o.leaving && o.rng.IntN(5) == 0, o.rng.IntN(3)
	}
	must(o.t, o.store.Tx(o.t.Context(), func(tx *store.Tx) error {
		var updates []user.Update
		var wants []platform.Want
		for _, id := range ids {
			u := found[id]
			if off[id] {
				wants = append(wants, platform.Want{ConnectionID: o.conn, UserID: id, RequestID: usersync.NewID(usersync.PrefixRequest),
					Position: platform.BulkPosition, Mode: usersync.PushAbsence, Version: u.Version, Rank: rank[id]})
				continue
			}
			in := u.Input()
			value := o.values[id] + 1
			in.Attributes = map[string]any{"n": value}
			updates = append(updates, user.Update{User: usersync.User{ID: id, UserInput: in, Version: u.Version, Sequences: u.Sequences}, Identity: user.IdentityOf(in)})
			wants = append(wants, platform.Want{ConnectionID: o.conn, UserID: id, RequestID: usersync.NewID(usersync.PrefixRequest),
				Position: platform.BulkPosition, Mode: usersync.PushState, Version: u.Version + 1, Rank: rank[id]})
		}
		if err := user.Save(o.t.Context(), tx, updates); err != nil {
			return err
		}
		return platform.WantPushes(o.t.Context(), tx, o.org.ID(), wants)
	}))
	for _, id := range ids {
		if o.off[id] = off[id]; !off[id] {
			o.values[id]++
		}
	}
}

// claim takes the task of the connection, ok is false when it is not ready.
func (o *order) claim() (usersync.Claim, bool) {
	o.t.Helper()
	taken, err := outbox.TakeReady(o.t.Context(), o.store, queue.Push, "", outbox.Shares{Slots: 1000, Key: 1}, 1)
	must(o.t, err)
	if len(taken) == 0 {
		return usersync.Claim{}, false
	}
	c, ok, err := outbox.Claim(o.t.Context(), o.store, taken[0].ID, taken[0].Generation)
	must(o.t, err)
	return c, ok
}

// die has every worker count as dead: its claims are worth nothing.
func (o *order) die() {
	o.t.Helper()
	_, err := outbox.UnsendAll(o.t.Context(), o.store, true)
	must(o.t, err)
}

// round changes users and lets the pusher run once, undisturbed or not.
func (o *order) round() {
	o.t.Helper()
	o.change(60 + o.rng.IntN(60))
	if o.rng.IntN(3) == 0 {
		o.travel()
	}
	c, ok := o.claim()
	if !ok {
		o.travel()
		return
	}
	m := o.model
	m.mu.Lock()
	disturbance := o.rng.IntN(5)
	if disturbance == 1 {
		m.during = func() { o.change(10) }
	}
	m.mu.Unlock()
	switch disturbance {
	case 2:
		o.stall(c)
	case 3:
		o.kill(c)
	case 4:
		o.stop(c)
	default:
		must(o.t, o.pusher.Work(o.t.Context(), c))
	}
}

// kill ends the worker in the middle of a call, as kill -9 does.
func (o *order) kill(c usersync.Claim) {
	o.abort(runtime.Goexit) // dead men tell no tales
	done := make(chan struct{})
	go func() {
		defer close(done)
		_ = o.pusher.Work(o.t.Context(), c)
	}()
	<-done
	o.abort(nil)
	o.die()
}

// stop ends the worker in the middle of a call as a shutdown does: it may write
// what it knows and hands its task back.
func (o *order) stop(c usersync.Claim) {
	ctx, cancel := context.WithCancel(o.t.Context())
	defer cancel()
	o.abort(cancel)
	defer o.abort(nil)
	if err := o.pusher.Work(ctx, c); err != nil {
		must(o.t, outbox.Postpone(o.t.Context(), o.store, c, outbox.When{}, false))
	}
}

func (o *order) abort(by func()) {
	o.model.mu.Lock()
	defer o.model.mu.Unlock()
	o.model.abort = by
}

// stall holds a call of one worker, has others work meanwhile, and lets the call
// arrive after all that.
func (o *order) stall(c usersync.Claim) {
	o.t.Helper()
	hold, arrived, done := make(chan struct{}), make(chan struct{}), make(chan struct{})
	o.model.mu.Lock()
	o.model.hold, o.model.arrived = hold, arrived
	o.model.mu.Unlock()
	go func() {
		defer close(done)
		_ = o.pusher.Work(o.t.Context(), c) // its claim is lost
	}()
	select {
	case <-arrived:
		o.die()
		for range 1 + o.rng.IntN(2) {
			o.change(20)
			o.travel() // the time of the call is over
			if c, ok := o.claim(); ok {
				must(o.t, o.pusher.Work(o.t.Context(), c))
			}
		}
	case <-done: // there was nothing to push
	}
	o.model.mu.Lock()
	o.model.hold = nil
	o.model.mu.Unlock()
	close(hold)
	<-done
}

// drain lets the pusher run undisturbed until nothing is due.
func (o *order) drain() {
	o.t.Helper()
	o.model.sound = true
	defer func() { o.model.sound = false }()
	for idle := 0; idle < 3; {
		o.travel()
		c, ok := o.claim()
		if !ok {
			idle++
			continue
		}
		before := o.model.tries
		must(o.t, o.pusher.Work(o.t.Context(), c))
		if o.model.tries == before {
			idle++
		} else {
			idle = 0
		}
	}
}

// waiting counts who waits for something at the connection.
func (o *order) waiting() (n int) {
	o.t.Helper()
	must(o.t, o.store.Tx(o.t.Context(), func(tx *store.Tx) error {
		waits, err := platform.Waits(o.t.Context(), tx, o.conn, 1000)
		n = len(waits)
		return err
	}))
	return n
}
