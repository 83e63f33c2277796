package delivery_test

import (
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"usersync/internal/credit"
	"usersync/internal/delivery"
	"usersync/internal/queue"
	"usersync/internal/store"
	"usersync/internal/store/storetest"
	"usersync/internal/usersync"
	"usersync/internal/webhooksig"
)

// sendLocal sends a message to the office's endpoint as a worker does that makes the
// delivery itself: the returned job knows what there is to deliver.
func (o *office) sendLocal() (id string, j job) {
	o.t.Helper()
	var local []queue.LocalTask
	must(o.t, o.store.Tx(o.t.Context(), func(tx *store.Tx) error {
		account, endpoints, err := delivery.LockAccountWithEndpoints(o.t.Context(), tx, o.org.ID())
		if err != nil {
			return err
		}
		m, messages := delivery.AboutOrganization(delivery.MessageTest), delivery.NewMessages(&account, endpoints)
		if err := messages.AddFor([]string{o.endpoint}, m, struct{}{}); err != nil {
			return err
		}
		id = delivery.IDOf(m.ID, o.endpoint)
		if local, err = messages.EnqueueLocal(o.t.Context(), tx, queue.NewLocalSlots(1).Reserve()); err != nil {
			return err
		}
		return credit.Save(o.t.Context(), tx, account)
	}))
	if len(local) != 1 || local[0].Claim.Known == nil {
		o.t.Fatalf("the worker has %d tasks of its own, want one that knows its delivery", len(local))
	}
	return id, job{local[0].Kind, local[0].Claim}
}

// sendQueued sends a message over the queue.
func (o *office) sendQueued() (id string, j job) {
	o.t.Helper()
	id = o.send(o.endpoint, 1)[0]
	return id, o.one()
}

// eachWay runs a test on both engines, for deliveries of the worker's own and for those
// that come over the queue.
func eachWay(t *testing.T, test func(t *testing.T, s *store.Store, send func(*office) (string, job))) {
	t.Helper()
	for way, send := range map[string]func(*office) (string, job){"local": (*office).sendLocal, "queued": (*office).sendQueued} {
		t.Run(way, func(t *testing.T) {
			t.Parallel()
			storetest.Engines(t, func(t *testing.T, fresh func() *store.Store) { test(t, fresh(), send) })
		})
	}
}

func arrived(w http.ResponseWriter, _ *http.Request) { w.WriteHeader(http.StatusNoContent) }

// What a worker remembers of an endpoint must not outlive a change that another process
// made.
func TestEachDeliveryGoesWhereTheEndpointIsThen(t *testing.T) {
	t.Parallel()
	eachWay(t, func(t *testing.T, s *store.Store, send func(*office) (string, job)) {
		o := open(t, s, arrived)
		deliver := func() {
			t.Helper()
			id, j := send(o)
			must(t, o.work(j))
			o.want(id, delivery.Delivered, "[204]")
		}
		deliver()
		moved := &atomic.Int64{}
		server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) { moved.Add(1); arrived(w, r) }))
		t.Cleanup(server.Close)
		_, err := delivery.UpdateEndpoint(t.Context(), o.org, "test", o.endpoint, func(e *delivery.Endpoint) ([]string, error) {
			e.URL = server.URL
			return []string{"url"}, nil
		})
		must(t, err)
		deliver()
		deliver()
		if o.calls.Load() != 1 || moved.Load() != 2 {
			t.Errorf("%d calls at the old address and %d at the new one, want 1 and 2", o.calls.Load(), moved.Load())
		}
	})
}

func TestADisabledOrDeletedEndpointGetsNothingThoughItIsRemembered(t *testing.T) {
	t.Parallel()
	eachWay(t, func(t *testing.T, s *store.Store, send func(*office) (string, job)) {
		o := open(t, s, arrived)
		first, j := send(o)
		must(t, o.work(j))
		o.want(first, delivery.Delivered, "[204]")

		// The endpoint is disabled before a message is sent that goes to it by name.
		o.set(delivery.EndpointDisabled)
		disabled, j := send(o)
		must(t, o.work(j))
		o.want(disabled, delivery.Failed, "[0]")

		o.set(delivery.EndpointEnabled)
		again, j := send(o)
		must(t, o.work(j))
		o.want(again, delivery.Delivered, "[204]")

		must(t, delivery.DeleteEndpoint(t.Context(), o.org, "test", o.endpoint))
		deleted, j := send(o)
		must(t, o.work(j))
		o.want(deleted, delivery.Failed, "[0]")
		if o.calls.Load() != 2 {
			t.Errorf("the endpoint got %d calls, want 2", o.calls.Load())
		}
	})
}

