package request_test

import (
	"errors"
	"fmt"
	"testing"

	"usersync/internal/intake"
	"usersync/internal/request"
	"usersync/internal/roomtest"
	"usersync/internal/store"
	"usersync/internal/usersync"
)

// TestTheStoreMovesRequestsOnlyAsTheTableSays brings a request into each status
// and tries to write each other one, as a worker's outcome, and to have it retried:
// what is over stays over, and a retry goes through exactly where the table has
// the way back.
func TestTheStoreMovesRequestsOnlyAsTheTableSays(t *testing.T) {
	t.Parallel()
	roomtest.Each(t, 100, func(t *testing.T, n roomtest.Tenant) {
		for i, from := range request.Statuses {
			for j, to := range request.Statuses {
				a := requestIn(t, n, fmt.Sprintf("a%d-%d@acme.example", i, j), from)
				err := n.Tx(t.Context(), func(tx *store.Tx) error {
					_, err := request.SaveOutcomes(t.Context(), tx, n.Organization.ID, []request.Outcome{{RequestID: a.RequestID, TaskID: a.TaskID, Status: to}})
					return err
				})
				if from.Final() != errors.Is(err, store.ErrStale) {
					t.Errorf("an outcome %s for a request that is %s: %v", to, from, err)
				}
				if got := statusOfRequest(t, n, a.RequestID); from.Final() && got != from {
					t.Errorf("%s became %s by an outcome", from, got)
				}
			}
			a := requestIn(t, n, fmt.Sprintf("r%d@acme.example", i), from)
			_, err := intake.Retry(t.Context(), n.Org(n.Organization.ID), a.RequestID, usersync.NewID(usersync.PrefixRequest), nil)
			got := statusOfRequest(t, n, a.RequestID)
			if may := from.CanBecome(request.Queued); may != (err == nil) || got != from && got != request.Queued {
				t.Errorf("the retry of a request that is %s: %v, now %s", from, err, got)
			}
		}
	})
}

// requestIn accepts a request and brings it into a status, with one failed step.
func requestIn(t *testing.T, n roomtest.Tenant, email string, status request.Status) *intake.Acceptance {
	t.Helper()
	a := n.Acceptance(email)
	n.Accept(t, n.Submission(a))
	err := n.Tx(t.Context(), func(tx *store.Tx) error {
		_, err := request.SaveOutcomes(t.Context(), tx, n.Organization.ID, []request.Outcome{{
			RequestID: a.RequestID, TaskID: a.TaskID, Status: status, Steps: []request.Step{{Name: request.StepColleagues, Status: request.StepFailed}},
		}})
		return err
	})
	if err != nil {
		t.Fatal(err)
	}
	return a
}

func statusOfRequest(t *testing.T, n roomtest.Tenant, id string) request.Status {
	t.Helper()
	r, err := request.Get(t.Context(), n.Org(n.Organization.ID), id)
	if err != nil {
		t.Fatal(err)
	}
	return r.Status
}
