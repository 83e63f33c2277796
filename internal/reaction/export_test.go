package reaction

import (
	"context"

	"usersync/internal/store"
)

// ExplainStory returns how the database finds the runs of an event.
func ExplainStory(ctx context.Context, o *store.Org, event string) ([]string, error) {
	return o.Explain(ctx, runsStatement, store.IDRows(runsStatement, []string{event}), o.ID())
}

// ExplainOpen returns how the database finds the runs of a follow-up that go on for a user.
func ExplainOpen(ctx context.Context, o *store.Org, followUp, user string) ([]string, error) {
	set := openStatement.Rows(1)
	set.Add(followUp, user)
	return o.Explain(ctx, openStatement, set, o.ID())
}

// ExplainRun returns how the database finds a run with its event.
func ExplainRun(ctx context.Context, o *store.Org, id string) ([]string, error) {
	return o.Explain(ctx, runStatement, nil, o.ID(), id)
}
