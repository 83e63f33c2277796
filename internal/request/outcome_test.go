package request_test

import (
	"errors"
	"slices"
	"testing"
	"time"

	"usersync/internal/request"
	"usersync/internal/roomtest"
	"usersync/internal/store"
	"usersync/internal/store/storetest"
)

func save(t *testing.T, n roomtest.Tenant, outcomes ...request.Outcome) (finished []string, err error) {
	t.Helper()
	err = n.Tx(t.Context(), func(tx *store.Tx) (err error) {
		finished, err = request.SaveOutcomes(t.Context(), tx, n.Organization.ID, outcomes)
		return err
	})
	return finished, err
}

func TestOutcomesNameTheRequestsThatAreFinishedByThem(t *testing.T) {
	t.Parallel()
	storetest.Engines(t, func(t *testing.T, open func() *store.Store) {
		n := roomtest.New(t, open(), 10)
		done, goesOn := n.Acceptance("done@acme.example"), n.Acceptance("on@acme.example")
		n.Accept(t, n.Submission(done, goesOn))
		now := time.Now()
		finished, err := save(t, n,
			request.Outcome{RequestID: done.RequestID, TaskID: done.TaskID, UserID: done.UserID, Status: request.Succeeded, FinishedAt: now},
			request.Outcome{RequestID: goesOn.RequestID, TaskID: goesOn.TaskID, UserID: goesOn.UserID, Status: request.Processing, FinishedAt: now})
		if err != nil || !slices.Equal(finished, []string{done.RequestID}) {
			t.Errorf("finished %v, %v", finished, err)
		}
		r, err := request.Get(t.Context(), n.Org(n.Organization.ID), goesOn.RequestID)
		if err != nil || r.Status != request.Processing || !r.FinishedAt.IsZero() {
			t.Errorf("the other is %+v, %v", r, err)
		}
	})
}

func TestAnOutcomeIsRefusedWhenTheRequestHasAnotherTaskOrNoUser(t *testing.T) {
	t.Parallel()
	storetest.Engines(t, func(t *testing.T, open func() *store.Store) {
		n := roomtest.New(t, open(), 10)
		a := n.Acceptance("ann@acme.example")
		n.Accept(t, n.Submission(a))
		read := request.Outcome{RequestID: a.RequestID, TaskID: a.TaskID, UserID: a.UserID, Status: request.Succeeded}
		moved, erased := read, read
		moved.TaskID, erased.UserID = "another", "nobody"
		for _, o := range []request.Outcome{moved, erased} {
			if finished, err := save(t, n, o); !errors.Is(err, store.ErrStale) || statusOfRequest(t, n, a.RequestID) != request.Queued {
				t.Errorf("%+v is taken: %v, %v", o, finished, err)
			}
		}
		// Whoever needs no user ends it all the same, and hands it to another task.
		read.UserID, read.Status, read.NextTaskID = "", request.AwaitingCredits, "next"
		if _, err := save(t, n, read); err != nil {
			t.Fatal(err)
		}
		read.Status = request.Succeeded
		if _, err := save(t, n, read); !errors.Is(err, store.ErrStale) {
			t.Errorf("the first task goes on with what the next one has: %v", err)
		}
	})
}

func TestOnlyAUserSyncThatEndsOrFindsColleaguesIsTold(t *testing.T) {
	t.Parallel()
	told := request.Told([]request.Outcome{
		{RequestID: "req_1", Kind: request.KindUserSync, Status: request.Failed},
		{RequestID: "req_2", Kind: request.KindUserSync, Status: request.Processing},
		{RequestID: "req_3", Kind: request.KindUserSync, Status: request.Processing, Found: 1},
		{RequestID: "req_4", Kind: request.KindPlatformSync, Status: request.Succeeded},
		{RequestID: "req_5", Kind: request.KindPlatformBulk, Status: request.Failed},
	})
	var ids []string
	for _, o := range told {
		ids = append(ids, o.RequestID)
	}
	if !slices.Equal(ids, []string{"req_1", "req_3"}) {
		t.Errorf("%v are told", ids)
	}
}
