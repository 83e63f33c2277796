package store_test

import (
	"reflect"
	"testing"

	"usersync/internal/store"
	"usersync/internal/store/storetest"
	"usersync/internal/usersync"
)

// Whoever opens an account tells the endpoints what it did: one that is missing
// here, or wants nothing, gets no webhook.
func TestOpenAccountNamesTheEndpointsThatAreSubscribed(t *testing.T) {
	t.Parallel()
	storetest.Engines(t, func(t *testing.T, open func() *store.Store) {
		s := open()
		n, other := newTenant(t, s, 7), newTenant(t, s, 1)
		make := func(n tenant, types ...string) string {
			e, err := n.Org(n.org.ID).CreateEndpoint(t.Context(), "test", usersync.Endpoint{URL: "https://hooks.example.com/", EventTypes: types}, usersync.NewSecret("secret"))
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
		if err := n.Org(n.org.ID).DeleteEndpoint(t.Context(), "test", gone); err != nil {
			t.Fatal(err)
		}
		_, endpoints := opened(t, n)
		for _, c := range []struct {
			endpoint string
			message  usersync.MessageType
			want     bool
		}{{completed, usersync.MessageCompleted, true}, {completed, usersync.MessageFailed, false}, {all, usersync.MessageFailed, true}, {gone, usersync.MessageFailed, false}} {
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
func opened(t *testing.T, n tenant) (account store.Account, endpoints []usersync.Endpoint) {
	t.Helper()
	err := n.Tx(t.Context(), func(tx *store.Tx) (err error) {
		if account, endpoints, err = tx.OpenAccount(t.Context(), n.org.ID); err != nil {
			return err
		}
		subscribed, err := tx.Subscriptions(t.Context(), n.org.ID)
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
