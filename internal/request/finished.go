package request

import (
	"context"

	"usersync/internal/store"
)

var finishedStatement = store.Define("request.finished", `
SELECT q.id FROM {rows} JOIN requests q ON q.organization_id = r.organization_id AND q.id = r.id
WHERE q.finished_at > 0`, store.Col("organization_id", store.Text), store.Col("id", store.Text))

// Ref names a request of any organization.
type Ref struct{ Organization, ID string }

// Finished returns which of the requests are finished.
func Finished(ctx context.Context, s *store.Store, refs []Ref) ([]string, error) {
	set := finishedStatement.Rows(len(refs))
	for _, r := range refs {
		set.Add(r.Organization, r.ID)
	}
	return store.Collect(ctx, s.Reader(), finishedStatement, set, store.ScanString)
}
