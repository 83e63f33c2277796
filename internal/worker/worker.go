// Package worker takes tasks from the queue, claims them in the database and
// has their handlers work them. What a run ends in is written by the handler,
// under the claim; the worker decides what happens when a handler fails.
package worker

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"log/slog"
	"math/rand/v2"
	"runtime/debug"
	"slices"
	"strings"
	"sync"
	"time"

	"usersync/internal/fairness"
	"usersync/internal/outbox"
	"usersync/internal/queue"
	"usersync/internal/store"
	"usersync/internal/telemetry"
	"usersync/internal/usersync"
)

// maxFailures is after how many failed runs a task is given up: with the waits
// of backoff that is about half an hour.
const maxFailures = 10

// Pool works tasks.
type Pool struct {
	Store   *store.Store
	Queue   *queue.Client
	Metrics *telemetry.Metrics
	Log     *slog.Logger
	// Handlers, one for each kind of task.
	Handlers []queue.Handler
	// Slots is how many tasks of each queue are worked at once.
	Slots map[string]int
	// Local are the slots of tasks that handlers hand back; nil where none do.
	Local *queue.LocalSlots
	// Presence is told whose tasks come.
	Presence *fairness.Presence
	// Grace is how long a shutdown waits for running tasks before it hands
	// them back.
	Grace time.Duration

	handlers map[string]queue.Handler
	suspects *suspects       // the tasks whose worker has died
	hard     context.Context // ends when running tasks must stop
	running  sync.WaitGroup
}

// Run works tasks until ctx ends, then shuts down softly: nothing new is
// taken, what runs may finish within Grace, the rest is handed back without
// counting as an attempt.
func (p *Pool) Run(ctx context.Context) {
	hard, stop := context.WithCancel(context.WithoutCancel(ctx))
	defer stop()
	p.hard = hard
	p.suspects = newSuspects()
	p.handlers = map[string]queue.Handler{}
	for _, h := range p.Handlers {
		p.handlers[h.Kind] = h
	}
	servers := p.start(ctx)
	<-ctx.Done()
	// What is still running shortly before the end of the grace is told to
	// stop, so that it can be handed back in time.
	timer := time.AfterFunc(p.Grace*8/10, stop)
	defer timer.Stop()
	var wg sync.WaitGroup
	for _, s := range servers {
		wg.Go(s.Shutdown)
	}
	wg.Go(p.Local.Close)
	wg.Wait()
	p.awaitHandBack()
}

// handBackWithin is how long the last tasks may take to write that they are
// handed back: Asynq gives up on them at the end of the grace, and a task that
// is not handed back waits for its claim to run out.
const handBackWithin = 5 * time.Second

func (p *Pool) awaitHandBack() {
	done := make(chan struct{})
	go func() {
		p.running.Wait()
		close(done)
	}()
	select {
	case <-done:
	case <-time.After(handBackWithin):
		p.Log.Warn("tasks were not handed back in time; they go on when their claims run out")
	}
}

// start starts one server for each queue. It waits for a Redis that is not up yet.
func (p *Pool) start(ctx context.Context) []*queue.Server {
	var servers []*queue.Server
	for _, q := range queue.Queues { //lint:loop starts the server of each queue, once
		for { //lint:loop tries again while Redis does not answer
			s, err := p.Queue.Serve(queue.ServerOptions{Queue: q, Slots: max(p.Slots[q], 1), Work: p.work, Grace: p.Grace})
			if err == nil {
				servers = append(servers, s)
				break
			}
			p.Log.WarnContext(ctx, "the queue does not answer; trying again in a second", "queue", q, "error", err)
			select {
			case <-ctx.Done():
				return servers
			case <-time.After(time.Second):
			}
		}
	}
	return servers
}

// work handles one message. Its error means that the database could not be
// asked; the queue brings the message again.
func (p *Pool) work(ctx context.Context, m queue.Message) error {
	p.running.Add(1)
	defer p.running.Done()
	claim, ok, err := p.claim(ctx, m)
	if err != nil {
		return err
	}
	if !ok {
		// Finished, moved on, another's, or of an organization that is disabled.
		return outbox.HoldBack(ctx, p.Store, m.TaskID, m.Generation)
	}
	p.Presence.Note(claim.Organization)
	p.workClaimed(ctx, m, claim)
	return nil
}

