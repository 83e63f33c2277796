//go:build unix

package e2e

import (
	"fmt"
	"regexp"
	"slices"
	"strings"
	"testing"
	"text/tabwriter"
	"time"

	"usersync/internal/outbox"
	"usersync/internal/store"
	"usersync/internal/usersync"
	"usersync/test/system"
)

// deployment is a system.Deployment that this test ends parts of.
type deployment struct{ *system.Deployment }

func (d deployment) tenant(t *testing.T) *customer {
	t.Helper()
	n := newTenant(d.Tenant(t, "Acme", 10_000_000))
	n.insist, n.batch = true, 5
	n.open(t, store.Options{URL: usersync.NewSecret(d.Postgres.URL()), MaxConns: 4})
	return n
}

// senders is how many clients send at the same time.
const senders = 16

// fault is something that happens to one part.
type fault struct {
	name string
	// slow faults leave work that only a claim's end brings back, after more
	// than a minute: they belong to the long form.
	slow   bool
	strike func(t *testing.T)
	// lasts is what must happen before the repair; nil: nothing.
	lasts func(t *testing.T, since time.Time)
	// repair is nil where nothing is left to repair.
	repair func(t *testing.T)
}

func (d deployment) faults(n *customer) []fault {
	accepts := func(t *testing.T, since time.Time) {
		t.Helper()
		system.Await(t, time.Minute, "20 requests are accepted while it is down",
			func() bool { return n.between(since, time.Now()) >= 20 }, func() string { return n.describe(t) })
	}
	waits := func(t *testing.T, _ time.Time) {
		t.Helper()
		system.Await(t, time.Minute, "every client waits for an answer", func() bool { return n.underway.Load() == senders }, nil)
	}
	start := func(p *system.Program) func(*testing.T) { return func(t *testing.T) { t.Helper(); p.Start(t) } }
	return []fault{
		{name: "nothing", strike: func(*testing.T) {}},
		{name: "worker stopped", strike: func(t *testing.T) { d.Workers[1].Stop(t) }, lasts: accepts, repair: start(d.Workers[1])},
		{name: "api stopped", strike: func(t *testing.T) { d.APIs[1].Stop(t) }, lasts: accepts, repair: start(d.APIs[1])},
		{name: "worker killed", slow: true, strike: func(*testing.T) { d.Workers[0].Kill() }, lasts: accepts, repair: start(d.Workers[0])},
		{name: "api killed", strike: func(*testing.T) { d.APIs[0].Kill() }, lasts: accepts, repair: start(d.APIs[0])},
		{name: "redis killed, empty", strike: func(t *testing.T) { system.Must(t, d.Redis.Kill()) }, lasts: accepts,
			repair: func(t *testing.T) { system.Must(t, d.Redis.Start(t.Context())) }},
		{name: "redis flushed", strike: func(t *testing.T) { system.Must(t, d.Redis.FlushAll(t.Context())) }},
		// A crash may undo a claim, which is written without waiting for the
		// disk; its task is looked for after 2 min.
		{name: "postgres killed", slow: true, strike: func(t *testing.T) { system.Must(t, d.Postgres.Kill()) }, lasts: waits,
			repair: func(t *testing.T) { system.Must(t, d.Postgres.Start(t.Context())) }},
		{name: "both workers killed", slow: true, strike: d.killWorkers, lasts: accepts, repair: d.startWorkers},
		{name: "both killed, receiver hangs", slow: true, strike: func(t *testing.T) {
			n.Pause()
			system.Await(t, time.Minute, "the workers have as many deliveries under way as they make at once", n.Steady(2*time.Second), nil)
			d.killWorkers(t)
			n.Release()
		}, lasts: accepts, repair: d.startWorkers},
	}
}

// wanted reports whether this run inflicts the fault.
func (f fault) wanted() bool {
	if *faulty != "" {
		return regexp.MustCompile(*faulty).MatchString(f.name)
	}
	return *long || !f.slow
}

func (d deployment) killWorkers(*testing.T) {
	for _, p := range d.Workers {
		p.Kill()
	}
}

func (d deployment) startWorkers(t *testing.T) {
	t.Helper()
	for _, p := range d.Workers {
		p.Start(t)
	}
}

