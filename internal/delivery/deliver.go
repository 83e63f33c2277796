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
	"slices"
	"sync"
	"time"

	"usersync/internal/outbound"
	"usersync/internal/queue"
	"usersync/internal/store"
	"usersync/internal/telemetry"
	"usersync/internal/usersync"
	"usersync/internal/webhooksig"
)

// Deliver brings deliveries of one endpoint there.
var Deliver = queue.Kind[Args]{Name: "webhook.deliver", Queue: queue.Deliver, Timeout: 2 * time.Minute}

// Args of Deliver.
type Args struct {
	EndpointID  string   `json:"endpoint"`
	DeliveryIDs []string `json:"deliveries"`
}

// Items returns the ids of the deliveries.
func (a Args) Items() []string { return a.DeliveryIDs }

// Only returns the arguments for one of the deliveries.
func (a Args) Only(id string) Args { return Args{a.EndpointID, []string{id}} }

// Service delivers.
type Service struct {
	Store   *store.Store
	Client  *outbound.Client // its Timeout is that of an attempt: 15 s
	Metrics *telemetry.Metrics
	Log     *slog.Logger
}

// Handler returns the handler of Deliver.
func (s *Service) Handler() queue.Handler { return Deliver.Work(s.deliver, s.giveUp) }

// atOnce bounds the calls to one endpoint that one task has under way.
const atOnce = 16

// keptResponse is how much of an answer an attempt keeps.
const keptResponse = 1024

func (s *Service) deliver(ctx context.Context, c usersync.Claim, args Args) error {
	org := s.Store.Org(c.Organization)
	open, err := org.OpenDeliveries(ctx, args.DeliveryIDs)
	if err != nil {
		return err
	}
	if len(open) == 0 {
		return s.Store.Tx(ctx, func(tx *store.Tx) error { return tx.Finish(ctx, c) })
	}
	endpoint, err := org.Endpoint(ctx, args.EndpointID)
	switch {
	case slices.ContainsFunc(open, erased):
		return s.settle(ctx, c, args, s.refuseErased(open))
	case errors.Is(err, store.ErrNoEndpoint):
		return s.settle(ctx, c, args, s.refuse(open, "the endpoint was deleted"))
	case err != nil:
		return err
	case endpoint.Status != usersync.EndpointEnabled:
		return s.settle(ctx, c, args, s.refuse(open, "the endpoint is disabled"))
	}
	signer, err := webhooksig.NewSigner(endpoint.Secrets...)
	if err != nil {
		return err
	}
	results, err := s.attempt(ctx, endpoint, signer, open)
	if err != nil {
		return err
	}
	return s.settle(ctx, c, args, results)
}

// result is what an attempt led to.
type result struct {
	usersync.Delivery
	answered bool // 2xx
	gone     bool // 410: the endpoint wants no more
	due      bool // an attempt was due and made
}

// attempt makes all attempts that are due, some at once.
func (s *Service) attempt(ctx context.Context, endpoint usersync.Endpoint, signer *webhooksig.Signer, open []store.OpenDelivery) ([]result, error) {
	results := make([]result, len(open))
	gate := make(chan struct{}, atOnce)
	var wg sync.WaitGroup
	now := time.Now()
	for i, d := range open {
		results[i].Delivery = d.Delivery
		if d.NextAttemptAt.After(now) {
			continue
		}
		gate <- struct{}{}
		wg.Go(func() {
			defer func() { <-gate }()
			results[i] = s.try(ctx, endpoint, signer, d)
		})
	}
	wg.Wait()
	// Cut short by a shutdown: no attempt is burnt, the task is handed back.
	// What was delivered is delivered again under the same id.
	return results, ctx.Err()
}

// try makes one attempt and says what it leads to.
func (s *Service) try(ctx context.Context, endpoint usersync.Endpoint, signer *webhooksig.Signer, d store.OpenDelivery) result {
	started := time.Now()
	response, err := s.post(ctx, endpoint, signer, d, started)
	attempt := usersync.Attempt{At: usersync.Time{Time: started.UTC()}, LatencyMS: time.Since(started).Milliseconds()}
	var header http.Header
	if response != nil {
		attempt.Status, header = response.Status, response.Header
		attempt.Response = string(bytes.ToValidUTF8(response.Body[:min(len(response.Body), keptResponse)], []byte("\uFFFD")))
	}
	if err != nil {
		attempt.Error = usersync.AsError(err).Message
	}
	r := result{Delivery: d.Delivery, due: true}
	r.Attempts = append(r.Attempts, attempt)
	r.answered = attempt.Status >= 200 && attempt.Status < 300
	r.gone = attempt.Status == http.StatusGone
	r.Status, r.NextAttemptAt = verdict(r, header, started)
	s.Metrics.ObserveDelivery(string(r.Status), time.Since(started))
	return r
}

