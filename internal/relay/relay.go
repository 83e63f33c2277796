// Package relay moves tasks from the outbox to the queue, and brings back what
// got lost on the way. Everything it knows it reads from the database.
package relay

import (
	"context"
	"errors"
	"log/slog"
	"sync"
	"time"

	"usersync/internal/outbox"
	"usersync/internal/queue"
	"usersync/internal/store"
	"usersync/internal/telemetry"
	"usersync/internal/usersync"
)

// Options are what a relay is made of.
type Options struct {
	Store   *store.Store
	Queue   *queue.Client
	Metrics *telemetry.Metrics
	Log     *slog.Logger
	// Alone says that this process is the only one: tasks it does not know of
	// are nobody's.
	Alone bool
}

// Relay is one process's relay. Every process has one: it sends what the process
// itself has just committed, when store.Signal says so. One of all processes, the
// leader, also sends what others left behind.
type Relay struct {
	Options

	served map[string]string    // by queue: the organization served last
	down   bool                 // Redis did not answer the last time
	pulse  queue.Pulse          // as it was last read, and what was sent since
	pulsed time.Time            // when
	again  map[string]time.Time // by full queue: when it is looked at again

	reconciled time.Time
	absent     map[string]time.Time // by number of a process: since when it has not attended
	chores     []*chore
}

// New returns a relay.
func New(o Options) *Relay {
	r := &Relay{Options: o, served: map[string]string{}, again: map[string]time.Time{}}
	r.chores = []*chore{newChore(resumeEvery, r.resume), newChore(disableEvery, r.disable), newChore(tidyEvery, r.tidy)}
	return r
}

// Wake has the relay look at all queues now. It never blocks.
func (r *Relay) Wake() { r.Store.Ready().Raise(queue.Queues...) }

// Intervals of the relay. With nothing to do, the leader's sweeps are nearly all the
// statements of the whole system: one every two seconds, and those of reconcile and of
// the chores.
const (
	// sweepIdle is how long the leader sleeps when nothing is to come soon, and how
	// long the others sleep before they ask whether they are to lead.
	sweepIdle = 2 * time.Second
	// sweepBusy is how long the leader sleeps at most when there are tasks whose time
	// comes soon: others may write such as come earlier.
	sweepBusy = time.Second
	// comingSoon is what soon means: all that is being worked comes earlier.
	comingSoon     = outbox.LostAfter
	leadFor        = 3 * sweepIdle
	reconcileEvery = 5 * time.Second // look for lost ones
	downPause      = 300 * time.Millisecond
	// pulseFresh is how long the relay believes what Redis has told it.
	pulseFresh = 100 * time.Millisecond
	// fullPause is when the relay looks again at a queue that had no room: a worker
	// has taken some of it by then.
	fullPause = 20 * time.Millisecond
)

// Run relays until ctx ends.
func (r *Relay) Run(ctx context.Context) {
	if r.Alone {
		r.adopt(ctx)
	}
	sweep := time.NewTimer(sweepBusy)
	defer sweep.Stop()
	defer r.resign(ctx)
	var chores sync.WaitGroup
	defer chores.Wait()
	for _, c := range r.chores {
		chores.Go(func() { c.run(ctx) })
	}
	r.Wake()
	for {
		select {
		case <-ctx.Done():
			return
		case <-r.Store.Ready().Raised():
			r.pass(ctx, r.Store.Ready().Take())
		case <-sweep.C:
			sweep.Reset(r.sweep(ctx))
		}
	}
}

// sweep does what the leader does for all, and returns how long to sleep until the
// next sweep.
func (r *Relay) sweep(ctx context.Context) time.Duration {
	leads, anew := r.leads(ctx)
	if !leads {
		return sweepIdle
	}
	ready, next := r.look(ctx)
	due := next <= 0
	if due {
		r.promote(ctx)
		ready, next = r.look(ctx)
	}
	if next < comingSoon && r.bury(ctx) || time.Since(r.reconciled) >= reconcileEvery {
		r.reconcile(ctx)
		r.reconciled = time.Now() //lint:clock it measures how long ago that was
	}
	for _, c := range r.chores {
		c.begin()
	}
	if anew {
		// A Redis that was wiped has lost the lease too, so whoever takes it asks for
		// the marker.
		r.pulsed = time.Time{}
	}
	if anew || len(ready) > 0 {
		r.pass(ctx, ready)
	}
	return pause(due, next)
}

