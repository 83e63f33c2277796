package delivery

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"slices"
	"time"

	"usersync/internal/outbox"
	"usersync/internal/store"
	"usersync/internal/usersync"
)

// refuse ends deliveries without an attempt.
func refuse(open []OpenDelivery, why string) []result {
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
		r.Attempt = Attempt{At: usersync.Time{Time: time.Now().UTC()}, Error: why} //lint:clock it is shown
		r.dropped = true
	}
	r.Status, r.NextAttemptAt, r.wait = Failed, time.Time{}, 0
}

// recordOutcomes writes the outcomes of the deliveries and the health of their
// endpoint. The task comes again for the deliveries that are still open.
func (s *Service) recordOutcomes(ctx context.Context, c usersync.Claim, args DeliverArgs, results []result) error {
	if !slices.ContainsFunc(results, func(r result) bool { return !r.answered }) {
		err := s.recordDelivered(ctx, c, args.EndpointID, results)
		if !errors.Is(err, errChanged) {
			return err
		}
	}
	return s.Store.Tx(ctx, func(tx *store.Tx) error {
		o := recorder{tx: tx, claim: c, endpoint: args.EndpointID, results: slices.Clone(results)}
		return o.run(ctx)
	})
}

// saveDeliveredStatement finds its rows by id. Where the organization is said plainly,
// PostgreSQL, planning for a table that is empty, goes through all of its deliveries instead.
var saveDeliveredStatement = store.Define("delivery.saveDelivered", `
UPDATE deliveries SET status = 'delivered', attempts = r.attempts, attempt_count = r.before + 1, next_attempt_at = 0, failed_at = 0, updated_at = {now}
FROM {rows} WHERE deliveries.id = r.id AND deliveries.organization_id || '' = $1 AND deliveries.task_id = $2 AND deliveries.attempt_count = r.before
    AND NOT EXISTS (SELECT 1 FROM webhook_endpoints e WHERE e.id = $3 AND e.organization_id = $1 AND e.failing_since > 0)`,
	store.Col("id", store.Text), store.Col("attempts", store.Text), store.Col("before", store.Bigint))

// errChanged says that a delivery is not as it was loaded, or that its endpoint was
// failing.
var errChanged = errors.New("a delivery has changed, or its endpoint was failing")

// recordDelivered is recordOutcomes where every delivery arrived: nothing is left, and
// nothing is to be decided. It is one trip to the database. It writes nothing and returns
// errChanged where more is to be written than the deliveries as they were loaded.
func (s *Service) recordDelivered(ctx context.Context, c usersync.Claim, endpoint string, results []result) error {
	set := saveDeliveredStatement.Rows(len(results))
	for _, r := range results {
		attempts, err := noted(r.Outcome)
		if err != nil {
			return err
		}
		set.Add(r.ID, attempts, int64(r.Attempted))
	}
	unchanged := &store.Fence{Least: len(results), Refusal: errChanged}
	return s.Store.Tx(ctx, func(tx *store.Tx) error {
		if err := outbox.Finish(ctx, tx, c); err != nil {
			return fmt.Errorf("end the delivery task: %w", err)
		}
		return tx.Later(ctx, saveDeliveredStatement, set, unchanged, c.Organization, c.TaskID, endpoint)
	})
}

// recorder records the outcomes of one run of a task, in one transaction.
type recorder struct {
	tx       *store.Tx
	claim    usersync.Claim
	endpoint string
	results  []result
}

func (o *recorder) run(ctx context.Context) error {
	health := healthOf(o.results)
	state, reason, err := o.judge(ctx, health)
	if err != nil {
		return err
	}
	if err := o.finish(ctx); err != nil {
		return fmt.Errorf("end the delivery task: %w", err)
	}
	if health.known {
		if err := saveHealth(ctx, o.tx, o.claim.Organization, o.endpoint, health.failing); err != nil {
			return fmt.Errorf("save the health of the endpoint: %w", err)
		}
	}
	if err := o.save(ctx); err != nil {
		return fmt.Errorf("save the outcomes: %w", err)
	}
	if reason == "" {
		return nil
	}
	return disable(ctx, o.tx, o.claim.Organization, state, reason)
}