func TestARememberedEndpointSignsWithTheSecretsInForce(t *testing.T) {
	t.Parallel()
	eachWay(t, func(t *testing.T, s *store.Store, send func(*office) (string, job)) {
		o := open(t, s, arrived)
		type message struct {
			header http.Header
			body   []byte
		}
		received := make(chan message, 1)
		server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
			body, _ := io.ReadAll(r.Body) // a body that is cut short is not verified
			received <- message{r.Header, body}
			arrived(w, r)
		}))
		t.Cleanup(server.Close)
		secrets := []usersync.Secret{webhooksig.NewSecret(), webhooksig.NewSecret(), webhooksig.NewSecret()}
		e, err := delivery.CreateEndpoint(t.Context(), o.org, "test", delivery.Endpoint{URL: server.URL, EventTypes: []string{"test"}}, secrets[0])
		must(t, err)
		o.endpoint = e.ID
		want := func(by string) {
			t.Helper()
			_, j := send(o)
			must(t, o.work(j))
			m, got := <-received, ""
			for i, secret := range secrets {
				if webhooksig.Verify(secret, m.header, m.body, time.Now(), time.Minute) == nil {
					got += fmt.Sprint(i)
				}
			}
			if got != by {
				t.Errorf("signed with the secrets %q, want %q", got, by)
			}
		}
		want("0")
		for i, by := range []string{"01", "12"} {
			_, err := delivery.RotateSecret(t.Context(), o.org, "test", o.endpoint, func(string) usersync.Secret { return secrets[i+1] })
			must(t, err)
			want(by)
			want(by)
		}
	})
}

// The success must end the row of failures, however it is written.
func TestASuccessEndsTheRowOfFailures(t *testing.T) {
	t.Parallel()
	eachWay(t, func(t *testing.T, s *store.Store, send func(*office) (string, job)) {
		status := &atomic.Int64{}
		o := open(t, s, func(w http.ResponseWriter, _ *http.Request) { w.WriteHeader(int(status.Load())) })
		failing := func() bool {
			t.Helper()
			e, err := delivery.GetEndpoint(t.Context(), o.org, o.endpoint)
			must(t, err)
			return !e.FailingSince.IsZero()
		}
		for _, answer := range []int64{204, 500, 204, 204} {
			status.Store(answer)
			id, j := send(o)
			must(t, o.work(j))
			if d := o.delivery(id); (d.Status == delivery.Delivered) != (answer == 204) {
				t.Errorf("after %d the delivery is %s", answer, d.Status)
			}
			if failing() != (answer == 500) {
				t.Errorf("after %d the endpoint is failing: %v", answer, failing())
			}
		}
	})
}

func TestALocalDeliveryThatIsSentAgainMeanwhileKeepsBothAttempts(t *testing.T) {
	t.Parallel()
	storetest.Engines(t, func(t *testing.T, fresh func() *store.Store) {
		st := make(stage)
		o := open(t, fresh(), st.answer)
		id, j := o.sendLocal()
		done := make(chan error, 1)
		go func() { done <- o.work(j) }()
		call := <-st
		o.redeliver(id)
		call <- http.StatusOK
		must(t, <-done)
		o.want(id, delivery.Pending, "[200]")
		st.begin(o)(http.StatusNoContent)
		o.want(id, delivery.Delivered, "[200 204]")
		o.wantNoTask()
	})
}

// A worker makes hundreds of these a second. Each call here is a statement, and all of
// them travel together.
func TestALocalDeliveryToARememberedEndpointAsksTheDatabaseNothing(t *testing.T) {
	t.Parallel()
	breaker := &storetest.Breaker{}
	options := storetest.Options(t, "postgres")
	options.Wrap = breaker.Wrap
	o := open(t, storetest.Open(t, options), arrived)
	_, j := o.sendLocal()
	must(t, o.work(j))
	var calls []string
	for n := 1; n < 20; n++ {
		id, j := o.sendLocal()
		breaker.Arm(n, false)
		err := o.work(j)
		what := breaker.Disarm()
		if what == "" {
			must(t, err)
			o.want(id, delivery.Delivered, "[204]")
			break
		}
		calls = append(calls, what)
	}
	want := []string{"BEGIN", "DELETE FROM outbox", "SELECT 1 FROM outbox", "UPDATE deliveries", "COMMIT"}
	if len(calls) != len(want) {
		t.Fatalf("the calls are %q, want %q", calls, want)
	}
	for i := range want {
		if !strings.Contains(calls[i], want[i]) {
			t.Errorf("call %d is %q, want %q", i+1, calls[i], want[i])
		}
	}
}
