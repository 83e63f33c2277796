package relay_test

import (
	"context"
	"testing"
	"time"

	"usersync/internal/outbox"
	"usersync/internal/roomtest"
	"usersync/internal/store"
	"usersync/internal/store/storetest"
)

// attend has a process be seen to live until the returned function is called.
func attend(t *testing.T, s *store.Store) (die func()) {
	t.Helper()
	ctx, cancel := context.WithCancel(context.WithoutCancel(t.Context()))
	ended := make(chan struct{})
	go func() {
		defer close(ended)
		s.Attend(ctx)
	}()
	die = func() {
		cancel()
		<-ended
	}
	t.Cleanup(die)
	roomtest.Eventually(t, "the process is seen", func() bool { return s.AsyncCommit().Attending() != "" })
	return die
}

// twoProcesses returns a station whose relay runs and a store of another process, both of
// which attend. On SQLite there is only one process.
func twoProcesses(t *testing.T) (s *station, other *store.Store, die func()) {
	t.Helper()
	o := storetest.Options(t, "postgres")
	s = newStation(t, storetest.Open(t, o), roomtest.SQLOf(t, o))
	attend(t, s.Store)
	s.start(t)
	other = storetest.Open(t, o)
	return s, other, attend(t, other)
}

func TestTheTasksOfAKilledWorkerGoOnLongBeforeItsClaimsRunOut(t *testing.T) {
	t.Parallel()
	s, other, die := twoProcesses(t)
	task, own := s.commit(t, "killed"), s.commit(t, "living")
	s.arrives(t, task, 1)
	s.arrives(t, own, 1)
	_, ok, err := outbox.Claim(t.Context(), other, task.ID, 1)
	if err != nil || !ok {
		t.Fatal(ok, err)
	}
	s.claim(t, own)
	killed := time.Now()
	die()
	s.arrives(t, task, 2)
	if took := time.Since(killed); took > outbox.ClaimFor/2 {
		t.Errorf("the task waited %s, which is little less than its claim", took)
	}
	if state, claimed := s.state(t, own); state != "sent" || !claimed {
		t.Errorf("the task of the worker that lives is %s (claimed: %v)", state, claimed)
	}
	if n := s.log.count("a worker died; its tasks go on elsewhere"); n != 1 {
		t.Errorf("that a worker died is said %d times", n)
	}
}

func TestAWorkerThatLosesItsConnectionForAMomentKeepsItsTasks(t *testing.T) {
	t.Parallel()
	s, other, _ := twoProcesses(t)
	task := s.commit(t, "kept")
	s.arrives(t, task, 1)
	claim, ok, err := outbox.Claim(t.Context(), other, task.ID, 1)
	if err != nil || !ok {
		t.Fatal(ok, err)
	}
	for range 3 {
		roomtest.Eventually(t, "the process attends", func() bool { return other.AsyncCommit().Attending() != "" })
		roomtest.Execute(t, s.db, `SELECT pg_terminate_backend(pid) FROM pg_locks WHERE locktype = 'advisory' AND CAST(objid AS text) = $1`, other.AsyncCommit().Attending())
		roomtest.Eventually(t, "the process notices", func() bool { return other.AsyncCommit().Attending() == "" })
	}
	roomtest.Eventually(t, "the process attends", func() bool { return other.AsyncCommit().Attending() != "" })
	s.arrives(t, s.commit(t, "later"), 1)
	if err := outbox.Renew(t.Context(), other, claim); err != nil {
		t.Errorf("the claim is lost: %v", err)
	}
	if n := s.log.count("a worker died"); n != 0 {
		t.Errorf("that a worker died is said %d times", n)
	}
}

func TestNobodyIsMissedByOneWhoCannotSeeItself(t *testing.T) {
	t.Parallel()
	o := storetest.Options(t, "postgres")
	s := newStation(t, storetest.Open(t, o), roomtest.SQLOf(t, o))
	other := storetest.Open(t, o)
	die := attend(t, other)
	task := s.commit(t, "claimed")
	s.lastLife(t)
	if _, ok, err := outbox.Claim(t.Context(), other, task.ID, 1); err != nil || !ok {
		t.Fatal(ok, err)
	}
	die()
	if absent, err := outbox.Absent(t.Context(), s.Store); err != nil || len(absent) != 0 {
		t.Errorf("got %v, %v", absent, err)
	}
	attend(t, s.Store)
	if absent, err := outbox.Absent(t.Context(), s.Store); err != nil || len(absent) != 1 {
		t.Errorf("got %v, %v, want the one that died", absent, err)
	}
}
