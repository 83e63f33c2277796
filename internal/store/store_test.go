package store_test

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"sync"
	"testing"
	"time"

	"usersync/internal/store"
	"usersync/internal/store/storetest"
	"usersync/internal/usersync"
)

// tenant is an organization with a key, ready to accept requests for.
type tenant struct {
	*store.Store
	org  usersync.Organization
	key  usersync.Key
	lane string
}

func newTenant(t *testing.T, s *store.Store, credits int64) tenant {
	t.Helper()
	o, err := s.CreateOrganization(t.Context(), "test", usersync.Organization{Name: "Acme"})
	if err != nil {
		t.Fatal(err)
	}
	if credits > 0 {
		if _, err := s.TopUp(t.Context(), "test", o.ID, credits, "first"); err != nil {
			t.Fatal(err)
		}
	}
	k, _, err := s.CreateKey(t.Context(), "test", o.ID, usersync.Key{Name: "k"})
	if err != nil {
		t.Fatal(err)
	}
	return tenant{Store: s, org: o, key: k, lane: o.ID}
}

func (n tenant) acceptance(email string) *store.Acceptance {
	in := usersync.UserInput{Email: usersync.NewEmail(email, email), Country: "US", FirstName: "F"}
	return &store.Acceptance{
		RequestID: usersync.NewID(usersync.PrefixRequest), Kind: usersync.KindUserSync, Salt: n.org.Salt,
		User: store.NewUser{UserInput: in, Person: store.Person{Key: email, Company: "acme.example"}},
	}
}

func (n tenant) submission(items ...*store.Acceptance) *store.Submission {
	return &store.Submission{Organization: n.org.ID, KeyID: n.key.ID, Items: items}
}

// plan makes one task for each organization.
func plan(items []*store.Acceptance) []usersync.Task {
	var tasks []usersync.Task
	for _, a := range items {
		a.TaskID = usersync.DeriveID(usersync.PrefixTask, a.RequestID)
		tasks = append(tasks, usersync.Task{ID: a.TaskID, Organization: a.Organization(), Kind: "k", Queue: "q", Lane: a.Organization(), Args: []byte(`{}`)})
	}
	return tasks
}

func (n tenant) accept(t *testing.T, subs ...*store.Submission) {
	t.Helper()
	if err := n.Accept(t.Context(), subs, plan); err != nil {
		t.Fatal(err)
	}
}

func TestAcceptGivesTheSameUserIDForTheSameAddress(t *testing.T) {
	t.Parallel()
	storetest.Engines(t, func(t *testing.T, open func() *store.Store) {
		n := newTenant(t, open(), 1)
		a, b, c := n.acceptance("a@acme.example"), n.acceptance("a@acme.example"), n.acceptance("b@acme.example")
		n.accept(t, n.submission(a), n.submission(b, c))
		later := n.acceptance("a@acme.example")
		n.accept(t, n.submission(later))
		if a.UserID == "" || a.UserID != b.UserID || a.UserID != later.UserID || a.UserID == c.UserID {
			t.Fatalf("ids %q %q %q, other %q", a.UserID, b.UserID, later.UserID, c.UserID)
		}
	})
}

func TestAcceptTwiceAfterUnknownOutcomeAcceptsOnce(t *testing.T) {
	t.Parallel()
	storetest.Engines(t, func(t *testing.T, open func() *store.Store) {
		n := newTenant(t, open(), 1)
		sub := n.submission(n.acceptance("a@acme.example"))
		sub.Idempotency = &store.Idempotency{Scope: "POST /x", Key: "k", BodyHash: "h"}
		n.accept(t, sub)
		n.accept(t, sub)
		if sub.Err != nil || sub.Replayed {
			t.Fatalf("err %v, replayed %v: a submission must not meet itself", sub.Err, sub.Replayed)
		}
		ids, err := n.Org(n.org.ID).RequestIDs(t.Context(), store.RequestFilter{Limit: 10})
		if err != nil || len(ids) != 1 {
			t.Fatalf("%d requests, %v", len(ids), err)
		}
	})
}

