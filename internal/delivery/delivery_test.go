package delivery_test

import (
	"context"
	"encoding/json"
	"fmt"
	"io"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"net/netip"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"usersync/internal/credit"
	"usersync/internal/delivery"
	"usersync/internal/outbound"
	"usersync/internal/outbox"
	"usersync/internal/queue"
	"usersync/internal/store"
	"usersync/internal/store/storetest"
	"usersync/internal/telemetry"
	"usersync/internal/tenant"
	"usersync/internal/usersync"
	"usersync/internal/webhooksig"
)

// office is an organization with one endpoint, and what delivers to it. Tasks
// are worked when a test says so.
type office struct {
	t        *testing.T
	store    *store.Store
	org      *store.Org
	endpoint string
	handlers map[string]queue.Handler
	calls    *atomic.Int64 // that the endpoint got
}

// open makes an office whose endpoint answers as answer does.
func open(t *testing.T, s *store.Store, answer http.HandlerFunc) *office {
	t.Helper()
	o := &office{t: t, store: s, handlers: map[string]queue.Handler{}, calls: &atomic.Int64{}}
	made, err := tenant.Create(t.Context(), s, "test", tenant.Organization{Name: "Acme"})
	must(t, err)
	o.org = s.Org(made.ID)
	o.endpoint = o.newEndpoint(answer)
	client := &outbound.Client{Guard: &outbound.Guard{Allow: []netip.Prefix{netip.MustParsePrefix("127.0.0.0/8")}}, Timeout: 5 * time.Second, MaxResponse: 64 << 10}
	t.Cleanup(client.Close)
	service := &delivery.Service{Store: s, Client: client, Metrics: telemetry.NewMetrics(), Log: slog.New(slog.DiscardHandler)}
	for _, h := range service.Handlers() {
		o.handlers[h.Kind] = h
	}
	return o
}

func must(t *testing.T, err error) {
	t.Helper()
	if err != nil {
		t.Fatal(err)
	}
}

func (o *office) newEndpoint(answer http.HandlerFunc) string {
	o.t.Helper()
	server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		_, _ = io.Copy(io.Discard, r.Body)
		o.calls.Add(1)
		answer(w, r)
	}))
	o.t.Cleanup(server.Close)
	e, err := delivery.CreateEndpoint(o.t.Context(), o.org, "test", delivery.Endpoint{URL: server.URL, EventTypes: []string{"test"}}, webhooksig.NewSecret())
	must(o.t, err)
	return e.ID
}

// send enqueues n messages to an endpoint and returns their deliveries.
func (o *office) send(endpoint string, n int) []string {
	o.t.Helper()
	ids := make([]string, n)
	must(o.t, o.store.Tx(o.t.Context(), func(tx *store.Tx) error {
		account, err := credit.Lock(o.t.Context(), tx, o.org.ID())
		if err != nil {
			return err
		}
		messages := make([]delivery.NewMessage, n)
		for i := range messages {
			account.Sequence++
			m := delivery.Message{ID: usersync.NewID(usersync.PrefixMessage), Type: delivery.MessageTest, Sequence: account.Sequence, Body: []byte(`{}`)}
			messages[i] = delivery.NewMessage{Message: m, Endpoints: []string{endpoint}}
			ids[i] = delivery.IDOf(m.ID, endpoint)
		}
		if err := credit.Save(o.t.Context(), tx, account); err != nil {
			return err
		}
		return delivery.Enqueue(o.t.Context(), tx, o.org.ID(), messages)
	}))
	return ids
}

// job is a claimed task.
type job struct {
	kind  string
	claim usersync.Claim
}

// take claims all ready tasks.
func (o *office) take(ctx context.Context) ([]job, error) {
	taken, err := outbox.TakeReady(ctx, o.store, queue.Deliver, "", outbox.Shares{Slots: 1000, Key: 100}, 100)
	var jobs []job
	for _, e := range taken {
		c, ok, err := outbox.Claim(ctx, o.store, e.ID, e.Generation)
		if err != nil || !ok {
			return nil, fmt.Errorf("claim: %v %w", ok, err)
		}
		jobs = append(jobs, job{e.Kind, c})
	}
	return jobs, err
}

func (o *office) one() job {
	o.t.Helper()
	jobs, err := o.take(o.t.Context())
	if err != nil || len(jobs) != 1 {
		o.t.Fatalf("%d tasks are ready, want one; %v", len(jobs), err)
	}
	return jobs[0]
}

func (o *office) work(j job) error {
	return o.handlers[j.kind].Work(context.WithoutCancel(o.t.Context()), j.claim)
}