// verdict decides from the last attempt how a delivery goes on: a 2xx ends it,
// 410 ends it too, everything else is tried again after the schedule, not
// before an announced Retry-After.
func verdict(r result, header http.Header, now time.Time) (usersync.DeliveryStatus, time.Time) {
	if r.answered {
		return usersync.DeliveryDelivered, time.Time{}
	}
	wait, again := usersync.DeliveryWait(len(r.Attempts))
	if r.gone || !again {
		return usersync.DeliveryFailed, time.Time{}
	}
	wait = wait*9/10 + rand.N(wait/5+1) // ±10 %
	last := r.Attempts[len(r.Attempts)-1].Status
	if last == http.StatusTooManyRequests || last == http.StatusServiceUnavailable {
		if asked, ok := outbound.RetryAfter(header, now); ok {
			wait = max(wait, asked)
		}
	}
	return usersync.DeliveryRetrying, now.Add(wait)
}

func (s *Service) post(ctx context.Context, endpoint usersync.Endpoint, signer *webhooksig.Signer, d store.OpenDelivery, now time.Time) (*outbound.Response, error) {
	request, err := http.NewRequestWithContext(ctx, http.MethodPost, endpoint.URL, bytes.NewReader(d.Body))
	if err != nil {
		return nil, usersync.Errorf(usersync.CodeInvalid, "the URL of the endpoint cannot be used").Because(err)
	}
	request.Header = signer.Headers(d.MessageID, now, d.Body)
	request.Header.Set("Content-Type", "application/json")
	if t, ok := telemetry.ParseTraceparent(d.Traceparent); ok {
		request.Header.Set("traceparent", t.Child().String())
	}
	return s.Client.Do(ctx, request)
}

// refuse ends deliveries without an attempt.
func (s *Service) refuse(open []store.OpenDelivery, why string) []result {
	out := make([]result, len(open))
	for i, d := range open {
		out[i].Delivery = d.Delivery
		out[i].Status, out[i].NextAttemptAt = usersync.DeliveryFailed, time.Time{}
		out[i].Attempts = append(out[i].Attempts, usersync.Attempt{At: usersync.Time{Time: time.Now().UTC()}, Error: why})
	}
	return out
}

// erased reports whether nothing is left of a delivery's message.
func erased(d store.OpenDelivery) bool { return len(d.Body) == 0 }

// refuseErased ends the deliveries of erased messages; the others come with
// the next run.
func (s *Service) refuseErased(open []store.OpenDelivery) []result {
	results := s.refuse(open, store.ErasedReason)
	for i, d := range open {
		if !erased(d) {
			results[i] = result{Delivery: d.Delivery}
		}
	}
	return results
}

// settle writes what became of the deliveries and has the task come again for
// those that are left.
func (s *Service) settle(ctx context.Context, c usersync.Claim, args Args, results []result) error {
	var left []string
	var next time.Time
	var saved []usersync.Delivery
	health := health{}
	for _, r := range results {
		if r.due || r.Status == usersync.DeliveryFailed {
			saved = append(saved, r.Delivery)
		}
		health.note(r)
		if r.Status == usersync.DeliveryRetrying || r.Status == usersync.DeliveryPending {
			left = append(left, r.ID)
			if next.IsZero() || r.NextAttemptAt.Before(next) {
				next = r.NextAttemptAt
			}
		}
	}
	return s.Store.Tx(ctx, func(tx *store.Tx) error {
		if err := s.end(ctx, tx, c, Args{args.EndpointID, left}, next); err != nil {
			return err
		}
		if err := tx.SaveDeliveries(ctx, c.Organization, saved); err != nil {
			return err
		}
		if !health.known {
			return nil
		}
		return tx.NoteHealth(ctx, args.EndpointID, health.failing, health.gone)
	})
}

func (s *Service) end(ctx context.Context, tx *store.Tx, c usersync.Claim, left Args, next time.Time) error {
	if len(left.DeliveryIDs) == 0 {
		return tx.Finish(ctx, c)
	}
	return tx.Rearm(ctx, c, Deliver.Task(c.TaskID, c.Organization, c.Lane, left).Args, next)
}

// health is what the attempts of a task tell of their endpoint: one success
// is enough to call it healthy.
type health struct{ known, failing, answered, gone bool }

func (h *health) note(r result) {
	if !r.due {
		return
	}
	h.gone = h.gone || r.gone
	switch {
	case r.answered:
		h.known, h.failing, h.answered = true, false, true
	case !h.answered:
		h.known, h.failing = true, true
	}
}

// giveUp ends deliveries that could not even be tried.
func (s *Service) giveUp(ctx context.Context, c usersync.Claim, args Args, cause error) error {
	open, err := s.Store.Org(c.Organization).OpenDeliveries(ctx, args.DeliveryIDs)
	if err != nil {
		return err
	}
	return s.settle(ctx, c, args, s.refuse(open, fmt.Sprintf("given up: %s", usersync.AsError(cause).Message)))
}
