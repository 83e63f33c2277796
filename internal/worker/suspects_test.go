package worker

import (
	"testing"
	"time"
)

func TestOrganizationsTakeTurnsWithTasksWhoseWorkerDied(t *testing.T) {
	t.Parallel()
	s, now := newSuspects(), time.Unix(1000, 0)
	ask := func(organization string, want bool) {
		t.Helper()
		now = now.Add(time.Millisecond)
		if _, ok := s.enter(organization, now); ok != want {
			t.Fatalf("%s may enter: %v, want %v", organization, ok, want)
		}
	}
	ask("org_a", true)
	ask("org_a", false) // it has many
	ask("org_b", false)
	s.leave()
	ask("org_b", false) // org_a has waited longer
	ask("org_a", true)
	ask("org_a", false)
	s.leave()
	ask("org_a", false) // the turn is that of org_b, which has waited longer
	ask("org_b", true)
	s.leave()
	now = now.Add(2 * forgottenAfter) // org_a does not come back
	ask("org_c", true)
	s.leave()
	if len(s.waiting) != 0 {
		t.Errorf("%d organizations still wait", len(s.waiting))
	}
}

func TestWhoWaitsIsToldWhenTheOneThatRunsHasRun(t *testing.T) {
	t.Parallel()
	s := newSuspects()
	if _, ok := s.enter("org_a", time.Now()); !ok {
		t.Fatal("the first may not enter")
	}
	wait, ok := s.enter("org_b", time.Now())
	if ok {
		t.Fatal("two run at a time")
	}
	s.leave()
	<-wait
	if _, ok := s.enter("org_b", time.Now()); !ok {
		t.Error("the second may not enter when the first has left")
	}
}
