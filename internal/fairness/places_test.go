package fairness_test

import (
	"math/rand/v2"
	"strconv"
	"testing"

	"usersync/internal/fairness"
)

// takeAll takes one place after the other until no more is given.
func takeAll(p *fairness.Places, organization string) (n int) {
	for p.Take(organization, 1) {
		n++
	}
	return n
}

func TestWhoAsksForAllPlacesLeavesSomeToOthers(t *testing.T) {
	t.Parallel()
	p := fairness.NewPlaces(64)
	if n := takeAll(p, "org_a"); n != 32 {
		t.Errorf("the first took %d of 64, want 32", n)
	}
	if n := takeAll(p, "org_b"); n != 16 {
		t.Errorf("the second took %d of 32, want 16", n)
	}
	if !p.Take("org_c", 10) || p.Take("org_c", 1) {
		t.Error("the third gets 10 of 16 places, and then no more")
	}
	p.Free("org_a", 32)
	if n := p.Taken(); n != 26 {
		t.Errorf("%d places are taken, want 26", n)
	}
}

func TestNoMoreIsTakenThanThereIsAndAllComesBack(t *testing.T) {
	t.Parallel()
	const all = 20
	p, held := fairness.NewPlaces(all), map[string]int{}
	for range 10_000 {
		organization, n := "org_"+strconv.Itoa(rand.IntN(6)), 1+rand.IntN(4)
		if rand.IntN(2) == 0 && held[organization] > 0 {
			p.Free(organization, held[organization])
			held[organization] = 0
		} else if p.Take(organization, n) {
			held[organization] += n
		}
		sum := 0
		for _, h := range held {
			sum += h
		}
		if p.Taken() != sum || sum > all {
			t.Fatalf("%d of %d places are taken, want %d", p.Taken(), all, sum)
		}
	}
}
