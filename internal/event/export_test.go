package event

import (
	"context"

	"usersync/internal/store"
)

// ExplainEvents returns how the database goes about the list that f asks for.
func ExplainEvents(ctx context.Context, o *store.Org, f Filter) ([]string, error) {
	st, args := query(o, f)
	return o.Explain(ctx, st, nil, args...)
}
