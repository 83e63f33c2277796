package credit

import (
	"context"

	"usersync/internal/store"
)

// ExplainLedger returns how the database goes about a page of the ledger.
func ExplainLedger(ctx context.Context, o *store.Org, before string, limit int) ([]string, error) {
	return o.Explain(ctx, ledgerStatement, nil, o.ID(), before, limit)
}
