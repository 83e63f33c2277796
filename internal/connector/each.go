package connector

import (
	"context"
	"sync"

	"usersync/internal/usersync"
)

// eachAtOnce is how many calls Each has under way where the platform publishes
// no bound.
const eachAtOnce = 8

// Each pushes every person by a call of their own, for platforms that have no batch
// call. It makes as many calls at once as the account allows. A person who is
// rejected gets a failed result. After any other error Each begins no further call,
// and returns the results so far beside the error.
func (c *Client) Each(ctx context.Context, people []Profile, push func(context.Context, Profile) (Result, error)) ([]Result, error) {
	results := make([]Result, len(people))
	gate := make(chan struct{}, c.atOnce())
	var wg sync.WaitGroup
	var first firstError
	for i, p := range people {
		gate <- struct{}{}
		if first.get() != nil {
			break
		}
		wg.Go(func() {
			defer func() { <-gate }()
			result, err := push(ctx, p)
			if usersync.CodeOf(err) == usersync.CodeRejected {
				result, err = Rejected(err), nil
			}
			if err != nil {
				first.set(err)
				return
			}
			results[i] = result
		})
	}
	wg.Wait()
	return results, first.get()
}

func (c *Client) atOnce() int {
	if c.limits.Concurrent > 0 {
		return c.limits.Concurrent
	}
	return eachAtOnce
}

// firstError keeps the first of several errors.
type firstError struct {
	sync.Mutex
	err error
}

func (f *firstError) set(err error) {
	f.Lock()
	defer f.Unlock()
	if f.err == nil {
		f.err = err
	}
}

func (f *firstError) get() error {
	f.Lock()
	defer f.Unlock()
	return f.err
}