// workClaimed works a task whose claim this process has.
func (p *Pool) workClaimed(ctx context.Context, m queue.Message, claim usersync.Claim) {
	started := time.Now() //lint:clock it measures the run
	ctx, line := telemetry.Start(ctx)
	ctx = trace(ctx, claim.Traceparent)
	telemetry.Add(ctx, slog.String("task", claim.TaskID), slog.String("kind", m.Kind), slog.String("organization", claim.Organization))
	if len(claim.Coalesced) > 0 {
		telemetry.Add(ctx, slog.Int("coalesced", len(claim.Coalesced)))
	}
	local, outcome, err := p.handle(ctx, m, claim)
	p.workLocal(local)
	if outcome == outcomeLost {
		p.Metrics.ClaimsLost.Inc()
		p.retake(ctx, m)
	}
	p.Metrics.ObserveTask(m.Kind, outcome, time.Since(started))
	telemetry.Add(ctx, slog.String("outcome", outcome))
	level := slog.LevelDebug
	if err != nil {
		telemetry.Add(ctx, slog.Any("error", err))
		level = levelOf(err)
	}
	line.Emit(p.Log, level, "task")
}

// levelOf returns the level at which what failed is logged. That the database is away the
// store has said already, and it is the same for all tasks.
func levelOf(err error) slog.Level {
	if errors.Is(err, usersync.ErrDatabaseAway) {
		return slog.LevelDebug
	}
	return slog.LevelWarn
}

// workLocal begins with tasks that a handler has handed back.
func (p *Pool) workLocal(tasks []queue.LocalTask) {
	for _, t := range tasks { //lint:loop each is worked in a goroutine of its own
		m := queue.Message{TaskID: t.Claim.TaskID, Generation: 1, Kind: t.Kind, Queue: t.Claim.Queue}
		go func() {
			defer p.Local.Free(t.Claim.Organization, t.Claim.FairnessKey)
			p.workClaimed(context.Background(), m, t.Claim)
		}()
	}
}

// claim claims the task of a message, and with it what waits under its fairness key where
// the kind can work several tasks at once. A kind that has a claim of its own claims so.
func (p *Pool) claim(ctx context.Context, m queue.Message) (usersync.Claim, bool, error) {
	handler := p.handlers[m.Kind]
	if handler.Claim != nil {
		return handler.Claim(ctx, m.TaskID, m.Generation)
	}
	if room := handler.Coalesce; room > 0 {
		return outbox.ClaimCoalesced(ctx, p.Store, m.TaskID, m.Generation, room)
	}
	return outbox.Claim(ctx, p.Store, m.TaskID, m.Generation)
}

// retake makes a task ready again whose claim was not lost to another worker
// but undone by a crash of the database: nobody else would come for it soon.
func (p *Pool) retake(ctx context.Context, m queue.Message) {
	ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), writeWithin)
	defer cancel()
	if err := outbox.Retake(ctx, p.Store, m.TaskID, m.Generation); err != nil {
		p.Log.Log(ctx, levelOf(err), "could not retake a task; the reconciler will find it", "error", err)
	}
}

func trace(ctx context.Context, traceparent string) context.Context {
	if t, ok := telemetry.ParseTraceparent(traceparent); ok {
		return telemetry.WithTrace(ctx, t.Child())
	}
	return ctx
}

// Outcomes of a task, as metrics and log name them.
const (
	outcomeDone      = "done"
	outcomeLost      = "claim_lost"
	outcomePostponed = "postponed"
	outcomeSplit     = "split"
	outcomeRetried   = "retried"
	outcomeGaveUp    = "gave_up"
	outcomePoisoned  = "poisoned"
	outcomeStuck     = "stuck" // even the failure could not be written: the reconciler finds it
)