func TestAcceptTakesAnotherIDWhereTheUsersIsTaken(t *testing.T) {
	t.Parallel()
	storetest.Engines(t, func(t *testing.T, open func() *store.Store) {
		s := open()
		n, other := newTenant(t, s, 1), newTenant(t, s, 1)
		first := n.acceptance("a@acme.example")
		n.accept(t, n.submission(first))
		// With the salt of n the address has the same id in another organization.
		taken, twice, free := other.acceptance("a@acme.example"), other.acceptance("a@acme.example"), other.acceptance("b@acme.example")
		taken.Salt, twice.Salt = n.org.Salt, n.org.Salt
		other.accept(t, other.submission(taken), other.submission(free, twice))
		if taken.UserID == first.UserID || taken.UserID != twice.UserID || taken.UserID == "" {
			t.Fatalf("ids %q and %q beside %q", taken.UserID, twice.UserID, first.UserID)
		}
		if want := usersync.KeyedID(usersync.PrefixUser, other.org.Salt, "b@acme.example"); free.UserID != want {
			t.Fatalf("the other user got %q, want %q", free.UserID, want)
		}
		if u, err := other.Org(other.org.ID).User(t.Context(), taken.UserID); err != nil || u.Email.Key() != "a@acme.example" {
			t.Fatalf("%+v, %v", u, err)
		}
	})
}

func TestAcceptOfTheSameNewUsersAtOnceAgreesOnThem(t *testing.T) {
	t.Parallel()
	storetest.Engines(t, func(t *testing.T, open func() *store.Store) {
		n := newTenant(t, open(), 1)
		const callers, users = 8, 20
		ids := make([][users]string, callers)
		var wg sync.WaitGroup
		for i := range ids {
			wg.Go(func() {
				items := make([]*store.Acceptance, users)
				for u := range items {
					items[u] = n.acceptance(fmt.Sprintf("u%d@acme.example", (u+i)%users))
				}
				if i%2 == 0 {
					slices.Reverse(items)
				}
				if err := n.Accept(context.Background(), []*store.Submission{n.submission(items...)}, plan); err != nil {
					t.Error(err)
				}
				for _, a := range items {
					var u int
					_, _ = fmt.Sscanf(a.User.Email.Key(), "u%d@", &u)
					ids[i][u] = a.UserID
				}
			})
		}
		wg.Wait()
		for i := range ids {
			if ids[i] != ids[0] || ids[i][0] == "" {
				t.Fatalf("caller %d got %v, the first %v", i, ids[i], ids[0])
			}
		}
		stored, err := n.Org(n.org.ID).RequestIDs(t.Context(), store.RequestFilter{Limit: 1000})
		if err != nil || len(stored) != callers*users {
			t.Fatalf("%d requests, %v", len(stored), err)
		}
	})
}

func TestAcceptRefusesByKeyOrganizationAndBalance(t *testing.T) {
	t.Parallel()
	storetest.Engines(t, func(t *testing.T, open func() *store.Store) {
		s := open()
		paying, poor, revoked, disabled := newTenant(t, s, 1), newTenant(t, s, 0), newTenant(t, s, 1), newTenant(t, s, 1)
		if _, err := s.Org(revoked.org.ID).RevokeKey(t.Context(), "test", revoked.key.ID, time.Now().Add(-time.Second)); err != nil {
			t.Fatal(err)
		}
		_, err := s.UpdateOrganization(t.Context(), "test", disabled.org.ID, func(o *usersync.Organization) ([]string, error) {
			o.Status = usersync.OrganizationDisabled
			return []string{"status"}, nil
		})
		if err != nil {
			t.Fatal(err)
		}
		var subs []*store.Submission
		for _, n := range []tenant{paying, poor, revoked, disabled} {
			subs = append(subs, n.submission(n.acceptance("a@acme.example")))
		}
		paying.accept(t, subs...)
		for i, want := range []*usersync.Error{nil, store.ErrNoCredits, store.ErrInvalidKey, store.ErrInvalidOrganization} {
			if subs[i].Err != want {
				t.Errorf("submission %d: got %v, want %v", i, subs[i].Err, want)
			}
		}
	})
}

