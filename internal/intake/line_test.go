package intake

import (
	"slices"
	"testing"
	"time"
)

func TestOrganizationsAreTakenInTurn(t *testing.T) {
	t.Parallel()
	l := newLine()
	add := func(organization, key string) {
		l.add(&waitingSubmission{Submission: &Submission{Organization: organization, KeyID: key}})
	}
	for _, key := range []string{"a1", "a2", "a3", "a4"} {
		add("org_a", key)
	}
	add("org_b", "b1")
	add("org_c", "c1")
	take := func(n int) (keys []string) {
		for range n {
			if next := l.take(); next != nil {
				keys = append(keys, next.KeyID)
			}
		}
		return keys
	}
	if got, want := take(4), []string{"a1", "b1", "c1", "a2"}; !slices.Equal(got, want) {
		t.Errorf("taken %v, want %v", got, want)
	}
	add("org_b", "b2")
	if got, want := take(9), []string{"a3", "b2", "a4"}; !slices.Equal(got, want) {
		t.Errorf("taken %v, want %v", got, want)
	}
	if len(l.turns) != 0 || len(l.waiting) != 0 {
		t.Errorf("nothing waits, and %v and %v are left", l.turns, l.waiting)
	}
}

func TestLargeCommitsRestLongerThanTheyTookIfOthersHandIn(t *testing.T) {
	t.Parallel()
	for _, c := range []struct {
		took   time.Duration
		others int
		want   time.Duration
	}{
		{300 * time.Millisecond, 0, 0}, {300 * time.Millisecond, 1, 600 * time.Millisecond}, {time.Minute, 7, longestRest},
	} {
		if got := restAfter(c.took, c.others); got != c.want {
			t.Errorf("%v beside %d: %v, want %v", c.took, c.others, got, c.want)
		}
	}
}
