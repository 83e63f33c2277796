package delivery

import (
	"context"
	"fmt"

	"usersync/internal/credit"
	"usersync/internal/store"
)

// Test sends a test message to one endpoint, whatever types it wants, and returns
// its delivery.
func Test(ctx context.Context, org *store.Org, actor, endpoint, traceparent string) (d Delivery, err error) {
	err = withEndpoint(ctx, org, endpoint, actor, "webhook_endpoint.test", endpoint, nil, func(tx *store.Tx) error {
		account, err := credit.Lock(ctx, tx, org.ID())
		if err != nil {
			return fmt.Errorf("lock the account: %w", err)
		}
		message := AboutOrganization(MessageTest)
		message.Traceparent = traceparent
		messages := NewMessages(&account, nil)
		if err := messages.AddFor([]string{endpoint}, message, map[string]string{"endpointId": endpoint}); err != nil {
			return fmt.Errorf("make the test message: %w", err)
		}
		if err := messages.Enqueue(ctx, tx); err != nil {
			return fmt.Errorf("enqueue the test message: %w", err)
		}
		d, err = getInTx(ctx, tx, org.ID(), IDOf(message.ID, endpoint))
		return err
	})
	return d, err
}
