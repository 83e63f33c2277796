package connector

import (
	"context"
	"errors"
	"fmt"

	"golang.org/x/sync/errgroup"

	"usersync/internal/outbound"
	"usersync/internal/usersync"
)

// eachAtOnce is how many calls Each has under way where the platform publishes
// no bound.
const eachAtOnce = 8

// Each pushes every person by a call of their own, for platforms that have no batch
// call. It makes as many calls at once as the account allows. A person who is
// rejected gets a failed result, unless everybody would be, see ErrEverybody. After any
// other error Each begins no further call,
// and returns the results so far beside the error, and what push says of Remote.
func (c *Client) Each(ctx context.Context, people []Profile, push func(context.Context, Profile) (Result, error)) ([]Result, error) {
	results := make([]Result, len(people))
	group, failed := errgroup.WithContext(ctx)
	group.SetLimit(c.atOnce())
	for i, p := range people {
		group.Go(func() error {
			if failed.Err() != nil && ctx.Err() == nil {
				return nil // Another call has failed.
			}
			// The call gets ctx: a failure of another does not break it off.
			result, err := push(outbound.About(ctx, p.UserID), p)
			if usersync.CodeOf(err) == usersync.CodeRejected && !errors.Is(err, ErrEverybody) {
				result, err = Rejected(err), nil
			}
			if err != nil {
				results[i] = Result{Remote: result.Remote}
				return fmt.Errorf("push one of several people: %w", err)
			}
			results[i] = result
			return nil
		})
	}
	return results, group.Wait()
}

func (c *Client) atOnce() int {
	if c.limits.Concurrent > 0 {
		return c.limits.Concurrent
	}
	return eachAtOnce
}