// judge decides whether the endpoint is to be disabled: reason is "" when not.
// Deliveries that are left for an endpoint that takes no more end here. It locks
// the endpoint, so that none is armed for later while another
// transaction disables it; with nothing left and nothing failed it asks nothing.
func (o *recorder) judge(ctx context.Context, h health) (state lockedEndpoint, reason string, err error) {
	if !h.failing && !h.gone && !slices.ContainsFunc(o.results, left) {
		return state, "", nil
	}
	state, err = lockEndpoint(ctx, o.tx, o.claim.Organization, o.endpoint)
	switch {
	case errors.Is(err, ErrNoEndpoint):
		o.endLeft(whyDeleted)
		return state, "", nil
	case err != nil:
		return state, "", err
	case state.Status != EndpointEnabled:
		o.endLeft(whyDisabled)
		return state, "", nil
	}
	if reason = reasonToDisable(state, h); reason != "" {
		o.endLeft(whyDisabled)
	}
	return state, reason, nil
}

// reasonToDisable says why an endpoint is to be disabled after these attempts,
// "" when it is not.
func reasonToDisable(e lockedEndpoint, h health) string {
	switch {
	case h.gone:
		return "It answered 410 Gone."
	case h.failing && !e.FailingSince.IsZero() && e.Now.Sub(e.FailingSince) >= FailingFor:
		return "Every attempt failed for 5 days."
	}
	return ""
}

func left(r result) bool { return r.Status.Open() }

func (o *recorder) endLeft(why string) {
	for i := range o.results {
		if left(o.results[i]) {
			o.results[i].end(why)
		}
	}
}

// finish ends the claim: the task is done, or comes again for what is left.
func (o *recorder) finish(ctx context.Context) error {
	args := DeliverArgs{EndpointID: o.endpoint}
	var next outbox.When
	for _, r := range o.results {
		if !left(r) {
			continue
		}
		when := outbox.At(r.NextAttemptAt)
		if r.wait > 0 {
			when = outbox.In(r.left())
		}
		if len(args.DeliveryIDs) > 0 {
			when = next.Or(when)
		}
		next = when
		args.DeliveryIDs = append(args.DeliveryIDs, r.ID)
	}
	if len(args.DeliveryIDs) == 0 {
		return outbox.Finish(ctx, o.tx, o.claim)
	}
	return outbox.Rearm(ctx, o.tx, o.claim, Deliver.Task(o.claim.TaskID, o.claim.Organization, o.claim.FairnessKey, args).Args, next)
}

