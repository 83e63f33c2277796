package intake

import (
	"testing"
	"time"
)

// paced runs a pacer over commits, before each of which callers submit in the same moment,
// every gap. Where they do not wait for an answer before they submit again, a pause finds
// those that come while it lasts. It returns how many of the commits have paused in each part.
func paced(gap time.Duration, callers int, openLoop bool, commits int) (pauses [len(parts)]int) {
	p := pacer{}
	now := time.Unix(1000, 0)
	for range commits {
		now = now.Add(gap)
		p.arrived(now, "org_a")
		left := callers - 1 // who come within the first part
		for part := range parts {
			wait := p.pause(part, 1)
			if wait == 0 {
				continue
			}
			pauses[part]++
			further := left
			for range left {
				p.arrived(now, "org_a")
			}
			left = 0
			for openLoop && time.Duration(further+1)*gap <= wait {
				further++
				now = now.Add(gap)
				p.arrived(now, "org_a")
			}
			p.paused(part, further)
		}
	}
	return pauses
}

func TestALoneSubmissionDoesNotWait(t *testing.T) {
	t.Parallel()
	if n := paced(20*time.Millisecond, 1, true, 100); n != [len(parts)]int{} {
		t.Errorf("%v of 100 commits waited at 50 submissions a second", n)
	}
}

func TestCommitsWaitWhereSubmissionsComeOften(t *testing.T) {
	t.Parallel()
	if n := paced(3*time.Millisecond, 1, true, 200); n[0] < 100 || n[1] < 100 {
		t.Errorf("%v of 200 commits waited at 333 submissions a second", n)
	}
}

func TestSubmissionsThatComeEvenlyFindEachOtherInTheSecondPart(t *testing.T) {
	t.Parallel()
	if n := paced(5*time.Millisecond, 1, true, 200); n[0] > 30 || n[1] < 150 {
		t.Errorf("%v of 200 commits waited at 200 submissions a second", n)
	}
}

func TestOneCallerThatWaitsForEachAnswerIsHardlyEverMadeToWait(t *testing.T) {
	t.Parallel()
	if n := paced(2*time.Millisecond, 1, false, 1000); n[0]+n[1] > 60 {
		t.Errorf("%v of 1000 commits waited for nobody", n)
	}
}

// Callers who wait for their answers submit again at once, when they have them.
func TestFewCallersThatWaitForEachAnswerWaitForEachOtherOnly(t *testing.T) {
	t.Parallel()
	if n := paced(5*time.Millisecond, 4, false, 1000); n[0] < 900 || n[1] > 30 {
		t.Errorf("%v of 1000 commits waited, want nearly all in the first part and none in the second", n)
	}
}

func TestACommitOfEnoughDoesNotWait(t *testing.T) {
	t.Parallel()
	p := pacer{}
	now := time.Unix(1000, 0)
	for range 100 {
		now = now.Add(time.Millisecond)
		p.arrived(now, "org_a")
	}
	for part, want := range parts {
		if p.pause(part, 1) != want || p.pause(part, enough) != 0 {
			t.Errorf("pauses of %v and %v, want %v and none", p.pause(part, 1), p.pause(part, enough), want)
		}
	}
}

// arrivals has submissions come, a number of one organization's and then one of another.
func arrivals(p *pacer, crowd, rounds int) {
	for range rounds {
		for range crowd {
			p.arrived(time.Unix(1000, 0), "org_a")
		}
		p.arrived(time.Unix(1000, 0), "org_b")
	}
}

func TestWhoComesBesideACrowdWaitsForNoCompany(t *testing.T) {
	t.Parallel()
	p := pacer{}
	arrivals(&p, 9, 20)
	if p.hurries("org_a") || !p.hurries("org_b") {
		t.Errorf("beside nine of org_a, org_a hurries: %v, org_b: %v", p.hurries("org_a"), p.hurries("org_b"))
	}
}

func TestNobodyHurriesWhereNoOrganizationIsTheCrowd(t *testing.T) {
	t.Parallel()
	p := pacer{}
	arrivals(&p, 2, 100)
	if p.hurries("org_a") || p.hurries("org_b") {
		t.Error("somebody hurries where one in three is another's")
	}
}

func TestACrowdThatHasGoneIsForgotten(t *testing.T) {
	t.Parallel()
	p := pacer{}
	arrivals(&p, 100, 1)
	arrivals(&p, 0, mostLead/crowdWeight+1)
	if p.hurries("org_b") {
		t.Error("org_b hurries beside a crowd that has gone")
	}
}
