package loops

import (
	"context"

	"usersync/internal/store"
)

func tests(ctx context.Context, o *store.Org, ids []string) {
	for _, id := range ids {
		_ = o.Drop(ctx, id)
	}
}
