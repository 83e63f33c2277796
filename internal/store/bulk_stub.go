package store

import (
	"context"

	"usersync/internal/usersync"
)

// Until the branch with bulks is merged.

func (tx *Tx) CountBulk(context.Context, string, map[string]usersync.Progress, []usersync.BulkError) error {
	return nil
}

func (tx *Tx) FinishBulks(context.Context, string, ...string) ([]string, error) { return nil, nil }