func (p *Pool) handle(ctx context.Context, m queue.Message, claim usersync.Claim) (local []queue.LocalTask, outcome string, err error) {
	handler, known := p.handlers[m.Kind]
	if !known {
		// A newer release made this task; one of its workers will take it.
		return nil, p.postpone(claim, time.Minute, false), fmt.Errorf("no handler for tasks of kind %q", m.Kind)
	}
	if claim.Deaths > 0 {
		clear, outcome, err := p.clear(ctx, handler, m, claim)
		if outcome != "" {
			return nil, outcome, err
		}
		defer clear()
	}
	local, err = p.run(ctx, handler, claim)
	switch {
	case err == nil:
		return local, outcomeDone, nil
	case errors.Is(err, outbox.ErrClaimLost):
		if len(claim.Coalesced) > 0 {
			p.release(claim, 0, false) // of those that are still ours
		}
		return nil, outcomeLost, nil
	case p.hard.Err() != nil, errors.Is(err, outbox.ErrDisabled):
		return nil, p.postpone(claim, 0, false), nil
	}
	failure := usersync.AsError(err)
	if failure.Code == usersync.CodeRateLimited {
		return nil, p.postpone(claim, failure.RetryAfter, false), nil
	}
	if failure.Code == usersync.CodeUnavailable {
		// Nobody's fault in this task: it is neither split nor given up.
		return nil, p.postpone(claim, time.Second+rand.N(time.Second), false), err
	}
	outcome, err = p.fail(ctx, handler, m, claim, err)
	return nil, outcome, err
}

// suspectWait is how long a task waits in its slot for another that is suspect too.
const suspectWait = time.Second

// clear clears a task to run whose worker has died: alone, so that only the one that
// ends its worker each time is poisoned. A batch is split, and one such task runs at a
// time beside those that are not suspect. Outcome says what became of a task that is not
// to run now; otherwise cleared is to be called when it has run.
func (p *Pool) clear(ctx context.Context, h queue.Handler, m queue.Message, c usersync.Claim) (cleared func(), outcome string, err error) {
	if c.Deaths >= outbox.MaxDeaths {
		err := fmt.Errorf("%d workers in a row died while they had this task; it waits until an operator has it retried", c.Deaths)
		return nil, p.write(outcomePoisoned, func(ctx context.Context) error { return outbox.Poison(ctx, p.Store, c) }), err
	}
	if parts, err := h.Parts(c.Args); err == nil && len(parts) > 1 {
		return nil, p.split(m, c, parts), nil
	}
	timer := time.NewTimer(suspectWait)
	defer timer.Stop()
	for {
		wait, ok := p.suspects.enter(c.Organization, time.Now()) //lint:clock who has waited longest in this process
		if ok {
			return p.suspects.leave, "", nil
		}
		select {
		case <-wait:
			continue
		case <-timer.C:
		case <-ctx.Done():
		case <-p.hard.Done():
		}
		return nil, p.postpone(c, suspectWait, false), nil
	}
}

// run calls the handler with its deadline while the claim is renewed.
func (p *Pool) run(ctx context.Context, h queue.Handler, c usersync.Claim) (local []queue.LocalTask, err error) {
	ctx, cancel := context.WithTimeout(ctx, h.Timeout)
	defer cancel()
	defer context.AfterFunc(p.hard, cancel)()
	renewed := p.renew(ctx, cancel, c)
	defer func() {
		cancel()
		if unheld := <-renewed; err != nil && errors.Is(unheld, outbox.ErrDisabled) {
			err = unheld
		}
	}()
	defer func() {
		if cause := recover(); cause != nil {
			err = fmt.Errorf("panic in the handler of %s: %v", h.Kind, cause)
			p.Log.ErrorContext(ctx, "panic", "kind", h.Kind, "task", c.TaskID, "cause", fmt.Sprint(cause), "stack", string(debug.Stack()))
		}
	}()
	return h.Run(ctx, c)
}