// pause returns how long the leader sleeps: until the next task is due. After a sweep
// that found some, it sleeps its full time, so that many tasks that come one after the
// other are found together.
func pause(due bool, next time.Duration) time.Duration {
	switch {
	case due || next <= 0:
		return sweepBusy
	case next < comingSoon:
		return min(next, sweepBusy)
	}
	return sweepIdle
}

// resign lets another process lead at once when this one ends.
func (r *Relay) resign(ctx context.Context) {
	if r.Alone {
		return
	}
	ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), time.Second)
	defer cancel()
	_ = r.Queue.Resign(ctx) // The lease ends by itself.
}

// adopt makes everything ready that an earlier life of this process had sent:
// its queue and its workers died with it.
func (r *Relay) adopt(ctx context.Context) {
	n, err := outbox.UnsendAll(ctx, r.Store, true)
	if err != nil {
		r.report(ctx, "could not take up the tasks of the last run", err)
		return
	}
	if n > 0 {
		r.Log.InfoContext(ctx, "took up unfinished tasks of the last run", "tasks", n)
	}
}

// leads reports whether this process is the one that sweeps for all, and whether it has
// just become so.
func (r *Relay) leads(ctx context.Context) (leads, anew bool) {
	if r.Alone {
		return true, false
	}
	leads, anew, err := r.Queue.Lead(ctx, leadFor)
	if err != nil {
		r.lost(ctx, err)
		return false, false
	}
	return leads, anew
}

// report logs what failed, unless it is known: the store says that the database is away.
func (r *Relay) report(ctx context.Context, what string, err error) {
	if ctx.Err() == nil && !errors.Is(err, usersync.ErrDatabaseAway) {
		r.Log.WarnContext(ctx, what, "error", err)
	}
}

// lost notes, once, that Redis does not answer, or takes nothing. Nothing is lost by
// it: the outbox keeps everything. That Redis is full is told by the queue itself.
func (r *Relay) lost(ctx context.Context, err error) {
	r.pulsed = time.Time{}
	if !r.down && !errors.Is(err, queue.ErrFull) {
		r.report(ctx, "the queue does not answer; accepted work waits in the database until it does", err)
	}
	r.down = true
	select {
	case <-ctx.Done():
	case <-time.After(downPause):
		r.Wake()
	}
}

// passLimit bounds what one pass takes at once.
const passLimit = 256

// look returns the queues that have something to send, whoever wrote it, and how long
// it is until a task is due: one statement a sweep, and not one for each queue.
func (r *Relay) look(ctx context.Context) (ready []string, next time.Duration) {
	ready, next, err := outbox.ReadyQueues(ctx, r.Store, queue.Queues)
	if err != nil {
		r.report(ctx, "could not read the outbox", err)
		return nil, sweepBusy
	}
	return ready, next
}

// passWithin bounds one pass.
const passWithin = 15 * time.Second

// pass sends what may be sent of the given queues. It is not cut short by the
// end of the process: tasks that were taken in the instant it ends would be
// neither on the queue nor ready, and wait for the reconciler.
func (r *Relay) pass(ctx context.Context, queues []string) {
	ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), passWithin)
	defer cancel()
	if !r.feelPulse(ctx) {
		return
	}
	slots, err := r.Queue.Slots(ctx)
	if err != nil {
		r.lost(ctx, err)
		return
	}
	for _, q := range queues { //lint:loop each queue has fairness keys and room of its own
		r.send(ctx, q, slots[q])
	}
}

// feelPulse asks Redis how it is, unless that is known. It returns false where nothing
// can be sent.
func (r *Relay) feelPulse(ctx context.Context) bool {
	if time.Since(r.pulsed) < pulseFresh {
		return true
	}
	if r.down { // A full Redis answers all that is only read.
		if err := r.Queue.Accepts(ctx); err != nil {
			r.lost(ctx, err)
			return false
		}
	}
	pulse, err := r.Queue.Pulse(ctx)
	if err != nil {
		r.lost(ctx, err)
		return false
	}
	if r.down {
		r.Log.InfoContext(ctx, "the queue answers again")
		r.down = false
	}
	if !pulse.Marked && !r.restore(ctx) {
		return false
	}
	r.pulse, r.pulsed = pulse, time.Now() //lint:clock it measures how old the pulse is
	return true
}

