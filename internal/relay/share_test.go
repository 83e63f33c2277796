package relay

import (
	"testing"
	"time"

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

func TestTheLeaderSleepsUntilTheNextTaskIsDue(t *testing.T) {
	t.Parallel()
	for _, c := range []struct {
		due        bool
		next, want time.Duration
	}{
		{false, 24 * time.Hour, sweepIdle},
		{false, 300 * time.Millisecond, 300 * time.Millisecond},
		{false, 30 * time.Second, sweepBusy},
		{true, 300 * time.Millisecond, sweepBusy}, // many come one after the other
		{true, -time.Second, sweepBusy},           // it counts as lost and waits for the reconciler
	} {
		if got := pause(c.due, c.next); got != c.want {
			t.Errorf("pause(%v, %s) = %s, want %s", c.due, c.next, got, c.want)
		}
	}
}