func TestIdempotencyKeyRaceHasOneWinner(t *testing.T) {
	t.Parallel()
	storetest.Engines(t, func(t *testing.T, open func() *store.Store) {
		n := newTenant(t, open(), 1)
		const racers = 20
		subs := make([]*store.Submission, racers)
		var wg sync.WaitGroup
		for i := range subs {
			subs[i] = n.submission(n.acceptance("a@acme.example"))
			subs[i].Idempotency = &store.Idempotency{Scope: "POST /x", Key: "same", BodyHash: "h"}
			wg.Go(func() {
				if err := n.Accept(context.Background(), subs[i:i+1], plan); err != nil {
					t.Error(err)
				}
			})
		}
		wg.Wait()
		first := map[string]int{}
		winners := 0
		for _, s := range subs {
			if s.Err != nil || len(s.Accepted) != 1 {
				t.Fatalf("%v, %d accepted", s.Err, len(s.Accepted))
			}
			first[s.Accepted[0].RequestID]++
			if !s.Replayed {
				winners++
			}
		}
		if len(first) != 1 || winners != 1 {
			t.Fatalf("%d requests, %d winners", len(first), winners)
		}
		other := n.submission(n.acceptance("a@acme.example"))
		other.Idempotency = &store.Idempotency{Scope: "POST /x", Key: "same", BodyHash: "other"}
		n.accept(t, other)
		if other.Err != store.ErrKeyReused {
			t.Fatalf("another body under the same key: %v", other.Err)
		}
	})
}

// claimAll takes and claims every ready task of queue q.
func claimAll(t *testing.T, s *store.Store, share int) []usersync.Claim {
	t.Helper()
	taken, err := s.TakeReady(t.Context(), "q", "", share, 100)
	if err != nil {
		t.Fatal(err)
	}
	var claims []usersync.Claim
	for _, e := range taken {
		c, ok, err := s.Claim(t.Context(), e.ID, e.Generation)
		if err != nil || !ok {
			t.Fatalf("claim: %v %v", ok, err)
		}
		claims = append(claims, c)
	}
	return claims
}

func TestTakeReadySharesLanesFairly(t *testing.T) {
	t.Parallel()
	storetest.Engines(t, func(t *testing.T, open func() *store.Store) {
		s := open()
		busy, quiet := newTenant(t, s, 1), newTenant(t, s, 1)
		for i := range 10 {
			busy.accept(t, busy.submission(busy.acceptance(fmt.Sprintf("u%d@acme.example", i))))
		}
		quiet.accept(t, quiet.submission(quiet.acceptance("a@acme.example")))
		taken, err := s.TakeReady(t.Context(), "q", "", 3, 100)
		if err != nil {
			t.Fatal(err)
		}
		count := map[string]int{}
		for _, e := range taken {
			count[e.Lane]++
		}
		if count[busy.lane] != 3 || count[quiet.lane] != 1 {
			t.Fatalf("taken %v, want 3 of the busy and 1 of the quiet lane", count)
		}
		again, err := s.TakeReady(t.Context(), "q", "", 3, 100)
		if err != nil || len(again) != 0 {
			t.Fatalf("a full lane gave %d more, %v", len(again), err)
		}
	})
}

func TestReadyQueuesAreThoseWithTasksThatWait(t *testing.T) {
	t.Parallel()
	storetest.Engines(t, func(t *testing.T, open func() *store.Store) {
		n := newTenant(t, open(), 1)
		ready := func(want ...string) {
			t.Helper()
			got, err := n.ReadyQueues(t.Context(), []string{"other", "q"})
			if err != nil || !slices.Equal(got, want) {
				t.Errorf("ready are %q, %v; want %q", got, err, want)
			}
		}
		ready()
		n.accept(t, n.submission(n.acceptance("a@acme.example")))
		ready("q")
		if _, err := n.TakeReady(t.Context(), "q", "", 10, 10); err != nil {
			t.Fatal(err)
		}
		ready()
	})
}

func TestTakeReadyNeverGivesATaskTwice(t *testing.T) {
	t.Parallel()
	storetest.Engines(t, func(t *testing.T, open func() *store.Store) {
		n := newTenant(t, open(), 1)
		for i := range 60 {
			n.accept(t, n.submission(n.acceptance(fmt.Sprintf("u%d@acme.example", i))))
		}
		var mu sync.Mutex
		seen := map[string]int{}
		var wg sync.WaitGroup
		for range 6 {
			wg.Go(func() {
				for range 20 {
					taken, err := n.TakeReady(context.Background(), "q", "", 1000, 5)
					if err != nil {
						t.Error(err)
						return
					}
					mu.Lock()
					for _, e := range taken {
						seen[e.ID]++
					}
					mu.Unlock()
				}
			})
		}
		wg.Wait()
		for id, n := range seen {
			if n != 1 {
				t.Errorf("%s was taken %d times", id, n)
			}
		}
		if len(seen) != 60 {
			t.Errorf("%d tasks taken, want 60", len(seen))
		}
	})
}