// restore makes all sent tasks ready again after the queue lost its contents.
func (r *Relay) restore(ctx context.Context) bool {
	n, err := outbox.UnsendAll(ctx, r.Store, false)
	if err == nil {
		err = r.Queue.Mark(ctx)
	}
	if err != nil {
		r.report(ctx, "could not restore the queue from the database", err)
		return false
	}
	if n > 0 {
		r.Log.WarnContext(ctx, "the queue was empty; restored it from the database", "tasks", n)
		r.Wake()
	}
	return true
}

// share is how many tasks of one fairness key may be in flight: a quarter of the slots for
// runs, which is one for each worker of the default size. An organization's runs
// settle one after the other and each also takes what waits; a second one keeps
// the database so busy that accepting, and everybody else's, take longer. An
// endpoint gets an eighth, so that a slow one leaves room for others.
func share(q string, slots int) int {
	if q == queue.Run {
		return max(slots/4, 1)
	}
	return max(slots/8, 1)
}

// unknownSlots is assumed while no worker is up.
const unknownSlots = 4

// send sends ready tasks of a queue while it has room.
func (r *Relay) send(ctx context.Context, q string, slots int) {
	if slots == 0 {
		slots = unknownSlots
	}
	room := 4*slots - int(r.pulse.Pending[q])
	for room > 0 && ctx.Err() == nil { //lint:loop takes and sends up to passLimit tasks in each turn
		limit, from := min(room, passLimit), r.served[q]
		taken, err := outbox.TakeReady(ctx, r.Store, q, from, outbox.Shares{Slots: slots, Key: share(q, slots)}, limit)
		if err != nil {
			r.report(ctx, "could not read the outbox", err)
			return
		}
		r.served[q] = ""
		if len(taken) == limit {
			r.served[q] = lastOrganization(taken)
		}
		if !r.put(ctx, taken) {
			return
		}
		if len(taken) < limit && from == "" {
			return // the round began at the first organization and has come to its end
		}
		room -= len(taken)
		r.pulse.Pending[q] += int64(len(taken))
	}
	r.lookAgain(q)
}

// lookAgain has the relay look at a full queue once more, after fullPause and with a new
// pulse. Nobody tells when it has room again.
func (r *Relay) lookAgain(q string) {
	//lint:clock it measures a pause of this process
	if time.Now().Before(r.again[q]) {
		return
	}
	r.again[q], r.pulsed = time.Now().Add(fullPause), time.Time{} //lint:clock it measures, as above
	time.AfterFunc(fullPause, func() { r.Store.Ready().Raise(q) })
}

func lastOrganization(taken []outbox.Envelope) string {
	last := ""
	for _, e := range taken {
		last = max(last, e.Organization)
	}
	return last
}

// put sends tasks and makes those ready again that could not be sent.
func (r *Relay) put(ctx context.Context, taken []outbox.Envelope) bool {
	if len(taken) == 0 {
		return true
	}
	messages := make([]queue.Message, len(taken))
	for i, e := range taken {
		messages[i] = message(e)
	}
	unsent, err := r.Queue.Send(ctx, messages)
	if err == nil {
		return true
	}
	back := make([]outbox.Envelope, len(unsent))
	for i, n := range unsent {
		back[i] = taken[n]
	}
	// Also when this process is ending: what is given back needs no reconciler.
	again, cancel := context.WithTimeout(context.WithoutCancel(ctx), 5*time.Second)
	defer cancel()
	if err := outbox.Unsend(again, r.Store, back); err != nil {
		r.report(ctx, "could not give tasks back to the outbox; the reconciler will find them", err)
	}
	r.lost(ctx, err)
	return false
}

func message(e outbox.Envelope) queue.Message {
	return queue.Message{TaskID: e.ID, Generation: e.Generation, Kind: e.Kind, Queue: e.Queue}
}

// sweepLimit bounds what one sweep moves.
const sweepLimit = 1000

func (r *Relay) promote(ctx context.Context) {
	if _, err := outbox.Promote(ctx, r.Store, sweepLimit); err != nil {
		r.report(ctx, "could not look for due tasks", err)
	}
}

// reconcile brings back tasks that were sent and neither claimed nor finished in time,
// whatever Redis says of them: see outbox.Revive.
func (r *Relay) reconcile(ctx context.Context) {
	n, err := outbox.Revive(ctx, r.Store, sweepLimit)
	if err != nil {
		r.report(ctx, "could not bring back lost tasks", err)
		return
	}
	if n > 0 {
		r.Log.WarnContext(ctx, "brought back tasks whose message was lost or whose worker died", "tasks", n)
	}
}
