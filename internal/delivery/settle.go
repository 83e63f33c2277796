package delivery

import (
	"context"
	"errors"
	"slices"
	"time"

	"usersync/internal/outbox"
	"usersync/internal/store"
	"usersync/internal/usersync"
)

// refuse ends deliveries without an attempt.
func refuse(open []Open, why string) []result {
	out := make([]result, len(open))
	for i, d := range open {
		out[i].Delivery = d.Delivery
		out[i].end(why)
	}
	return out
}

// end has a delivery fail. What kept it from being tried stands in place of an
// attempt where none was made.
func (r *result) end(why string) {
	if !r.due {
		r.Attempt = Attempt{At: usersync.Time{Time: time.Now().UTC()}, Error: why}
		r.ended = true
	}
	r.Status, r.NextAttemptAt = Failed, time.Time{}
}

// settle writes what became of the deliveries and of their endpoint's health,
// and has the task come again for those that are left.
func (s *Service) settle(ctx context.Context, c usersync.Claim, args Args, results []result) error {
	return s.Store.Tx(ctx, func(tx *store.Tx) error {
		st := settlement{tx: tx, claim: c, endpoint: args.EndpointID, results: slices.Clone(results)}
		return st.run(ctx)
	})
}

// settlement is the work of one settling transaction.
type settlement struct {
	tx       *store.Tx
	claim    usersync.Claim
	endpoint string
	results  []result
}

func (st *settlement) run(ctx context.Context) error {
	health := healthOf(st.results)
	state, reason, err := st.judge(ctx, health)
	if err != nil {
		return err
	}
	if err := st.finish(ctx); err != nil {
		return err
	}
	if health.known {
		if err := NoteHealth(ctx, st.tx, st.claim.Organization, st.endpoint, health.failing); err != nil {
			return err
		}
	}
	if err := st.save(ctx); err != nil {
		return err
	}
	if reason == "" {
		return nil
	}
	return disable(ctx, st.tx, st.claim.Organization, state, reason)
}

// judge decides whether the endpoint is to be disabled: reason is "" when not.
// Deliveries that are left for an endpoint that takes no more end here. It locks
// the endpoint, so that none is armed for later behind the back of the one
// that disables it; with nothing left and nothing failed it asks nothing.
func (st *settlement) judge(ctx context.Context, h health) (state EndpointState, reason string, err error) {
	if !h.failing && !h.gone && !slices.ContainsFunc(st.results, left) {
		return state, "", nil
	}
	state, err = LockEndpoint(ctx, st.tx, st.claim.Organization, st.endpoint)
	switch {
	case errors.Is(err, ErrNoEndpoint):
		st.endLeft(whyDeleted)
		return state, "", nil
	case err != nil:
		return state, "", err
	case state.Status != EndpointEnabled:
		st.endLeft(whyDisabled)
		return state, "", nil
	}
	if reason = reasonToDisable(state, h); reason != "" {
		st.endLeft(whyDisabled)
	}
	return state, reason, nil
}

// reasonToDisable says why an endpoint is to be disabled after these attempts,
// "" when it is not.
func reasonToDisable(e EndpointState, h health) string {
	switch {
	case h.gone:
		return "It answered 410 Gone."
	case h.failing && !e.FailingSince.IsZero() && e.Now.Sub(e.FailingSince) >= FailingFor:
		return "Every attempt failed for 5 days."
	}
	return ""
}

func left(r result) bool { return r.Status.Open() }

func (st *settlement) endLeft(why string) {
	for i := range st.results {
		if left(st.results[i]) {
			st.results[i].end(why)
		}
	}
}

// finish ends the claim: the task is done, or comes again for what is left.
func (st *settlement) finish(ctx context.Context) error {
	args := Args{EndpointID: st.endpoint}
	var next time.Time
	for _, r := range st.results {
		if !left(r) {
			continue
		}
		if len(args.DeliveryIDs) == 0 || r.NextAttemptAt.Before(next) {
			next = r.NextAttemptAt
		}
		args.DeliveryIDs = append(args.DeliveryIDs, r.ID)
	}
	if len(args.DeliveryIDs) == 0 {
		return outbox.Finish(ctx, st.tx, st.claim)
	}
	return outbox.Rearm(ctx, st.tx, st.claim, Deliver.Task(st.claim.TaskID, st.claim.Organization, st.claim.FairnessKey, args).Args, next)
}

func (st *settlement) save(ctx context.Context) error {
	var outcomes []Outcome
	for _, r := range st.results {
		if r.due || r.ended {
			outcomes = append(outcomes, r.Outcome)
		}
	}
	return SaveOutcomes(ctx, st.tx, st.claim, outcomes)
}

// health is what the attempts of a task tell of their endpoint: one success
// is enough to call it healthy.
type health struct{ known, failing, gone bool }

func healthOf(results []result) (h health) {
	answered := false
	for _, r := range results {
		h.known = h.known || r.due
		h.gone = h.gone || r.gone
		answered = answered || r.answered
	}
	h.failing = h.known && !answered
	return h
}
