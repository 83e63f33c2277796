package request

import (
	"context"

	"usersync/internal/store"
	"usersync/internal/usersync"
)

var inputsStatement = store.Define("request.inputs", `
SELECT q.id, q.input FROM {rows} JOIN requests q ON q.organization_id = r.organization_id AND q.id = r.id`,
	store.Col("organization_id", store.Text), store.Col("id", store.Text))

// PlatformInputs returns what requests ask of a push, by request.
func PlatformInputs(ctx context.Context, o *store.Org, requests []string) (map[string]usersync.PlatformSync, error) {
	out := map[string]usersync.PlatformSync{}
	_, err := store.Collect(ctx, o.Reader(), inputsStatement, IDRows(inputsStatement, o.ID(), requests), func(scan func(...any) error) (struct{}, error) {
		var id, input string
		var in usersync.PlatformSync
		if err := scan(&id, &input); err != nil {
			return struct{}{}, err
		}
		err := store.Decode(input, &in)
		out[id] = in
		return struct{}{}, err
	})
	return out, err
}