// drain works ready tasks until there is none.
func (o *office) drain() {
	o.t.Helper()
	for {
		jobs, err := o.take(o.t.Context())
		must(o.t, err)
		if len(jobs) == 0 {
			return
		}
		for _, j := range jobs {
			must(o.t, o.work(j))
		}
	}
}

func (o *office) delivery(id string) delivery.Delivery {
	o.t.Helper()
	d, err := delivery.Get(o.t.Context(), o.org, id)
	must(o.t, err)
	return d
}

func (o *office) redeliver(id string) {
	o.t.Helper()
	_, err := delivery.Redeliver(o.t.Context(), o.org, "test", id)
	must(o.t, err)
}

// statuses returns the HTTP statuses of the attempts.
func statuses(d delivery.Delivery) string {
	var list []int
	for _, a := range d.Attempts {
		list = append(list, a.Status)
	}
	return fmt.Sprint(list)
}

func (o *office) want(id string, status delivery.Status, attempts string) {
	o.t.Helper()
	d := o.delivery(id)
	if d.Status != status || statuses(d) != attempts || d.Attempted != len(d.Attempts) {
		o.t.Errorf("%s after the attempts %s (%d), want %s after %s", d.Status, statuses(d), d.Attempted, status, attempts)
	}
}

// stage hands each call to the test, which answers it when it likes.
type stage chan chan int

func (s stage) answer(w http.ResponseWriter, _ *http.Request) {
	call := make(chan int)
	s <- call
	w.WriteHeader(<-call)
}

// begin works the one ready task until its first call has arrived; end answers
// that and waits for the task.
func (s stage) begin(o *office) (end func(status int)) {
	o.t.Helper()
	done, j := make(chan error, 1), o.one()
	go func() { done <- o.work(j) }()
	call := <-s
	return func(status int) {
		o.t.Helper()
		call <- status
		must(o.t, <-done)
	}
}

func TestRedeliveryDuringAnAttemptLosesNeitherTheAttemptNorTheDelivery(t *testing.T) {
	t.Parallel()
	storetest.Engines(t, func(t *testing.T, fresh func() *store.Store) {
		s := fresh()
		// begin has a first attempt under way and the delivery sent again.
		begin := func(t *testing.T) (o *office, st stage, id string, first func(int)) {
			t.Helper()
			st = make(stage)
			o = open(t, s, st.answer)
			id = o.send(o.endpoint, 1)[0]
			first = st.begin(o)
			o.redeliver(id)
			return o, st, id, first
		}
		t.Run("it ends before the next begins", func(t *testing.T) { //nolint:paralleltest // they share a queue
			o, st, id, first := begin(t)
			first(200)
			o.want(id, delivery.Pending, "[200]")
			st.begin(o)(204)
			o.want(id, delivery.Delivered, "[200 204]")
		})
		t.Run("it ends while the next is under way", func(t *testing.T) { //nolint:paralleltest // they share a queue
			o, st, id, first := begin(t)
			second := st.begin(o)
			first(500)
			o.want(id, delivery.Pending, "[500]")
			second(204)
			o.want(id, delivery.Delivered, "[500 204]")
		})
		t.Run("it ends after the next", func(t *testing.T) { //nolint:paralleltest // they share a queue
			o, st, id, first := begin(t)
			st.begin(o)(204)
			first(500)
			o.want(id, delivery.Delivered, "[204 500]")
		})
	})
}

func TestSendingAgainAndDeliveringAtOnceKeepsEveryAttemptAndEndsEveryDelivery(t *testing.T) {
	t.Parallel()
	storetest.Engines(t, func(t *testing.T, fresh func() *store.Store) {
		var n atomic.Int64
		o := open(t, fresh(), func(w http.ResponseWriter, _ *http.Request) {
			if n.Add(1)%3 == 0 {
				w.WriteHeader(http.StatusInternalServerError)
			}
		})
		ids := o.send(o.endpoint, 40)
		ctx, stop := context.WithCancel(t.Context())
		var workers, askers sync.WaitGroup
		for range 3 {
			workers.Go(func() {
				for ctx.Err() == nil {
					jobs, err := o.take(context.WithoutCancel(ctx))
					if err != nil {
						t.Error(err)
						return
					}
					for _, j := range jobs {
						if err := o.work(j); err != nil {
							t.Error(err)
						}
					}
				}
			})
		}
		for k := range 4 {
			askers.Go(func() {
				for i := range ids {
					if _, err := delivery.Redeliver(t.Context(), o.org, "test", ids[(i*7+k)%len(ids)]); err != nil {
						t.Error(err)
					}
				}
			})
		}
		askers.Wait()
		stop()
		workers.Wait()
		// What the last failures left waiting is sent again until all has arrived.
		for open := true; open; {
			o.drain()
			open = false
			for _, id := range ids {
				if d := o.delivery(id); d.Status.Open() {
					o.redeliver(id)
					open = true
				}
			}
		}
		attempts := 0
		for _, id := range ids {
			d := o.delivery(id)
			attempts += len(d.Attempts)
			if d.Status != delivery.Delivered || d.Attempted != len(d.Attempts) {
				t.Errorf("%s ended %s after %d attempts, of which %d are kept", id, d.Status, d.Attempted, len(d.Attempts))
			}
		}
		if calls := int(o.calls.Load()); attempts != calls {
			t.Errorf("%d attempts are kept of %d calls", attempts, calls)
		}
	})
}

