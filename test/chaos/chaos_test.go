//go:build unix

package chaos

import (
	"context"
	"database/sql"
	"fmt"
	"iter"
	"net/http"
	"regexp"
	"strings"
	"sync/atomic"
	"testing"
	"text/tabwriter"
	"time"

	_ "github.com/jackc/pgx/v5/stdlib" // the driver that looks into the database

	"usersync/test/system"
)

// progressWithin is how long it may take until a request that was accepted after
// a fault is done: as long as a killed worker's claims may stand in the way.
const progressWithin = 4 * time.Minute

// drainWithin is how long the rest of the work may take: a lost task is looked
// for after 2 min, a delivery that failed twice waits 5 min, a push that failed
// three times 2 min.
const drainWithin = 8 * time.Minute

func TestFaultsLoseNothing(t *testing.T) {
	t.Parallel()
	t.Logf("seed %d", *seed)
	began := time.Now()
	w := deploy(t)
	db := open(t, w.Postgres.URL())
	before := w.goroutines(t)
	deployed := time.Now()

	ticker := time.NewTicker(time.Second / time.Duration(*rate))
	defer ticker.Stop()
	stop := run(w.tenants[1:len(w.tenants)-1], ticker.C)
	leave := w.neighbour().trickle()
	beggar := feed(t, w)
	list := []*outcome{w.inflict(t, alone, 0)}
	end := func() {}
	if *harming {
		end = w.harmful.harm(t)
	}
	list = append(list, w.inflict(t, beside, 1))
	a := &audit{world: w, db: db}
	deadlocks := 0
	for p := range w.schedule() {
		a.hushed(t, p)
		if p.name == "postgres restarted, immediate" || p.name == "postgres killed" {
			deadlocks += a.deadlocks(t) // a crash forgets them
		}
		list = append(list, w.inflict(t, p, len(list)))
	}
	stop()
	leave()
	beggar()
	end()
	deadlocks += a.deadlocks(t)
	struck := time.Now()

	a.drained(t)
	drained := time.Now()
	a.check(t)
	if *harming {
		w.harmful.check(t)
	}
	a.queued(t)
	a.leftOver(t, before)
	t.Logf("%s to deploy, %s of faults, %s until all work was done, %s to check", seconds(deployed.Sub(began)), seconds(struck.Sub(deployed)),
		seconds(drained.Sub(struck)), seconds(time.Since(drained)))
	waits := w.neighbour().waits(list)
	text := table(list, a.recoveries(t, list), waits)
	t.Logf("what each fault cost, seed %d:\n%s", *seed, text)
	t.Log(a.summary())
	t.Log("the harmful tenant: ", w.harmful.summary())
	if besides := waits[1]; besides > hangsFor {
		t.Errorf("beside the harmful tenant, and without a fault, the neighbour waited for %s: as long as what hangs", besides)
	}
	if t.Logf("%d deadlocks", deadlocks); deadlocks > fewDeadlocks {
		t.Errorf("%d deadlocks: two transactions lock rows in different orders, and each costs a second", deadlocks)
	}
	for _, p := range w.Programs() {
		p.Stop(t)
	}
	a.disconnected(t)
}

// fewDeadlocks is how many may happen in a run: they are found and repaired, but
// more of them mean an order of locks that is not kept.
const fewDeadlocks = 5

// hangsFor is after how long the service gives up a call of a webhook or a platform that
// is not answered.
const hangsFor = 15 * time.Second

// deploy starts everything, with all tenants.
func deploy(t *testing.T) *world {
	t.Helper()
	w := &world{}
	w.Deployment = system.Deploy(t, func(name, addr string) string {
		d := newDetour(t, name, addr)
		if name == "redis" {
			w.redis = d
		} else {
			w.postgres = d
		}
		return d.Listen
	})
	w.operator = system.NewOperator(w.setting("ADMIN_TOKEN"), "http://"+w.APIs[0].Ops)
	t.Cleanup(w.operator.Leave)
	w.platform = newPlatform(t)
	again := &atomic.Int64{}
	for _, n := range []struct {
		name      string
		credits   int
		connected bool
	}{{"canary", 10_000_000, true}, {"plain", 10_000_000, false}, {"connected", 10_000_000, true}, {"poor", 5, true}, {"neighbour", 10_000_000, true}} {
		one := &tenant{Tenant: w.Tenant(t, n.name, n.credits), name: n.name, poor: n.credits < 1000, again: again,
			accepted: map[string]acceptance{}, known: map[string]*known{}}
		if n.connected {
			w.platform.connect(t, one)
		}
		w.tenants = append(w.tenants, one)
	}
	w.harmful = newHarmful(t, w)
	return w
}