func TestClaimIsExclusiveAndFencesWrites(t *testing.T) {
	t.Parallel()
	storetest.Engines(t, func(t *testing.T, open func() *store.Store) {
		n := newTenant(t, open(), 1)
		n.accept(t, n.submission(n.acceptance("a@acme.example")))
		c := claimAll(t, n.Store, 10)[0]
		if _, ok, err := n.Claim(t.Context(), c.TaskID, 1); ok || err != nil {
			t.Fatalf("a second claim: %v %v", ok, err)
		}
		if err := n.Renew(t.Context(), c); err != nil {
			t.Fatal(err)
		}
		stolen := c
		stolen.Token = "clm_other"
		err := n.Tx(t.Context(), func(tx *store.Tx) error { return tx.Finish(t.Context(), stolen) })
		if !errors.Is(err, store.ErrClaimLost) {
			t.Fatalf("a write under a lost claim: %v", err)
		}
		if err := n.Tx(t.Context(), func(tx *store.Tx) error { return tx.Finish(t.Context(), c) }); err != nil {
			t.Fatal(err)
		}
		if err := n.Renew(t.Context(), c); !errors.Is(err, store.ErrClaimLost) {
			t.Fatalf("a finished task renewed: %v", err)
		}
	})
}

// Statements may be judged late: what a worker without the claim did meanwhile,
// and what became of it, must not hide that it has lost the claim.
func TestLostClaimUndoesEverythingAndIsToldBeforeWhatFailedLater(t *testing.T) {
	t.Parallel()
	storetest.Engines(t, func(t *testing.T, open func() *store.Store) {
		n := newTenant(t, open(), 3)
		n.accept(t, n.submission(n.acceptance("a@acme.example")))
		c := claimAll(t, n.Store, 10)[0]
		c.Token = "clm_other"
		request := usersync.NewID(usersync.PrefixRequest)
		for what, charges := range map[string][]string{"nothing": {request}, "a second charge of one request": {request, request}} {
			err := n.Tx(t.Context(), func(tx *store.Tx) error {
				if err := tx.Finish(t.Context(), c); err != nil {
					return err
				}
				account, _, err := tx.OpenAccount(t.Context(), n.org.ID)
				if err != nil {
					return err
				}
				if err := tx.Charge(t.Context(), &account, charges); err != nil {
					return err
				}
				return tx.SaveAccount(t.Context(), account)
			})
			if !errors.Is(err, store.ErrClaimLost) {
				t.Errorf("after the claim failed %s: the transaction says %v", what, err)
			}
		}
		if v, err := n.Org(n.org.ID).Verify(t.Context()); err != nil || v.Balance != 3 {
			t.Errorf("the balance is %+v: %v", v, err)
		}
	})
}

func TestPostponeRearmsWithANewGeneration(t *testing.T) {
	t.Parallel()
	storetest.Engines(t, func(t *testing.T, open func() *store.Store) {
		n := newTenant(t, open(), 1)
		n.accept(t, n.submission(n.acceptance("a@acme.example")))
		c := claimAll(t, n.Store, 10)[0]
		if err := n.Postpone(t.Context(), c, time.Now().Add(-time.Second), true); err != nil {
			t.Fatal(err)
		}
		taken, err := n.TakeReady(t.Context(), "q", "", 10, 10)
		if err != nil || len(taken) != 1 || taken[0].Generation != 2 {
			t.Fatalf("%+v %v", taken, err)
		}
		again, ok, err := n.Claim(t.Context(), c.TaskID, 2)
		if err != nil || !ok || again.Failures != 1 {
			t.Fatalf("%+v %v %v", again, ok, err)
		}
		if err := n.Postpone(t.Context(), again, time.Now().Add(time.Hour), false); err != nil {
			t.Fatal(err)
		}
		if _, err := n.Promote(t.Context(), 10); err != nil {
			t.Fatal(err)
		}
		if state, err := n.OutboxState(t.Context()); err != nil || state.Scheduled != 1 || state.Ready != 0 {
			t.Fatalf("promoted before its time: %+v %v", state, err)
		}
	})
}

