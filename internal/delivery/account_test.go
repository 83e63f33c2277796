package delivery_test

import (
	"reflect"
	"testing"

	"usersync/internal/credit"
	"usersync/internal/delivery"
	"usersync/internal/outbox"
	"usersync/internal/queue"
	"usersync/internal/roomtest"
	"usersync/internal/store"
	"usersync/internal/usersync"
)

// Whoever opens an account tells the endpoints what it did: one that is missing
// here, or wants nothing, gets no webhook.
func TestOpenAccountNamesTheEndpointsThatAreSubscribed(t *testing.T) {
	t.Parallel()
	roomtest.Each(t, 7, func(t *testing.T, n roomtest.Tenant) {
		other := roomtest.New(t, n.Store, 1)
		make := func(n roomtest.Tenant, types ...string) string {
			e, err := delivery.CreateEndpoint(t.Context(), n.Org(n.Organization.ID), "test", delivery.Endpoint{URL: "https://hooks.example.com/", EventTypes: types}, usersync.NewSecret("secret"))
			if err != nil {
				t.Fatal(err)
			}
			return e.ID
		}
		make(other, "*")
		if account, endpoints := opened(t, n); len(endpoints) > 0 || account.Balance != 7 {
			t.Errorf("without endpoints: balance %d, %v", account.Balance, endpoints)
		}
		completed, all, gone := make(n, "user_sync.completed"), make(n, "*"), make(n, "*")
		if err := delivery.DeleteEndpoint(t.Context(), n.Org(n.Organization.ID), "test", gone); err != nil {
			t.Fatal(err)
		}
		_, endpoints := opened(t, n)
		for _, c := range []struct {
			endpoint string
			message  delivery.MessageType
			want     bool
		}{{completed, delivery.MessageCompleted, true}, {completed, delivery.MessageFailed, false}, {all, delivery.MessageFailed, true}, {gone, delivery.MessageFailed, false}} {
			got := false
			for _, e := range endpoints {
				got = got || e.ID == c.endpoint && e.Wants(c.message)
			}
			if got != c.want {
				t.Errorf("endpoint %s, message %s: told %t, want %t", c.endpoint, c.message, got, c.want)
			}
		}
	})
}

// opened opens an account, and says where the two ways to ask differ.
func opened(t *testing.T, n roomtest.Tenant) (account credit.Account, endpoints []delivery.Endpoint) {
	t.Helper()
	err := n.Tx(t.Context(), func(tx *store.Tx) (err error) {
		if account, endpoints, err = delivery.LockAccountWithEndpoints(t.Context(), tx, n.Organization.ID); err != nil {
			return err
		}
		subscribed, err := delivery.EnabledEndpoints(t.Context(), tx, n.Organization.ID)
		if err == nil && len(endpoints)+len(subscribed) > 0 && !reflect.DeepEqual(endpoints, subscribed) {
			t.Errorf("the account names %v, subscribed are %v", endpoints, subscribed)
		}
		return err
	})
	if err != nil {
		t.Fatal(err)
	}
	return account, endpoints
}

func TestADeliveryDoesNotOvertakeThoseThatWaitForItsEndpoint(t *testing.T) {
	t.Parallel()
	roomtest.Each(t, 7, func(t *testing.T, n roomtest.Tenant) {
		for range 2 {
			e := delivery.Endpoint{URL: "https://hooks.example.com/", EventTypes: []string{"*"}}
			if _, err := delivery.CreateEndpoint(t.Context(), n.Org(n.Organization.ID), "test", e, usersync.NewSecret("secret")); err != nil {
				t.Fatal(err)
			}
		}
		_, endpoints := opened(t, n)
		busy := endpoints[1].ID
		err := n.Tx(t.Context(), func(tx *store.Tx) error {
			return outbox.Enqueue(t.Context(), tx, delivery.Deliver.Task(usersync.NewID(usersync.PrefixTask), n.Organization.ID, busy, delivery.DeliverArgs{EndpointID: busy}))
		})
		if err != nil {
			t.Fatal(err)
		}
		slots := queue.NewLocalSlots(64).Reserve()
		defer slots.Release()
		var local []queue.LocalTask
		err = n.Tx(t.Context(), func(tx *store.Tx) error {
			account, endpoints, err := delivery.LockAccountWithEndpoints(t.Context(), tx, n.Organization.ID)
			if err != nil {
				return err
			}
			messages := delivery.NewMessages(&account, endpoints)
			if err := messages.Add(delivery.AboutOrganization(delivery.MessageCompleted), nil); err != nil {
				return err
			}
			local, err = messages.EnqueueLocal(t.Context(), tx, slots)
			return err
		})
		if err != nil || len(local) != 1 || local[0].Claim.FairnessKey == busy {
			t.Errorf("%v; this worker delivers %+v itself, want only what goes to the idle endpoint", err, local)
		}
	})
}
