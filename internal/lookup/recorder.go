package lookup

import (
	"cmp"
	"context"
	"fmt"
	"log/slog"
	"slices"
	"time"

	"usersync/internal/event"
	"usersync/internal/store"
)

// Recorder writes what look-ups log and learn, in batches and behind their answers. What
// it holds when the process is killed is lost: some milliseconds of a log of reads. Make it
// by NewRecorder.
type Recorder struct {
	store  *store.Store
	log    *slog.Logger
	events chan entry
	learnt chan Learning
	recent *recent
}

// entry is an event of an organization.
type entry struct {
	organization string
	event.Event
}

const (
	// maxEntries bounds the events that wait. When there are more, look-ups wait for room.
	maxEntries = 8192
	// entriesAtOnce bounds the events of one transaction.
	entriesAtOnce = 500
	// writeEvery is the least time between two transactions, so that many look-ups share one.
	writeEvery = 20 * time.Millisecond
	// flushWithin bounds what is done at the end.
	flushWithin = 5 * time.Second
	// roomWithin is how long a look-up waits for room before its event is dropped.
	roomWithin = time.Second
)

// NewRecorder returns a Recorder whose Run has to be called.
func NewRecorder(s *store.Store, log *slog.Logger) *Recorder {
	return &Recorder{store: s, log: log, events: make(chan entry, maxEntries), learnt: make(chan Learning, maxLearnings), recent: newRecent()}
}

// Log has an event written soon.
func (r *Recorder) Log(ctx context.Context, organization string, e event.Event) {
	one := entry{organization, e}
	select {
	case r.events <- one:
		return
	default:
	}
	full := time.NewTimer(roomWithin)
	defer full.Stop()
	select {
	case r.events <- one:
	case <-ctx.Done():
	case <-full.C:
		r.log.WarnContext(ctx, "an event of a look-up was dropped: the database does not keep up", "type", string(e.Type), "organization", organization)
	}
}

// Run writes until ctx ends, and then what is left.
func (r *Recorder) Run(ctx context.Context) {
	done := make(chan struct{})
	go func() {
		defer close(done)
		r.runLearn(ctx)
	}()
	defer func() { <-done }()
	for ctx.Err() == nil { //lint:loop one transaction for all that waited meanwhile
		select {
		case <-ctx.Done():
		case first := <-r.events:
			r.write(ctx, r.gather(first))
			pause(ctx, writeEvery)
		}
	}
	rest, cancel := context.WithTimeout(context.WithoutCancel(ctx), flushWithin)
	defer cancel()
	for rest.Err() == nil { //lint:loop ends when nothing is left, or with flushWithin
		select {
		case first := <-r.events:
			r.write(rest, r.gather(first))
		default:
			return
		}
	}
}

func pause(ctx context.Context, d time.Duration) {
	timer := time.NewTimer(d)
	defer timer.Stop()
	select {
	case <-ctx.Done():
	case <-timer.C:
	}
}

// gather returns first and the others that wait, up to entriesAtOnce.
func (r *Recorder) gather(first entry) []entry {
	list := []entry{first}
	for len(list) < entriesAtOnce {
		select {
		case next := <-r.events:
			list = append(list, next)
		default:
			return list
		}
	}
	return list
}

// write stores events in one transaction. What cannot be stored is told of and dropped: a
// log must not stop what it logs.
func (r *Recorder) write(ctx context.Context, list []entry) {
	slices.SortStableFunc(list, func(a, b entry) int { return cmp.Compare(a.organization, b.organization) })
	ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), flushWithin)
	defer cancel()
	err := r.store.Tx(ctx, func(tx *store.Tx) error {
		for from := 0; from < len(list); { //lint:loop one statement for each organization
			to := from
			var events []event.Event
			for ; to < len(list) && list[to].organization == list[from].organization; to++ {
				events = append(events, list[to].Event)
			}
			if err := event.Save(ctx, tx, list[from].organization, events); err != nil {
				return fmt.Errorf("save the events: %w", err)
			}
			from = to
		}
		return nil
	})
	if err != nil {
		r.log.ErrorContext(ctx, "events of look-ups could not be written", "count", len(list), "error", err)
	}
}
