package intake_test

import (
	"context"
	"fmt"
	"slices"
	"sync"
	"testing"
	"time"

	"usersync/internal/idempotency"
	"usersync/internal/identity"
	"usersync/internal/intake"
	"usersync/internal/request"
	"usersync/internal/roomtest"
	"usersync/internal/store"
	"usersync/internal/store/storetest"
	"usersync/internal/tenant"
	"usersync/internal/user"
	"usersync/internal/usersync"
)

func TestAcceptGivesTheSameUserIDForTheSameAddress(t *testing.T) {
	t.Parallel()
	storetest.Engines(t, func(t *testing.T, open func() *store.Store) {
		n := roomtest.New(t, open(), 1)
		a, b, c := n.Acceptance("a@acme.example"), n.Acceptance("a@acme.example"), n.Acceptance("b@acme.example")
		n.Accept(t, n.Submission(a), n.Submission(b, c))
		later := n.Acceptance("a@acme.example")
		n.Accept(t, n.Submission(later))
		if a.UserID == "" || a.UserID != b.UserID || a.UserID != later.UserID || a.UserID == c.UserID {
			t.Fatalf("ids %q %q %q, other %q", a.UserID, b.UserID, later.UserID, c.UserID)
		}
	})
}

func TestAcceptTwiceAfterUnknownOutcomeAcceptsOnce(t *testing.T) {
	t.Parallel()
	storetest.Engines(t, func(t *testing.T, open func() *store.Store) {
		n := roomtest.New(t, open(), 1)
		sub := n.Submission(n.Acceptance("a@acme.example"))
		sub.Idempotency = &idempotency.Key{Scope: "POST /x", Key: "k", BodyHash: "h"}
		n.Accept(t, sub)
		n.Accept(t, sub)
		if sub.Err != nil || sub.Replayed {
			t.Fatalf("err %v, replayed %v: a submission must not meet itself", sub.Err, sub.Replayed)
		}
		ids, err := request.ListIDs(t.Context(), n.Org(n.Organization.ID), request.Filter{Limit: 10})
		if err != nil || len(ids) != 1 {
			t.Fatalf("%d requests, %v", len(ids), err)
		}
	})
}

// The id of a user is derived from the first address. Once the user has another one, a new
// user with the former address needs another id.
func TestAcceptTakesAnotherIDWhereTheUsersIsTaken(t *testing.T) {
	t.Parallel()
	storetest.Engines(t, func(t *testing.T, open func() *store.Store) {
		n := roomtest.New(t, open(), 1)
		first := n.Acceptance("a@acme.example")
		n.Accept(t, n.Submission(first))
		to, err := identity.ParseEmail("c@acme.example")
		if err != nil {
			t.Fatal(err)
		}
		if err := n.Once(t.Context(), 0, func(tx *store.Tx) error {
			_, err := user.ChangeAddress(t.Context(), tx, n.Organization.ID, first.UserID, to, 0)
			return err
		}); err != nil {
			t.Fatal(err)
		}
		taken, twice, free := n.Acceptance("a@acme.example"), n.Acceptance("a@acme.example"), n.Acceptance("b@acme.example")
		n.Accept(t, n.Submission(taken), n.Submission(free, twice))
		if taken.UserID == first.UserID || taken.UserID != twice.UserID || taken.UserID == "" {
			t.Fatalf("ids %q and %q beside %q", taken.UserID, twice.UserID, first.UserID)
		}
		if want := usersync.KeyedID(usersync.PrefixUser, n.Organization.Salt, "b@acme.example"); free.UserID != want {
			t.Fatalf("the other user got %q, want %q", free.UserID, want)
		}
		if u, err := user.Get(t.Context(), n.Org(n.Organization.ID), taken.UserID); err != nil || u.Email.Key() != "a@acme.example" {
			t.Fatalf("%+v, %v", u, err)
		}
	})
}