// times says when a fault began, when it was repaired and when the system
// worked again.
type times struct {
	name                   string
	struck, repaired, over time.Time
}

// progressWithin is how long it may take until a request that was accepted
// after the repair is done: as long as a killed worker's claims may stand in
// the way.
const progressWithin = 4 * time.Minute

// inflict lets a fault happen and waits until the system works again.
func inflict(t *testing.T, n *customer, f fault) times {
	t.Helper()
	x := times{name: f.name, struck: time.Now()}
	f.strike(t)
	if f.lasts != nil {
		f.lasts(t, time.Now())
	}
	if f.repair != nil {
		f.repair(t)
	}
	x.repaired = time.Now()
	system.Await(t, progressWithin, f.name+": a request accepted afterwards is done", func() bool {
		return !firstDone(n, x.repaired).IsZero()
	}, func() string { return n.describe(t) })
	if *long {
		system.Await(t, progressWithin, f.name+": no task is left from before the repair", func() bool {
			state, err := outbox.Count(t.Context(), n.store)
			return err == nil && (state.OldestUnfinished.IsZero() || state.OldestUnfinished.After(x.repaired))
		}, func() string { return n.describe(t) })
	}
	x.over = time.Now()
	return x
}

// firstDone returns when the first request that was sent after a time was done.
func firstDone(n *customer, after time.Time) (first time.Time) {
	accepted := n.all()
	for id, done := range n.Endings() {
		if a, ok := accepted[id]; ok && a.sent.After(after) && (first.IsZero() || done.Before(first)) {
			first = done
		}
	}
	return first
}

// lastDone returns when the last request that was accepted before a time was
// done, and how many are not.
func lastDone(n *customer, before time.Time) (last time.Time, open int) {
	endings := n.Endings()
	for id, a := range n.all() {
		if a.seen.After(before) {
			continue
		}
		done, ok := endings[id]
		if !ok {
			open++
		} else if done.After(last) {
			last = done
		}
	}
	return last, open
}

// silence returns the longest time between two ends that were told one after
// the other, from a time on until another.
func silence(n *customer, from, to time.Time) (longest time.Duration) {
	var at []time.Time
	for _, done := range n.Endings() {
		if done.After(from) && done.Before(to) {
			at = append(at, done)
		}
	}
	slices.SortFunc(at, time.Time.Compare)
	last := from
	for _, done := range at {
		longest, last = max(longest, done.Sub(last)), done
	}
	return longest
}

// table shows what each fault cost. Times are counted from the fault on.
func table(n *customer, list []times) string {
	var text strings.Builder
	w := tabwriter.NewWriter(&text, 0, 8, 2, ' ', tabwriter.AlignRight)
	fmt.Fprintln(w, "fault\tlasted\taccepted meanwhile\tlongest silence\tnew one done\tall older done\t")
	for _, x := range list {
		since := func(at time.Time) string {
			return max(at.Sub(x.struck), 0).Round(time.Millisecond).String()
		}
		older, open := lastDone(n, x.repaired)
		all := since(older)
		if open > 0 {
			all = fmt.Sprintf("%d never", open)
		}
		fmt.Fprintf(w, "%s\t%s\t%d\t%s\t%s\t%s\t\n", x.name, since(x.repaired), n.between(x.struck, x.repaired),
			silence(n, x.struck, x.over).Round(time.Millisecond), since(firstDone(n, x.repaired)), all)
	}
	_ = w.Flush()
	return text.String()
}

func TestDeployedSurvivesEachPartKilled(t *testing.T) {
	t.Parallel()
	d := deployment{system.Deploy(t, system.Straight)}
	n := d.tenant(t)
	ticker := time.NewTicker(time.Second / time.Duration(*rate))
	defer ticker.Stop()
	n.tick = ticker.C
	stop := n.run(senders)

	var list []times
	for _, f := range d.faults(n) {
		if f.wanted() {
			list = append(list, inflict(t, n, f))
		}
	}
	stop()
	n.ended(t, drainWithin)
	n.drained(t, drainWithin)
	t.Logf("what each fault cost:\n%s", table(n, list))
	n.audit(t)
	t.Logf("%d calls were made again", n.failureCount())
	for _, p := range d.Programs() {
		t.Logf("%s ended %s after SIGTERM", p.Name, p.Stop(t).Round(time.Millisecond))
	}
}
