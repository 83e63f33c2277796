// Package pulse tells how the newest requests of an organization fare.
package pulse

import (
	"context"
	"fmt"
	"slices"
	"time"

	"usersync/internal/request"
	"usersync/internal/store"
)

const (
	// sample bounds the requests that a pulse is taken of.
	sample = 2000
	// window is how far back it looks.
	window = 30 * time.Minute
	// bins is how many parts of that it tells apart.
	bins = 30
)

// Service takes pulses.
type Service struct{}

// Pulse is how the newest requests of an organization fare: those of the last half hour,
// 2,000 at most.
type Pulse struct {
	Now time.Time
	// Since is when the window begins: half an hour ago, or later where more came since.
	Since time.Time
	// Requests are those in the window. Cut says that there were more in the half hour.
	Requests int
	Cut      bool
	// PerSecond is how many were accepted a second in the last minute, or in the window
	// where that is shorter.
	PerSecond float64
	// Median and Slow are how long finished ones took from acceptance to their end: half of
	// them, and 95 of 100, took no longer.
	Median, Slow time.Duration
	// Outcomes counts them by status.
	Outcomes map[request.Status]int
	// Oldest is when the oldest unfinished one came, zero for none.
	Oldest time.Time
	// Bins are equal parts of the window, oldest first.
	Bins []Bin
}

// Bin is a part of the window.
type Bin struct {
	At               time.Time
	Accepted, Failed int
}

// Waiting is how many are unfinished.
func (p Pulse) Waiting() int {
	n := 0
	for status, count := range p.Outcomes {
		if !status.Final() {
			n += count
		}
	}
	return n
}

// Take takes the pulse of an organization.
func (*Service) Take(ctx context.Context, org *store.Org) (Pulse, error) {
	now, err := org.Now(ctx)
	if err != nil {
		return Pulse{}, fmt.Errorf("ask the database for its time: %w", err)
	}
	list, err := request.Newest(ctx, org, sample)
	if err != nil {
		return Pulse{}, fmt.Errorf("read the newest requests: %w", err)
	}
	return pulseOf(now, list), nil
}

// pulseOf takes the pulse of requests, newest first.
func pulseOf(now time.Time, list []request.Glimpse) Pulse {
	p := Pulse{Now: now, Since: now.Add(-window), Outcomes: map[request.Status]int{}}
	if len(list) == sample && list[len(list)-1].Created.After(p.Since) {
		p.Since, p.Cut = list[len(list)-1].Created, true
	}
	width := max(now.Sub(p.Since)/bins, time.Millisecond)
	for i := range bins {
		p.Bins = append(p.Bins, Bin{At: p.Since.Add(time.Duration(i) * width)})
	}
	recent, minute := 0, min(time.Minute, max(now.Sub(p.Since), time.Second))
	var took []time.Duration
	for _, g := range list {
		if g.Created.Before(p.Since) {
			break
		}
		p.Requests++
		p.Outcomes[g.Status]++
		bin := &p.Bins[min(max(int(g.Created.Sub(p.Since)/width), 0), bins-1)]
		bin.Accepted++
		if now.Sub(g.Created) <= minute {
			recent++
		}
		switch {
		case g.Finished.IsZero():
			p.Oldest = g.Created
		default:
			took = append(took, g.Finished.Sub(g.Created))
		}
		if g.Status == request.Failed || g.Status == request.PartiallySucceeded {
			bin.Failed++
		}
	}
	p.PerSecond = float64(recent) / minute.Seconds()
	p.Median, p.Slow = share(took, 0.5), share(took, 0.95)
	return p
}

// share returns the duration that a share of them does not exceed, 0 for none.
func share(took []time.Duration, of float64) time.Duration {
	if len(took) == 0 {
		return 0
	}
	slices.Sort(took)
	return took[min(int(of*float64(len(took))), len(took)-1)]
}
