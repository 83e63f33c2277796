package pusher_test

import (
	"context"
	"testing"

	"usersync/internal/connector"
	"usersync/internal/platform"
	"usersync/internal/usersync"
)

// halfway is a platform that takes the first half of a batch and refuses the credentials
// before the rest, whose ids it has looked up.
type halfway struct {
	*model
	cut bool
	// unknown are those who come again after that without their id.
	unknown []string
}

func (h *halfway) Push(ctx context.Context, people []connector.Profile) ([]connector.Result, error) {
	if !h.cut {
		for _, p := range people {
			if p.Remote != "id of "+p.UserID {
				h.unknown = append(h.unknown, p.UserID)
			}
		}
		return h.model.Push(ctx, people)
	}
	results, err := h.model.Push(ctx, people[:len(people)/2])
	if err != nil {
		return nil, err
	}
	for _, p := range people[len(results):] {
		results = append(results, connector.Result{Remote: "id of " + p.UserID})
	}
	return results, usersync.Errorf(usersync.CodeDisconnected, "The key is refused.")
}

// What a platform took before it refused the connection stays known: nobody of them is
// pushed again.
func TestWhatWasTakenBeforeADisconnectIsKept(t *testing.T) {
	t.Parallel()
	eachOrder(t, func(t *testing.T, o *order) {
		h := &halfway{model: o.model, cut: true}
		o.platform = h
		o.change(10)
		must(t, o.pusher.Work(t.Context(), o.take()))
		if c := o.connection(); c.Status != platform.ConnectionDisconnected {
			t.Errorf("the connection is %s", c.Status)
		}
		if n := o.pushed(); n != 5 {
			t.Errorf("%d are known to have arrived, want 5", n)
		}
		h.cut = false
		o.resume()
		o.drain()
		if n := o.pushed(); n != 10 {
			t.Errorf("%d arrived in the end, want 10", n)
		}
		if len(h.unknown) > 0 {
			t.Errorf("what was learnt of %v is lost", h.unknown)
		}
	})
}