func TestRecoverSendsExactlyTheFailedOnesOfTheWindowPieceByPiece(t *testing.T) {
	t.Parallel()
	storetest.Engines(t, func(t *testing.T, fresh func() *store.Store) {
		o := open(t, fresh(), func(w http.ResponseWriter, _ *http.Request) { w.WriteHeader(http.StatusNoContent) })
		good := o.send(o.endpoint, 3)
		o.drain()
		o.set(delivery.EndpointDisabled)
		clock := func() time.Time {
			at, err := o.store.Now(t.Context())
			must(t, err)
			return at
		}
		// now returns a time that lies between what was done and what follows.
		now := func() time.Time {
			before := clock()
			for {
				if at := clock(); at.Sub(before) > time.Millisecond {
					return at
				}
			}
		}
		before := o.send(o.endpoint, 2)
		w := delivery.RecoveryWindow{Since: now()}
		const many = 1100 // more than one piece
		within := o.send(o.endpoint, many)
		w.Until = now()
		after := o.send(o.endpoint, 2)
		o.drain()
		o.want(within[many-1], delivery.Failed, "[0]")
		if _, err := delivery.RecoverFailed(t.Context(), o.org, "test", o.endpoint, w); usersync.CodeOf(err) != usersync.CodeConflict {
			t.Errorf("a disabled endpoint: %v", err)
		}
		_, err := delivery.EnableEndpoint(t.Context(), o.org, "test", o.endpoint)
		must(t, err)
		n, err := delivery.RecoverFailed(t.Context(), o.org, "test", o.endpoint, w)
		if err != nil || n != many {
			t.Fatalf("%d are recovered, %v", n, err)
		}
		o.drain()
		arrived := map[string]string{}
		list, err := delivery.List(t.Context(), o.org, o.endpoint, delivery.Delivered, "", 2*many)
		must(t, err)
		for _, d := range list {
			arrived[d.ID] = statuses(d)
		}
		for _, id := range within {
			if arrived[id] != "[0 204]" {
				t.Errorf("%s arrived after %q", id, arrived[id])
			}
		}
		for _, id := range append(before, after...) {
			o.want(id, delivery.Failed, "[0]")
		}
		o.want(good[0], delivery.Delivered, "[204]")
		o.wantNoTask()
	})
}

func (o *office) set(status string) {
	o.t.Helper()
	_, err := delivery.UpdateEndpoint(o.t.Context(), o.org, "test", o.endpoint, func(e *delivery.Endpoint) ([]string, error) {
		e.Status = status
		return []string{"status"}, nil
	})
	must(o.t, err)
}

func (o *office) wantNoTask() {
	o.t.Helper()
	state, err := outbox.Count(o.t.Context(), o.store)
	if err != nil || state.Ready+state.Sent+state.Scheduled != 0 {
		o.t.Errorf("tasks are left: %+v %v", state, err)
	}
}

func TestFailedDeliveryThatIsSentAgainBeginsTheScheduleAnew(t *testing.T) {
	t.Parallel()
	storetest.Engines(t, func(t *testing.T, fresh func() *store.Store) {
		o := open(t, fresh(), func(w http.ResponseWriter, _ *http.Request) { w.WriteHeader(http.StatusInternalServerError) })
		id := o.send(o.endpoint, 1)[0]
		for range 10 { // each time at once instead of when it is due
			o.drain()
			if d := o.delivery(id); d.Status == delivery.Retrying {
				o.redeliver(id)
			}
		}
		d := o.delivery(id)
		if d.Status != delivery.Failed || d.Attempted != 10 {
			t.Fatalf("%s after %d attempts", d.Status, d.Attempted)
		}
		o.redeliver(id)
		o.drain()
		d = o.delivery(id)
		wait := time.Until(d.NextAttemptAt)
		if d.Status != delivery.Retrying || d.Attempted != 11 || wait > 6*time.Second {
			t.Errorf("%s after %d attempts, again in %s", d.Status, d.Attempted, wait)
		}
		for range 40 {
			o.redeliver(id)
			o.drain()
		}
		if d := o.delivery(id); d.Attempted <= delivery.KeptAttempts || len(d.Attempts) != delivery.KeptAttempts {
			t.Errorf("%d of %d attempts are kept", len(d.Attempts), d.Attempted)
		}
	})
}

