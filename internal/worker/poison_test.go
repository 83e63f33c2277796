package worker_test

import (
	"context"
	"fmt"
	"slices"
	"sync"
	"testing"

	"usersync/internal/outbox"
	"usersync/internal/queue"
	"usersync/internal/roomtest"
	"usersync/internal/store"
	"usersync/internal/tenant"
	"usersync/internal/usersync"
)

// die leaves the tasks of a claim as a worker does that dies: the claim runs out, and
// nobody writes anything under it.
func (p *plant) die(c usersync.Claim) error {
	for _, id := range c.TaskIDs() {
		if _, err := p.db.ExecContext(context.Background(), `UPDATE outbox SET claim_token = 'clm_dead', claimed_until = 1, look_at = 1 WHERE id = $1`, id); err != nil {
			return err
		}
	}
	return outbox.ErrClaimLost
}

// bring does what a relay does, once: it brings back what dead workers had, and sends
// what is ready or due.
func (p *plant) bring(t *testing.T) {
	t.Helper()
	if _, err := outbox.Revive(t.Context(), p.Store, 100); err != nil {
		t.Fatal(err)
	}
	roomtest.Execute(t, p.db, `UPDATE outbox SET look_at = 1 WHERE state = 'scheduled'`)
	if _, err := outbox.Promote(t.Context(), p.Store, 100); err != nil {
		t.Fatal(err)
	}
	p.send(t, kind.Queue)
}

// diary notes what a handler has worked.
type diary struct {
	mu    sync.Mutex
	names map[string]int
}

func (d *diary) note(names ...string) {
	d.mu.Lock()
	defer d.mu.Unlock()
	for _, n := range names {
		d.names[n]++
	}
}

func (d *diary) of(name string) int {
	d.mu.Lock()
	defer d.mu.Unlock()
	return d.names[name]
}

// names returns what the tasks of a claim name.
func names(c usersync.Claim) ([]string, error) {
	all, err := kind.ArgsOf(c)
	var out []string
	for _, one := range all {
		out = append(out, one.Names...)
	}
	return out, err
}

// The poison is in a batch, and the batch is worked together with another task. Only the
// poison is left when three workers have died, and it is not worked again by itself.
func TestATaskThatEndsThreeWorkersIsPoisonedAndAllOthersAreWorked(t *testing.T) {
	t.Parallel()
	together := kind
	together.Coalesce = 1 << 10
	engines(t, func(t *testing.T, p *plant) {
		batch, beside := p.write(t, together, "a", "poison", "b"), p.write(t, together, "c")
		roomtest.Execute(t, p.db, `UPDATE outbox SET fairness_key = 'one'`)
		worked, died := &diary{names: map[string]int{}}, &diary{names: map[string]int{}}
		cured := make(chan struct{})
		handler := together.Work(func(ctx context.Context, c usersync.Claim, _ job) error {
			all, err := names(c)
			if err != nil {
				return err
			}
			select {
			case <-cured:
			default:
				if slices.Contains(all, "poison") {
					died.note(all...)
					return p.die(c)
				}
			}
			worked.note(all...)
			return p.finish(ctx, c)
		}, noGiveUp(t))
		taken, err := outbox.TakeReady(t.Context(), p.Store, kind.Queue, "", outbox.Shares{Slots: 1000, Key: 1}, 1)
		if err != nil || len(taken) != 1 || taken[0].ID != batch.ID {
			t.Fatal(taken, err)
		}
		if _, err := p.Queue.Send(t.Context(), []queue.Message{{TaskID: batch.ID, Generation: 1, Kind: kind.Name, Queue: kind.Queue}}); err != nil {
			t.Fatal(err)
		}
		p.start(t, handler)
		roomtest.Eventually(t, "the first worker dies", func() bool { return died.of("poison") == 1 })
		if died.of("c") != 1 {
			t.Fatal("the tasks were not worked together")
		}
		guilty := usersync.DeriveID(usersync.PrefixTask, batch.ID, "poison")
		roomtest.Eventually(t, "the poison is poisoned and nothing else is left", func() bool {
			p.bring(t)
			r, ok := p.row(t, guilty)
			return ok && r.State == "poisoned" && roomtest.Count(t, p.db, `SELECT count(*) FROM outbox`) == 1
		})
		for _, name := range []string{"a", "b", "c"} {
			if worked.of(name) != 1 || died.of(name) != 1 {
				t.Errorf("%s was worked %d times and died with %d times, want once each", name, worked.of(name), died.of(name))
			}
		}
		if n := died.of("poison"); n != outbox.MaxDeaths || worked.of("poison") != 0 {
			t.Errorf("%d workers died with the poison, want %d", n, outbox.MaxDeaths)
		}
		p.gone(t, beside.ID)
		for range 3 {
			p.bring(t)
		}
		if r, _ := p.row(t, guilty); r.State != "poisoned" || r.Token != "" {
			t.Errorf("the poisoned task is %+v", r)
		}
		close(cured)
		if err := outbox.RetryPoisoned(t.Context(), p.Store, "operator", guilty); err != nil {
			t.Fatal(err)
		}
		p.bring(t)
		roomtest.Eventually(t, "it is worked when an operator has it retried", func() bool { return worked.of("poison") == 1 })
	})
}

