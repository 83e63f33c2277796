package store

import "context"

// ExplainRequests returns how the database goes about the list that f asks for.
func (o *Org) ExplainRequests(ctx context.Context, f RequestFilter) ([]string, error) {
	l, _, err := o.list(ctx, f)
	if err != nil {
		return nil, err
	}
	st, args := l.statement()
	return o.explain(ctx, st, nil, args...)
}

// ExplainRecent returns how the database goes about the newest requests, which
// are looked at for what is queued.
func (o *Org) ExplainRecent(ctx context.Context, f RequestFilter) ([]string, error) {
	l, _, err := o.list(ctx, f)
	if err != nil {
		return nil, err
	}
	st, args := l.newest()
	return o.explain(ctx, st, nil, args...)
}

// ExplainOpen returns how the database goes about the tasks of requests.
func (o *Org) ExplainOpen(ctx context.Context) ([]string, error) {
	return o.explain(ctx, openTasksStatement, nil, o.ID(), fewTasks)
}

// ExplainEvents returns how the database goes about the list that f asks for.
func (o *Org) ExplainEvents(ctx context.Context, f EventFilter) ([]string, error) {
	st, args := o.events(f)
	return o.explain(ctx, st, nil, args...)
}

// ExplainLedger returns how the database goes about a page of the ledger.
func (o *Org) ExplainLedger(ctx context.Context, before string, limit int) ([]string, error) {
	return o.explain(ctx, ledgerStatement, nil, o.ID(), before, limit)
}