// renew holds the claim until ctx ends; it cancels the run that has lost it, or is to
// stop, and then says why.
func (p *Pool) renew(ctx context.Context, cancel context.CancelFunc, c usersync.Claim) <-chan error {
	done := make(chan error, 1)
	go func() {
		defer close(done)
		ticker := time.NewTicker(outbox.ClaimFor / 3)
		defer ticker.Stop()
		for {
			select {
			case <-ctx.Done():
				return
			case <-ticker.C:
				err := outbox.Renew(ctx, p.Store, c)
				if errors.Is(err, outbox.ErrClaimLost) || errors.Is(err, outbox.ErrDisabled) {
					done <- err
					cancel()
					return
				}
			}
		}
	}()
	return done
}

// fail decides what becomes of a task whose run failed: tasks that were worked
// together come again each alone; a batch is split, so that what cannot be worked
// stands alone; a task of one is tried again later and given up in the end.
func (p *Pool) fail(ctx context.Context, h queue.Handler, m queue.Message, c usersync.Claim, cause error) (string, error) {
	if len(c.Coalesced) > 0 {
		return p.release(c, 0, true), cause
	}
	parts, err := h.Parts(c.Args)
	if err == nil && len(parts) > 1 {
		return p.split(m, c, parts), cause
	}
	if c.Failures+1 < maxFailures {
		return p.postpone(c, backoff(c.Failures), true), cause
	}
	giveUp, cancel := context.WithTimeout(context.WithoutCancel(ctx), writeWithin)
	defer cancel()
	if err := h.GiveUp(giveUp, c, cause); err != nil {
		return p.postpone(c, backoff(c.Failures), true), errors.Join(cause, err)
	}
	return outcomeGaveUp, cause
}

// backoff returns the wait before the next run: 1 s, doubled each time, at
// most 10 min, ±20 % so that what failed together does not come back together.
func backoff(failures int) time.Duration {
	wait := min(time.Second<<min(failures, 20), 10*time.Minute)
	return wait*8/10 + rand.N(wait*4/10)
}

func (p *Pool) split(m queue.Message, c usersync.Claim, parts map[string]json.RawMessage) string {
	var tasks []outbox.Part
	for item, args := range parts {
		tasks = append(tasks, outbox.Part{Item: item, Task: usersync.Task{
			ID: usersync.DeriveID(usersync.PrefixTask, c.TaskID, item), Organization: c.Organization, Kind: m.Kind, Queue: m.Queue,
			FairnessKey: c.FairnessKey, Args: args, Traceparent: c.Traceparent,
		}})
	}
	slices.SortFunc(tasks, func(a, b outbox.Part) int { return strings.Compare(a.Item, b.Item) })
	return p.write(outcomeSplit, func(ctx context.Context) error { return outbox.Split(ctx, p.Store, c, tasks) })
}

// release hands back each of a claim's tasks by itself.
func (p *Pool) release(c usersync.Claim, wait time.Duration, failed bool) string {
	outcome := outcomePostponed
	if failed {
		outcome = outcomeSplit
	}
	return p.write(outcome, func(ctx context.Context) error { return outbox.Release(ctx, p.Store, c, outbox.In(wait), failed) })
}

func (p *Pool) postpone(c usersync.Claim, wait time.Duration, failed bool) string {
	if len(c.Coalesced) > 0 {
		return p.release(c, wait, failed)
	}
	outcome := outcomePostponed
	if failed {
		outcome = outcomeRetried
	}
	return p.write(outcome, func(ctx context.Context) error { return outbox.Postpone(ctx, p.Store, c, outbox.In(wait), failed) })
}

// writeWithin is how long a worker tries to write down a failure while the
// database is away; afterwards the claim runs out and the reconciler takes over.
const writeWithin = 15 * time.Second

func (p *Pool) write(outcome string, fn func(context.Context) error) string {
	ctx, cancel := context.WithTimeout(context.Background(), writeWithin)
	defer cancel()
	for {
		err := fn(ctx)
		switch {
		case err == nil:
			return outcome
		case errors.Is(err, outbox.ErrClaimLost):
			return outcomeLost
		}
		select {
		case <-ctx.Done():
			p.Log.Log(ctx, levelOf(err), "could not write what became of a task; the reconciler will find it", "error", err)
			return outcomeStuck
		case <-time.After(200*time.Millisecond + rand.N(100*time.Millisecond)):
		}
	}
}
