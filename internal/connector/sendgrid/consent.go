package sendgrid

import (
	"context"
	"fmt"
	"net/http"
	"slices"

	"usersync/internal/connector"
	"usersync/internal/connector/ability"
)

var _ ability.Unsubscriber = (*client)(nil)

// maxSuppressed is how many addresses one call puts on the global list. SendGrid
// publishes no bound.
const maxSuppressed = 1000

// Unsubscribe puts people on the account's global list of those who get no mail. They are
// made no contacts, as contacts cost money.
func (c *client) Unsubscribe(ctx context.Context, people []connector.Profile) ([]connector.Result, error) {
	results := make([]connector.Result, 0, len(people))
	for some := range slices.Chunk(people, maxSuppressed) {
		addresses := make([]string, len(some))
		for i, p := range some {
			addresses[i] = p.Email.Display()
		}
		if _, err := c.call(ctx, http.MethodPost, "/v3/asm/suppressions/global", map[string]any{"recipient_emails": addresses}, nil); err != nil {
			return results, fmt.Errorf("put people on the global list: %w", err)
		}
		for _, p := range some {
			results = append(results, unsubscribed(p, connector.Did))
		}
	}
	return results, nil
}
