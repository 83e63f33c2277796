package bulk_test

import (
	"database/sql"
	"errors"
	"slices"
	"testing"
	"time"

	"usersync/internal/bulk"
	"usersync/internal/intake"
	"usersync/internal/outbox"
	"usersync/internal/request"
	"usersync/internal/roomtest"
	"usersync/internal/store"
)

// accepted is an organization with users and a bulk of them all.
type accepted struct {
	roomtest.Tenant
	org   *store.Org
	bulk  bulk.Bulk
	users []string // in ascending order
}

func accept(t *testing.T, s *store.Store, db *sql.DB) accepted {
	t.Helper()
	n := roomtest.New(t, s, 9)
	var items []*intake.Acceptance
	for _, address := range []string{"a@acme.example", "b@acme.example", "c@acme.example"} {
		items = append(items, n.Acceptance(address))
	}
	n.Accept(t, n.Submission(items...))
	a := accepted{Tenant: n, org: n.Org(n.Organization.ID)}
	for _, i := range items {
		a.users = append(a.users, i.UserID)
	}
	slices.Sort(a.users)
	roomtest.Execute(t, db, `UPDATE requests SET kind = 'platform-bulk', input = '{"connection":"conn_1"}' WHERE id = $1`, items[0].RequestID)
	a.bulk = a.load(t, items[0].RequestID)
	a.tx(t, func(tx *store.Tx) error {
		step := request.Step{Name: request.StepPlatform, Status: request.StepPending, Attempts: 1}
		return bulk.Begin(t.Context(), tx, a.org.ID(), a.bulk, "", step)
	})
	return a
}

func (a accepted) load(t *testing.T, id string) bulk.Bulk {
	t.Helper()
	b, ok, err := bulk.Load(t.Context(), a.org, id)
	if err != nil || !ok {
		t.Fatal(ok, err)
	}
	return b
}

func (a accepted) tx(t *testing.T, do func(tx *store.Tx) error) {
	t.Helper()
	if err := a.Tx(t.Context(), do); err != nil {
		t.Fatal(err)
	}
}

// work plans the slice as the last one and counts one user as added, one as failed.
func (a accepted) work(t *testing.T, s bulk.Slice) (finished []string) {
	t.Helper()
	s.Last = true
	a.tx(t, func(tx *store.Tx) error { return bulk.Advance(t.Context(), tx, a.org.ID(), a.bulk, s) })
	a.tx(t, func(tx *store.Tx) (err error) {
		fault := bulk.Error{RequestID: a.bulk.ID, UserID: a.users[1], Status: request.StepFailed, Code: "rejected", Message: "No."}
		deltas := map[string]request.Progress{a.bulk.ID: {Added: 1, Errors: 1}}
		if err := bulk.Count(t.Context(), tx, a.org.ID(), deltas, []bulk.Error{fault}); err != nil {
			return err
		}
		finished, err = bulk.Finish(t.Context(), tx, a.org.ID(), a.bulk.ID)
		return err
	})
	return finished
}

func (a accepted) status(t *testing.T) request.Status {
	t.Helper()
	list, err := request.List(t.Context(), a.org, []string{a.bulk.ID})
	if err != nil || len(list) != 1 {
		t.Fatal(list, err)
	}
	return list[0].Status
}