// setting returns what the programs are started with.
func (w *world) setting(name string) string {
	for _, pair := range w.Env {
		if value, ok := strings.CutPrefix(pair, name+"="); ok {
			return value
		}
	}
	return ""
}

func open(t *testing.T, url string) *sql.DB {
	t.Helper()
	db, err := sql.Open("pgx", url)
	system.Must(t, err)
	db.SetMaxOpenConns(1)
	db.SetMaxIdleConns(0) // none that a restart of the server could break
	t.Cleanup(func() { _ = db.Close() })
	return db
}

// schedule returns the faults of this run.
func (w *world) schedule() iter.Seq[planned] {
	var only *regexp.Regexp
	if *wanted != "" {
		only = regexp.MustCompile(*wanted)
	}
	until := time.Now().Add(time.Duration(*minutes * float64(time.Minute)))
	return func(yield func(planned) bool) {
		for round := 0; round == 0 || long(); round++ {
			for _, p := range plan(*seed, round, long(), only) {
				if long() && time.Now().After(until) || !yield(p) {
					return
				}
			}
		}
	}
}

// feed gives poor tenants a few credits now and then, and plenty in the end.
func feed(t *testing.T, w *world) (stop func()) {
	t.Helper()
	done, ended := make(chan struct{}), make(chan struct{})
	go func() {
		defer close(ended)
		ticker := time.NewTicker(5 * time.Second)
		defer ticker.Stop()
		for {
			select {
			case <-done:
				return
			case <-ticker.C:
				w.topUp(5) // one that fails is not missed
			}
		}
	}()
	return func() {
		close(done)
		<-ended
		system.Await(t, time.Minute, "plenty of credits are added", func() bool { return w.topUp(1_000_000) }, nil)
	}
}

func (w *world) topUp(credits int) (ok bool) {
	ok = true
	for _, n := range w.tenants {
		if n.poor {
			added := map[string]any{"amount": credits, "reference": fmt.Sprintf("chaos %d", time.Now().UnixNano())}
			err := w.operator.Ask(context.Background(), http.MethodPost, "/admin/v1/organizations/"+n.Organization+"/credits", added, nil)
			ok = ok && err == nil
		}
	}
	return ok
}

// outcome is what one fault did.
type outcome struct {
	planned
	struck, over, worked time.Time
	accepted             int
	again                int64
}

// inflict lets a fault happen and waits until the system works again.
func (w *world) inflict(t *testing.T, p planned, number int) *outcome {
	t.Helper()
	x := &outcome{planned: p, struck: time.Now()}
	again := w.tenants[0].again.Load()
	end := w.strike(t, p)
	time.Sleep(p.lasts) // the fault's own length
	if end != nil {
		end()
	}
	x.over = time.Now()
	x.worked = w.tenants[0].canary(t, number)
	x.accepted, x.again = between(w.tenants, x.struck, x.over), w.tenants[0].again.Load()-again
	t.Logf("%-32s lasted %6s, then a new request took %s", x.name, x.over.Sub(x.struck).Round(time.Millisecond), x.worked.Sub(x.over).Round(time.Millisecond))
	time.Sleep(p.calm)
	return x
}

// alone and beside are no faults: they are the time before the harmful tenant begins, and
// the time beside it before the first fault.
var (
	alone  = planned{name: "none (no harmful tenant)", lasts: 5 * time.Second}
	beside = planned{name: "none", lasts: 8 * time.Second}
)

// table shows what each fault cost, as docs/chaos.md has it. For each, recovered has how
// long after its end the last request was done that was accepted since the fault before,
// and waits how long the neighbour waited.
func table(list []*outcome, recovered, waits []time.Duration) string {
	var text strings.Builder
	tab := tabwriter.NewWriter(&text, 0, 8, 1, ' ', 0)
	_, _ = fmt.Fprint(tab, "| fault\t| lasted\t| accepted meanwhile\t| calls made again\t| a new one is done after\t| all older ones are done after\t| p99 of the neighbour\t|\n")
	_, _ = fmt.Fprint(tab, "|---\t|---\t|---\t|---\t|---\t|---\t|---\t|\n")
	for i, x := range list {
		_, _ = fmt.Fprintf(tab, "| %s\t| %s\t| %d\t| %d\t| %s\t| %s\t| %s\t|\n", x.name, seconds(x.over.Sub(x.struck)), x.accepted, x.again,
			seconds(x.worked.Sub(x.over)), seconds(recovered[i]), seconds(waits[i]))
	}
	_ = tab.Flush()
	return text.String()
}

func seconds(d time.Duration) string { return fmt.Sprintf("%.1f s", max(d, 0).Seconds()) }