func (o *recorder) save(ctx context.Context) error {
	var outcomes []Outcome
	for _, r := range o.results {
		if r.due || r.dropped {
			outcomes = append(outcomes, r.Outcome)
		}
	}
	return saveOutcomes(ctx, o.tx, o.claim, outcomes)
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

// Outcome is what one run of a task makes of a delivery.
type Outcome struct {
	// Delivery is as it was loaded, but for Status and NextAttemptAt.
	Delivery
	Attempt Attempt
	// wait is how long the next attempt waits, from ended on, when this one ended. 0 is for
	// NextAttemptAt.
	wait  time.Duration
	ended time.Time
}

// left returns what is left of the wait, 0 where there is none.
func (o Outcome) left() time.Duration {
	if o.wait == 0 {
		return 0
	}
	return max(o.wait-time.Since(o.ended), time.Microsecond) //lint:clock it measures, and no clock that is set moves it
}

// The columns task_id and before say what the row must still be.
var saveDeliveriesStatement = store.Define("delivery.saveDeliveries", `
UPDATE deliveries SET status = r.status, attempts = r.attempts, attempt_count = r.before + 1, next_attempt_at = CASE WHEN r.wait > 0 THEN {now} + r.wait ELSE r.next_attempt_at END,
    failed_at = CASE WHEN r.status = 'failed' THEN {now} ELSE 0 END, updated_at = {now}
FROM {rows} WHERE deliveries.id = r.id AND deliveries.organization_id = $1 AND deliveries.task_id IN (r.task_id, '')
    AND deliveries.attempt_count = r.before
RETURNING deliveries.id`,
	store.Col("id", store.Text), store.Col("status", store.Text), store.Col("attempts", store.Text), store.Col("before", store.Bigint), store.Col("next_attempt_at", store.Bigint), store.Col("wait", store.Bigint), store.Col("task_id", store.Text))

// saveOutcomes writes what became of deliveries under the claim of their
// task. One that was sent again meanwhile belongs to another task: it goes on
// as that one says, and only keeps the attempt.
func saveOutcomes(ctx context.Context, tx *store.Tx, c usersync.Claim, outcomes []Outcome) error {
	if len(outcomes) == 0 {
		return nil
	}
	set := saveDeliveriesStatement.Rows(len(outcomes))
	for _, o := range outcomes {
		if err := addOutcome(set, o, c.TaskID); err != nil {
			return err
		}
	}
	saved, err := store.Collect(ctx, tx.Conn, saveDeliveriesStatement, set, store.ScanString, c.Organization)
	if err != nil || len(saved) == len(outcomes) {
		return err
	}
	return mergeDeliveries(ctx, tx, c, slices.DeleteFunc(slices.Clone(outcomes), func(o Outcome) bool { return slices.Contains(saved, o.ID) }))
}

func addOutcome(set *store.Rows, o Outcome, task string) error {
	attempts, err := noted(o)
	set.Add(o.ID, string(o.Status), attempts, int64(o.Attempted), store.Micros(o.NextAttemptAt), o.left().Microseconds(), task)
	return err
}

// noted returns the attempts of a delivery with the new one, as its row keeps them.
func noted(o Outcome) (string, error) {
	o.Note(o.Attempt)
	attempts, err := json.Marshal(o.Attempts)
	if err != nil {
		return "", fmt.Errorf("encode the attempts of a delivery: %w", err)
	}
	return string(attempts), nil
}

var lockDeliveriesStatement = store.Define("delivery.lockDeliveries", `
SELECT `+Columns+`, d.task_id FROM {rows} JOIN deliveries d ON d.id = r.id WHERE d.organization_id = $1
ORDER BY d.id {for update}`, store.Col("id", store.Text))

// mergeDeliveries saves outcomes of rows that changed since they were loaded.
func mergeDeliveries(ctx context.Context, tx *store.Tx, c usersync.Claim, outcomes []Outcome) error {
	lock, byID := lockDeliveriesStatement.Rows(len(outcomes)), map[string]Outcome{}
	for _, o := range outcomes {
		lock.Add(o.ID)
		byID[o.ID] = o
	}
	set := saveDeliveriesStatement.Rows(len(outcomes))
	_, err := store.Collect(ctx, tx.Conn, lockDeliveriesStatement, lock, func(scan func(...any) error) (id string, err error) {
		var task string
		now, err := scanDelivery(scan, &task)
		if err != nil {
			return "", err
		}
		o := byID[now.ID]
		if task == ErasedTask {
			o.Attempt.Response = "" // it may repeat what was erased
		}
		if task == c.TaskID || task == "" {
			now.Status, now.NextAttemptAt = o.Status, o.NextAttemptAt
		} else {
			o.wait = 0
		}
		o.Delivery = now
		return now.ID, addOutcome(set, o, task)
	}, c.Organization)
	if err != nil || set.Len() == 0 {
		return err
	}
	_, err = store.Collect(ctx, tx.Conn, saveDeliveriesStatement, set, store.ScanString, c.Organization)
	return err
}