func TestAcceptOfTheSameNewUsersAtOnceAgreesOnThem(t *testing.T) {
	t.Parallel()
	storetest.Engines(t, func(t *testing.T, open func() *store.Store) {
		n := roomtest.New(t, open(), 1)
		const callers, users = 8, 20
		ids := make([][users]string, callers)
		var wg sync.WaitGroup
		for i := range ids {
			wg.Go(func() {
				items := make([]*intake.Acceptance, users)
				for u := range items {
					items[u] = n.Acceptance(fmt.Sprintf("u%d@acme.example", (u+i)%users))
				}
				if i%2 == 0 {
					slices.Reverse(items)
				}
				if err := intake.AcceptPlanned(context.Background(), n.Store, []*intake.Submission{n.Submission(items...)}, roomtest.Plan); err != nil {
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
		stored, err := request.ListIDs(t.Context(), n.Org(n.Organization.ID), request.Filter{Limit: 1000})
		if err != nil || len(stored) != callers*users {
			t.Fatalf("%d requests, %v", len(stored), err)
		}
	})
}

func TestAcceptRefusesByKeyOrganizationAndBalance(t *testing.T) {
	t.Parallel()
	storetest.Engines(t, func(t *testing.T, open func() *store.Store) {
		s := open()
		paying, poor, revoked, disabled := roomtest.New(t, s, 1), roomtest.New(t, s, 0), roomtest.New(t, s, 1), roomtest.New(t, s, 1)
		if _, err := tenant.RevokeKey(t.Context(), s.Org(revoked.Organization.ID), "test", revoked.Key.ID, time.Now().Add(-time.Second)); err != nil {
			t.Fatal(err)
		}
		_, err := tenant.Update(t.Context(), s.Org(disabled.Organization.ID), "test", func(o *tenant.Organization) ([]string, error) {
			o.Status = tenant.Disabled
			return []string{"status"}, nil
		})
		if err != nil {
			t.Fatal(err)
		}
		var subs []*intake.Submission
		for _, n := range []roomtest.Tenant{paying, poor, revoked, disabled} {
			subs = append(subs, n.Submission(n.Acceptance("a@acme.example")))
		}
		paying.Accept(t, subs...)
		for i, want := range []*usersync.Error{nil, intake.ErrNoCredits, intake.ErrInvalidKey, intake.ErrInvalidOrganization} {
			if subs[i].Err != want {
				t.Errorf("submission %d: got %v, want %v", i, subs[i].Err, want)
			}
		}
	})
}

func TestIdempotencyKeyRaceHasOneWinner(t *testing.T) {
	t.Parallel()
	storetest.Engines(t, func(t *testing.T, open func() *store.Store) {
		n := roomtest.New(t, open(), 1)
		const racers = 20
		subs := make([]*intake.Submission, racers)
		var wg sync.WaitGroup
		for i := range subs {
			subs[i] = n.Submission(n.Acceptance("a@acme.example"))
			subs[i].Idempotency = &idempotency.Key{Scope: "POST /x", Key: "same", BodyHash: "h"}
			wg.Go(func() {
				if err := intake.AcceptPlanned(context.Background(), n.Store, subs[i:i+1], roomtest.Plan); err != nil {
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
		other := n.Submission(n.Acceptance("a@acme.example"))
		other.Idempotency = &idempotency.Key{Scope: "POST /x", Key: "same", BodyHash: "other"}
		n.Accept(t, other)
		if other.Err != idempotency.ErrReused {
			t.Fatalf("another body under the same key: %v", other.Err)
		}
	})
}

func TestDropIdempotencyKeysSparesFreshOnes(t *testing.T) {
	t.Parallel()
	storetest.Engines(t, func(t *testing.T, open func() *store.Store) {
		n := roomtest.New(t, open(), 1)
		sub := n.Submission(n.Acceptance("a@acme.example"))
		sub.Idempotency = &idempotency.Key{Scope: "POST /x", Key: "k", BodyHash: "h"}
		n.Accept(t, sub)
		if dropped, err := intake.DropIdempotencyKeys(t.Context(), n.Store, 10); dropped != 0 || err != nil {
			t.Fatalf("dropped %d, %v", dropped, err)
		}
	})
}
