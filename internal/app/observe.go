package app

import (
	"context"
	"errors"
	"time"

	"usersync/internal/outbox"
	"usersync/internal/queue"
)

// observe registers the functions that set the gauges at a scrape.
func (a *App) observe() {
	a.metrics.OnScrape("outbox", a.observeOutbox)
	a.metrics.OnScrape("queue", a.observeQueue)
}

func (a *App) observeOutbox(ctx context.Context) error {
	state, err := outbox.Count(ctx, a.Store)
	if err != nil {
		return err
	}
	for name, n := range map[string]int64{"ready": state.Ready, "sent": state.Sent, "scheduled": state.Scheduled, "parked": state.Parked,
		"held": state.Held, "poisoned": state.Poisoned} {
		a.metrics.OutboxDepth.WithLabelValues(name).Set(float64(n))
	}
	a.metrics.OldestUnsent.Set(age(state.OldestReady))
	a.metrics.OldestUnfinished.Set(age(state.OldestUnfinished))
	return nil
}

func (a *App) observeQueue(ctx context.Context) error {
	err := a.Queue.Accepts(ctx)
	switch {
	case err == nil:
		a.metrics.QueueFull.Set(0)
	case errors.Is(err, queue.ErrFull):
		a.metrics.QueueFull.Set(1)
	default:
		return err
	}
	depths, err := a.Queue.Depths()
	if err != nil {
		return err
	}
	for _, d := range depths {
		for name, n := range map[string]int64{"pending": d.Pending, "active": d.Active, "scheduled": d.Scheduled, "retry": d.Retry, "failed": d.Failed} {
			a.metrics.QueueDepth.WithLabelValues(d.Queue, name).Set(float64(n))
		}
	}
	return nil
}

// age returns how long ago t was, in seconds. It is 0 for the zero time.
func age(t time.Time) float64 {
	if t.IsZero() {
		return 0
	}
	return time.Since(t).Seconds()
}
