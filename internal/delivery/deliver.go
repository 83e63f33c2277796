// Package delivery brings webhook messages to their endpoints: at least once,
// every attempt with the same id and bytes, each attempt kept.
package delivery

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"log/slog"
	"math/rand/v2"
	"net/http"
	"strings"
	"time"
	"unicode/utf8"

	"golang.org/x/sync/errgroup"

	"usersync/internal/outbound"
	"usersync/internal/outbox"
	"usersync/internal/queue"
	"usersync/internal/store"
	"usersync/internal/telemetry"
	"usersync/internal/usersync"
)

// Deliver attempts deliveries to one endpoint.
var Deliver = queue.Kind[DeliverArgs]{Name: "webhook.deliver", Queue: queue.Deliver, Timeout: 2 * time.Minute}

// DeliverArgs are the arguments of Deliver.
type DeliverArgs struct {
	EndpointID  string   `json:"endpoint"`
	DeliveryIDs []string `json:"deliveries"`
}

// Items returns the ids of the deliveries.
func (a DeliverArgs) Items() []string { return a.DeliveryIDs }

// Only returns the arguments for one of the deliveries.
func (a DeliverArgs) Only(id string) DeliverArgs { return DeliverArgs{a.EndpointID, []string{id}} }

// Service works the tasks of this package: deliveries, recoveries, and the end of
// deliveries to an endpoint that is disabled or deleted.
type Service struct {
	Store   *store.Store
	Client  *outbound.Client // its Timeout is that of an attempt: 15 s
	Metrics *telemetry.Metrics
	Log     *slog.Logger

	targets targets
}

// Handlers returns the handlers of this package's kinds of tasks.
func (s *Service) Handlers() []queue.Handler {
	return []queue.Handler{Deliver.Work(s.deliver, s.giveUp), Recover.Work(s.recover, drop[RecoverArgs](s)), EndDeliveries.Work(s.endDeliveries, drop[EndDeliveriesArgs](s))}
}

// drop ends a task that cannot be worked: somebody has to ask again.
func drop[A any](s *Service) func(context.Context, usersync.Claim, A, error) error {
	return func(ctx context.Context, c usersync.Claim, _ A, _ error) error {
		return s.Store.Tx(ctx, func(tx *store.Tx) error { return outbox.Finish(ctx, tx, c) })
	}
}

// atOnce bounds the calls to one endpoint that one task has under way.
const atOnce = 16

// turn is how long one run begins attempts. What is left then waits for the
// endpoint's next turn, so that one that answers slowly gives its slot back after
// one attempt's time and not after that of all its deliveries.
const turn = 2 * time.Second

// keptResponse is how much of an answer an attempt keeps, in bytes.
const keptResponse = 1024

// Why deliveries end without an attempt.
const (
	whyDeleted  = "the endpoint was deleted"
	whyDisabled = "the endpoint is disabled"
)

func (s *Service) deliver(ctx context.Context, c usersync.Claim, args DeliverArgs) error {
	org := s.Store.Org(c.Organization)
	task, local := c.Known.(known)
	if !local {
		var err error
		if task, err = loadOpen(ctx, org, c.TaskID, args.DeliveryIDs); err != nil {
			return err
		}
	}
	if len(task.open) == 0 {
		return s.Store.Tx(ctx, func(tx *store.Tx) error { return outbox.Finish(ctx, tx, c) })
	}
	to, err := s.targets.find(ctx, org, args.EndpointID, task.version)
	switch {
	case errors.Is(err, ErrNoEndpoint):
		return s.recordOutcomes(ctx, c, args, refuse(task.open, whyDeleted))
	case errors.Is(err, ErrEndpointDisabled):
		return s.recordOutcomes(ctx, c, args, refuse(task.open, whyDisabled))
	case err != nil:
		return fmt.Errorf("find where to send: %w", err)
	}
	results, err := s.attempt(ctx, to, task.open)
	if err != nil {
		return err
	}
	return s.recordOutcomes(ctx, c, args, results)
}

// result is what a run led to for one delivery.
type result struct {
	Outcome
	answered bool // 2xx
	gone     bool // 410: the endpoint wants no more
	due      bool // an attempt was due and made
	dropped  bool // ended without an attempt
}

