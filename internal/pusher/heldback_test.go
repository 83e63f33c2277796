package pusher_test

import (
	"context"
	"testing"
	"time"

	"usersync/internal/connector"
)

// paced is a platform whose account has no call left for us. Of each person it learns
// something before it finds that out.
type paced struct {
	*model
	kept []string // the Remote of those who come
}

func (p *paced) Push(_ context.Context, people []connector.Profile) ([]connector.Result, error) {
	results := make([]connector.Result, len(people))
	for i, one := range people {
		p.kept = append(p.kept, one.Remote)
		results[i].Remote = "id-of-" + one.UserID
	}
	return results, connector.HeldBack(time.Hour)
}

// Our own limit is no rest that a platform asked for, and it loses nothing that is known.
func TestWhatOurOwnLimitHoldsBackIsNotBlamedOnThePlatform(t *testing.T) {
	t.Parallel()
	eachOrder(t, func(t *testing.T, o *order) {
		p := &paced{model: o.model}
		o.platform = p
		o.change(2)
		must(t, o.pusher.Work(t.Context(), o.take()))
		if until := o.connection().ThrottledUntil; !until.IsZero() {
			t.Errorf("shown as throttled by the platform until %v", until)
		}
		if wait := o.next(); wait < 50*time.Minute || o.comesAgain() {
			t.Errorf("made again in %v", wait)
		}
		o.travel()
		must(t, o.pusher.Work(t.Context(), o.take()))
		if len(p.kept) != 4 || p.kept[0] != "" || p.kept[2] == "" || p.kept[3] == "" {
			t.Errorf("known of them is %q", p.kept)
		}
		o.platform = o.model
		o.drain()
	})
}