func TestSplitTaskTakesItsDeliveriesWithIt(t *testing.T) {
	t.Parallel()
	storetest.Engines(t, func(t *testing.T, fresh func() *store.Store) {
		o := open(t, fresh(), func(w http.ResponseWriter, _ *http.Request) { w.WriteHeader(http.StatusNoContent) })
		ids := o.send(o.endpoint, 3)
		j := o.one()
		parts, err := o.handlers[j.kind].Parts(j.claim.Args)
		must(t, err)
		var list []outbox.Part
		for item, args := range parts {
			list = append(list, outbox.Part{Item: item, Task: usersync.Task{ID: usersync.NewID(usersync.PrefixTask), Organization: o.org.ID(),
				Kind: j.kind, Queue: queue.Deliver, FairnessKey: o.endpoint, Args: args}})
		}
		must(t, outbox.Split(t.Context(), o.store, j.claim, list))
		o.drain()
		for _, id := range ids {
			o.want(id, delivery.Delivered, "[204]")
		}
		o.wantNoTask()
	})
}

func TestDisablingEndsWhatIsUnderWayAndWhatWaits(t *testing.T) {
	t.Parallel()
	storetest.Engines(t, func(t *testing.T, fresh func() *store.Store) {
		st := make(stage)
		o := open(t, fresh(), st.answer)
		waiting := o.send(o.endpoint, 1)[0]
		st.begin(o)(500)
		o.want(waiting, delivery.Retrying, "[500]")
		underWay := o.send(o.endpoint, 1)[0]
		end := st.begin(o)
		gone := o.send(o.endpoint, 1)[0]
		st.begin(o)(410)
		o.want(gone, delivery.Failed, "[410]")
		end(500)
		o.want(underWay, delivery.Failed, "[500]")
		o.drain()
		o.want(waiting, delivery.Failed, "[500 0]")
		o.wantNoTask()
	})
}

func TestDeletingEndsWhatWaits(t *testing.T) {
	t.Parallel()
	storetest.Engines(t, func(t *testing.T, fresh func() *store.Store) {
		o := open(t, fresh(), func(w http.ResponseWriter, _ *http.Request) { w.WriteHeader(http.StatusInternalServerError) })
		id := o.send(o.endpoint, 1)[0]
		o.drain()
		must(t, delivery.DeleteEndpoint(t.Context(), o.org, "test", o.endpoint, delivery.EndDeliveriesTask(o.org.ID(), o.endpoint)))
		o.drain()
		o.want(id, delivery.Failed, "[500 0]")
		o.wantNoTask()
	})
}

func TestEndpointThatHangsGivesItsSlotBackAfterOneAttempt(t *testing.T) {
	t.Parallel()
	s := storetest.Open(t, storetest.Options(t, "sqlite"))
	held := make(chan struct{})
	o := open(t, s, func(w http.ResponseWriter, r *http.Request) {
		select {
		case <-held:
		case <-r.Context().Done():
		}
	})
	t.Cleanup(func() { close(held) })
	client := &outbound.Client{Guard: &outbound.Guard{Allow: []netip.Prefix{netip.MustParsePrefix("127.0.0.0/8")}}, Timeout: 2100 * time.Millisecond}
	service := &delivery.Service{Store: s, Client: client, Metrics: telemetry.NewMetrics(), Log: slog.New(slog.DiscardHandler)}
	o.handlers[delivery.Deliver.Name] = service.Handlers()[0]
	ids := o.send(o.endpoint, 40)
	must(t, o.work(o.one()))
	tried := 0
	for _, id := range ids {
		switch d := o.delivery(id); d.Status {
		case delivery.Retrying:
			tried++
		case delivery.Pending:
		default:
			t.Errorf("%s", d.Status)
		}
	}
	if tried != 16 {
		t.Errorf("%d of 40 deliveries were tried in one turn, want 16", tried)
	}
	var args delivery.DeliverArgs
	must(t, json.Unmarshal(o.one().claim.Args, &args))
	if len(args.DeliveryIDs) != 40 {
		t.Errorf("%d deliveries come again at once", len(args.DeliveryIDs))
	}
}
