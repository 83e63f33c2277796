package relay

import (
	"testing"
	"time"

	"usersync/internal/queue"
)

func TestCrowdIsMoreThanOneLaneOfAQueueLately(t *testing.T) {
	t.Parallel()
	type seen struct {
		queue, lane string
		at          time.Duration
	}
	for name, c := range map[string]struct {
		seen []seen
		at   time.Duration
		want bool
	}{
		"nobody":                       {want: false},
		"one lane, often":              {[]seen{{"q", "a", 0}, {"q", "a", 1}, {"q", "a", 2}}, 3, false},
		"two lanes":                    {[]seen{{"q", "a", 0}, {"q", "b", 1}}, 2, true},
		"one of two, often":            {[]seen{{"q", "a", 0}, {"q", "b", 1}, {"q", "b", 2}, {"q", "b", 3}}, 4, true},
		"the other one is long gone":   {[]seen{{"q", "a", 0}, {"q", "b", 1}, {"q", "b", crowdFor}}, crowdFor, false},
		"the other comes now and then": {[]seen{{"q", "a", 0}, {"q", "b", 1}, {"q", "a", 2}, {"q", "a", crowdFor / 2}}, crowdFor, true},
		"lanes of different queues":    {[]seen{{"q", "a", 0}, {"other", "b", 1}}, 2, false},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			var crowd crowd
			began := time.Now()
			for _, s := range c.seen {
				crowd.note(s.queue, s.lane, began.Add(s.at))
			}
			if got := crowd.many("q", began.Add(c.at)); got != c.want {
				t.Errorf("many is %t, want %t", got, c.want)
			}
		})
	}
}

func TestShareLeavesRoomForOthers(t *testing.T) {
	t.Parallel()
	for _, c := range []struct {
		queue string
		slots int
		many  bool
		want  int
	}{
		{queue.Run, 4, false, 2}, {queue.Run, 4, true, 1}, {queue.Run, 1, false, 2}, {queue.Run, 1, true, 1}, {queue.Run, 16, true, 4},
		{queue.Deliver, 16, false, 2}, {queue.Deliver, 16, true, 2}, {queue.Deliver, 4, false, 1},
	} {
		if got := share(c.queue, c.slots, c.many); got != c.want {
			t.Errorf("share of %+v is %d", c, got)
		}
	}
}
