package relay

import (
	"testing"

	"usersync/internal/queue"
)

func TestShareLeavesRoomForOthers(t *testing.T) {
	t.Parallel()
	for _, c := range []struct {
		queue       string
		slots, want int
	}{
		{queue.Run, 4, 1}, {queue.Run, 1, 1}, {queue.Run, 16, 4},
		{queue.Deliver, 16, 2}, {queue.Deliver, 4, 1},
	} {
		if got := share(c.queue, c.slots); got != c.want {
			t.Errorf("share of %+v is %d", c, got)
		}
	}
}
