package outbox_test

import (
	"database/sql"
	"errors"
	"testing"
	"time"

	"usersync/internal/outbox"
	"usersync/internal/roomtest"
	"usersync/internal/store"
	"usersync/internal/usersync"
)

// die has every claim run out, as the claims of a worker do that has died.
func die(t *testing.T, db *sql.DB) {
	t.Helper()
	roomtest.Execute(t, db, `UPDATE outbox SET claimed_until = 1, look_at = 1 WHERE claim_token <> ''`)
}

// revive does what the relay does with tasks whose worker has died.
func revive(t *testing.T, s *store.Store) {
	t.Helper()
	if _, err := outbox.Revive(t.Context(), s, 100); err != nil {
		t.Fatal(err)
	}
}

// next takes and claims the only task that waits.
func next(t *testing.T, s *store.Store) usersync.Claim {
	t.Helper()
	claims := roomtest.ClaimAll(t, s, 1)
	if len(claims) != 1 {
		t.Fatalf("claimed %d tasks, want 1", len(claims))
	}
	return claims[0]
}

func deaths(t *testing.T, c usersync.Claim, want int) {
	t.Helper()
	if c.Deaths != want {
		t.Errorf("%d workers are said to have died, want %d", c.Deaths, want)
	}
}

func TestEachClaimThatRunsOutCountsAsADeathUntilARunEnds(t *testing.T) {
	t.Parallel()
	roomtest.Engines(t, func(t *testing.T, s *store.Store, db *sql.DB) {
		n := roomtest.New(t, s, 1)
		n.Accept(t, n.Submission(n.Acceptance("a@acme.example")))
		c := next(t, s)
		deaths(t, c, 0)

		die(t, db)
		revive(t, s)
		c = next(t, s)
		deaths(t, c, 1)

		die(t, db) // and the queue brings the message again before the relay looks
		generation := int64(roomtest.Count(t, db, `SELECT generation FROM outbox`))
		c, ok, err := outbox.Claim(t.Context(), s, c.TaskID, generation)
		if err != nil || !ok {
			t.Fatal(ok, err)
		}
		deaths(t, c, 2)

		// A shutdown, or a platform that is to be asked later, tells nothing.
		if err := outbox.Postpone(t.Context(), s, c, outbox.When{}, false); err != nil {
			t.Fatal(err)
		}
		c = next(t, s)
		deaths(t, c, 2)
		if err := s.Tx(t.Context(), func(tx *store.Tx) error { return outbox.Await(t.Context(), tx, c, outbox.When{}) }); err != nil {
			t.Fatal(err)
		}
		c = next(t, s)
		deaths(t, c, 2)

		// The only process ends, and the next one takes up what it had.
		if _, err := outbox.UnsendAll(t.Context(), s, true); err != nil {
			t.Fatal(err)
		}
		generation = int64(roomtest.Count(t, db, `SELECT generation FROM outbox`))
		c = next(t, s)
		deaths(t, c, 3)

		if err := s.Tx(t.Context(), func(tx *store.Tx) error { return outbox.Rearm(t.Context(), tx, c, c.Args, outbox.When{}) }); err != nil {
			t.Fatal(err)
		}
		deaths(t, next(t, s), 0)
		if again := int64(roomtest.Count(t, db, `SELECT generation FROM outbox`)); again != generation+1 {
			t.Errorf("generation %d after %d", again, generation)
		}
	})
}

func TestTasksWhoseWorkerDiedAreClaimedAlone(t *testing.T) {
	t.Parallel()
	roomtest.Engines(t, func(t *testing.T, s *store.Store, db *sql.DB) {
		n := roomtest.New(t, s, 1)
		claimTogether(t, n, 3)
		die(t, db)
		revive(t, s)
		acceptMany(t, n, "b", 2)
		for range 3 {
			first := sendFirst(t, s)
			c, ok, err := outbox.ClaimCoalesced(t.Context(), s, first.ID, first.Generation, roomFor(10))
			if err != nil || !ok || c.Deaths != 1 || len(c.Coalesced) != 0 {
				t.Fatalf("%+v %v %v: want one alone that a worker has died with", c, ok, err)
			}
		}
		first := sendFirst(t, s)
		if c, ok, err := outbox.ClaimCoalesced(t.Context(), s, first.ID, first.Generation, roomFor(10)); err != nil || !ok || c.Deaths != 0 || len(c.Coalesced) != 1 {
			t.Errorf("%+v %v %v: want the two new ones together", c, ok, err)
		}
	})
}

