package store_test

import (
	"sync"
	"testing"
	"time"

	"usersync/internal/event"
	"usersync/internal/outbox"
	"usersync/internal/roomtest"
	"usersync/internal/store"
	"usersync/internal/usersync"
)

// A statement that is used for the first time waits for the connection that a
// transaction has; the transaction must not wait for that statement.
func TestFirstUseOfAStatementDoesNotHangATransaction(t *testing.T) {
	t.Parallel()
	roomtest.Each(t, 1, func(t *testing.T, n roomtest.Tenant) {
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
