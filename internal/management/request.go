package management

import (
	"context"
	"fmt"

	"usersync/internal/bulk"
	"usersync/internal/idempotency"
	"usersync/internal/intake"
	"usersync/internal/platform"
	"usersync/internal/request"
	"usersync/internal/store"
	"usersync/internal/usersync"
)

// ListRequests returns the requests that a filter finds, newest first.
func (s *Service) ListRequests(ctx context.Context, org *store.Org, f request.Filter) ([]*request.View, error) {
	ids, err := request.ListIDs(ctx, org, f)
	if err != nil {
		return nil, fmt.Errorf("find the requests: %w", err)
	}
	if f.Colleagues {
		return request.List(ctx, org, ids)
	}
	return request.ListBrief(ctx, org, ids)
}

// RetryRequest runs the failed steps of a request again, or the failed users of
// a bulk, and returns the request as it is now. A call whose idempotency key was
// taken before changes nothing and is replayed; callID tells the calls apart.
func (s *Service) RetryRequest(ctx context.Context, org *store.Org, id, callID string, key *idempotency.Key) (view *request.View, replayed bool, err error) {
	replayed, err = intake.Retry(ctx, org, id, callID, key)
	if err != nil {
		return nil, false, fmt.Errorf("retry the request: %w", err)
	}
	view, err = request.Get(ctx, org, id)
	if err != nil {
		return nil, false, fmt.Errorf("read the request: %w", err)
	}
	return view, replayed, nil
}

// retriedAtOnce is how many requests one call queues again at most.
const retriedAtOnce = 500

// RetryRequests queues requests again that a filter finds, the newest first, of those that
// have failed in whole or in part. It returns how many, and whether there are more. It
// refuses a filter for another status.
func (s *Service) RetryRequests(ctx context.Context, org *store.Org, f request.Filter) (retried int, more bool, err error) {
	statuses := []request.Status{request.Failed, request.PartiallySucceeded}
	if f.Status != "" {
		statuses = []request.Status{f.Status}
		if !f.Status.CanBecome(request.Queued) || !f.Status.Final() {
			return 0, false, invalid{{Field: "filter.status", Message: "must be failed or partially_succeeded"}}.err()
		}
	}
	for _, f.Status = range statuses { //lint:loop two statuses
		f.Limit = retriedAtOnce - retried + 1
		ids, err := request.ListIDs(ctx, org, f)
		if err != nil {
			return retried, more, fmt.Errorf("find the requests: %w", err)
		}
		n, err := retryAll(ctx, org, ids[:min(len(ids), f.Limit-1)])
		if retried += n; err != nil {
			return retried, more, err
		}
		more = more || len(ids) == f.Limit
	}
	return retried, more && retried > 0, nil
}

// retryAll queues requests again, but for those of which nothing is left to do.
func retryAll(ctx context.Context, org *store.Org, ids []string) (n int, err error) {
	for _, id := range ids { //lint:loop each is a transaction, so that no lock is held for long
		switch _, err := intake.Retry(ctx, org, id, "", nil); usersync.CodeOf(err) {
		case "":
			n++
		case usersync.CodeConflict, usersync.CodeNotFound: // somebody was faster, or its user was erased
		default:
			return n, fmt.Errorf("retry a request: %w", err)
		}
	}
	return n, nil
}

// TryStepNow has what the step at a position waits for pushed now, and returns the request
// as it is now.
func (s *Service) TryStepNow(ctx context.Context, org *store.Org, id string, position int) (*request.View, error) {
	err := org.Tx(ctx, func(tx *store.Tx) error { return platform.TryNow(ctx, tx, org.ID(), id, position) })
	if err != nil {
		return nil, err
	}
	return request.Get(ctx, org, id)
}

// ListAttempts returns the last attempts at the pushes of a request.
func (s *Service) ListAttempts(ctx context.Context, org *store.Org, id string) ([]request.AttemptView, error) {
	found, err := request.Attempts(ctx, org, id)
	if err != nil {
		return nil, err
	}
	list, known := found[id]
	if !known {
		return nil, request.ErrNotFound
	}
	return append([]request.AttemptView{}, list...), nil
}

// ListRequestErrors returns the users of a bulk that failed or were skipped, by
// id; after is the id that they follow. Requests of other kinds have none.
func (s *Service) ListRequestErrors(ctx context.Context, org *store.Org, id, after string, limit int) ([]bulk.Error, error) {
	if _, err := request.Get(ctx, org, id); err != nil {
		return nil, fmt.Errorf("read the request: %w", err)
	}
	return bulk.ListErrors(ctx, org, id, after, limit)
}

// EachRequestError calls do with every user of a bulk that failed or was
// skipped, by id, until do returns an error.
func (s *Service) EachRequestError(ctx context.Context, org *store.Org, id string, do func(bulk.Error) error) error {
	if _, err := request.Get(ctx, org, id); err != nil {
		return fmt.Errorf("read the request: %w", err)
	}
	for after := ""; ; { //lint:loop follows a cursor, page by page
		list, err := bulk.ListErrors(ctx, org, id, after, errorPage)
		if err != nil {
			return fmt.Errorf("read the errors of the request: %w", err)
		}
		if err := each(list, do); err != nil {
			return err
		}
		if len(list) < errorPage {
			return nil
		}
		after = list[len(list)-1].UserID
	}
}
