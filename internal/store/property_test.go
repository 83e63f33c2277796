package store_test

import (
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"slices"
	"sync"
	"testing"

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
		n := newTenant(t, open(), 3)
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
						if _, err := n.TopUp(context.Background(), "test", n.org.ID, int64(reference)+1, fmt.Sprint("invoice ", reference)); err != nil {
							t.Error(err)
						}
						continue
					}
					if err := n.chargeSome(pick(chance, ids), chance.IntN(5) == 0); err != nil {
						t.Error(err)
					}
				}
			})
		}
		all.Wait()
		n.checkLedger(t, references)
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
func (n tenant) chargeSome(ids []string, endHalfway bool) error {
	ctx := context.Background()
	err := n.Tx(ctx, func(tx *store.Tx) error {
		account, err := tx.LockAccount(ctx, n.org.ID)
		if err != nil {
			return err
		}
		if err := tx.Charge(ctx, &account, ids[:min(int64(len(ids)), account.Balance)]); err != nil {
			return err
		}
		if endHalfway {
			return errHalfway
		}
		return tx.SaveAccount(ctx, account)
	})
	if errors.Is(err, errHalfway) || store.IsData(err) { // charged before
		return nil
	}
	return err
}

func (n tenant) checkLedger(t *testing.T, references int) {
	t.Helper()
	entries, err := n.Org(n.org.ID).Ledger(t.Context(), "", 1000)
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
	v, err := n.Org(n.org.ID).Verify(t.Context())
	if err != nil || !v.OK || v.Balance != balance || v.Entries != int64(len(entries)) {
		t.Errorf("verified %+v, %v; the entries give %d", v, err, balance)
	}
	if len(topped) < references || len(charged) < 4 {
		t.Errorf("only %d references and %d charges: the test did nothing", len(topped), len(charged))
	}
}

// TestTheStoreMovesRequestsOnlyAsTheTableSays brings a request into each status
// and tries to write each other one, as a worker's outcome, and to have it retried:
// what is over stays over, and a retry goes through exactly where the table has
// the way back.
func TestTheStoreMovesRequestsOnlyAsTheTableSays(t *testing.T) {
	t.Parallel()
	storetest.Engines(t, func(t *testing.T, open func() *store.Store) {
		n := newTenant(t, open(), 100)
		for i, from := range usersync.RequestStatuses {
			for j, to := range usersync.RequestStatuses {
				a := n.requestIn(t, fmt.Sprintf("a%d-%d@acme.example", i, j), from)
				err := n.Tx(t.Context(), func(tx *store.Tx) error {
					return tx.SaveOutcomes(t.Context(), usersync.Claim{TaskID: a.TaskID, Organization: n.org.ID}, []store.Outcome{{RequestID: a.RequestID, Status: to}})
				})
				if from.Final() != errors.Is(err, store.ErrStale) {
					t.Errorf("an outcome %s for a request that is %s: %v", to, from, err)
				}
				if got := n.statusOf(t, a.RequestID); from.Final() && got != from {
					t.Errorf("%s became %s by an outcome", from, got)
				}
			}
			a := n.requestIn(t, fmt.Sprintf("r%d@acme.example", i), from)
			_, err := n.Org(n.org.ID).Retry(t.Context(), a.RequestID, usersync.NewID(usersync.PrefixRequest), nil, func(usersync.RequestKind, int, string) usersync.Task {
				return usersync.Task{ID: usersync.NewID(usersync.PrefixTask), Organization: n.org.ID, Kind: "k", Queue: "q", Lane: n.lane, Args: []byte(`{}`)}
			})
			got := n.statusOf(t, a.RequestID)
			if may := from.CanBecome(usersync.RequestQueued); may != (err == nil) || got != from && got != usersync.RequestQueued {
				t.Errorf("the retry of a request that is %s: %v, now %s", from, err, got)
			}
		}
	})
}

// requestIn accepts a request and brings it into a status, with one failed step.
func (n tenant) requestIn(t *testing.T, email string, status usersync.RequestStatus) *store.Acceptance {
	t.Helper()
	a := n.acceptance(email)
	n.accept(t, n.submission(a))
	err := n.Tx(t.Context(), func(tx *store.Tx) error {
		return tx.SaveOutcomes(t.Context(), usersync.Claim{TaskID: a.TaskID, Organization: n.org.ID}, []store.Outcome{{
			RequestID: a.RequestID, Status: status, Steps: []usersync.Step{{Name: usersync.StepColleagues, Status: usersync.StepFailed}},
		}})
	})
	if err != nil {
		t.Fatal(err)
	}
	return a
}

func (n tenant) statusOf(t *testing.T, id string) usersync.RequestStatus {
	t.Helper()
	r, err := n.Org(n.org.ID).Report(t.Context(), id)
	if err != nil {
		t.Fatal(err)
	}
	return r.Status
}
