package credit_test

import (
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"slices"
	"sync"
	"testing"

	"usersync/internal/credit"
	"usersync/internal/roomtest"
	"usersync/internal/store"
	"usersync/internal/store/storetest"
	"usersync/internal/usersync"
)

// TestLedgerHoldsUnderAnythingAtOnce lets several hands do random things to one
// account: top-ups under references that repeat, charges of requests that others
// charge too, transactions that end halfway. Whatever happened, the balance is the
// sum of the entries and never below zero, each entry continues the one before,
// no reference counts twice and no request is charged twice.
func TestLedgerHoldsUnderAnythingAtOnce(t *testing.T) {
	t.Parallel()
	const hands, moves, requests, references = 4, 40, 30, 6
	storetest.Engines(t, func(t *testing.T, open func() *store.Store) {
		seed := rand.Uint64()
		t.Logf("seed %d", seed)
		n := roomtest.New(t, open(), 3)
		ids := make([]string, requests)
		for i := range ids {
			ids[i] = usersync.NewID(usersync.PrefixRequest)
		}
		var all sync.WaitGroup
		for hand := range hands {
			chance := rand.New(rand.NewPCG(seed, uint64(hand))) //nolint:gosec // a test's dice
			all.Go(func() {
				for range moves {
					if chance.IntN(4) == 0 {
						reference := chance.IntN(references)
						if _, err := credit.TopUp(context.Background(), n.Store, "test", n.Organization.ID, int64(reference)+1, fmt.Sprint("invoice ", reference)); err != nil {
							t.Error(err)
						}
						continue
					}
					if err := chargeSome(n, pick(chance, ids), chance.IntN(5) == 0); err != nil {
						t.Error(err)
					}
				}
			})
		}
		all.Wait()
		checkLedger(t, n, references)
	})
}

// pick returns up to three of the ids.
func pick(chance *rand.Rand, ids []string) (some []string) {
	for range 1 + chance.IntN(3) {
		id := ids[chance.IntN(len(ids))]
		if !slices.Contains(some, id) {
			some = append(some, id)
		}
	}
	return some
}

var errHalfway = errors.New("halfway")

// chargeSome charges requests as a settling transaction does: as many as can be
// paid. One that was charged before, or an end halfway, undoes all of it.
func chargeSome(n roomtest.Tenant, ids []string, endHalfway bool) error {
	ctx := context.Background()
	err := n.Tx(ctx, func(tx *store.Tx) error {
		account, err := credit.Lock(ctx, tx, n.Organization.ID)
		if err != nil {
			return err
		}
		if err := credit.Charge(ctx, tx, &account, ids[:min(int64(len(ids)), account.Balance)]); err != nil {
			return err
		}
		if endHalfway {
			return errHalfway
		}
		return credit.Save(ctx, tx, account)
	})
	if errors.Is(err, errHalfway) || store.IsData(err) { // charged before
		return nil
	}
	return err
}

func checkLedger(t *testing.T, n roomtest.Tenant, references int) {
	t.Helper()
	entries, err := credit.Ledger(t.Context(), n.Org(n.Organization.ID), "", 1000)
	if err != nil {
		t.Fatal(err)
	}
	slices.Reverse(entries)
	balance, charged, topped := int64(0), map[string]bool{}, map[string]bool{}
	for _, e := range entries {
		balance += e.Amount
		if balance != e.BalanceAfter || balance < 0 {
			t.Errorf("%s: the balance after it is %d, the sum so far %d", e.ID, e.BalanceAfter, balance)
		}
		if e.RequestID != "" && charged[e.RequestID] || e.Reference != "" && topped[e.Reference] {
			t.Errorf("%s counts twice: %+v", e.ID, e)
		}
		charged[e.RequestID], topped[e.Reference] = true, true
	}
	v, err := credit.Verify(t.Context(), n.Org(n.Organization.ID))
	if err != nil || !v.OK || v.Balance != balance || v.Entries != int64(len(entries)) {
		t.Errorf("verified %+v, %v; the entries give %d", v, err, balance)
	}
	if len(topped) < references || len(charged) < 4 {
		t.Errorf("only %d references and %d charges: the test did nothing", len(topped), len(charged))
	}
}