func TestUnsendAllSparesLiveClaims(t *testing.T) {
	t.Parallel()
	storetest.Engines(t, func(t *testing.T, open func() *store.Store) {
		n := newTenant(t, open(), 1)
		n.accept(t, n.submission(n.acceptance("a@acme.example"), n.acceptance("b@acme.example")))
		taken, err := n.TakeReady(t.Context(), "q", "", 10, 10)
		if err != nil || len(taken) != 2 {
			t.Fatal(len(taken), err)
		}
		if _, ok, err := n.Claim(t.Context(), taken[0].ID, 1); !ok || err != nil {
			t.Fatal(ok, err)
		}
		if got, err := n.UnsendAll(t.Context(), false); got != 1 || err != nil {
			t.Fatalf("unsent %d, %v; want only the unclaimed one", got, err)
		}
		if got, err := n.UnsendAll(t.Context(), true); got != 1 || err != nil {
			t.Fatalf("unsent %d, %v; a dead process's claims count for nothing", got, err)
		}
	})
}

func TestTopUpIsIdempotentByReferenceAndBalanceIsTheSumOfEntries(t *testing.T) {
	t.Parallel()
	storetest.Engines(t, func(t *testing.T, open func() *store.Store) {
		n := newTenant(t, open(), 5)
		var wg sync.WaitGroup
		ids := make([]string, 10)
		for i := range ids {
			wg.Go(func() {
				e, err := n.TopUp(context.Background(), "test", n.org.ID, 7, "invoice 17")
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
		v, err := n.Org(n.org.ID).Verify(t.Context())
		if err != nil || !v.OK || v.Balance != 12 {
			t.Fatalf("%+v %v", v, err)
		}
	})
}

func TestMigrateMayRunAtOnceInSeveralProcesses(t *testing.T) {
	t.Parallel()
	o := storetest.Options(t, "postgres")
	var wg sync.WaitGroup
	for range 4 {
		wg.Go(func() {
			s, err := store.Open(context.Background(), o)
			if err != nil {
				t.Error(err)
				return
			}
			defer func() { _ = s.Close() }()
			if _, err := s.Migrate(context.Background()); err != nil {
				t.Error(err)
			}
			if err := s.CheckMigrated(context.Background()); err != nil {
				t.Error(err)
			}
		})
	}
	wg.Wait()
}

func TestDropIdempotencyKeysSparesFreshOnes(t *testing.T) {
	t.Parallel()
	storetest.Engines(t, func(t *testing.T, open func() *store.Store) {
		n := newTenant(t, open(), 1)
		sub := n.submission(n.acceptance("a@acme.example"))
		sub.Idempotency = &store.Idempotency{Scope: "POST /x", Key: "k", BodyHash: "h"}
		n.accept(t, sub)
		if dropped, err := n.DropIdempotencyKeys(t.Context(), 10); dropped != 0 || err != nil {
			t.Fatalf("dropped %d, %v", dropped, err)
		}
	})
}

func TestRetakeBringsBackATaskWhoseClaimWasUndone(t *testing.T) {
	t.Parallel()
	storetest.Engines(t, func(t *testing.T, open func() *store.Store) {
		n := newTenant(t, open(), 1)
		n.accept(t, n.submission(n.acceptance("a@acme.example"), n.acceptance("b@acme.example")))
		taken, err := n.TakeReady(t.Context(), "q", "", 10, 10)
		if err != nil || len(taken) != 2 {
			t.Fatal(len(taken), err)
		}
		claimed, undone := taken[0], taken[1]
		if _, ok, err := n.Claim(t.Context(), claimed.ID, 1); !ok || err != nil {
			t.Fatal(ok, err)
		}
		for _, e := range taken {
			if err := n.Retake(t.Context(), e.ID, e.Generation); err != nil {
				t.Fatal(err)
			}
		}
		again, err := n.TakeReady(t.Context(), "q", "", 10, 10)
		if err != nil || len(again) != 1 || again[0].ID != undone.ID || again[0].Generation != 2 {
			t.Fatalf("%+v %v: want only the task without a claim, in a new generation", again, err)
		}
	})
}