func TestABulkEndsWhenAllItsUsersAreDoneAndARetryTakesTheFailedOnes(t *testing.T) {
	t.Parallel()
	roomtest.Engines(t, func(t *testing.T, s *store.Store, db *sql.DB) {
		a := accept(t, s, db)
		slice, err := bulk.SliceNamed(t.Context(), a.org, append(slices.Clone(a.users[:2]), "user_~unknown"), "", 10)
		if err != nil || len(slice.Users) != 2 || !slices.Equal(slice.Unknown, []string{"user_~unknown"}) {
			t.Fatalf("%+v %v", slice, err)
		}
		// The unknown one counts as failed, so all three are done.
		if finished := a.work(t, slice); !slices.Equal(finished, []string{a.bulk.ID}) || a.status(t) != request.PartiallySucceeded {
			t.Errorf("finished %v, status %s", finished, a.status(t))
		}
		if _, ok, err := bulk.Load(t.Context(), a.org, a.bulk.ID); ok || err != nil {
			t.Errorf("a bulk that is finished is worked again: %v %v", ok, err)
		}
		faults, err := bulk.ListErrors(t.Context(), a.org, a.bulk.ID, "", 10)
		if err != nil || len(faults) != 2 || faults[0].UserID != a.users[1] || faults[0].Email == "" || faults[1].Code != "not_found" {
			t.Errorf("%+v %v", faults, err)
		}
		var marked int64
		a.tx(t, func(tx *store.Tx) (err error) {
			marked, err = bulk.Retry(t.Context(), tx, a.org.ID(), a.bulk.ID, request.PartiallySucceeded)
			return err
		})
		again, err := bulk.SliceAgain(t.Context(), a.org, a.bulk.ID, "", 10)
		if err != nil || marked != 2 || len(again.Users) != 1 || again.Users[0].ID != a.users[1] || len(again.Unknown) != 1 || !again.Last {
			t.Errorf("%d marked, %+v %v", marked, again, err)
		}
	})
}

func TestASliceIsBoundedByIDsAndLeavesOutUsersThatAreNotActive(t *testing.T) {
	t.Parallel()
	roomtest.Engines(t, func(t *testing.T, s *store.Store, db *sql.DB) {
		a := accept(t, s, db)
		roomtest.Execute(t, db, `UPDATE users SET updated_at = 1 WHERE id = $1`, a.users[0])
		since := time.Now().Add(-time.Hour)
		first, err := bulk.SliceUsers(t.Context(), a.org, "", since, 2)
		if err != nil || first.Last || first.Cursor != a.users[1] || len(first.Users) != 1 || first.Users[0].ID != a.users[1] {
			t.Errorf("%+v %v", first, err)
		}
		rest, err := bulk.SliceUsers(t.Context(), a.org, first.Cursor, since, 2)
		if err != nil || !rest.Last || rest.Cursor != a.users[2] || len(rest.Users) != 1 {
			t.Errorf("%+v %v", rest, err)
		}
		stranger := s.Org(roomtest.New(t, s, 0).Organization.ID)
		if none, err := bulk.SliceNamed(t.Context(), stranger, a.users, "", 10); err != nil || len(none.Users) != 0 || len(none.Unknown) != 3 {
			t.Errorf("another organization plans %+v %v", none, err)
		}
	})
}

func TestABulkThatHasEndedIsNotBegunAgain(t *testing.T) {
	t.Parallel()
	roomtest.Engines(t, func(t *testing.T, s *store.Store, db *sql.DB) {
		a := accept(t, s, db)
		failed := request.Step{Name: request.StepPlatform, Status: request.StepFailed, ErrorCode: "rejected", ErrorMessage: "No."}
		a.tx(t, func(tx *store.Tx) error {
			_, err := bulk.Fail(t.Context(), tx, a.org.ID(), a.bulk.ID, failed)
			return err
		})
		err := s.Tx(t.Context(), func(tx *store.Tx) error { return bulk.Begin(t.Context(), tx, a.org.ID(), a.bulk, "", failed) })
		if !errors.Is(err, outbox.ErrClaimLost) || a.status(t) != request.Failed {
			t.Errorf("%v, status %s", err, a.status(t))
		}
	})
}

func TestTheNameOfABulkLeadsBackToItsRequest(t *testing.T) {
	t.Parallel()
	if id := bulk.RequestOf(bulk.SyncID("req_123")); id != "req_123" {
		t.Errorf("the name leads to %s", id)
	}
	if id := bulk.RequestOf("req_123"); id != "req_123" {
		t.Errorf("a request's own id leads to %s", id)
	}
}
