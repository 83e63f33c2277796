//go:build unix

package chaos

import (
	"cmp"
	"fmt"
	"math/rand/v2"
	"regexp"
	"slices"
	"strings"
	"testing"
	"time"
)

// planned is one fault of a run.
type planned struct {
	name string
	// victim is 0 or 1 where there are two of the part.
	victim int
	lasts  time.Duration
	// calm is how long the system is left alone afterwards.
	calm time.Duration
}

// kind is a fault that there is.
type kind struct {
	name string
	// twins says that there are two of the part.
	twins bool
	// brief is how long the fault lasts in the short form; in the long form that is
	// shortest to longest. One of no length is over when it has begun.
	brief, shortest, longest time.Duration
}

var kinds = []kind{
	{"api killed", true, time.Second, time.Second, 10 * time.Second},
	{"api stopped", true, time.Second, time.Second, 10 * time.Second},
	{"worker killed", true, time.Second, time.Second, 10 * time.Second},
	{"worker stopped", true, time.Second, time.Second, 10 * time.Second},
	// In the long form it loses its claims, after 30 s.
	{"worker paused", true, 3 * time.Second, 31 * time.Second, 60 * time.Second},
	{"redis flushed", false, 0, 0, 0},
	{"redis killed, starts empty", false, time.Second, time.Second, 10 * time.Second},
	{"redis stopped, starts empty", false, time.Second, time.Second, 10 * time.Second},
	{"redis paused", false, 3 * time.Second, 20 * time.Second, 20 * time.Second},
	{"redis connections cut", false, 0, 0, 0},
	{"redis lost a half", false, 0, 0, 0},
	{"redis evicts", false, 2 * time.Second, 2 * time.Second, 10 * time.Second},
	{"redis slow", false, 2 * time.Second, 2 * time.Second, 10 * time.Second},
	{"postgres restarted, immediate", false, 0, 0, 0},
	{"postgres killed", false, time.Second, time.Second, 10 * time.Second},
	{"postgres stopped", false, time.Second, time.Second, 10 * time.Second},
	{"postgres paused", false, 3 * time.Second, 5 * time.Second, 20 * time.Second},
	{"postgres connections cut", false, 0, 0, 0},
	{"postgres slow", false, 2 * time.Second, 2 * time.Second, 10 * time.Second},
	{"postgres statements cancelled", false, 2 * time.Second, 2 * time.Second, 10 * time.Second},
	{"postgres read-only", false, 3 * time.Second, 3 * time.Second, 15 * time.Second},
	// In the long form the service gives up waiting, after 5 s.
	{"postgres rows locked", false, 3 * time.Second, 6 * time.Second, 60 * time.Second},
	{"answers to commits lost", false, 2 * time.Second, 2 * time.Second, 10 * time.Second},
	{"webhooks answered after 2 s", false, 3 * time.Second, 3 * time.Second, 10 * time.Second},
	{"webhooks answered with 500", false, 3 * time.Second, 3 * time.Second, 4 * time.Second},
	{"webhook connections reset", false, 3 * time.Second, 3 * time.Second, 4 * time.Second},
	{"webhooks redirected", false, 3 * time.Second, 3 * time.Second, 4 * time.Second},
	// In the long form the service gives up waiting, after 15 s.
	{"webhooks not answered", false, 3 * time.Second, 16 * time.Second, 20 * time.Second},
	{"platform answers 503", false, 3 * time.Second, 3 * time.Second, 4 * time.Second},
	{"platform throttles", false, 2 * time.Second, 2 * time.Second, 10 * time.Second},
	{"platform drops answers", false, 3 * time.Second, 3 * time.Second, 4 * time.Second},
	{"platform slow", false, 3 * time.Second, 3 * time.Second, 10 * time.Second},
}

// outside returns the part of the outside that fails, "" for a fault of the
// system's own parts.
func outside(name string) string {
	for _, part := range []string{"webhook", "platform"} {
		if strings.HasPrefix(name, part) {
			return part
		}
	}
	return ""
}

// plan returns the faults of a round. Each seed has plans of its own, and always
// the same ones.
func plan(seed uint64, round int, long bool, only *regexp.Regexp) []planned {
	rng := rand.New(rand.NewPCG(seed, 1<<32+uint64(round)))
	parts := map[string][]planned{}
	for _, k := range kinds {
		victim, lasts, calm := rng.IntN(2), k.brief, upTo(rng, time.Second)
		if long {
			lasts, calm = k.shortest+upTo(rng, k.longest-k.shortest), upTo(rng, 5*time.Second)
		}
		if only != nil && !only.MatchString(k.name) {
			continue
		}
		part := outside(k.name)
		p := planned{name: k.name, victim: victim, lasts: lasts, calm: calm}
		if !k.twins {
			p.victim = 0
			parts[part] = append(parts[part], p)
			continue
		}
		p.name = fmt.Sprintf("%s (%d)", k.name, victim+1)
		parts[part] = append(parts[part], p)
		if long { // the other one as well
			p.victim = 1 - victim
			p.name = fmt.Sprintf("%s (%d)", k.name, p.victim+1)
			parts[part] = append(parts[part], p)
		}
	}
	return spread(rng, parts[""], parts["webhook"], parts["platform"])
}

// spread mixes groups of faults, each over the whole time: what failed at one
// fault of the outside needs some seconds until it is tried again, and must not
// meet the next one then, see hushed.
func spread(rng *rand.Rand, groups ...[]planned) []planned {
	type placed struct {
		planned
		at float64
	}
	var all []placed
	for _, group := range groups {
		rng.Shuffle(len(group), func(i, j int) { group[i], group[j] = group[j], group[i] })
		for i, p := range group {
			all = append(all, placed{p, (float64(i) + rng.Float64()) / float64(len(group))})
		}
	}
	slices.SortFunc(all, func(a, b placed) int { return cmp.Compare(a.at, b.at) })
	out := make([]planned, len(all))
	for i, p := range all {
		out[i] = p.planned
	}
	return out
}

func upTo(rng *rand.Rand, most time.Duration) time.Duration {
	return time.Duration(rng.Int64N(max(int64(most), 1)))
}

func TestSameSeedSamePlan(t *testing.T) {
	t.Parallel()
	if !slices.Equal(plan(7, 2, true, nil), plan(7, 2, true, nil)) {
		t.Error("two plans of one seed differ")
	}
	if slices.Equal(plan(7, 2, true, nil), plan(8, 2, true, nil)) || slices.Equal(plan(7, 2, true, nil), plan(7, 3, true, nil)) {
		t.Error("another seed, or another round, has the same plan")
	}
	if got := plan(7, 0, false, regexp.MustCompile("^redis")); len(got) != 8 {
		t.Errorf("%d faults of Redis, want 8: %v", len(got), got)
	}
}

func TestPlanHasEveryFaultOnceAndInLongEveryVictim(t *testing.T) {
	t.Parallel()
	for _, long := range []bool{false, true} {
		count := map[string]int{}
		for _, p := range plan(3, 1, long, nil) {
			name, _, _ := strings.Cut(p.name, " (")
			count[name]++
			i := slices.IndexFunc(kinds, func(k kind) bool { return k.name == name })
			if k := kinds[i]; long && (p.lasts < k.shortest || p.lasts > k.longest) || !long && p.lasts != k.brief {
				t.Errorf("%s lasts %s, long: %v", p.name, p.lasts, long)
			}
		}
		for _, k := range kinds {
			want := 1
			if k.twins && long {
				want = 2
			}
			if count[k.name] != want {
				t.Errorf("%s: %d times, want %d, long: %v", k.name, count[k.name], want, long)
			}
		}
	}
}
