package store_test

import (
	"sync"
	"testing"
	"time"

	"usersync/internal/event"
	"usersync/internal/outbox"
	"usersync/internal/roomtest"
	"usersync/internal/store"
	"usersync/internal/store/storetest"
	"usersync/internal/usersync"
)

// A statement that is used for the first time waits for the connection that a
// transaction has; the transaction must not wait for that statement.
func TestFirstUseOfAStatementDoesNotHangATransaction(t *testing.T) {
	t.Parallel()
	storetest.Engines(t, func(t *testing.T, open func() *store.Store) {
		n := roomtest.New(t, open(), 1)
		var wg sync.WaitGroup
		err := n.Tx(t.Context(), func(tx *store.Tx) error {
			for range 4 {
				wg.Go(func() { _, _, _ = outbox.Claim(t.Context(), n.Store, usersync.NewID(usersync.PrefixTask), 1) })
			}
			// That they wait shows nowhere; if they do not yet, the test proves less.
			time.Sleep(20 * time.Millisecond)
			return event.Save(t.Context(), tx, n.Organization.ID, []event.Event{{ID: usersync.NewID(usersync.PrefixEvent), Type: "x", Source: "x"}})
		})
		wg.Wait()
		if err != nil {
			t.Error(err)
		}
	})
}