// Whoever runs beside a suspect may die with it, but another suspect does not.
func TestTasksWhoseWorkerDiedRunOneAtATimeBesideOthers(t *testing.T) {
	t.Parallel()
	engines(t, func(t *testing.T, p *plant) {
		p.Slots = map[string]int{kind.Queue: 8}
		for i := range 3 {
			p.write(t, kind, fmt.Sprintf("suspect%d", i))
		}
		roomtest.Execute(t, p.db, `UPDATE outbox SET deaths = 1`)
		p.write(t, kind, "new")
		runs, done := make(chan string, 4), make(chan struct{})
		p.start(t, kind.Work(func(ctx context.Context, c usersync.Claim, args job) error {
			runs <- args.Names[0]
			if args.Names[0] != "new" {
				select {
				case <-done:
				case <-ctx.Done():
					return ctx.Err()
				}
			}
			return p.finish(ctx, c)
		}, noGiveUp(t)))
		p.send(t, kind.Queue)
		seen := []string{receive(t, "one runs", runs), receive(t, "another runs", runs)}
		if !slices.Contains(seen, "new") {
			t.Errorf("%q run together, want the new one beside one suspect", seen)
		}
		roomtest.Eventually(t, "the other suspects are postponed", func() bool {
			return roomtest.Count(t, p.db, `SELECT count(*) FROM outbox WHERE state = 'scheduled' AND deaths = 1 AND failures = 0`) == 2
		})
		if n := len(runs); n != 0 {
			t.Errorf("%d more run meanwhile", n)
		}
		close(done)
		roomtest.Eventually(t, "all are worked", func() bool {
			p.bring(t)
			return roomtest.Count(t, p.db, `SELECT count(*) FROM outbox`) == 0
		})
	})
}

// setStatus disables or enables the organization of a plant's tasks.
func (p *plant) setStatus(t *testing.T, id, status string) {
	t.Helper()
	_, err := tenant.Update(t.Context(), p.Store.Org(id), "operator", func(o *tenant.Organization) ([]string, error) {
		o.Status = status
		return []string{"status"}, nil
	})
	if err != nil {
		t.Fatal(err)
	}
}

func TestTasksOfADisabledOrganizationAreHeldAndThenWorked(t *testing.T) {
	t.Parallel()
	engines(t, func(t *testing.T, p *plant) {
		own := roomtest.New(t, p.Store, 1).Organization.ID
		task := kind.Task(usersync.NewID(usersync.PrefixTask), own, own, job{Names: []string{"a"}})
		if err := p.Store.Tx(t.Context(), func(tx *store.Tx) error { return outbox.Enqueue(t.Context(), tx, task) }); err != nil {
			t.Fatal(err)
		}
		p.setStatus(t, own, tenant.Disabled)
		worked := make(chan string, 10)
		p.start(t, kind.Work(func(ctx context.Context, c usersync.Claim, args job) error {
			worked <- args.Names[0]
			return p.finish(ctx, c)
		}, noGiveUp(t)))
		p.send(t, kind.Queue)
		roomtest.Eventually(t, "the task is held", func() bool { r, _ := p.row(t, task.ID); return r.State == "held" })
		p.work(t, "another's")
		if got := receive(t, "another organization's task is worked", worked); got != "another's" {
			t.Errorf("%s was worked", got)
		}
		p.setStatus(t, own, tenant.Active)
		if err := outbox.Resume(t.Context(), p.Store, own); err != nil {
			t.Fatal(err)
		}
		p.send(t, kind.Queue)
		if got := receive(t, "the task is worked", worked); got != "a" {
			t.Errorf("%s was worked", got)
		}
	})
}

// It notices when it renews the claim.
func TestARunOfAnOrganizationThatIsDisabledIsStoppedAndHandedBack(t *testing.T) {
	t.Parallel()
	engines(t, func(t *testing.T, p *plant) {
		own := roomtest.New(t, p.Store, 1).Organization.ID
		task := kind.Task(usersync.NewID(usersync.PrefixTask), own, own, job{Names: []string{"a"}})
		if err := p.Store.Tx(t.Context(), func(tx *store.Tx) error { return outbox.Enqueue(t.Context(), tx, task) }); err != nil {
			t.Fatal(err)
		}
		running := make(chan struct{})
		p.start(t, kind.Work(func(ctx context.Context, _ usersync.Claim, _ job) error {
			close(running)
			<-ctx.Done()
			return ctx.Err()
		}, noGiveUp(t)))
		p.send(t, kind.Queue)
		receive(t, "the handler runs", running)
		p.setStatus(t, own, tenant.Disabled)
		p.ends(t, kind.Name, "postponed")
		p.hasRow(t, task.ID, row{State: "ready", Generation: 2})
	})
}
