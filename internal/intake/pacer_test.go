package intake

import (
	"testing"
	"time"
)

// paced runs a pacer over submissions that come every gap. A pause finds those that
// come while it lasts, unless the callers wait for each answer before they send again.
// It returns how many of the commits have paused.
func paced(gap time.Duration, openLoop bool, commits int) (pauses int) {
	p := pacer{}
	now := time.Unix(1000, 0)
	for range commits {
		now = now.Add(gap)
		p.arrived(now)
		wait := p.pause(1)
		if wait == 0 {
			continue
		}
		pauses++
		further := 0
		for openLoop && time.Duration(further+1)*gap <= wait {
			further++
			now = now.Add(gap)
			p.arrived(now)
		}
		p.paused(further)
	}
	return pauses
}

func TestALoneSubmissionDoesNotWait(t *testing.T) {
	t.Parallel()
	if n := paced(20*time.Millisecond, true, 100); n != 0 {
		t.Errorf("%d of 100 commits waited at 50 submissions a second", n)
	}
}

func TestCommitsWaitWhereSubmissionsComeOften(t *testing.T) {
	t.Parallel()
	if n := paced(3*time.Millisecond, true, 200); n < 100 {
		t.Errorf("%d of 200 commits waited at 333 submissions a second", n)
	}
}

func TestOneCallerThatWaitsForEachAnswerIsHardlyEverMadeToWait(t *testing.T) {
	t.Parallel()
	if n := paced(2*time.Millisecond, false, 1000); n > 30 {
		t.Errorf("%d of 1000 commits waited for nobody", n)
	}
}

func TestACommitOfEnoughDoesNotWait(t *testing.T) {
	t.Parallel()
	p := pacer{}
	now := time.Unix(1000, 0)
	for range 100 {
		now = now.Add(time.Millisecond)
		p.arrived(now)
	}
	if p.pause(1) != pauseFor || p.pause(enough) != 0 {
		t.Errorf("pauses of %v and %v, want %v and none", p.pause(1), p.pause(enough), pauseFor)
	}
}
