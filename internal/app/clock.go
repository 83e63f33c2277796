package app

import (
	"context"
	"time"
)

const (
	// clockEvery is how often a process compares its clock with the database's.
	clockEvery = time.Minute
	// clockSlack is how far the two may be apart before the log says so. The clock of a
	// process decides nothing of the work, but it is what ids, stamps and logs tell.
	clockSlack = 5 * time.Second
)

// watchClock compares the clock of the process with the database's until ctx ends.
func (a *App) watchClock(ctx context.Context) {
	if a.Store.Embedded() {
		return // It is the same clock.
	}
	ticker := time.NewTicker(clockEvery)
	defer ticker.Stop()
	for off := false; ; { //lint:loop until the process ends
		off = a.compareClock(ctx, off)
		select {
		case <-ctx.Done():
			return
		case <-ticker.C:
		}
	}
}

// compareClock notes how far the clock of the process is ahead, and logs it when that has
// become more than clockSlack, once. It returns whether it is more.
func (a *App) compareClock(ctx context.Context, wasOff bool) (off bool) {
	began := time.Now()
	told, err := a.Store.Now(ctx)
	if err != nil {
		return wasOff // Whoever needs the database says that it is away.
	}
	ahead := began.Add(time.Since(began) / 2).Sub(told)
	a.metrics.ClockOffset.Set(ahead.Seconds())
	off = ahead.Abs() > clockSlack
	if off && !wasOff {
		a.o.Log.WarnContext(ctx, "the clock of this process differs from the database's, which decides what is due; set it by NTP", "ahead_seconds", ahead.Seconds())
	}
	return off
}
