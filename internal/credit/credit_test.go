package credit_test

import (
	"context"
	"slices"
	"sync"
	"testing"

	"usersync/internal/credit"
	"usersync/internal/roomtest"
)

func TestTopUpIsIdempotentByReferenceAndBalanceIsTheSumOfEntries(t *testing.T) {
	t.Parallel()
	roomtest.Each(t, 5, func(t *testing.T, n roomtest.Tenant) {
		var wg sync.WaitGroup
		ids := make([]string, 10)
		for i := range ids {
			wg.Go(func() {
				e, err := credit.TopUp(context.Background(), n.Store, "test", n.Organization.ID, 7, "invoice 17")
				if err != nil {
					t.Error(err)
				}
				ids[i] = e.ID
			})
		}
		wg.Wait()
		slices.Sort(ids)
		if len(slices.Compact(ids)) != 1 {
			t.Fatal("one reference made several entries")
		}
		v, err := credit.Verify(t.Context(), n.Org(n.Organization.ID))
		if err != nil || !v.OK || v.Balance != 12 {
			t.Fatalf("%+v %v", v, err)
		}
	})
}
