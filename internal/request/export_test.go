package request

import (
	"context"

	"usersync/internal/store"
)

// ExplainRequests returns how the database goes about the list that f asks for.
func ExplainRequests(ctx context.Context, o *store.Org, f Filter) ([]string, error) {
	l, _, err := newList(ctx, o, f)
	if err != nil {
		return nil, err
	}
	st, args := l.statement()
	return o.Explain(ctx, st, nil, args...)
}

// ExplainRecent returns how the database goes about the newest requests, which
// are looked at for what is queued.
func ExplainRecent(ctx context.Context, o *store.Org, f Filter) ([]string, error) {
	l, _, err := newList(ctx, o, f)
	if err != nil {
		return nil, err
	}
	st, args := l.newest()
	return o.Explain(ctx, st, nil, args...)
}

// ExplainOpen returns how the database goes about the tasks of requests.
func ExplainOpen(ctx context.Context, o *store.Org) ([]string, error) {
	return o.Explain(ctx, openTasksStatement, nil, o.ID(), fewTasks)
}

// ExplainSteps returns how the database goes about the list that f asks for by what it
// says of steps.
func ExplainSteps(ctx context.Context, o *store.Org, f Filter) ([]string, error) {
	l, _, err := newList(ctx, o, f)
	if err != nil {
		return nil, err
	}
	st, args := l.stepStatement(f.Connection)
	return o.Explain(ctx, st, nil, args...)
}