// attempt makes the attempts that are due, some at once, as far as they begin
// within a turn.
func (s *Service) attempt(ctx context.Context, to target, open []OpenDelivery) ([]result, error) {
	results := make([]result, len(open))
	var group errgroup.Group
	group.SetLimit(atOnce)
	began := time.Now() //lint:clock it measures the turn
	for i, d := range open {
		results[i].Delivery = d.Delivery
		if d.Waits {
			continue
		}
		group.Go(func() error {
			if time.Since(began) <= turn {
				results[i] = s.try(ctx, to, d)
			}
			return nil
		})
	}
	_ = group.Wait() // A failed attempt is a result.
	// Cut short by a shutdown: no attempt is burnt, the task is handed back.
	// What was delivered is delivered again under the same id.
	return results, ctx.Err()
}

// try makes one attempt and says what it leads to.
func (s *Service) try(ctx context.Context, to target, d OpenDelivery) result {
	started := time.Now() //lint:clock it is shown, signed and measured by
	response, err := s.post(ctx, to, d, started)
	took := time.Since(started)
	attempt := Attempt{At: usersync.Time{Time: started.UTC()}, LatencyMS: took.Milliseconds()}
	var header http.Header
	if response != nil {
		attempt.Status, attempt.Response, header = response.Status, kept(response.Body), response.Header
	}
	if err != nil {
		attempt.Error = usersync.AsError(err).Message
	}
	r := result{Outcome: Outcome{Delivery: d.Delivery, Attempt: attempt}, due: true}
	r.answered = attempt.Status >= 200 && attempt.Status < 300
	r.gone = attempt.Status == http.StatusGone
	r.Status, r.wait = verdict(r, header, started.Add(took))
	r.NextAttemptAt, r.ended = time.Time{}, started.Add(took)
	s.Metrics.ObserveDelivery(string(r.Status), took)
	return r
}

// kept returns the beginning of an answer as text that any database and any
// client takes: without half a character at its end, other bytes replaced.
func kept(body []byte) string {
	if len(body) > keptResponse {
		end := keptResponse
		for i := 1; i < utf8.UTFMax; i++ {
			if utf8.RuneStart(body[end-i]) {
				if !utf8.FullRune(body[end-i : end]) {
					end -= i
				}
				break
			}
		}
		body = body[:end]
	}
	return strings.ToValidUTF8(string(body), "\uFFFD")
}

// verdict decides from the attempt how a delivery goes on: a 2xx ends it,
// 410 ends it too, everything else is tried again after the schedule, not
// before an announced Retry-After, of which at most 1 h is believed. The wait
// begins when the attempt ended.
func verdict(r result, header http.Header, ended time.Time) (Status, time.Duration) {
	if r.answered {
		return Delivered, 0
	}
	wait, again := Wait(r.Attempted + 1 - r.Earlier)
	if r.gone || !again {
		return Failed, 0
	}
	wait = wait*9/10 + rand.N(wait/5+1) // ±10 %
	if r.Attempt.Status == http.StatusTooManyRequests || r.Attempt.Status == http.StatusServiceUnavailable {
		if asked, ok := outbound.RetryAfter(header, ended); ok {
			wait = max(wait, asked)
		}
	}
	return Retrying, wait
}

func (s *Service) post(ctx context.Context, to target, d OpenDelivery, now time.Time) (*outbound.Response, error) {
	request, err := http.NewRequestWithContext(ctx, http.MethodPost, to.url, bytes.NewReader(d.Body))
	if err != nil {
		return nil, usersync.Errorf(usersync.CodeInvalid, "the URL of the endpoint cannot be used").Because(err)
	}
	request.Header = to.signer.Headers(d.MessageID, now, d.Body)
	request.Header.Set("Content-Type", "application/json")
	if t, ok := telemetry.ParseTraceparent(d.Traceparent); ok {
		request.Header.Set("traceparent", t.Child().String())
	}
	return s.Client.Do(ctx, request)
}

// giveUp ends deliveries that could not even be tried.
func (s *Service) giveUp(ctx context.Context, c usersync.Claim, args DeliverArgs, cause error) error {
	task, err := loadOpen(ctx, s.Store.Org(c.Organization), c.TaskID, args.DeliveryIDs)
	if err != nil {
		return err
	}
	return s.recordOutcomes(ctx, c, args, refuse(task.open, fmt.Sprintf("given up: %s", usersync.AsError(cause).Message)))
}