func TestAPoisonedTaskStaysUntilAnOperatorHasItRetried(t *testing.T) {
	t.Parallel()
	roomtest.Engines(t, func(t *testing.T, s *store.Store, db *sql.DB) {
		n := roomtest.New(t, s, 1)
		n.Accept(t, n.Submission(n.Acceptance("a@acme.example")))
		c := next(t, s)
		roomtest.Execute(t, db, `UPDATE outbox SET deaths = 3, failures = 2`)
		if err := outbox.Poison(t.Context(), s, c); err != nil {
			t.Fatal(err)
		}
		if err := outbox.Poison(t.Context(), s, c); !errors.Is(err, outbox.ErrClaimLost) {
			t.Errorf("poisoned without a claim: %v", err)
		}
		roomtest.Execute(t, db, `UPDATE outbox SET created_at = created_at - 3600000000`)
		ready, due, err := outbox.ReadyQueues(t.Context(), s, []string{"q"})
		if err != nil || len(ready) != 0 || due != 24*time.Hour {
			t.Errorf("ready %q, the next is due in %s, %v", ready, due, err)
		}
		revive(t, s)
		if _, err := outbox.Promote(t.Context(), s, 10); err != nil {
			t.Fatal(err)
		}
		if _, err := outbox.UnsendAll(t.Context(), s, true); err != nil {
			t.Fatal(err)
		}
		if state, err := outbox.Count(t.Context(), s); err != nil || state.Poisoned != 1 || state.Ready != 0 || !state.OldestUnfinished.IsZero() {
			t.Errorf("%+v %v", state, err)
		}
		stuck, err := outbox.Stuck(t.Context(), s, time.Minute, "", 10)
		if err != nil || len(stuck) != 1 || stuck[0].ID != c.TaskID || stuck[0].State != "poisoned" || stuck[0].Deaths != 3 {
			t.Errorf("stuck %+v %v", stuck, err)
		}
		s.Ready().Take()
		if err := outbox.RetryPoisoned(t.Context(), s, "operator", c.TaskID); err != nil {
			t.Fatal(err)
		}
		if woken := s.Ready().Take(); len(woken) != 1 || woken[0] != "q" {
			t.Errorf("%q are said to have something to send", woken)
		}
		if err := outbox.RetryPoisoned(t.Context(), s, "operator", c.TaskID); !errors.Is(err, outbox.ErrNotPoisoned) {
			t.Errorf("retried twice: %v", err)
		}
		again := next(t, s)
		if again.TaskID != c.TaskID || again.Deaths != 0 || again.Failures != 0 {
			t.Errorf("%+v", again)
		}
	})
}

func TestATaskThatMakesProgressBetweenDeathsIsNotPoisoned(t *testing.T) {
	t.Parallel()
	roomtest.Engines(t, func(t *testing.T, s *store.Store, db *sql.DB) {
		n := roomtest.New(t, s, 1)
		n.Accept(t, n.Submission(n.Acceptance("a@acme.example")))
		for range 2 * outbox.MaxDeaths {
			c := next(t, s)
			if c.Deaths > 1 {
				t.Fatalf("%d deaths are counted, though a part was done after each", c.Deaths)
			}
			if err := s.Tx(t.Context(), func(tx *store.Tx) error { return outbox.Progress(t.Context(), tx, c) }); err != nil {
				t.Fatal(err)
			}
			die(t, db)
			revive(t, s)
		}
	})
}
